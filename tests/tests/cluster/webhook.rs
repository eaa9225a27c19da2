//! The webhook under a constant load of requests that it has to refuse, while its replicas and certificates go through what happens to them. Each test has
//! a webhook of its own, for its own namespace alone, so that no other test is stopped by it.

use std::path::Path;
use std::time::Duration;

use isbsvc_certs::issue::{Authority, LeafRequest, Usage, authority};
use isbsvc_tests::cluster::{Answers, Cluster, MINUTE, Namespace, Reviews, eventually};
use jiff::Timestamp;
use serde_json::{Value, json};

const DAY: Duration = Duration::from_hours(24);
/// A rule that refuses under this webhook's policy only, so that no answer of the installed one is taken for its own.
const RULE: &str = "buffer-size";
const POLICY: &str = "rules: { buffer-size: enforce }\n";

fn refused() -> Value {
    json!({ "jetstream": { "version": "2.12.7", "bufferConfig": "stream:\n  maxMsgs: 10\n" } })
}

/// The Deployment and Service of `manifests/webhook` in a namespace of the test's own, with certificates of the test's own.
pub struct Webhook<'a> {
    cluster: &'a Cluster,
    /// Where it runs, and what it is asked about.
    pub namespace: Namespace<'a>,
}

impl<'a> Webhook<'a> {
    fn start(cluster: &'a Cluster, name: &str, authority: &Authority) -> Self {
        Self::start_with(cluster, name, authority, POLICY)
    }

    /// Starts with a policy by which [`RULE`] refuses.
    pub fn start_with(cluster: &'a Cluster, name: &str, authority: &Authority, policy: &str) -> Self {
        let namespace = cluster.namespace(name);
        let this = Self { cluster, namespace };
        this.certificate(&this.leaf(authority));
        let policy =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "isbsvc-policy" }, "data": { "policy.yaml": policy } });
        this.namespace.apply(&policy.to_string()).ok();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/webhook");
        for file in ["serviceaccount.yaml", "deployment.yaml", "service.yaml"] {
            let text = std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            // What it may read of the cluster is not what is tested here.
            let text =
                text.replace("image: isbsvc-webhook", "image: localhost/isbsvc-webhook:dev").replace("            - --cluster\n", "");
            this.namespace.apply(&text).ok();
        }
        this.rolled();
        this.trust(authority.certificate_pem());
        this.refuses("the webhook is asked", RULE);
        this
    }

    /// Waits until the API server refuses what the rule refuses, with these words; the whole of what it says.
    #[track_caller]
    fn refuses(&self, what: &str, words: &str) -> String {
        let asked = json!({
            "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService",
            "metadata": { "name": "default", "namespace": self.namespace.name }, "spec": refused(),
        });
        eventually(what, MINUTE, || {
            let said = self.namespace.kubectl_stdin(&["create", "--dry-run=server", "-f", "-"], &asked.to_string());
            if said.code != 0 && said.err.contains(words) { Ok(said.err) } else { Err(said.err) }
        })
    }

    /// What it says where a rule refuses.
    #[track_caller]
    pub fn refusal(&self) -> String {
        self.refuses("the webhook refuses", RULE)
    }

    fn leaf(&self, authority: &Authority) -> (String, String) {
        let name = format!("isbsvc-webhook.{}.svc", self.namespace.name);
        let request = LeafRequest { common_name: "webhook", dns_names: &[name], usages: &[Usage::Server], lifetime: 90 * DAY };
        let leaf = authority.leaf(&request, Timestamp::now()).unwrap_or_else(|error| panic!("{error}"));
        (leaf.certificate_pem.clone(), leaf.key_pem.clone())
    }

    fn certificate(&self, (certificate, key): &(String, String)) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "isbsvc-webhook-tls" }, "stringData": { "tls.crt": certificate, "tls.key": key },
        });
        self.namespace.apply(&secret.to_string()).ok();
    }

    /// Tells the API server whom to trust.
    fn trust(&self, bundle: &str) {
        use base64::Engine as _;
        let name = &self.namespace.name;
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": { "name": name },
            "webhooks": [{
                "name": "load.isbsvc.numaflow.numaproj.io", "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 5,
                "clientConfig": {
                    "caBundle": base64::engine::general_purpose::STANDARD.encode(bundle),
                    "service": { "namespace": name, "name": "isbsvc-webhook", "path": "/validate", "port": 443 },
                },
                "rules": [{ "apiGroups": ["numaflow.numaproj.io"], "apiVersions": ["v1alpha1"], "resources": ["interstepbufferservices"], "operations": ["CREATE"] }],
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
            }],
        });
        self.cluster.kubectl_stdin(&["apply", "-f", "-"], &configuration.to_string()).ok();
    }

    /// Waits until every replica is a new one.
    fn rolled(&self) {
        self.namespace.kubectl(&["rollout", "status", "deployment/isbsvc-webhook", "--timeout=180s"]).ok();
    }

    fn load(&self) -> Reviews {
        Reviews::begin(self.cluster, &self.namespace, 4, true, &refused(), RULE)
    }

    fn pods(&self) -> Vec<Value> {
        let pods = self.namespace.get("pods")["items"].as_array().cloned().unwrap_or_default();
        pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect()
    }

    /// How often a line with these words stands in the logs of all replicas together.
    pub fn said(&self, words: &str) -> usize {
        let log = self.namespace.kubectl(&["logs", "-l", "app.kubernetes.io/name=isbsvc-webhook", "--tail=-1", "--prefix"]).ok();
        log.lines().filter(|line| line.contains(words)).count()
    }
}

