use isbsvc_tests::cluster::{Cluster, MINUTE, Namespace, eventually};
use serde_json::{Value, json};

/// Webhook, controller and plugin about a Redis that is not there yet.
#[test]
fn an_external_redis_is_used_as_it_is() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-redis-external");
    let said = namespace.isbsvc(&["create", "--type=redis-external", "--url=redis://redis:6379"]);
    assert!(said.code == 1 && said.err.contains("(redis-url)"), "{said:?}");
    let flags = ["--url=redis-0.redis:6379,redis-1.redis:6379", "--redis-user=numaflow", "--password-secret=redis/password", "--wait"];
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
        (0, &json!("cluster"), &json!("warning")),
        "{shown}"
    );
    assert!(shown["verdict"]["reasons"][0]["message"].to_string().contains("Secret redis with key password is not there"), "{shown}");

    let patch = |change: Value| namespace.kubectl(&["patch", "isbsvc", "default", "--type=merge", "-p", &change.to_string()]);
    let said = patch(json!({ "spec": { "redis": { "external": { "url": "elsewhere:6379" } } } }));
    assert!(said.code != 0 && said.err.contains("(external-endpoint-change)"), "{said:?}");
    patch(json!({ "spec": { "redis": { "external": { "user": "another" } } } })).ok();
    assert_eq!(namespace.healthy("default")["config"]["redis"]["user"], "another");
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=60s"]).ok();
}

const IMAGE: &str = "localhost/redis:7.0.15";

/// Pods with a stable name each, and the headless Service that resolves it.
fn servers(namespace: &Namespace<'_>, name: &str, count: i32, arguments: &[&str]) {
    let container = json!({
        "name": "redis", "image": IMAGE, "imagePullPolicy": "Never", "args": arguments,
        "securityContext": { "allowPrivilegeEscalation": false, "runAsNonRoot": true },
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }], "workingDir": "/data",
        "readinessProbe": { "tcpSocket": { "port": 6379 }, "periodSeconds": 1 },
    });
    let labels = json!({ "app": name });
    let pod = json!({
        "metadata": { "labels": labels },
        "spec": { "containers": [container], "volumes": [{ "name": "data", "emptyDir": {} }], "terminationGracePeriodSeconds": 1 },
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": name },
        "spec": {
            "replicas": count, "serviceName": name, "podManagementPolicy": "Parallel", "selector": { "matchLabels": labels }, "template": pod,
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "clusterIP": "None", "selector": labels, "ports": [{ "port": 6379 }] },
    });
    namespace.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": [set, service] }).to_string()).ok();
    namespace.kubectl(&["rollout", "status", &format!("statefulset/{name}"), "--timeout=120s"]).ok();
}

/// What a service says of its Redis; it is healthy all the while.
fn told(namespace: &Namespace<'_>, name: &str, external: &Value, words: Option<&str>) {
    let object = json!({
        "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService", "metadata": { "name": name },
        "spec": { "redis": { "external": external } },
    });
    namespace.apply(&object.to_string()).ok();
    eventually(&format!("{name} is told"), 2 * MINUTE, || {
        let object = namespace.get(&format!("isbsvc/{name}"));
        let status = &object["status"];
        let message = status["message"].as_str();
        let parsed: isbsvc::api::InterStepBufferServiceStatus = serde_json::from_value(status.clone()).unwrap_or_default();
        let looked_at = status["observedGeneration"] == object["metadata"]["generation"];
        assert!(!looked_at || parsed.is_healthy(), "nothing that the Redis does holds pipelines back: {status}");
        let right = match words {
            Some(words) => message.is_some_and(|message| message.starts_with("Warning: ") && message.contains(words)),
            None => message.is_none(),
        };
        if looked_at && right { Ok(()) } else { Err(status.to_string()) }
    });
}

