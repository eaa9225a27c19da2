//! Whether an external Redis answers, asked only where that is nobody's way to reach what they could not reach themselves: Services of the service's own
//! namespace, and what an administrator lists.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Secret, SecretKeySelector, Service};
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

use super::Reconciler;
use crate::api::{ExternalRedis, InterStepBufferService, RedisMode};
use crate::controller::queue::Key;
use crate::limits;
use crate::observe::in_words;
use crate::observed::{Endpoint, Fact};
use crate::plan;
use crate::servers::endpoint::{self, Question};

/// An address that an administrator lets the controller ask (`--external-redis-allow`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The host, or what it ends with, which then begins with a dot.
    host: String,
    port: Option<u16>,
}

impl std::str::FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write HOST, HOST:PORT, or *.DOMAIN with or without :PORT".to_owned();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port.parse().map_err(|_| wrong())?)),
            _ => (text, None),
        };
        let host = host.strip_prefix('*').map_or(host, |rest| rest);
        let whole = host.trim_start_matches('.');
        if whole.is_empty() || whole.contains(['*', '/', ' ']) || (text.starts_with('*') && !host.starts_with('.')) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }
}

impl Allowed {
    fn holds(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let same = if self.host.starts_with('.') { host.ends_with(&self.host) } else { host == self.host };
        same && self.port.is_none_or(|own| own == port)
    }
}

/// What was answered, and when.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    spec: ExternalRedis,
    at: Instant,
    endpoint: Fact<Endpoint>,
}

/// What an address stands for.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// A Service of the namespace, or a pod behind it: the Service, and the name that says it from anywhere in the cluster.
    Service { name: String, host: String },
    /// What an administrator lists.
    Listed { host: String },
}

impl Reconciler {
    /// What the external Redis of a service answers: asked now, or a moment ago; not known of any other service.
    pub(super) async fn endpoint(&self, key: &Key, service: &InterStepBufferService) -> Fact<Endpoint> {
        let Some(spec) = plan::external(service) else { return Fact::default() };
        let fresh = |asked: &Asked| asked.spec == spec && asked.at.elapsed() < limits::ENDPOINT_LOOK;
        if let Some(asked) = self.memory().entry(key.clone()).or_default().endpoint.clone().filter(fresh) {
            return asked.endpoint;
        }
        let endpoint = self.ask_endpoint(&key.namespace, &spec).await.unwrap_or_else(Fact::Unknown);
        if let Fact::Unknown(why) = &endpoint {
            tracing::debug!(service = %key, why, "the external Redis was not asked");
        }
        let asked = Asked { spec, at: Instant::now(), endpoint: endpoint.clone() };
        self.memory().entry(key.clone()).or_default().endpoint = Some(asked);
        endpoint
    }

    /// `Err` where it was not asked, with the reason.
    async fn ask_endpoint(&self, namespace: &str, spec: &ExternalRedis) -> Result<Fact<Endpoint>, String> {
        let mode = spec.mode();
        let (addresses, password) = match mode {
            RedisMode::Sentinel => (&spec.sentinel_url, &spec.sentinel_password),
            RedisMode::Single | RedisMode::Cluster => (&spec.url, &spec.password),
        };
        let mut targets = Vec::new();
        for address in addresses.as_deref().unwrap_or_default().split(',').take(limits::ENDPOINT_ADDRESSES) {
            if !targets.iter().any(|(known, ..): &(String, Target, u16)| known == address) {
                let (target, port) = target(address, namespace, &self.external_redis)?;
                targets.push((address.to_owned(), target, port));
            }
        }
        for (_, target, _) in &targets {
            if let Target::Service { name, .. } = target {
                self.is_service(namespace, name).await?;
            }
        }
        let password = match password {
            None => None,
            Some(reference) => match self.value(namespace, reference).await? {
                Some(password) => Some(password),
                None => {
                    return Ok(Fact::Known(Endpoint::NoSecret { secret: reference.name.clone(), key: reference.key.clone() }));
                }
            },
        };
        let master = spec.master_name.clone().unwrap_or_default();
        // Numaflow's client gives Sentinels no user.
        let user = spec.user.clone().filter(|_| mode != RedisMode::Sentinel);
        let question = Question { mode, master, user, password };
        let mut first = None;
        for (address, target, port) in targets {
            let (Target::Service { host, .. } | Target::Listed { host }) = target;
            let endpoint = match resolve(&host, port).await? {
                Some(found) => endpoint::ask(found, &address, &question).await,
                None => Endpoint::Unreachable { address, why: "the name has no address" },
            };
            if !matches!(endpoint, Endpoint::Unreachable { .. }) {
                return Ok(Fact::Known(endpoint));
            }
            first.get_or_insert(endpoint);
        }
        first.map(Fact::Known).ok_or_else(|| "it has no address".to_owned())
    }

    /// An error unless the namespace has a Service of this name that leads nowhere else.
    async fn is_service(&self, namespace: &str, name: &str) -> Result<(), String> {
        let service: Option<Service> = self.one(namespace, name).await?;
        match service.and_then(|service| service.spec).map(|spec| spec.type_.unwrap_or_default()) {
            None => Err(format!("there is no Service {name} in the namespace; an administrator can allow other addresses")),
            Some(type_) if type_ == "ExternalName" => {
                Err(format!("Service {name} is only another name; an administrator can allow its address"))
            }
            Some(_) => Ok(()),
        }
    }