impl Drop for Webhook<'_> {
    fn drop(&mut self) {
        self.cluster.kubectl(&["delete", "validatingwebhookconfiguration", &self.namespace.name, "--ignore-not-found", "--wait=false"]);
    }
}

/// Nothing went past the webhook, ever; how much was not answered, and for how long.
#[track_caller]
fn judged(what: &str, answers: &Answers) {
    let span = match (answers.failed.first(), answers.failed.last()) {
        (Some((first, words)), Some((last, _))) => {
            let words: String = words.chars().take(250).collect();
            format!(", over {:.1} s ({words})", last.saturating_sub(*first).as_secs_f64())
        }
        _ => String::new(),
    };
    println!("{what}: {} refused, {} not answered{span}", answers.refused, answers.failed.len());
    assert_eq!(answers.admitted, 0, "{what}: what must be refused was admitted");
    assert!(answers.refused > 0, "{what}: {:?}", answers.failed.first());
}

pub fn new_authority() -> Authority {
    authority("load", Timestamp::now(), 3650 * DAY).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_rolling_restart_under_load_loses_no_request() {
    let cluster = Cluster::from_environment();
    let webhook = Webhook::start(&cluster, "test-webhook-roll", &new_authority());
    let load = webhook.load();
    webhook.namespace.kubectl(&["rollout", "restart", "deployment/isbsvc-webhook"]).ok();
    webhook.rolled();
    // The old replicas still say goodbye.
    eventually("only new replicas are left", MINUTE, || {
        let pods = webhook.namespace.kubectl(&["get", "pods", "-l", "app.kubernetes.io/name=isbsvc-webhook", "-o", "name"]).ok();
        if pods.lines().count() == 2 { Ok(()) } else { Err(pods) }
    });
    let answers = load.end();
    judged("a rolling restart", &answers);
    assert_eq!(answers.failed, []);
}

/// Of two replicas one dies without a goodbye, or stands still; requests that it held are lost, none goes past it, and the other one answers.
#[test]
fn a_replica_that_dies_or_stands_still_lets_nothing_past() {
    let cluster = Cluster::from_environment();
    let webhook = Webhook::start(&cluster, "test-webhook-dies", &new_authority());
    let load = webhook.load();
    let pods = webhook.pods();
    let name = pods[0]["metadata"]["name"].as_str().unwrap_or_default();
    webhook.namespace.kubectl(&["delete", "pod", name, "--force", "--grace-period=0"]).ok();
    webhook.rolled();
    judged("kill -9 of a replica", &load.end());

    // For longer than the webhook's whole time for an answer, so that requests that it holds are given up. Each in its turn: the API server's connections may
    // all lead to one of them.
    let mut given_up = 0;
    for pod in webhook.pods() {
        let load = webhook.load();
        standing_still(process_of(pod["metadata"]["uid"].as_str().unwrap_or_default()), Duration::from_secs(6));
        webhook.refuses("all is answered again", RULE);
        let answers = load.end();
        judged("a replica that stands still for 6 s", &answers);
        given_up += answers.failed.len();
    }
    assert!(given_up > 0, "one of them held a request while it stood still");

    // Ten times as many as it is made for, each as fast as it goes: put off, refused, never let past.
    let load = Reviews::begin(&cluster, &webhook.namespace, 32, false, &refused(), RULE);
    eventually("a thousand requests", MINUTE, || if load.answered() >= 1000 { Ok(()) } else { Err(load.answered().to_string()) });
    let answers = load.end();
    judged("32 callers without a pause", &answers);
    assert_eq!(answers.failed, []);
}

/// The API server trusts nobody of this name: every call fails, and none is an admission.
#[test]
fn a_bundle_that_is_wiped_or_a_strangers_lets_nothing_past() {
    let cluster = Cluster::from_environment();
    let authority = new_authority();
    let webhook = Webhook::start(&cluster, "test-webhook-bundle", &authority);
    for (what, bundle) in [("wiped", String::new()), ("a stranger's", new_authority().certificate_pem().to_owned())] {
        let load = webhook.load();
        webhook.trust(&bundle);
        webhook.refuses("a webhook that nobody trusts admits nothing", "x509");
        let before = load.answered();
        eventually("some more requests", MINUTE, || if load.answered() > before + 50 { Ok(()) } else { Err(String::new()) });
        webhook.trust(authority.certificate_pem());
        webhook.refuses("it is trusted again", RULE);
        let answers = load.end();
        judged(&format!("a caBundle that is {what} for a while"), &answers);
        assert!(
            !answers.failed.is_empty() && answers.failed.iter().all(|(_, words)| words.contains("failed calling webhook")),
            "{answers:?}"
        );
    }
}

/// The installed configurations, by an edit that does no harm to the tests beside this one.
#[test]
fn an_edit_of_the_configurations_is_put_back() {
    let cluster = Cluster::from_environment();
    let timeout = "jsonpath={.webhooks[0].timeoutSeconds}";
    for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
        let is = || cluster.kubectl(&["get", kind, "isbsvc-webhook", "-o", timeout]).ok();
        let before = is();
        let patch = r#"[{ "op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 9 }]"#;
        cluster.kubectl(&["patch", kind, "isbsvc-webhook", "--type=json", "-p", patch]).ok();
        eventually("it is as it was", MINUTE, || if is() == before { Ok(()) } else { Err(is()) });
    }
}

