use isbsvc_tests::cluster::Cluster;
use serde_json::{Value, json};

/// Webhook, controller and plugin about a Redis that is not ours, whether or not it answers.
#[test]
fn an_external_redis_is_used_as_it_is() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-redis-external");
    let said = namespace.isbsvc(&["create", "--type=redis-external", "--url=redis://redis:6379"]);
    assert!(said.code == 1 && said.err.contains("(redis-url)"), "{said:?}");
    let flags = ["--url=redis-0.redis:6379,redis-1.redis:6379", "--user=numaflow", "--password-secret=redis/password", "--wait"];
    namespace.isbsvc(&[&["create", "--type=redis-external"], &flags[..]].concat()).ok();
    let told = json!({ "redis": {
        "url": "redis-0.redis:6379,redis-1.redis:6379", "user": "numaflow", "password": { "name": "redis", "key": "password" },
    } });
    assert_eq!(namespace.healthy("default")["config"], told);
    for kind in ["statefulset", "service", "pods", "secrets"] {
        assert_eq!(namespace.kubectl(&["get", kind, "-o", "name"]).ok(), "", "{kind}: nothing is made for it");
    }
    let said = namespace.isbsvc(&["status", "-o", "json"]);
    let shown: Value = serde_json::from_str(&said.out).unwrap_or_default();
    assert_eq!(
        (said.code, &shown["summary"]["external"], &shown["verdict"]["level"]),
        (0, &json!("cluster"), &json!("healthy")),
        "{shown}"
    );

    let patch = |change: Value| namespace.kubectl(&["patch", "isbsvc", "default", "--type=merge", "-p", &change.to_string()]);
    let said = patch(json!({ "spec": { "redis": { "external": { "url": "elsewhere:6379" } } } }));
    assert!(said.code != 0 && said.err.contains("(external-endpoint-change)"), "{said:?}");
    patch(json!({ "spec": { "redis": { "external": { "user": "another" } } } })).ok();
    assert_eq!(namespace.healthy("default")["config"]["redis"]["user"], "another");
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=60s"]).ok();
}
