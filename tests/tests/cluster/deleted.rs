use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use isbsvc_tests::cluster::{Cluster, MINUTE, Messages, Namespace, eventually, service};
use serde_json::{Value, json};

/// A deleted `StatefulSet` takes no message with it: it comes back, over the same volumes.
#[test]
fn a_deleted_stateful_set_costs_no_data() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-stateful-set");
    namespace.apply(&service("default", &json!({ "persistence": { "volumeSize": "1Gi" } }))).ok();
    namespace.healthy("default");
    let messages = Messages::open(&namespace, "default", 3);
    let acknowledged = messages.publish(0..5_000);
    assert_eq!(acknowledged.len(), 5_000);
    let uid = |what: &str| namespace.get(what)["metadata"]["uid"].clone();
    let (stateful_set, claims) = (uid("statefulset/isbsvc-default-js"), claims(&namespace));
    let pods = [0, 1, 2].map(|ordinal| uid(&format!("pod/isbsvc-default-js-{ordinal}")));
    assert_eq!(claims.len(), 3);

    namespace.kubectl(&["delete", "statefulset", "isbsvc-default-js"]).ok();
    eventually("the StatefulSet comes back with new servers", 3 * MINUTE, || {
        let said = namespace.kubectl(&["get", "statefulset/isbsvc-default-js", "-o", "jsonpath={.metadata.uid} {.status.readyReplicas}"]);
        let new = said.out.split(' ').next().is_some_and(|uid| stateful_set != *uid);
        if said.code == 0 && new && said.out.ends_with(" 3") { Ok(()) } else { Err(said.out + &said.err) }
    });
    namespace.healthy("default");
    for (ordinal, old) in pods.iter().enumerate() {
        assert_ne!(uid(&format!("pod/isbsvc-default-js-{ordinal}")), *old, "the servers were new ones");
    }
    assert_eq!(self::claims(&namespace), claims, "the same claims, bound to the same volumes");
    assert_eq!(messages.read(), acknowledged, "every message is there");
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=180s"]).ok();
}

/// uid and volume of each claim.
fn claims(namespace: &Namespace<'_>) -> BTreeMap<String, (Value, Value)> {
    let list = namespace.get("persistentvolumeclaim");
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let one = |claim: &Value| {
        let name = claim["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        (name, (claim["metadata"]["uid"].clone(), claim["spec"]["volumeName"].clone()))
    };
    items.iter().map(one).collect()
}

/// A namespace that is deleted with a service in it goes, although the webhook's configurations are there.
#[test]
fn a_namespace_with_a_service_can_be_deleted() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-namespace-goes");
    namespace.apply(&service("default", &json!({ "persistence": { "volumeSize": "1Gi" } }))).ok();
    namespace.healthy("default");
    cluster.kubectl(&["get", "validatingwebhookconfiguration/isbsvc-webhook", "mutatingwebhookconfiguration/isbsvc-webhook"]).ok();
    let began = Instant::now();
    // Kubernetes looks at what is left of a namespace again after half the time that its pods have to stop, 76 s.
    cluster.kubectl(&["delete", "namespace", &namespace.name, "--timeout=120s"]).ok();
    println!("a namespace with a service of three servers went in {:.1} s", began.elapsed().as_secs_f64());
}

/// And so does one whose webhook is gone: nobody can change its services any more, and whoever deletes them is not held up.
#[test]
fn a_namespace_whose_webhook_is_gone_can_be_deleted() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-webhook-gone");
    namespace.apply(&service("default", &json!({ "replicas": 1 }))).ok();
    namespace.healthy("default");
    // The configurations as they are installed, for this namespace alone, with a Service that nobody has.
    for kind in ["validating", "mutating"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../manifests/webhook/configurations/{kind}.yaml"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut configuration: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
        configuration["metadata"]["name"] = json!("test-webhook-gone");
        for webhook in configuration["webhooks"].as_array_mut().into_iter().flatten() {
            webhook["clientConfig"]["service"]["name"] = json!("gone");
            webhook["namespaceSelector"] = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace.name } });
        }
        namespace.kubectl_stdin(&["apply", "-f", "-"], &configuration.to_string()).ok();
    }
    eventually("nobody can change a service", MINUTE, || {
        let said = namespace.kubectl(&[
            "patch",
            "isbsvc",
            "default",
            "--type=merge",
            "-p",
            r#"{"spec":{"jetstream":{"settings":"max_payload: 2097152"}}}"#,
            "--dry-run=server",
        ]);
        if said.err.contains("failed calling webhook") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    namespace.kubectl(&["label", "isbsvc", "default", "example.com/kept=yes"]).ok();
    let began = Instant::now();
    cluster.kubectl(&["delete", "namespace", &namespace.name, "--timeout=120s"]).ok();
    println!("a namespace whose webhook is gone went in {:.1} s", began.elapsed().as_secs_f64());
    for kind in ["validating", "mutating"] {
        cluster.kubectl(&["delete", &format!("{kind}webhookconfiguration"), "test-webhook-gone"]).ok();
    }
}
