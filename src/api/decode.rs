use serde_json::Value;

use super::InterStepBufferService;

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
        DecodeError { field, message: error.into_inner().to_string() }
    })
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
    fn unknown_fields_are_left_alone() {
        assert!(decode(&object(&json!({ "jetstream": { "version": "2.12.7", "fromTheFuture": 1 } }))).is_ok());
    }
}
