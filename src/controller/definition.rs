//! The definition (CRD) of the services has two owners: Numaflow's next `kubectl apply` may replace ours by one that lacks `spec.redis` or a field of
//! JetStream. The API server then drops the field from every object that is read, as if its user had taken it away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::api::{ApiResource, DynamicObject};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::api::{InterStepBufferService, names};
use crate::limits;
use crate::observed::{Fact, Observed};
use crate::plan::vanished;

/// The resource of definitions.
pub fn resource() -> ApiResource {
    ApiResource {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
    }
}

/// Name of the one that is looked at.
pub fn name() -> String {
    format!("{}.{}", names::PLURAL, names::GROUP)
}

/// What the installed definition lets through, as far as it is known.
#[derive(Clone)]
pub struct Definition {
    /// The schema of `spec`, as [`thin`] leaves it.
    schema: Arc<Mutex<Fact<Value>>>,
    seen: watch::Sender<bool>,
}

/// What follows from it for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing.
    Nothing,
    /// Nothing may be written to it; why.
    Leave(String),
    /// Its spec is not what its user wrote, and is held back; why.
    Refuse(String),
}

impl Default for Definition {
    fn default() -> Self {
        Self { schema: Arc::new(Mutex::new(Fact::Unknown("it has not been seen yet".to_owned()))), seen: watch::Sender::new(false) }
    }
}

impl Definition {
    /// Takes over what the watch saw; whether that changes anything. What was known holds while it cannot be read.
    pub fn learn(&self, fact: Fact<Value>) -> bool {
        self.seen.send_replace(true);
        let mut schema = self.lock();
        if *schema == fact || (fact.known().is_none() && schema.known().is_some()) {
            return false;
        }
        *schema = fact;
        true
    }

    /// Waits until it was seen, or could not be read; for a moment only, because it may never be readable.
    pub async fn looked_at(&self) {
        let mut seen = self.seen.subscribe();
        if timeout(limits::DEFINITION_WAIT, seen.wait_for(|seen| *seen)).await.is_err() {
            tracing::warn!("the definition of the services has not been seen; going on without it");
        }
    }

    /// Whether it has `spec.redis`; nothing where it is not known.
    pub fn has_redis(&self) -> Option<bool> {
        self.lock().known().map(|schema| lost(schema, &json!({ "redis": {} })).is_empty())
    }

    /// What follows for a service. One that is to be deleted is deleted, whatever became of its fields: its user asked for it.
    pub fn follows(&self, service: &InterStepBufferService, observed: &Observed) -> Follows {
        if service.metadata.deletion_timestamp.is_some() {
            return Follows::Nothing;
        }
        if let Some(words) = vanished(service) {
            return Follows::Leave(words.to_owned());
        }
        let schema = self.lock();
        let Some(schema) = schema.known() else { return Follows::Nothing };
        let redis = service.spec.redis.is_some() && service.spec.jetstream.is_none();
        if redis && !lost(schema, &json!({ "redis": {} })).is_empty() {
            return Follows::Leave(
                "the installed definition (CRD) no longer has spec.redis; nothing of the service is changed or deleted; apply manifests/crd again".to_owned(),
            );
        }
        let lost = accepted(observed).map(|spec| lost(schema, &spec)).unwrap_or_default();
        if lost.is_empty() {
            return Follows::Nothing;
        }
        let more = lost.len().saturating_sub(limits::FIELDS_NAMED);
        let named: Vec<_> = lost.iter().take(limits::FIELDS_NAMED).map(String::as_str).collect();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        Follows::Refuse(format!(
            "the installed definition (CRD) no longer has {}{more}, which the service uses; it goes on by its last accepted spec; apply manifests/crd again",
            named.join(", ")
        ))
    }

    fn lock(&self) -> MutexGuard<'_, Fact<Value>> {
        self.schema.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last accepted spec, as it stands on the objects of the service.
fn accepted(observed: &Observed) -> Option<Value> {
    serde_json::from_str(observed.recorded(names::ACCEPTED_SPEC_ANNOTATION)?).ok()
}

/// Keeps of the definition what [`lost`] reads, and throws its words away: hundreds of kilobytes.
pub fn thin(object: &mut DynamicObject) {
    let versions = object.data["spec"]["versions"].as_array().into_iter().flatten();
    let version = names::API_VERSION.rsplit('/').next();
    let schema = versions.filter(|one| one["name"].as_str() == version).map(|one| &one["schema"]["openAPIV3Schema"]).next();
    let spec = match schema {
        Some(schema) if schema["properties"]["spec"].is_object() => reduced(&schema["properties"]["spec"]),
        Some(schema) if schema.is_object() && schema[PRESERVE] != true => json!({}),
        // Without a schema nothing is dropped.
        _ => json!({ PRESERVE: true }),
    };
    object.data = json!({ "spec": spec });
    object.metadata.managed_fields = None;
    object.metadata.annotations = None;
}

/// The schema of `spec` of a definition that was made thin.
pub fn schema(definition: &DynamicObject) -> Value {
    definition.data["spec"].clone()
}

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";

fn reduced(schema: &Value) -> Value {
    let mut kept = Map::new();
    if let Some(properties) = schema["properties"].as_object() {
        kept.insert(
            "properties".to_owned(),
            properties.iter().map(|(name, schema)| (name.clone(), reduced(schema))).collect::<Map<_, _>>().into(),
        );
    }
    if schema["items"].is_object() {
        kept.insert("items".to_owned(), reduced(&schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        kept.insert("additionalProperties".to_owned(), reduced(&schema["additionalProperties"]));
    } else if schema["additionalProperties"] == true {
        kept.insert(PRESERVE.to_owned(), json!(true));
    }
    if schema[PRESERVE] == true {
        kept.insert(PRESERVE.to_owned(), json!(true));
    }
    Value::Object(kept)
}

/// The fields of a spec that the API server would drop by this schema (structural schemas: pruning), as they are named to people.
fn lost(schema: &Value, spec: &Value) -> Vec<String> {
    let mut found = Vec::new();
    prune(schema, spec, "spec", &mut found);
    found
}

fn prune(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = format!("{at}.{name}");
                match schema["properties"].get(name).or_else(|| schema.get("additionalProperties")) {
                    Some(schema) => prune(schema, value, &at, found),
                    None if schema[PRESERVE] == true => {}
                    None => found.push(at),
                }
            }
        }
        Value::Array(items) if schema.get("items").is_some() => {
            for (index, item) in items.iter().enumerate() {
                prune(&schema["items"], item, &format!("{at}[{index}]"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
