//! Whether an external Redis answers. Anybody who may create a service chooses the address, so only pods of the service's own namespace are asked, found by
//! the objects that the API server holds and by no name, and what an administrator lists.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret, SecretKeySelector, Service};
use kube::api::ListParams;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

use super::Reconciler;
use crate::api::{ExternalRedis, InterStepBufferService, RedisMode, names};
use crate::controller::queue::Key;
use crate::limits;
use crate::observe::in_words;
use crate::observed::{Endpoint, Fact};
use crate::plan;
use crate::rules::external::{is_address, shown};
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
    endpoint: Endpoint,
}

/// What an address stands for.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// A Service of the namespace, or the one pod behind it that is named.
    Service { name: String, pod: Option<String> },
    /// What an administrator lists.
    Listed { host: String },
}

/// Why an address is not asked, or cannot be.
enum Not {
    /// It must not be; why.
    Asked(String),
    /// It leads nowhere.
    Reached(&'static str),
    /// The API server did not say; it is asked another time.
    Known(String),
}

impl Reconciler {
    /// What the external Redis of a service answers: asked now, or a moment ago; not known of any other service, nor where there was no time to ask yet.
    pub(super) async fn endpoint(&self, key: &Key, service: &InterStepBufferService) -> Fact<Endpoint> {
        let spec = plan::external(service).filter(|_| service.metadata.deletion_timestamp.is_none());
        let Some(spec) = spec else { return Fact::default() };
        let known = self.memory().entry(key.clone()).or_default().endpoint.clone().filter(|asked| asked.spec == spec);
        if let Some(asked) = known.as_ref().filter(|asked| asked.at.elapsed() < limits::ENDPOINT_LOOK) {
            return Fact::Known(asked.endpoint.clone());
        }
        // Somebody else's silence holds few of those who look after services.
        let asked = match self.endpoints.try_acquire() {
            Ok(_place) => timeout(limits::ENDPOINT_ASK, self.ask_endpoint(&key.namespace, &spec)).await.unwrap_or_else(|_| {
                let address = addresses(&spec).split(',').next().unwrap_or_default().to_owned();
                Ok(Endpoint::Unreachable { address, why: "does not answer in time" })
            }),
            Err(_) => Err("others are being asked".to_owned()),
        };
        match asked {
            Ok(endpoint) => {
                let asked = Asked { spec, at: Instant::now(), endpoint: endpoint.clone() };
                self.memory().entry(key.clone()).or_default().endpoint = Some(asked);
                Fact::Known(endpoint)
            }
            // What was known goes on being so for a while.
            Err(why) => known.map_or_else(|| Fact::Unknown(why), |asked| Fact::Known(asked.endpoint)),
        }
    }

    /// An error where the API server does not tell what to ask.
    async fn ask_endpoint(&self, namespace: &str, spec: &ExternalRedis) -> Result<Endpoint, String> {
        let mode = spec.mode();
        // Each of them keeps pods of Pipelines from starting where it is missing.
        let mut passwords = Vec::new();
        for reference in [&spec.password, &spec.sentinel_password] {
            passwords.push(match reference {
                None => None,
                Some(reference) => match self.value(namespace, reference).await {
                    Ok(Some(password)) => Some(password),
                    Ok(None) => return Ok(Endpoint::NoSecret { secret: reference.name.clone(), key: reference.key.clone() }),
                    Err(Not::Known(why)) => return Err(why),
                    Err(Not::Asked(why)) => return Ok(Endpoint::NotAsked { address: reference.name.clone(), why }),
                    Err(Not::Reached(_)) => None,
                },
            });
        }
        // Numaflow's client gives Sentinels no user.
        let (user, password) = match mode {
            RedisMode::Sentinel => (None, passwords.pop().flatten()),
            RedisMode::Single | RedisMode::Cluster => (spec.user.clone(), passwords.swap_remove(0)),
        };
        let question = Question { mode, master: spec.master_name.clone().unwrap_or_default(), user, password };
        let mut asked = BTreeSet::new();
        let mut first = None;
        for address in addresses(spec).split(',').filter(|address| asked.insert(*address)).take(limits::ENDPOINT_ADDRESSES) {
            let said = match self.resolve(namespace, address).await {
                Ok(found) => endpoint::ask(found, address, &question).await,
                Err(Not::Known(why)) => return Err(why),
                Err(Not::Asked(why)) => Endpoint::NotAsked { address: shown(address).to_owned(), why },
                Err(Not::Reached(why)) => Endpoint::Unreachable { address: address.to_owned(), why },
            };
            if !matches!(said, Endpoint::Unreachable { .. } | Endpoint::NotAsked { .. }) {
                return Ok(said);
            }
            first.get_or_insert(said);
        }
        first.ok_or_else(|| "it has no address".to_owned())
    }

    /// Where to ask an address of the spec.
    async fn resolve(&self, namespace: &str, address: &str) -> Result<SocketAddr, Not> {
        let (target, port) = target(address, namespace, &self.external_redis).map_err(Not::Asked)?;
        match target {
            Target::Listed { host } => listed(&host, port).await,
            Target::Service { name, pod } => {
                let ip = self.service_address(namespace, &name, pod.as_deref()).await?;
                if may_be_asked(ip) { Ok(SocketAddr::new(ip, port)) } else { Err(Not::Asked(OWN_MACHINE.to_owned())) }
            }
        }
    }

