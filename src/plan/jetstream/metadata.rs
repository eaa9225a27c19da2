use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Subject;
use crate::api::{ServiceType, names};
use crate::plan::ChildKind;

/// The head of an object that belongs to a service: kind, name, labels, and the service as its controller.
pub(super) fn object(subject: Subject<'_>, kind: ChildKind, name: &str, body: Value) -> Value {
    let mut object = json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind(),
        "metadata": {
            "name": name,
            "namespace": subject.namespace(),
            "labels": labels(subject),
            "ownerReferences": [{
                "apiVersion": names::API_VERSION,
                "kind": names::KIND,
                "name": subject.name(),
                "uid": subject.service.metadata.uid.clone().unwrap_or_default(),
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
    });
    if let (Value::Object(object), Value::Object(body)) = (&mut object, body) {
        object.extend(body);
    }
    object
}

/// Adds annotations to an object.
pub(super) fn annotate(object: &mut Value, annotations: impl IntoIterator<Item = (&'static str, String)>) {
    for (key, value) in annotations {
        object["metadata"]["annotations"][key] = Value::String(value);
    }
}

/// Adds the digest of what is wanted, for us and for Numaflow's controller.
pub(super) fn annotate_hash(object: &mut Value, hash: String) {
    annotate(object, [(names::DESIRED_HASH_ANNOTATION, hash.clone()), (names::HASH_ANNOTATION, hash)]);
}

pub(super) fn labels(subject: Subject<'_>) -> BTreeMap<String, String> {
    names::labels(subject.name(), ServiceType::JetStream.as_str())
}
