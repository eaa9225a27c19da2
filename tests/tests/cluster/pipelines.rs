use isbsvc_tests::cluster::{Cluster, Controller, MINUTE, Namespace, eventually, service_of};
use serde_json::{Value, json};

/// Pipelines that use a service hold its deletion, named or by default; the servers go on meanwhile. These are being deleted themselves, as with
/// `kubectl delete -f` of everything, or the webhook would refuse it (`in_use.rs`).
#[test]
fn pipelines_hold_a_deletion() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-pipelines");
    install(&cluster);
    // Begun after the definition is there: the controller in the cluster asks for it every half minute.
    let _controller = Controller::start(&namespace, "one", &["--namespace-scope", &namespace.name]);
    namespace.apply(&service_of(&namespace.name, "default", &json!({ "replicas": 1 }))).ok();
    namespace.healthy("default");
    let pod = namespace.get("pod/isbsvc-default-js-0")["metadata"]["uid"].clone();
    for (name, service) in [("by-default", json!({})), ("by-name", json!("default")), ("elsewhere", json!("other"))] {
        let spec = if service.is_string() { json!({ "interStepBufferServiceName": service }) } else { service };
        let pipeline = json!({ "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "Pipeline", "metadata": { "name": name, "finalizers": ["example.com/busy"] }, "spec": spec });
        namespace.apply(&pipeline.to_string()).ok();
        namespace.kubectl(&["delete", "pipeline", name, "--wait=false"]).ok();
    }

    // Until the webhook's watch has brought that they go.
    eventually("the service is being deleted", MINUTE, || {
        let said = namespace.kubectl(&["delete", "isbsvc", "default", "--wait=false"]);
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
    says(&namespace, &["by-default", "by-name"]);
    assert_eq!(namespace.get("isbsvc/default")["status"]["phase"], "Deleting");
    let status: Value = serde_json::from_str(&namespace.isbsvc(&["status", "-o", "json"]).out).unwrap_or_default();
    assert_eq!(status["verdict"]["serversAnswering"], 1, "{status}");
    let end = |pipeline: &str| {
        namespace.kubectl(&["patch", "pipeline", pipeline, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]).ok()
    };
    end("by-default");
    says(&namespace, &["by-name"]);
    let live = namespace.get("pod/isbsvc-default-js-0");
    assert_eq!((&live["metadata"]["uid"], &live["metadata"]["deletionTimestamp"]), (&pod, &Value::Null), "the server goes on");

    end("by-name");
    namespace.kubectl(&["wait", "--for=delete", "isbsvc/default", "--timeout=60s"]).ok();
    end("elsewhere");
}

/// Waits until the message names these Pipelines and no other.
#[track_caller]
fn says(namespace: &Namespace<'_>, pipelines: &[&str]) {
    eventually(&format!("the message names {pipelines:?}"), MINUTE, || {
        let message = namespace.get("isbsvc/default")["status"]["message"].to_string();
        let named: Vec<_> = ["by-default", "by-name", "elsewhere"].into_iter().filter(|name| message.contains(name)).collect();
        if named == pipelines { Ok(()) } else { Err(message) }
    });
}

/// The least definition of Numaflow's Pipelines, unless it is there.
pub fn install(cluster: &Cluster) {
    let name = "pipelines.numaflow.numaproj.io";
    if cluster.kubectl(&["get", "crd", name]).code != 0 {
        let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let version = json!({ "name": "v1alpha1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": name },
            "spec": {
                "group": "numaflow.numaproj.io",
                "names": { "kind": "Pipeline", "listKind": "PipelineList", "plural": "pipelines", "singular": "pipeline" },
                "scope": "Namespaced",
                "versions": [version],
            },
        });
        cluster.kubectl_stdin(&["apply", "-f", "-"], &definition.to_string()).ok();
    }
    eventually("the definition of Pipelines is established", MINUTE, || {
        let said = cluster.kubectl(&["get", "--raw", "/apis/numaflow.numaproj.io/v1alpha1/pipelines"]);
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
}
