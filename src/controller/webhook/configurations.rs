use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::Value;
use tokio::time::timeout;

use super::Webhook;
use crate::api::names;
use crate::apply::ApplyError;
use crate::limits;

/// Name of both.
pub const NAME: &str = "isbsvc-webhook";

const MUTATING: &str = include_str!("../../../manifests/webhook/configurations/mutating.yaml");
const VALIDATING: &str = include_str!("../../../manifests/webhook/configurations/validating.yaml");

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fills in defaults.
    Mutating,
    /// Refuses.
    Validating,
}

impl Kind {
    /// Name of the resource in URLs and RBAC.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Mutating => "mutatingwebhookconfigurations",
            Self::Validating => "validatingwebhookconfigurations",
        }
    }
}

/// The configuration as it should stand: the template, with the webhook's Service and what the API servers shall trust.
pub fn desired(kind: Kind, webhook: &Webhook, bundle: &str) -> Result<Value, String> {
    let template = match kind {
        Kind::Mutating => MUTATING,
        Kind::Validating => VALIDATING,
    };
    let mut object: Value = serde_saphyr::from_str(template).map_err(|error| format!("the template of {}: {error}", kind.plural()))?;
    for one in object["webhooks"].as_array_mut().into_iter().flatten() {
        let client = &mut one["clientConfig"];
        client["caBundle"] = Value::from(STANDARD.encode(bundle));
        client["service"]["namespace"] = Value::from(webhook.namespace.as_str());
        client["service"]["name"] = Value::from(webhook.service.as_str());
    }
    Ok(object)
}

/// Applies it to the configuration that was seen, and to no other: a rotator that lags behind must not take a newer authority out of it. What an administrator
/// added beside ours stays.
pub async fn write(client: &Client, kind: Kind, mut object: Value, seen: Option<&Value>) -> Result<(), String> {
    if let Some(version) = seen.and_then(|seen| seen.pointer("/metadata/resourceVersion")) {
        object["metadata"]["resourceVersion"] = version.clone();
    }
    let object = &object;
    let params = PatchParams::apply(names::CHILDREN_MANAGER).force();
    let request = async {
        match kind {
            Kind::Mutating => {
                Api::<MutatingWebhookConfiguration>::all(client.clone()).patch(NAME, &params, &Patch::Apply(object)).await.map(drop)
            }
            Kind::Validating => {
                Api::<ValidatingWebhookConfiguration>::all(client.clone()).patch(NAME, &params, &Patch::Apply(object)).await.map(drop)
            }
        }
    };
    let attempted = format!("apply {}/{NAME}", kind.plural());
    match timeout(limits::API_REQUEST, request).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(ApplyError::kube(attempted, &error, false).to_string()),
        Err(_) => Err(format!("{attempted}: no answer of the API server within {} s", limits::API_REQUEST.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_become_configurations_of_the_service() {
        let webhook = Webhook { namespace: "elsewhere".to_owned(), service: "hook".to_owned(), configurations: true };
        for kind in [Kind::Mutating, Kind::Validating] {
            let object = desired(kind, &webhook, "PEM").unwrap();
            assert_eq!(object["metadata"]["name"], NAME);
            let entries = object["webhooks"].as_array().unwrap();
            assert_eq!(entries.len(), if kind == Kind::Validating { 2 } else { 1 });
            for one in entries.iter().map(|entry| &entry["clientConfig"]) {
                assert_eq!(one["caBundle"], STANDARD.encode("PEM"));
                assert_eq!((&one["service"]["namespace"], &one["service"]["name"]), (&Value::from("elsewhere"), &Value::from("hook")));
            }
        }
        serde_json::from_value::<MutatingWebhookConfiguration>(desired(Kind::Mutating, &webhook, "PEM").unwrap()).unwrap();
        serde_json::from_value::<ValidatingWebhookConfiguration>(desired(Kind::Validating, &webhook, "PEM").unwrap()).unwrap();
    }
}