/// Stops a process for so long, and lets it go on.
fn standing_still(process: u32, time: Duration) {
    signal(process, "STOP");
    let began = std::time::Instant::now();
    eventually("the time is over", time + MINUTE, || if began.elapsed() >= time { Ok(()) } else { Err(String::new()) });
    signal(process, "CONT");
}

/// The process of a pod's webhook on this machine, which is the cluster's node.
fn process_of(pod: &str) -> u32 {
    let mangled = pod.replace('-', "_");
    let processes = std::fs::read_dir("/proc").unwrap_or_else(|error| panic!("{error}"));
    let mut found = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).filter(|process| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let cgroup = read("cgroup");
        (cgroup.contains(pod) || cgroup.contains(&mangled)) && read("cmdline").contains("isbsvc-webhook")
    });
    found.next().unwrap_or_else(|| panic!("the webhook of pod {pod} is no process of this machine"))
}

fn signal(process: u32, signal: &str) {
    let status = std::process::Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill -{signal} {process}");
}

/// A new leaf, a pair that does not fit, an emptied Secret, and another authority.
#[test]
#[ignore = "kubelet brings each change of a Secret within a minute or so; `cargo xtask test --full` runs it"]
fn certificates_that_change_under_load_lose_no_request() {
    let cluster = Cluster::from_environment();
    let (first, second) = (new_authority(), new_authority());
    let webhook = Webhook::start(&cluster, "test-webhook-certificates", &first);
    let load = webhook.load();
    let loaded = |what: &str, words: &str, times: usize| {
        eventually(what, 4 * MINUTE, || {
            let said = webhook.said(words);
            if said >= times { Ok(()) } else { Err(format!("{said} of {times}")) }
        });
    };
    webhook.certificate(&webhook.leaf(&first));
    loaded("both replicas show a new leaf", "certificate loaded", 4);
    let (certificate, _) = webhook.leaf(&first);
    let (_, key) = webhook.leaf(&first);
    webhook.certificate(&(certificate, key));
    loaded("both replicas refuse a pair that does not fit", "no new certificate", 2);
    webhook.certificate(&(String::new(), String::new()));
    loaded("both replicas refuse an emptied Secret", "no new certificate", 4);
    // The API server trusts both before a replica shows the new one.
    webhook.trust(&format!("{}{}", first.certificate_pem(), second.certificate_pem()));
    webhook.certificate(&webhook.leaf(&second));
    loaded("both replicas show a leaf of the new authority", "certificate loaded", 6);
    webhook.trust(second.certificate_pem());
    let answers = load.end();
    judged("a new leaf, a wrong pair, an emptied Secret, a new authority", &answers);
    assert_eq!(answers.failed, []);
}
