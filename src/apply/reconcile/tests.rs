use serde_json::{Value, json};

use super::*;
use crate::api::{CONDITION_CONFIGURED, names};
use crate::observe::scripted::{Log, api_server, failure};

/// A service that cannot be read, and nothing else; Numaflow's minimal definition lets it in.
fn unreadable(more: Value) -> (Client, Log) {
    api_server(move |asked| {
        if asked.path.contains("/interstepbufferservices/default") {
            let mut metadata = json!({ "name": "default", "namespace": "pl", "uid": "u-1", "resourceVersion": "7", "generation": 1 });
            for (key, value) in more.as_object().into_iter().flatten() {
                metadata[key] = value.clone();
            }
            let spec = json!({ "jetstream": { "version": "2.12.7", "replicas": "three" } });
            return (200, json!({ "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": metadata, "spec": spec }));
        }
        let lists = ["/pods", "/persistentvolumeclaims", "/poddisruptionbudgets", "/pipelines"];
        if lists.iter().any(|plural| asked.path.contains(plural)) {
            (200, json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": [] }))
        } else {
            failure(404, "NotFound", "not found")
        }
    })
}

fn writes(log: &Log) -> Vec<(String, Value)> {
    let log = log.lock().unwrap();
    log.iter().filter(|asked| asked.method != "GET").map(|asked| (format!("{} {}", asked.method, asked.path), asked.body.clone())).collect()
}

#[tokio::test]
async fn a_service_that_cannot_be_read_is_told_so_in_its_status() {
    let (client, log) = unreadable(json!({}));
    let config = ControllerConfig::built_in();
    let (look, outcome) = Box::pin(reconcile_once(&client, &Permit::alone(), "pl", "default", &config, None)).await.unwrap();
    assert_eq!(outcome.carried.len(), 1);
    let condition = look.plan.status.as_ref().and_then(|status| status.condition(CONDITION_CONFIGURED)).unwrap().clone();
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "InvalidSpec"));
    assert!(condition.message.starts_with("spec.jetstream.replicas: invalid type"), "{}", condition.message);
    let writes = writes(&log);
    let [(line, body)] = writes.as_slice() else { unreachable!("one write: {writes:?}") };
    assert!(line.starts_with("PATCH /apis/numaflow.numaproj.io/v1alpha1/namespaces/pl/interstepbufferservices/default/status?"), "{line}");
    assert!(line.contains("fieldManager=numaflow"), "{line}");
    assert_eq!(body["status"]["phase"], "Failed");
}

#[tokio::test]
async fn a_service_that_cannot_be_read_can_be_deleted() {
    let (client, log) =
        unreadable(json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [names::FINALIZER, "example.org/other"] }));
    let config = ControllerConfig::built_in();
    Box::pin(reconcile_once(&client, &Permit::alone(), "pl", "default", &config, None)).await.unwrap();
    let writes = writes(&log);
    let [(_, body)] = writes.as_slice() else { unreachable!("one write: {writes:?}") };
    assert_eq!(body[2], json!({ "op": "add", "path": "/metadata/finalizers", "value": ["example.org/other"] }));
}
