use std::collections::BTreeMap;

use isbsvc_certs::Facts;
use isbsvc_certs::rotation::{self, Decision, Held, Wanted, key};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::timeout;

use super::Webhook;
use crate::api::names;
use crate::apply::ApplyError;
use crate::limits;

/// The Secret that the replicas mount.
pub const SECRET: &str = "isbsvc-webhook-tls";

/// What follows from the Secret.
pub enum Next {
    /// Its data shall be exactly this. Holds secrets.
    Write {
        /// The data.
        data: BTreeMap<String, Vec<u8>>,
        /// Why, for a person.
        reason: String,
    },
    /// It stands.
    Keep {
        /// What the API servers shall trust, PEM.
        bundle: String,
        /// When the leaf ends.
        end: Timestamp,
    },
}

/// Decides from what the Secret holds and what the API servers trust.
pub fn decide(secret: Option<&Secret>, webhook: &Webhook, published: &[u8], now: Timestamp) -> Result<Next, String> {
    let data = secret.and_then(|secret| secret.data.as_ref());
    let held = Held::read(|key| data.and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice()), published);
    let host = format!("{}.{}.svc", webhook.service, webhook.namespace);
    let dns_names = [host.clone(), format!("{host}.cluster.local")];
    let wanted = Wanted { authority_name: "isbsvc webhook authority", leaf_name: "isbsvc-webhook", dns_names: &dns_names };
    let decision = rotation::decide(&held, &wanted, now).map_err(|error| format!("the webhook's certificate cannot be made: {error}"))?;
    Ok(match decision {
        Decision::Write { data, reason, .. } => Next::Write { data, reason },
        Decision::Keep { ca_bundle, .. } => {
            let leaf = data.and_then(|data| data.get(key::LEAF)).map(|leaf| Facts::read(&leaf.0));
            let end = leaf.and_then(Result::ok).map_or(Timestamp::MIN, |facts| facts.not_after);
            Next::Keep { bundle: ca_bundle, end }
        }
    })
}

/// Writes the Secret: one that is not there is made and never overwritten, one that is there must still be the one that was seen.
pub async fn write(client: &Client, namespace: &str, seen: Option<&Secret>, data: BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let params = PostParams { field_manager: Some(names::CHILDREN_MANAGER.to_owned()), ..PostParams::default() };
    let data = Some(data.into_iter().map(|(key, value)| (key, ByteString(value))).collect());
    let request = async {
        match seen {
            Some(seen) => api.replace(SECRET, &params, &Secret { data, ..seen.clone() }).await,
            None => api.create(&params, &new(namespace, data)).await,
        }
    };
    let attempted = format!("write Secret {namespace}/{SECRET}");
    match timeout(limits::API_REQUEST, request).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(ApplyError::kube(attempted, &error, true).to_string()),
        Err(_) => Err(format!("{attempted}: no answer of the API server within {} s", limits::API_REQUEST.as_secs())),
    }
}

fn new(namespace: &str, data: Option<BTreeMap<String, ByteString>>) -> Secret {
    let labels = [("app.kubernetes.io/part-of", "isbsvc"), ("app.kubernetes.io/managed-by", names::CHILDREN_MANAGER)];
    Secret {
        metadata: ObjectMeta {
            name: Some(SECRET.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data,
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::scripted::{api_server, failure};

    fn webhook() -> Webhook {
        Webhook { namespace: "numaflow-system".to_owned(), service: "isbsvc-webhook".to_owned(), configurations: true }
    }

    fn made(now: Timestamp) -> BTreeMap<String, Vec<u8>> {
        let Ok(Next::Write { data, .. }) = decide(None, &webhook(), b"", now) else { unreachable!("there was none") };
        data
    }

    fn stored(data: BTreeMap<String, Vec<u8>>) -> Secret {
        let mut secret = new("numaflow-system", Some(data.into_iter().map(|(key, value)| (key, ByteString(value))).collect()));
        secret.metadata.resource_version = Some("7".to_owned());
        secret
    }

    #[test]
    fn one_that_is_made_stands_and_names_the_service() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let data = made(now);
        let facts = Facts::read(&data["tls.crt"]).unwrap();
        assert_eq!(facts.dns_names, ["isbsvc-webhook.numaflow-system.svc", "isbsvc-webhook.numaflow-system.svc.cluster.local"]);
        let secret = stored(data);
        let Ok(Next::Keep { bundle, end }) = decide(Some(&secret), &webhook(), b"", now) else { unreachable!("it stands") };
        assert!(bundle.starts_with("-----BEGIN CERTIFICATE-----"));
        assert_eq!(end, facts.not_after);
    }

    #[tokio::test]
    async fn one_that_is_there_is_written_only_as_it_was_seen() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let (client, log) = api_server(|_| failure(409, "Conflict", "the object has been modified"));
        let secret = stored(made(now));
        let error = write(&client, "numaflow-system", Some(&secret), made(now)).await.unwrap_err();
        assert_eq!(error, "write Secret numaflow-system/isbsvc-webhook-tls: the object has been modified");
        let asked = log.lock().unwrap().remove(0);
        assert_eq!((asked.method.as_str(), &asked.body["metadata"]["resourceVersion"]), ("PUT", &serde_json::json!("7")));
    }

    #[tokio::test]
    async fn one_that_is_not_there_is_made_and_never_overwritten() {
        let (client, log) = api_server(|_| failure(409, "AlreadyExists", "already exists"));
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        assert!(write(&client, "numaflow-system", None, made(now)).await.is_err());
        let asked = log.lock().unwrap().remove(0);
        assert_eq!((asked.method.as_str(), asked.body["type"].as_str()), ("POST", Some("kubernetes.io/tls")));
    }
}
