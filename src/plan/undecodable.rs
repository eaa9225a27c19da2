use kube::core::DynamicObject;
use serde_json::{Map, Value, json};

use super::{Event, EventType, Input, Material, Plan, reconcile, redis};
use crate::api::{DecodeError, InterStepBufferService, InterStepBufferServiceStatus, RedisBufferService, decode};
use crate::observed::Observed;

/// A service whose spec cannot be read: a definition that keeps unknown fields, as Numaflow's minimal one does, lets any value in.
#[derive(Clone, Debug, PartialEq)]
pub struct Undecodable {
    /// What can be read of it: metadata and status. Its spec is empty, but for a `redis` where it names that and no `jetstream`.
    pub service: InterStepBufferService,
    /// The field that cannot be read, and why.
    pub error: DecodeError,
}

impl Undecodable {
    /// The field and what is wrong with it. A value of an environment variable is not repeated: it may be a password (law *secret-silence*).
    pub fn words(&self) -> String {
        let DecodeError { field, message } = &self.error;
        let quoted = message.split_once([':', '`', '"']).map_or(message.as_str(), |(kind, _)| kind);
        let message = if field.split(['.', '[']).any(|part| part == "env") { quoted } else { message };
        format!("{field}: {message}")
    }
}

/// Reads a service as the API server holds it. A status that cannot be read is ours to write anew, and stops nothing.
pub fn readable(object: &DynamicObject) -> Result<InterStepBufferService, Box<Undecodable>> {
    let mut value = json!(object);
    let first = match decode(&value) {
        Ok(service) => return Ok(service),
        Err(error) => error,
    };
    let status = object.data.get("status").map(status);
    value["status"] = json!(status);
    let error = match decode(&value) {
        Ok(service) => return Ok(service),
        // The first field that was named may be one of the status, which is no reason.
        Err(error) if first.field.starts_with("status") => error,
        Err(_) => first,
    };
    let spec = &object.data["spec"];
    let mut service = InterStepBufferService { metadata: object.metadata.clone(), status, ..InterStepBufferService::default() };
    service.spec.redis = (spec["jetstream"].is_null() && !spec["redis"].is_null()).then(RedisBufferService::default);
    Err(Box::new(Undecodable { service, error }))
}

/// Every field of a status that can be read by itself.
fn status(value: &Value) -> InterStepBufferServiceStatus {
    let alone = |(key, value): (&String, &Value)| Map::from_iter([(key.clone(), value.clone())]);
    let readable = |field: &Map<String, Value>| serde_json::from_value::<InterStepBufferServiceStatus>(json!(field)).is_ok();
    let fields: Map<String, Value> = value.as_object().into_iter().flatten().map(alone).filter(readable).flatten().collect();
    serde_json::from_value(Value::Object(fields)).unwrap_or_default()
}

/// The next step for a service whose spec is refused for a reason that stands outside of it: it cannot be read, or the definition lost fields of it.
/// A service that runs goes on by its last accepted spec, and one that is to be deleted is deleted; one that never ran is told in its conditions.
pub fn refused(input: &Input<'_>, why: &str, observed: &Observed, material: &Material) -> Plan {
    let before = input.service.status.clone().unwrap_or_default();
    let deleting = input.service.metadata.deletion_timestamp.is_some();
    if !deleting && redis::served_elsewhere(input.service) && redis::before(input.service).is_none() {
        return Plan { held: Some(why.to_owned()), ..Plan::default() };
    }
    let mut plan = reconcile::judged(input, observed, material, Some(why));
    let message = plan.status.as_ref().and_then(|status| status.message.clone());
    if let Some(note) = message.filter(|message| before.message.as_ref() != Some(message) && plan.events.is_empty() && !deleting) {
        plan.events.push(Event { type_: EventType::Warning, reason: "InvalidSpec", note });
    }
    plan
}
