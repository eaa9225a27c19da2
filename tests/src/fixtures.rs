//! Fixtures: what was observed on real clusters, and services to plan for.

use isbsvc::api::InterStepBufferService;
use serde_json::{Value, json};

/// What Numaflow's controller (63ba4e8c) made on Kubernetes 1.36.3 for `{jetstream: {version: latest}}`, named `default` in namespace `golden`.
pub const OBSERVED_DEFAULT: &str = include_str!("../fixtures/observed/default.yaml");
/// The same once healthy.
pub const OBSERVED_HEALTHY: &str = include_str!("../fixtures/observed/healthy.yaml");

/// The observed object of this kind and name.
///
/// # Panics
/// Where the fixture has none: it is part of the tests.
pub fn observed(kind: &str, name: &str) -> Value {
    let documents: Vec<Value> = serde_saphyr::from_multiple(OBSERVED_DEFAULT).unwrap_or_else(|error| panic!("fixture: {error}"));
    documents
        .into_iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("the fixture has no {kind} {name}"))
}

/// A service named `default` in namespace `golden` with this spec, as the API server would hold it.
///
/// # Panics
/// Where the spec is not one.
pub fn service(spec: &Value) -> InterStepBufferService {
    let object = json!({
        "apiVersion": "numaflow.numaproj.io/v1alpha1",
        "kind": "InterStepBufferService",
        "metadata": { "name": "default", "namespace": "golden", "uid": "<uid>", "resourceVersion": "1", "generation": 1 },
        "spec": spec,
    });
    isbsvc::api::decode(&object).unwrap_or_else(|error| panic!("{error}"))
}

/// Every field of a service's spec that is one of its pods as it stands, each with another value than Kubernetes or we would put there.
pub fn pod_fields() -> Value {
    json!({
        "nodeSelector": { "disk": "fast" },
        "tolerations": [{ "key": "k", "operator": "Exists" }],
        "securityContext": { "runAsUser": 1000 },
        "imagePullSecrets": [{ "name": "pull" }],
        "priorityClassName": "high",
        "priority": 7,
        "affinity": { "nodeAffinity": {} },
        "serviceAccountName": "account",
        "automountServiceAccountToken": true,
        "runtimeClassName": "gvisor",
        "dnsPolicy": "None",
        "dnsConfig": { "nameservers": ["10.0.0.1"] },
        "resourceClaims": [{ "name": "claim" }],
    })
}
