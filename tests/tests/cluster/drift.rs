use isbsvc_tests::cluster::{Cluster, MINUTE, eventually, service};
use serde_json::json;

/// What somebody edits or deletes comes back; and the servers are not restarted for it.
#[test]
fn drift_is_repaired() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-drift");
    namespace.apply(&service("default", &json!({ "replicas": 1 }))).ok();
    namespace.healthy("default");
    let pod = namespace.get("pod/isbsvc-default-js-0")["metadata"]["uid"].clone();
    let user = namespace.get("secret/isbsvc-default-js-client-auth")["data"].clone();
    for what in ["secret/isbsvc-default-js-client-auth", "configmap/isbsvc-default-js-config", "service/isbsvc-default-js-svc"] {
        namespace.kubectl(&["delete", what]).ok();
        eventually(&format!("{what} comes back"), MINUTE, || {
            let said = namespace.kubectl(&["get", what]);
            if said.code == 0 { Ok(()) } else { Err(said.err) }
        });
    }
    assert_eq!(namespace.get("secret/isbsvc-default-js-client-auth")["data"], user, "law keys-live-once");
    namespace
        .kubectl(&["patch", "configmap", "isbsvc-default-js-config", "--type", "merge", "-p", r#"{"data":{"nats-js":"port: 1"}}"#])
        .ok();
    eventually("the configuration is put back", MINUTE, || {
        let text = namespace.get("configmap/isbsvc-default-js-config")["data"]["nats-js"].to_string();
        if text.contains("port: 4222") { Ok(()) } else { Err(text) }
    });
    assert_eq!(namespace.get("pod/isbsvc-default-js-0")["metadata"]["uid"], pod, "no restart");
}
