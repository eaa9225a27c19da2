use isbsvc_tests::cluster::{Cluster, service};
use serde_json::{Value, json};

/// The older of the two real versions of NATS that the cluster has.
#[test]
fn an_older_nats_is_served() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-older-nats");
    namespace.apply(&service("default", &json!({ "version": "2.10.29", "replicas": 1 }))).ok();
    namespace.healthy("default");
    let said = namespace.isbsvc(&["status", "-o", "json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let shown: Value = serde_json::from_str(&said.out).unwrap_or_default();
    assert_eq!(shown["summary"]["version"], "2.10.29", "what was asked for");
    assert_eq!(shown["servers"][0]["version"], "2.10.29", "what the server itself says: {shown}");
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=120s"]).ok();
}
