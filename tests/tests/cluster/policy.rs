//! The ConfigMap `isbsvc-policy`: what it raises is refused, what is wrong with it is told, and nothing gets milder by a mistake.
//!
//! There is one for the whole cluster, and other tests run beside this one: so it selects the namespace of this test alone.

use isbsvc::rules::Policy;
use isbsvc_tests::cluster::{Cluster, MINUTE, Namespace, eventually, service};
use serde_json::{Value, json};

use super::webhook::{Webhook, new_authority};

const SYSTEM: &str = "numaflow-system";
const NAMESPACE: &str = "test-policy";
const ENFORCED: &str =
    "namespaces:\n  - selector: { matchLabels: { kubernetes.io/metadata.name: test-policy } }\n    rules: { buffer-size: enforce }\n";
const BAD: &str = "rules:\n  buffer-size: off\n  encryption-toggle: off\n";

/// Takes the policy away at the end, also of a test that failed.
struct Applied<'a>(&'a Cluster);

impl Applied<'_> {
    /// Writes the policy as a person would.
    fn apply(&self, policy: &str) {
        let data = json!({ Policy::KEY: policy });
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": Policy::CONFIG_MAP, "namespace": SYSTEM }, "data": data });
        self.0.kubectl_stdin(&["apply", "-f", "-"], &map.to_string()).ok();
    }

    fn delete(&self) {
        self.0.kubectl(&["delete", "configmap", "-n", SYSTEM, Policy::CONFIG_MAP, "--ignore-not-found"]);
    }

    /// The events on it: their reasons with their notes.
    fn events(&self) -> String {
        let about = format!("regarding.kind=ConfigMap,regarding.name={}", Policy::CONFIG_MAP);
        let path = "jsonpath={range .items[*]}{.type} {.reason} {.note}{\"\\n\"}{end}";
        self.0.kubectl(&["get", "events.events.k8s.io", "-n", SYSTEM, "--field-selector", &about, "-o", path]).ok()
    }
}

impl Drop for Applied<'_> {
    fn drop(&mut self) {
        self.delete();
    }
}

