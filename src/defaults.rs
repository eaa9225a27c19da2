//! What was left out of a service, as one list of (JSON pointer, value).
//!
//! The webhook makes `add` operations of it and the planner fills with it; nothing writes a typed spec back, so unknown fields survive.
//! Only what the user should see and keep is filled in: replicas, and the access mode and size of volumes.

use serde_json::{Value, json};

use crate::api::{DEFAULT_ACCESS_MODE, DEFAULT_REPLICAS, DEFAULT_VOLUME_SIZE};

/// A value that stands for what was left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Default {
    /// Pointer to the map that the field is in, from the object's root. Where there is no such map, nothing is filled in.
    pub parent: &'static str,
    /// The field.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
}

/// Every default.
pub fn all() -> Vec<Default> {
    let default = |parent, key, value| Default { parent, key, value };
    let of = |service, persistence| {
        [
            default(service, "replicas", json!(DEFAULT_REPLICAS)),
            default(persistence, "accessMode", json!(DEFAULT_ACCESS_MODE)),
            default(persistence, "volumeSize", json!(DEFAULT_VOLUME_SIZE)),
        ]
    };
    [of("/spec/jetstream", "/spec/jetstream/persistence"), of("/spec/redis/native", "/spec/redis/native/persistence")].concat()
}

/// What is missing, as pointers from the object's root (`/spec/jetstream/replicas`) and values. Empty for an object that has it all, and for one whose
/// parts are not maps, which other rules refuse.
pub fn missing(object: &Value) -> Vec<(String, Value)> {
    let is_missing = |default: &Default| {
        let Some(Value::Object(fields)) = object.pointer(default.parent) else { return false };
        // A null is what the API server stores for "not given" in a nullable field.
        fields.get(default.key).is_none_or(Value::is_null)
    };
    all().into_iter().filter(is_missing).map(|default| (format!("{}/{}", default.parent, default.key), default.value)).collect()
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
