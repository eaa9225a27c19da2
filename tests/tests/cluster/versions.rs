use isbsvc::api::names;
use isbsvc_tests::cluster::{Cluster, MINUTE, eventually, service};
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

/// The webhook, the API server's word on who may, the record, and the controller that goes by it.
#[test]
fn a_person_who_may_goes_back_to_an_older_version() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-downgrade");
    namespace.apply(&service("default", &json!({ "version": "2.12.7", "replicas": 1 }))).ok();
    namespace.healthy("default");
    let back = |named: &str| {
        let change = json!({ "metadata": { "annotations": { names::OVERRIDE_ANNOTATION: named } }, "spec": { "jetstream": { "version": "2.10.29" } } });
        namespace.kubectl(&["patch", "isbsvc", "default", "--type=merge", "-p", &change.to_string()])
    };
    let said = back("version-downgrade=2.9.0");
    assert!(said.code != 0 && said.err.contains("(version-downgrade)"), "{said:?}");
    let said = back("version-downgrade=2.10.29");
    assert!(said.code == 0 && said.err.contains("Warning: overridden"), "{said:?}");
    eventually("the older server runs", 3 * MINUTE, || {
        let said = namespace.isbsvc(&["status", "-o", "json"]);
        let shown: Value = serde_json::from_str(&said.out).unwrap_or_default();
        if said.code == 0 && shown["servers"][0]["version"] == "2.10.29" { Ok(()) } else { Err(format!("{said:?}")) }
    });
    let told = namespace.kubectl(&["get", "events", "--field-selector=reason=RuleOverridden", "-o", "jsonpath={.items[*].message}"]).ok();
    assert!(told.contains("version-downgrade") && told.contains("a person who may"), "{told}");
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=120s"]).ok();
}