/// A single Redis, a set of Sentinels and a Redis Cluster of six nodes, each as it is and as it is not.
#[test]
fn real_servers_are_asked_and_what_is_wrong_is_told() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-redis-servers");
    let secret = |name: &str, password: &str| {
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": { "password": password } }).to_string()
    };
    namespace.apply(&secret("right", "a-password-of-the-test")).ok();
    namespace.apply(&secret("wrong", "another")).ok();
    servers(&namespace, "single", 1, &["--requirepass", "a-password-of-the-test"]);
    let cluster_node = ["--protected-mode", "no", "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
    servers(&namespace, "nodes", 6, &cluster_node);
    servers(&namespace, "master", 2, &["--protected-mode", "no"]);
    let address = |pod: &str| {
        let address = namespace.get(&format!("pod/{pod}"))["status"]["podIP"].as_str().unwrap_or_default().to_owned();
        format!("{address}:6379")
    };
    let redis = |pod: &str, words: &[&str]| namespace.kubectl(&[&["exec", pod, "--", "redis-cli"], words].concat());

    let password = |name: &str| json!({ "url": "single:6379", "password": { "name": name, "key": "password" } });
    told(&namespace, "single", &password("wrong"), Some("single:6379 refuses user and password"));
    told(&namespace, "single", &password("none"), Some("Secret none with key password is not there"));
    told(&namespace, "single", &password("right"), None);
    let said = namespace.isbsvc(&["status", "single", "-o", "json"]);
    let shown: Value = serde_json::from_str(&said.out).unwrap_or_default();
    assert_eq!((said.code, &shown["verdict"]["level"]), (0, &json!("healthy")), "{shown}");
    let mut twice = password("right");
    twice["url"] = json!("single:6379,single:6379");
    told(&namespace, "twice", &twice, Some("single:6379 is no node of one"));

    // Before the nodes are one cluster, it serves nothing.
    let nodes = json!({ "url": "nodes-0.nodes:6379,nodes-1.nodes:6379" });
    told(&namespace, "nodes", &nodes, Some("serves nothing"));
    told(&namespace, "alone", &json!({ "url": "nodes-0.nodes:6379" }), Some("is a node of a cluster"));
    let all: Vec<_> = (0..6).map(|ordinal| address(&format!("nodes-{ordinal}"))).collect();
    let mut create = vec!["--cluster", "create", "--cluster-yes", "--cluster-replicas", "1"];
    create.extend(all.iter().map(String::as_str));
    redis("nodes-0", &create).ok();
    told(&namespace, "nodes", &nodes, None);

    // The second one follows the first, and a Sentinel beside it watches.
    let (host, _) = address("master-0").split_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap_or_default();
    redis("master-1", &["replicaof", &host, "6379"]).ok();
    let script = format!(
        "printf 'port 26379\\nprotected-mode no\\nsentinel monitor mymaster {host} 6379 2\\n' > /tmp/s.conf; exec redis-server /tmp/s.conf --sentinel"
    );
    let container = json!({ "name": "sentinel", "image": IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", script] });
    let labels = json!({ "app": "sentinel" });
    let sentinels = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "sentinel" },
        "spec": { "replicas": 3, "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } } },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "sentinel" }, "spec": { "selector": labels, "ports": [{ "port": 26379 }] },
    });
    namespace.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": [sentinels, service] }).to_string()).ok();
    namespace.kubectl(&["rollout", "status", "deployment/sentinel", "--timeout=120s"]).ok();
    let watched = |master: &str| json!({ "sentinelUrl": "sentinel:26379", "masterName": master });
    told(&namespace, "other", &watched("other"), Some("the Sentinels know no master other"));
    told(&namespace, "watched", &watched("mymaster"), None);

    // What is gone is told as well, and so is what nobody may ask.
    namespace.kubectl(&["scale", "statefulset/single", "--replicas=0"]).ok();
    told(&namespace, "single", &password("right"), Some("single:6379: "));
    let log = cluster.kubectl(&["logs", "-n", "numaflow-system", "deployment/isbsvc-controller", "--tail=-1"]).ok();
    assert!(!log.contains("a-password-of-the-test"), "law secret-silence");
}