    /// The value of a key of a Secret; none where it is not there.
    async fn value(&self, namespace: &str, reference: &SecretKeySelector) -> Result<Option<String>, String> {
        let secret: Option<Secret> = self.one(namespace, &reference.name).await?;
        let value = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove(&reference.key));
        Ok(value.and_then(|value| String::from_utf8(value.0).ok()))
    }

    /// An object by its name. A list of one name needs no permission beyond the one that the watches have.
    async fn one<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, String>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let only = ListParams::default().fields(&format!("metadata.name={name}"));
        match timeout(limits::API_REQUEST, api.list(&only)).await {
            Ok(Ok(list)) => Ok(list.items.into_iter().next()),
            Ok(Err(error)) => Err(in_words(&error)),
            Err(_) => Err("no answer of the API server".to_owned()),
        }
    }
}

/// What an address of a spec stands for, and its port; in words, why it is not asked. A name is taken as a pod of the namespace resolves it.
fn target(address: &str, namespace: &str, allowed: &Arc<[Allowed]>) -> Result<(Target, u16), String> {
    let (host, port) = address.rsplit_once(':').ok_or("it is no address")?;
    let port: u16 = port.parse().map_err(|_| "it has no port")?;
    if allowed.iter().any(|one| one.holds(host, port)) {
        return Ok((Target::Listed { host: host.trim_matches(['[', ']']).to_owned() }, port));
    }
    let is_ip = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let mut labels: Vec<_> = host.trim_end_matches('.').split('.').collect();
    if let Some(at) = labels.iter().position(|label| *label == "svc").filter(|at| *at >= 2 && labels[at - 1] == namespace) {
        labels.truncate(at - 1);
    } else if labels.len() >= 2 && labels.last() == Some(&namespace) {
        labels.pop();
    }
    match labels.as_slice() {
        [name] | [_, name] if !is_ip => {
            let host = format!("{}.{namespace}.svc", labels.join("."));
            Ok((Target::Service { name: (*name).to_owned(), host }, port))
        }
        _ => Err("it is no Service of the namespace; an administrator can allow other addresses".to_owned()),
    }
}

/// The first address of a name that may be asked; none where the name has none. In words, why the ones that it has are never asked.
async fn resolve(host: &str, port: u16) -> Result<Option<SocketAddr>, String> {
    let Ok(Ok(found)) = timeout(limits::ENDPOINT_REQUEST, lookup_host((host, port))).await else { return Ok(None) };
    let found: Vec<_> = found.collect();
    match found.iter().find(|address| may_be_asked(address.ip())) {
        Some(address) => Ok(Some(*address)),
        None if found.is_empty() => Ok(None),
        None => Err("it is the machine itself, or one that answers only there".to_owned()),
    }
}

/// Neither the controller's own machine nor what answers only there, such as a cloud's metadata.
fn may_be_asked(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => may_be_asked(IpAddr::V4(v4)),
            None => !(v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(all: &[&str]) -> Arc<[Allowed]> {
        all.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn services_of_the_namespace_are_asked_and_nothing_else() {
        let service = |name: &str, host: &str| Ok((Target::Service { name: name.to_owned(), host: host.to_owned() }, 6379));
        for (host, expected) in [
            ("redis", service("redis", "redis.pl.svc")),
            ("redis.pl", service("redis", "redis.pl.svc")),
            ("redis.pl.svc", service("redis", "redis.pl.svc")),
            ("redis.pl.svc.cluster.local.", service("redis", "redis.pl.svc")),
            // What comes behind is never resolved.
            ("redis.pl.svc.evil.example", service("redis", "redis.pl.svc")),
            ("redis-0.redis", service("redis", "redis-0.redis.pl.svc")),
            ("redis-0.redis.pl.svc.cluster.local", service("redis", "redis-0.redis.pl.svc")),
            // Another namespace's: a Service of that name is looked for in this one.
            ("redis.other", service("other", "redis.other.pl.svc")),
        ] {
            assert_eq!(target(&format!("{host}:6379"), "pl", &allowed(&[])), expected, "{host}");
        }
        for host in ["redis.other.svc", "redis.other.svc.cluster.local", "redis.example.com", "10.0.0.1", "[fd00::1]", "1.2.3.4.5"] {
            assert!(target(&format!("{host}:6379"), "pl", &allowed(&[])).is_err(), "{host}");
        }
    }

    #[test]
    fn an_administrator_can_list_more() {
        let list = allowed(&["redis.example.com:6379", "*.cache.example.com", "10.0.0.1", "[fd00::1]:7000"]);
        for (address, holds) in [
            ("redis.example.com:6379", true),
            ("REDIS.example.com:6379", true),
            ("redis.example.com:6380", false),
            ("a.cache.example.com:1", true),
            ("cache.example.com:1", false),
            ("evilcache.example.com:1", false),
            ("10.0.0.1:6379", true),
            ("10.0.0.11:6379", false),
            ("[fd00::1]:7000", true),
        ] {
            let listed = matches!(target(address, "pl", &list), Ok((Target::Listed { .. }, _)));
            assert_eq!(listed, holds, "{address}");
        }
        for wrong in ["", "*", "*example.com", "a:b", "a/b", "redis://a:1", "a b"] {
            assert!(wrong.parse::<Allowed>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn the_machine_itself_and_its_neighbours_are_never_asked() {
        for (address, may) in [
            ("127.0.0.1", false),
            ("127.8.8.8", false),
            ("169.254.169.254", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("fe80::1", false),
            ("10.96.0.10", true),
            ("fd00::1", true),
        ] {
            assert_eq!(may_be_asked(address.parse().unwrap()), may, "{address}");
        }
        assert!(resolve("127.0.0.1", 6379).await.is_err());
        assert_eq!(resolve("10.0.0.1", 6379).await, Ok(Some("10.0.0.1:6379".parse().unwrap())));
    }
}