/// A metric of every replica of a program that runs, by the name of its pod.
fn metric(cluster: &Cluster, namespace: &str, program: &str, port: u16, name: &str) -> Vec<(String, String)> {
    let label = format!("app.kubernetes.io/name={program}");
    let pods =
        cluster.kubectl(&["get", "pods", "-n", namespace, "-l", &label, "--field-selector", "status.phase=Running", "-o", "name"]).ok();
    let told = pods.split_whitespace().map(|pod| {
        let pod = pod.trim_start_matches("pod/").to_owned();
        let text = cluster.kubectl(&["get", "--raw", &format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics")]).out;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        (pod, line.trim_start_matches("{}").trim().to_owned())
    });
    told.collect()
}

/// Waits until every replica of the webhook judges so. kubelet takes a minute or more.
fn every_replica(cluster: &Cluster, what: &str, good: bool, fingerprint: u32) {
    eventually(what, 3 * MINUTE, || {
        let goods = metric(cluster, SYSTEM, "isbsvc-webhook", 8080, "isbsvc_webhook_policy_good");
        let prints = metric(cluster, SYSTEM, "isbsvc-webhook", 8080, "isbsvc_webhook_policy_fingerprint");
        let all = |told: &[(String, String)], value: &str| !told.is_empty() && told.iter().all(|(_, told)| told == value);
        let holds = all(&goods, if good { "1" } else { "0" }) && all(&prints, &fingerprint.to_string());
        if holds { Ok(()) } else { Err(format!("{goods:?} {prints:?}")) }
    });
}

/// Waits until the controller that leads says so.
fn controller_says(cluster: &Cluster, good: &str) {
    eventually(&format!("isbsvc_controller_policy_good is {good}"), MINUTE, || {
        let told = metric(cluster, SYSTEM, "isbsvc-controller", 9090, "isbsvc_controller_policy_good");
        if told.iter().any(|(_, told)| told == good) { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

/// Whether the buffers that would lose messages are refused; both ways the person is told.
fn is_refused(namespace: &Namespace<'_>) -> bool {
    let lossy: Value = json!({ "bufferConfig": "stream:\n  maxMsgs: 1000\n  retention: 0\n" });
    let said = namespace.kubectl_stdin(&["apply", "--dry-run=server", "-f", "-"], &service("lossy", &lossy));
    assert!(said.err.contains("buffer-size"), "{said:?}");
    assert!(!said.err.contains(Policy::CONFIG_MAP), "it is the policy's own doing: {said:?}");
    said.code != 0
}

#[test]
fn a_policy_is_taken_up_a_bad_one_changes_nothing_and_is_told_and_without_one_all_is_as_before() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace(NAMESPACE);
    let beside = cluster.namespace("test-policy-beside");
    let policy = Applied(&cluster);
    policy.delete();
    every_replica(&cluster, "there is no policy", true, 0);
    assert!(!is_refused(&namespace), "by its own level it warns");

    policy.apply(ENFORCED);
    every_replica(&cluster, "the policy holds", true, Policy::fingerprint(ENFORCED));
    assert!(is_refused(&namespace));
    assert!(!is_refused(&beside), "the labels of this one do not match");
    namespace.kubectl_stdin(&["apply", "--dry-run=server", "-f", "-"], &service("good", &json!({}))).ok();
    eventually("it is accepted", MINUTE, || {
        let events = policy.events();
        if events.contains("Normal PolicyAccepted") { Ok(()) } else { Err(events) }
    });
    controller_says(&cluster, "1");

    policy.apply(BAD);
    eventually("what is wrong is told where one looks for it", MINUTE, || {
        let described = cluster.kubectl(&["describe", "configmap", "-n", SYSTEM, Policy::CONFIG_MAP]).ok();
        if described.contains("InvalidPolicy") && described.contains("rules.encryption-toggle: it guards data") {
            Ok(())
        } else {
            Err(described)
        }
    });
    controller_says(&cluster, "0");
    every_replica(&cluster, "the webhook sees that it is bad", false, Policy::fingerprint(ENFORCED));
    assert!(is_refused(&namespace), "the last good one holds");
    let warnings = policy.events().lines().filter(|line| line.starts_with("Warning InvalidPolicy")).count();
    assert_eq!(warnings, 1, "it is told once: {}", policy.events());

    let mended = format!("{ENFORCED}# mended\n");
    policy.apply(&mended);
    controller_says(&cluster, "1");
    every_replica(&cluster, "the mended one holds", true, Policy::fingerprint(&mended));
    assert!(is_refused(&namespace));

    policy.delete();
    every_replica(&cluster, "there is no policy any more", true, 0);
    assert!(!is_refused(&namespace));
    controller_says(&cluster, "1");
    for program in ["deployment/isbsvc-webhook", "deployment/isbsvc-controller"] {
        let restarts = cluster.kubectl(&["logs", "-n", SYSTEM, program]).ok();
        assert!(!restarts.contains("panicked"), "{restarts}");
    }
}

/// It cannot know what was wanted, so that it refuses whatever might be; who is refused hears why.
#[test]
fn a_webhook_that_starts_with_a_bad_policy_enforces_every_rule_and_says_so() {
    let cluster = Cluster::from_environment();
    let webhook = Webhook::start_with(&cluster, "test-policy-start", &new_authority(), BAD);
    let refusal = webhook.refusal();
    assert!(refusal.contains(Policy::CONFIG_MAP), "who is refused hears why: {refusal}");
    assert_eq!(webhook.said("the policy cannot be used; until it is mended or taken away, every rule is enforced"), 2, "both replicas");
    let namespace = &webhook.namespace.name;
    for (name, value) in [("isbsvc_webhook_policy_good", "0"), ("isbsvc_webhook_policy_fingerprint", "1")] {
        let told = metric(&cluster, namespace, "isbsvc-webhook", 8080, name);
        assert!(told.len() == 2 && told.iter().all(|(_, told)| told == value), "{name}: {told:?}");
    }
}
