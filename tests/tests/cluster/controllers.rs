use std::time::{Duration, Instant};

use isbsvc::limits;
use isbsvc_tests::cluster::{Cluster, Controller, MINUTE, eventually, service_of};
use serde_json::{Value, json};

/// What a busy machine may add to a time.
const SLACK: Duration = Duration::from_secs(5);

/// With `--certificates-only` the webhook's certificate is kept, and nothing else is done.
#[test]
fn certificates_only_reconciles_nothing() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-certificates");
    let webhook = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "hook" }, "spec": { "ports": [{ "port": 443 }] } });
    namespace.apply(&webhook.to_string()).ok();
    namespace.apply(&service_of(&namespace.name, "default", &json!({ "replicas": 1 }))).ok();
    let controller = Controller::start(&namespace, "one", &["--certificates-only", "--webhook-service", "hook"]);
    let mut uid = Value::Null;
    for round in ["is made", "comes back after it was deleted", "comes back once more"] {
        eventually(&format!("the webhook's certificate {round}"), MINUTE, || {
            let said = namespace.kubectl(&["get", "secret", "isbsvc-webhook-tls", "-o", "jsonpath={.metadata.uid} {.type} {.data}"]);
            let now = said.out.split(' ').next().unwrap_or_default();
            if said.code == 0 && said.out.contains("tls.crt") && uid != *now {
                uid = json!(now);
                Ok(())
            } else {
                Err(said.err)
            }
        });
        namespace.kubectl(&["delete", "secret", "isbsvc-webhook-tls"]).ok();
    }
    assert!(controller.leads(), "it is the one that may write");
    let service = namespace.get("isbsvc/default");
    assert_eq!((&service["status"], &service["metadata"]["finalizers"]), (&Value::Null, &Value::Null), "{service}");
    let children = namespace.kubectl(&["get", "statefulset,pod,poddisruptionbudget", "-o", "name"]).ok();
    assert_eq!(children.trim(), "", "nothing is made for a service");
    assert_eq!(controller.writes(), 0, "and nothing is written to one");
}

/// Two controllers, one Lease: one of them writes. The other goes on when the first is killed, and at once when it is told to stop.
#[test]
fn one_of_two_controllers_writes() {
    let cluster = Cluster::from_environment();
    let (namespace, outside) = (cluster.namespace("test-lease"), cluster.namespace("test-lease-outside"));
    let scope = ["--namespace-scope", namespace.name.as_str()];
    let mut one = Controller::start(&namespace, "one", &scope);
    eventually("the first one leads", MINUTE, || if one.leads() { Ok(()) } else { Err(one.log()) });
    let mut two = Controller::start(&namespace, "two", &scope);
    let another = |name: &str| service_of(&namespace.name, name, &json!({ "replicas": 1 }));
    outside.apply(&another("outside")).ok();
    namespace.apply(&another("first")).ok();
    namespace.healthy("first");
    assert!(one.writes() > 0 && one.leads());
    assert!(two.writes() == 0 && !two.leads(), "the second one waits: {}", two.log());
    let lease = namespace.get("lease/isbsvc-controller-lock-test-lease");
    assert!(lease["spec"]["holderIdentity"].as_str().is_some_and(|holder| holder.starts_with("one_")), "{lease}");

    one.kill();
    let killed = Instant::now();
    namespace.apply(&another("meanwhile")).ok();
    // The last renewal is seen at most one look later, and that its term is over at most one look after it is.
    let bound = limits::LEASE_TERM + 2 * limits::LEASE_RETRY + SLACK;
    eventually("the second one goes on", bound, || if two.leads() { Ok(()) } else { Err(two.log()) });
    println!("killed: the other controller leads after {:.1} s", killed.elapsed().as_secs_f64());
    namespace.healthy("meanwhile");

    let three = Controller::start(&namespace, "three", &scope);
    assert!(!three.leads());
    let stopped = Instant::now();
    let ended = two.stop();
    assert!(ended.success(), "{ended}: {}", two.log());
    eventually("the third one goes on at once", limits::LEASE_RETRY + SLACK, || if three.leads() { Ok(()) } else { Err(three.log()) });
    println!("stopped: the other controller leads after {:.1} s", stopped.elapsed().as_secs_f64());
    for name in ["first", "meanwhile"] {
        namespace.kubectl(&["delete", "isbsvc", name, "--timeout=120s"]).ok();
    }
    let untouched = outside.get("isbsvc/outside");
    assert_eq!((&untouched["status"], &untouched["metadata"]["finalizers"]), (&Value::Null, &Value::Null), "it is out of scope");
}

/// The two ways to the servers from outside the cluster's network.
#[test]
fn servers_are_asked_through_the_api_server() {
    let cluster = Cluster::from_environment();
    for (way, subresource) in [("api-proxy", "proxy"), ("port-forward", "portforward")] {
        let namespace = cluster.namespace(&format!("test-{way}"));
        let asked = || requests(&cluster, subresource);
        let before = asked();
        let _controller = Controller::start(&namespace, "one", &["--namespace-scope", &namespace.name, "--servers-via", way]);
        namespace.apply(&service_of(&namespace.name, "default", &json!({ "replicas": 1 }))).ok();
        // The first time, healthy means that the server was asked and answered.
        namespace.healthy("default");
        assert!(asked() > before, "{way}: the API server was not asked for pods/{subresource}");
        namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=120s"]).ok();
    }
}

/// How many requests for a subresource of pods the API server has answered.
fn requests(cluster: &Cluster, subresource: &str) -> u64 {
    let text = cluster.kubectl(&["get", "--raw", "/metrics"]).ok();
    let subresource = format!("subresource=\"{subresource}\"");
    let lines = text.lines().filter(|line| line.starts_with("apiserver_request_total{") && line.contains("resource=\"pods\""));
    lines.filter(|line| line.contains(&subresource)).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