    /// The address of a Service as it is now, or of a ready pod behind one that has none of its own.
    async fn service_address(&self, namespace: &str, name: &str, pod: Option<&str>) -> Result<IpAddr, Not> {
        let service: Option<Service> = self.one(namespace, name).await.map_err(Not::Known)?;
        let Some(spec) = service.and_then(|service| service.spec) else {
            return Err(Not::Reached("there is no Service of that name in the namespace"));
        };
        let selector = spec.selector.unwrap_or_default();
        // Where such a one leads is somebody's word.
        if spec.type_.as_deref() == Some("ExternalName") || selector.is_empty() {
            return Err(Not::Asked(format!("Service {name} selects no pods of the namespace; an administrator can allow its address")));
        }
        let own = spec.cluster_ip.unwrap_or_default();
        if let (None, Ok(address)) = (pod, own.parse()) {
            return Ok(address);
        }
        let selector: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let pods: Vec<Pod> = self.some(namespace, &ListParams::default().labels(&selector.join(","))).await.map_err(Not::Known)?;
        let fits = |one: &&Pod| {
            let in_network = one.spec.as_ref().is_some_and(|spec| spec.host_network != Some(true));
            in_network && pod.is_none_or(|name| one.metadata.name.as_deref() == Some(name))
        };
        let address = pods.iter().filter(fits).find_map(|one| one.status.as_ref()?.pod_ip.as_ref()?.parse().ok());
        address.ok_or(Not::Reached("no pod is behind the name"))
    }

    /// The value of a key of a Secret; none where it is not there. A Secret of ours, or of Kubernetes' own, is sent to nobody.
    async fn value(&self, namespace: &str, reference: &SecretKeySelector) -> Result<Option<String>, Not> {
        let secret: Option<Secret> = self.one(namespace, &reference.name).await.map_err(Not::Known)?;
        let Some(secret) = secret else { return Ok(None) };
        let component = secret.metadata.labels.as_ref().and_then(|labels| labels.get(names::COMPONENT_LABEL));
        let ours = component.is_some_and(|component| component == names::COMPONENT);
        if ours || secret.type_.as_deref().is_some_and(|type_| type_ != "Opaque") {
            return Err(Not::Asked("the Secret is not one for passwords of people's (type Opaque)".to_owned()));
        }
        let value = secret.data.and_then(|mut data| data.remove(&reference.key));
        Ok(value.and_then(|value| String::from_utf8(value.0).ok()))
    }

    /// An object by its name. A list of one name needs no permission beyond the one that the watches have.
    async fn one<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, String>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        Ok(self.some(namespace, &ListParams::default().fields(&format!("metadata.name={name}"))).await?.into_iter().next())
    }

    /// Out of the API server's cache, because it happens again and again.
    async fn some<K>(&self, namespace: &str, which: &ListParams) -> Result<Vec<K>, String>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        match timeout(limits::API_REQUEST, api.list(&which.clone().match_any())).await {
            Ok(Ok(list)) => Ok(list.items),
            Ok(Err(error)) => Err(in_words(&error)),
            Err(_) => Err("no answer of the API server".to_owned()),
        }
    }
}

/// The addresses that clients begin with.
fn addresses(spec: &ExternalRedis) -> &str {
    let addresses = if spec.mode() == RedisMode::Sentinel { &spec.sentinel_url } else { &spec.url };
    addresses.as_deref().unwrap_or_default()
}

/// What an address of a spec stands for, and its port; in words, why it is not asked. A name is taken as a pod of the namespace resolves it.
fn target(address: &str, namespace: &str, allowed: &Arc<[Allowed]>) -> Result<(Target, u16), String> {
    // Nothing else goes on from here: a text of any other form may hold a password.
    if !is_address(address) {
        return Err("it is no address".to_owned());
    }
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
        [name] if !is_ip => Ok((Target::Service { name: (*name).to_owned(), pod: None }, port)),
        [pod, name] if !is_ip => Ok((Target::Service { name: (*name).to_owned(), pod: Some((*pod).to_owned()) }, port)),
        _ => Err("it is no Service of the namespace; an administrator can allow other addresses".to_owned()),
    }
}

/// Why an address is never asked.
const OWN_MACHINE: &str = "it is the machine itself, or one that answers only there";

/// The first address of a name that an administrator lists.
async fn listed(host: &str, port: u16) -> Result<SocketAddr, Not> {
    // With a dot at its end nothing is appended to it.
    let whole =
        if host.contains('.') && host.parse::<IpAddr>().is_err() && !host.ends_with('.') { format!("{host}.") } else { host.to_owned() };
    let Ok(Ok(found)) = timeout(limits::ENDPOINT_REQUEST, lookup_host((whole, port))).await else {
        return Err(Not::Reached("the name has no address"));
    };
    let found: Vec<_> = found.collect();
    match found.iter().find(|address| may_be_asked(address.ip())) {
        Some(address) => Ok(*address),
        None if found.is_empty() => Err(Not::Reached("the name has no address")),
        None => Err(Not::Asked(OWN_MACHINE.to_owned())),
    }
}

/// Where a cloud's metadata answers over IPv6 (docs.aws.amazon.com, "Instance metadata"); over IPv4 it is link-local.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);

/// Neither the controller's own machine nor what answers only there, such as a cloud's metadata.
fn may_be_asked(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => may_be_asked(IpAddr::V4(v4)),
            None => !(v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast() || v6 == METADATA),
        },
    }
}

#[cfg(test)]
mod tests;
