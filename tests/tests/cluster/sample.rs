use std::time::Instant;

use isbsvc_tests::cluster::{Cluster, MINUTE, eventually, service};
use serde_json::{Value, json};

/// The manual's sample: defaulted, healthy, not to be lost, shown, deleted without a trace.
#[test]
fn the_manuals_sample() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-sample");
    let began = Instant::now();
    let said = namespace.apply(&service("default", &json!({ "version": "latest" })));
    assert!(said.err.contains("version-floating"), "the warning reaches the person: {}", said.err);
    said.ok();
    assert_eq!(namespace.get("isbsvc/default")["spec"]["jetstream"]["replicas"], json!(3), "what was left out is filled in");
    let again = namespace.apply(&service("default", &json!({ "version": "latest" }))).ok();
    assert!(again.contains("unchanged"), "{again}");
    let status = namespace.healthy("default");
    println!("from kubectl apply to healthy: {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(status["config"]["jetstream"]["url"], json!("nats://isbsvc-default-js-svc.test-sample.svc:4222"));

    // Refused, with the reason and a way that works, and nothing happens to what runs.
    let version = namespace.get("statefulset/isbsvc-default-js")["metadata"]["resourceVersion"].clone();
    for (patch, rule) in [
        (json!({ "encryption": true }), "encryption-toggle"),
        (json!({ "tls": true }), "tls-toggle"),
        (json!({ "replicas": 1 }), "replicas-cluster-switch"),
        (json!({ "persistence": {} }), "persistence-change"),
        (json!({ "version": "2.10.29" }), "version-downgrade"),
    ] {
        let patch = json!({ "spec": { "jetstream": patch } }).to_string();
        let said = namespace.kubectl(&["patch", "isbsvc", "default", "--type", "merge", "-p", &patch]);
        assert!(said.code != 0 && said.err.contains(rule), "{patch}: {}", said.err);
    }
    assert_eq!(namespace.get("statefulset/isbsvc-default-js")["metadata"]["resourceVersion"], version);

    // What status says: a leader, all servers, exit code 0.
    let shown = eventually("status says healthy", MINUTE, || {
        let said = namespace.isbsvc(&["status", "-o", "json"]);
        let shown: Value = serde_json::from_str(&said.out).map_err(|error| format!("{error}: {} {}", said.out, said.err))?;
        if said.code == 0 && shown["verdict"]["level"] == json!("healthy") { Ok(shown) } else { Err(format!("{}: {shown}", said.code)) }
    });
    assert!(shown["meta"]["leader"].as_str().is_some_and(|leader| leader.starts_with("isbsvc-default-js-")), "{shown}");
    assert!(namespace.isbsvc(&["list"]).ok().contains("default"));
    // The disruption budget follows the servers, and the controller looks again every few seconds.
    eventually("nothing differs", MINUTE, || {
        let said = namespace.isbsvc(&["diff"]);
        if said.code == 0 { Ok(()) } else { Err(format!("{}{}", said.out, said.err)) }
    });

    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=120s"]).ok();
    eventually("nothing is left", MINUTE, || {
        let left = namespace
            .kubectl(&[
                "get",
                "statefulset,service,configmap,secret,poddisruptionbudget,pod,persistentvolumeclaim",
                "-l",
                "numaflow.numaproj.io/isbsvc-name=default",
                "-o",
                "name",
            ])
            .ok();
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    });
}
