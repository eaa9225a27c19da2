use std::path::Path;
use std::time::Instant;

use isbsvc_tests::cluster::{Cluster, MINUTE, Namespace, eventually, service_of};
use serde_json::{Value, json};

use super::pipelines::install;

/// A service that no controller looks after, so that only the webhook can hold it, and a Pipeline that uses it.
fn used(cluster: &Cluster, namespace: &Namespace<'_>) {
    install(cluster);
    namespace.apply(&service_of("nobody", "default", &json!({ "replicas": 1 }))).ok();
    namespace.apply(&orders().to_string()).ok();
    // Its watch brings it within moments; where the type was installed only now, it asks for that every half minute.
    eventually("the webhook knows of the Pipeline", MINUTE, || {
        let said = namespace.kubectl(&["delete", "isbsvc", "default", "--dry-run=server"]);
        if said.err.contains("orders") { Ok(()) } else { Err(format!("{said:?}")) }
    });
}

fn orders() -> Value {
    json!({ "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "Pipeline", "metadata": { "name": "orders" }, "spec": {} })
}

#[test]
fn a_service_that_a_pipeline_uses_is_not_deleted() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-in-use");
    used(&cluster, &namespace);
    for arguments in [&["delete", "isbsvc", "default"][..], &["delete", "isbsvc", "--all"], &["delete", "isbsvc", "default", "--force"]] {
        let said = namespace.kubectl(arguments);
        assert_ne!(said.code, 0, "{arguments:?}: {said:?}");
        for words in ["(Conflict)", "\"in-use.isbsvc.numaflow.numaproj.io\"", "Pipeline orders uses this service", "(in-use)"] {
            assert!(said.err.contains(words), "{arguments:?}: {words} in {}", said.err);
        }
    }
    assert_eq!(namespace.get("isbsvc/default")["metadata"]["deletionTimestamp"], Value::Null);

    namespace.kubectl(&["delete", "pipeline", "orders"]).ok();
    eventually("the service can be deleted", MINUTE, || {
        let said = namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=30s"]);
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
}

/// A namespace goes with everything in it, in whatever order Kubernetes deletes that.
#[test]
fn a_namespace_with_a_service_that_a_pipeline_uses_can_be_deleted() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-in-use-namespace");
    used(&cluster, &namespace);
    let began = Instant::now();
    cluster.kubectl(&["delete", "namespace", &namespace.name, "--timeout=120s"]).ok();
    println!("a namespace with a service in use went in {:.1} s", began.elapsed().as_secs_f64());
}

/// In the namespace of the control plane, where the webhook that lives is not asked.
#[test]
fn a_webhook_that_is_gone_holds_no_deletion() {
    const NAME: &str = "test-in-use-gone";
    let cluster = Cluster::from_environment();
    install(&cluster);
    let namespace = cluster.kube_system(NAME);
    let apply = |object: &Value| namespace.apply(&object.to_string());
    let mut pipeline = orders();
    pipeline["metadata"]["name"] = json!(NAME);
    pipeline["spec"]["interStepBufferServiceName"] = json!(NAME);
    apply(&pipeline).ok();

    // The entry as it is installed, for this namespace alone, with a Service that nobody has.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/webhook/configurations/validating.yaml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut configuration: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
    let mut entry = configuration["webhooks"][1].take();
    assert_eq!(entry["rules"][0]["operations"], json!(["DELETE"]));
    entry["name"] = json!("gone.isbsvc.numaflow.numaproj.io");
    entry["clientConfig"]["service"]["name"] = json!("gone");
    entry["namespaceSelector"] = json!({ "matchLabels": { "kubernetes.io/metadata.name": "kube-system" } });
    configuration["metadata"]["name"] = json!(NAME);
    configuration["webhooks"] = json!([entry]);
    apply(&configuration).ok();

    let service: Value =
        serde_json::from_str(&service_of("nobody", NAME, &json!({ "replicas": 1 }))).unwrap_or_else(|error| panic!("{error}"));
    eventually("a deletion failed open", MINUTE, || {
        apply(&service).ok();
        namespace.kubectl(&["delete", "isbsvc", NAME, "--timeout=30s"]).ok();
        let metrics = cluster.kubectl(&["get", "--raw", "/metrics"]).ok();
        let counted = |line: &&str| line.starts_with("apiserver_admission_webhook_fail_open_count") && line.contains("gone.isbsvc");
        metrics.lines().find(counted).map(str::to_owned).ok_or_else(|| "the entry is not asked yet".to_owned())
    });
    cluster.kubectl(&["delete", "validatingwebhookconfiguration", NAME]).ok();
    namespace.kubectl(&["delete", "pipeline", NAME]).ok();
}
