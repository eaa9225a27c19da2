//! What was left out of a service, as one list of (JSON pointer, value).
//!
//! The webhook makes `add` operations of it and the planner fills with it; nothing writes a typed spec back, so unknown fields survive.
//! Only what the user should see and keep is filled in: replicas, and the access mode and size of volumes.

use serde_json::{Value, json};

use crate::api::{DEFAULT_ACCESS_MODE, DEFAULT_REPLICAS, DEFAULT_VOLUME_SIZE};

/// What is missing, as pointers from the object's root (`/spec/jetstream/replicas`) and values. Empty for an object that has it all, and for one whose
/// parts are not maps, which other rules refuse.
pub fn missing(object: &Value) -> Vec<(String, Value)> {
    let mut missing = Vec::new();
    for service in ["/spec/jetstream", "/spec/redis/native"] {
        let persistence = format!("{service}/persistence");
        let wanted = [
            (service, "replicas", json!(DEFAULT_REPLICAS)),
            (persistence.as_str(), "accessMode", json!(DEFAULT_ACCESS_MODE)),
            (persistence.as_str(), "volumeSize", json!(DEFAULT_VOLUME_SIZE)),
        ];
        for (parent, key, value) in wanted {
            let Some(Value::Object(fields)) = object.pointer(parent) else { continue };
            // A null is what the API server stores for "not given" in a nullable field.
            if fields.get(key).is_none_or(Value::is_null) {
                missing.push((format!("{parent}/{key}"), value));
            }
        }
    }
    missing
}

/// Fills in what is missing.
pub fn fill(object: &mut Value) {
    for (pointer, value) in missing(object) {
        if let Some((parent, key)) = pointer.rsplit_once('/')
            && let Some(Value::Object(fields)) = object.pointer_mut(parent)
        {
            fields.insert(key.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_once_and_nothing_else() {
        let mut object =
            json!({ "spec": { "jetstream": { "version": "2.12.7", "persistence": { "volumeSize": "10Gi" }, "unknown": [1] } } });
        let pointers: Vec<_> = missing(&object).into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(pointers, ["/spec/jetstream/replicas", "/spec/jetstream/persistence/accessMode"]);
        fill(&mut object);
        assert_eq!(missing(&object), []);
        assert_eq!(object["spec"]["jetstream"]["unknown"], json!([1]));
    }

    #[test]
    fn a_service_without_persistence_gets_none() {
        assert_eq!(missing(&json!({ "spec": { "jetstream": { "replicas": 1 } } })), []);
    }

    #[test]
    fn redis_is_filled_too_and_nonsense_is_left_alone() {
        assert_eq!(missing(&json!({ "spec": { "redis": { "native": {} } } })).len(), 1);
        assert_eq!(missing(&json!({ "spec": { "jetstream": "no" } })), []);
        assert_eq!(missing(&json!(null)), []);
    }
}
