use serde_json::Value;

use super::{InterStepBufferService, PodTemplate};

/// The object is not an `InterStepBufferService` that we can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct DecodeError {
    /// Field that could not be read, such as `spec.jetstream.replicas`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Reads an object as the API server or a file holds it, and names the field that does not fit.
///
/// Unknown fields are left alone: nothing of ours writes a typed object back.
pub fn decode(object: &Value) -> Result<InterStepBufferService, DecodeError> {
    serde_path_to_error::deserialize(object).map_err(|error| {
        let field = error.path().to_string();
        pod_field(object, &field).unwrap_or_else(|| DecodeError { field, message: error.into_inner().to_string() })
    })
}

/// The pods' fields stand in the service's own map (`#[serde(flatten)]`), so that serde names only the service: reads them alone to name the field.
fn pod_field(object: &Value, service: &str) -> Option<DecodeError> {
    if !["spec.jetstream", "spec.redis.native"].contains(&service) {
        return None;
    }
    let fields = object.pointer(&format!("/{}", service.replace('.', "/"))).filter(|fields| fields.is_object())?;
    let error = serde_path_to_error::deserialize::<_, PodTemplate>(fields).err()?;
    Some(DecodeError { field: format!("{service}.{}", error.path()), message: error.into_inner().to_string() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: &Value) -> Value {
        json!({ "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService", "metadata": { "name": "default" }, "spec": spec })
    }

    #[test]
    fn a_wrong_type_is_named_with_its_field() {
        let error = decode(&object(&json!({ "jetstream": { "version": "2.12.7", "encryption": "yes" } }))).unwrap_err();
        assert!(error.field.starts_with("spec.jetstream"), "{error}");
        assert!(error.message.contains("boolean"), "{error}");
    }

    #[test]
    fn a_field_of_the_pods_is_named_as_well() {
        for (spec, field) in [
            (json!({ "jetstream": { "version": "2.12.7", "priority": "5" } }), "spec.jetstream.priority"),
            (json!({ "jetstream": { "affinity": { "nodeAffinity": 1 } } }), "spec.jetstream.affinity.nodeAffinity"),
            (json!({ "redis": { "native": { "tolerations": {} } } }), "spec.redis.native.tolerations"),
            (json!({ "jetstream": 5 }), "spec.jetstream"),
            (json!({ "redis": { "native": [] } }), "spec.redis.native"),
        ] {
            assert_eq!(decode(&object(&spec)).unwrap_err().field, field);
        }
    }

    #[test]
    fn unknown_fields_are_left_alone() {
        assert!(decode(&object(&json!({ "jetstream": { "version": "2.12.7", "fromTheFuture": 1 } }))).is_ok());
    }
}
