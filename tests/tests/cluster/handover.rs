//! `manifests/handover`: Numaflow's controller is kept off services, and goes on with everything else; and the way back.

use std::path::Path;

use isbsvc_tests::cluster::{Cluster, MINUTE, Namespace, Said, eventually, service, service_of};
use serde_json::{Value, json};

use super::numaflow::Numaflow;

/// The account of Numaflow's controller, where it is installed as its manual says.
const NUMAFLOW: &str = "system:serviceaccount:numaflow-system:numaflow-sa";
const OURS: &str = "system:serviceaccount:numaflow-system:isbsvc-controller";

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Tries a write as an account; nothing is stored.
fn attempt(namespace: &Namespace<'_>, account: &str, arguments: &[&str], object: Option<&Value>) -> Said {
    let arguments = [&["--as", account, "--dry-run=server"], arguments].concat();
    match object {
        Some(object) => namespace.kubectl_stdin(&[arguments.as_slice(), &["-f", "-"]].concat(), &object.to_string()),
        None => namespace.kubectl(&arguments),
    }
}

fn object(kind: &str, name: &str, labels: &Value) -> Value {
    let api_version = if kind == "StatefulSet" { "apps/v1" } else { "v1" };
    let mut object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name, "labels": labels } });
    match kind {
        "Service" => object["spec"] = json!({ "clusterIP": "None", "ports": [{ "name": "x", "port": 1 }] }),
        "StatefulSet" => {
            let pod = json!({ "metadata": { "labels": { "app": name } }, "spec": { "containers": [{ "name": "x", "image": "localhost/busybox:1" }] } });
            object["spec"] = json!({ "replicas": 0, "serviceName": name, "selector": { "matchLabels": { "app": name } }, "template": pod });
        }
        "PersistentVolumeClaim" => {
            object["spec"] = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
        }
        _ => {}
    }
    object
}

#[test]
fn numaflows_controller_is_kept_off_services_and_off_nothing_else() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-handover");
    // Rights are not what stops it.
    let account = "--serviceaccount=numaflow-system:numaflow-sa";
    namespace.kubectl(&["create", "rolebinding", "numaflow", "--clusterrole=cluster-admin", account]).ok();
    let manifests = repository().join("manifests/handover").display().to_string();
    cluster.kubectl(&["apply", "-k", &manifests]).ok();
    namespace.apply(&service("default", &json!({ "replicas": 1 }))).ok();
    namespace.apply(&redis("redis", &json!({ "native": { "version": "7.0.15" } }))).ok();
    namespace.apply(&redis("external", &json!({ "external": { "url": "redis:6379" } }))).ok();
    let labels =
        |component: &str, kind: &str| json!({ "app.kubernetes.io/component": component, "numaflow.numaproj.io/isbsvc-type": kind });
    let kinds = ["Service", "ConfigMap", "Secret", "StatefulSet", "PersistentVolumeClaim"];
    for kind in kinds {
        namespace.apply(&object(kind, "theirs", &labels("vertex", "")).to_string()).ok();
        namespace.apply(&object(kind, "redis", &labels("isbsvc", "redis")).to_string()).ok();
        namespace.apply(&object(kind, "ours", &labels("isbsvc", "jetstream")).to_string()).ok();
    }

    let touch = json!({ "metadata": { "labels": { "touched": "yes" } } }).to_string();
    // The API server takes a policy up within moments.
    eventually("the policy holds", MINUTE, || {
        let said = attempt(&namespace, NUMAFLOW, &["patch", "isbsvc", "default", "--type=merge", "-p", &touch], None);
        if said.code == 0 { Err(said.out) } else { Ok(()) }
    });

    let spec = json!({ "spec": { "jetstream": { "nodeSelector": { "a": "b" } } } }).to_string();
    let finalizers = json!({ "metadata": { "finalizers": null } }).to_string();
    let status = json!({ "status": { "phase": "Failed" } }).to_string();
    let unlabelled = json!({ "metadata": { "labels": null } }).to_string();
    let patch = |what: &'static str, patch: &str, more: &[&'static str]| -> Vec<String> {
        ["patch", what, "--type=merge", "-p", patch].into_iter().chain(more.iter().copied()).map(str::to_owned).collect()
    };
    let mut refused = vec![
        (patch("isbsvc/default", &spec, &[]), None),
        (patch("isbsvc/default", &finalizers, &[]), None),
        (patch("isbsvc/default", &status, &["--subresource=status"]), None),
        (patch("isbsvc/external", &status, &["--subresource=status"]), None),
    ];
    let mut taken = vec![(patch("isbsvc/redis", &touch, &[]), None), (patch("isbsvc/redis", &status, &["--subresource=status"]), None)];
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for kind in kinds {
        let deleting = |name: &str| (words(&["delete", kind, name]), None);
        refused.push(deleting("ours"));
        taken.extend([deleting("theirs"), deleting("redis")]);
        if kind == "PersistentVolumeClaim" {
            continue;
        }
        refused.push((words(&["create"]), Some(object(kind, "new", &labels("isbsvc", "jetstream")))));
        // An object that loses the label was one of a service, and one that gets it becomes one.
        for change in [&touch, &unlabelled] {
            refused.push((words(&["patch", kind, "ours", "--type=merge", "-p", change]), None));
            taken.push((words(&["patch", kind, "theirs", "--type=merge", "-p", change]), None));
        }
        let labelled = json!({ "metadata": { "labels": labels("isbsvc", "jetstream") } }).to_string();
        refused.push((words(&["patch", kind, "theirs", "--type=merge", "-p", &labelled]), None));
        taken.push((words(&["create"]), Some(object(kind, "new", &labels("daemon", "")))));
        taken.push((words(&["create"]), Some(object(kind, "new", &json!({})))));
        taken.push((words(&["create"]), Some(object(kind, "new", &labels("isbsvc", "redis")))));
        taken.push((words(&["patch", kind, "redis", "--type=merge", "-p", &touch]), None));
    }
    let run = |account: &str, (arguments, object): &(Vec<String>, Option<Value>)| {
        attempt(&namespace, account, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), object.as_ref())
    };
    for request in &refused {
        let said = run(NUMAFLOW, request);
        assert!(said.code != 0 && said.err.contains("isbsvc-controller looks after inter-step buffer services"), "{request:?}: {said:?}");
        let said = run("system:serviceaccount:test-handover:numaflow-sa", request);
        assert!(!said.err.contains("looks after"), "another account is none of the policy's business: {said:?}");
    }
    for request in &taken {
        run(NUMAFLOW, request).ok();
    }
    // Our controller may, as the service that becomes healthy below shows as well; kubectl alone needs further rights, such as to read first.
    let account = "--serviceaccount=numaflow-system:isbsvc-controller";
    namespace.kubectl(&["create", "rolebinding", "ours", "--clusterrole=cluster-admin", account]).ok();
    for request in [
        (patch("isbsvc/default", &finalizers, &[]), None),
        (patch("isbsvc/default", &status, &["--subresource=status"]), None),
        (words(&["patch", "statefulset", "ours", "--type=merge", "-p", &touch]), None),
        (words(&["patch", "secret", "ours", "--type=merge", "-p", &touch]), None),
        (words(&["delete", "configmap", "ours"]), None),
    ] {
        run(OURS, &request).ok();
    }
    namespace.healthy("default");
    cluster.kubectl(&["delete", "-k", &manifests]).ok();
    eventually("the way back", MINUTE, || {
        let said = attempt(&namespace, NUMAFLOW, &["patch", "isbsvc", "default", "--type=merge", "-p", &touch], None);
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
}

fn redis(name: &str, redis: &Value) -> String {
    json!({
        "apiVersion": "numaflow.numaproj.io/v1alpha1",
        "kind": "InterStepBufferService",
        "metadata": { "name": name },
        "spec": { "redis": redis },
    })
    .to_string()
}

/// The overlay that docs/handover.md shows names other accounts; `kubectl kustomize` renders it.
#[test]
fn another_account_can_be_named() {
    let cluster = Cluster::from_environment();
    let page = std::fs::read_to_string(repository().join("docs/handover.md")).unwrap_or_else(|error| panic!("docs/handover.md: {error}"));
    let (_, rest) = page.split_once("```yaml\n# kustomization.yaml\n").expect("the page shows an overlay");
    let (overlay, _) = rest.split_once("```").expect("the page shows all of it");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("handover-overlay");
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    // kustomize takes folders by relative paths alone: up to the root, and down from there.
    let absolute = |path: &Path| path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let up = "../".repeat(absolute(&folder).components().count() - 1);
    let overlay =
        overlay.replace("path/to/isbsvc/", &format!("{up}{}/", absolute(repository()).display().to_string().trim_start_matches('/')));
    std::fs::write(folder.join("kustomization.yaml"), overlay).unwrap_or_else(|error| panic!("{error}"));
    let rendered = cluster.kubectl(&["kustomize", &folder.display().to_string()]).ok();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap_or_else(|error| panic!("{error}: {rendered}"));
    let conditions =
        |kind: &str| objects.iter().find(|object| object["kind"] == kind).map(|policy| policy["spec"].clone()).unwrap_or_default();
    let policy = conditions("ValidatingAdmissionPolicy");
    let account = policy["matchConditions"][0]["expression"].as_str().unwrap_or_default();
    assert!(account.contains("in [") && account.contains("system:serviceaccount:"), "{account}");
    assert_eq!(policy["matchConditions"].as_array().map(Vec::len), Some(3), "the other conditions stay");
    let binding = conditions("ValidatingAdmissionPolicyBinding");
    assert!(binding["matchResources"]["namespaceSelector"].is_object(), "{binding}");
    cluster.kubectl_stdin(&["apply", "--dry-run=server", "-f", "-"], &rendered).ok();
}

#[test]
fn a_service_of_ours_can_be_handed_back() {
    hand_back("test-back", false);
}

#[test]
fn a_service_of_ours_with_volumes_can_be_handed_back() {
    hand_back("test-back-volumes", true);
}

/// What handing back costs: Numaflow's controller may write its own `StatefulSet` over ours, and the servers roll once, with their volumes.
fn hand_back(name: &str, volumes: bool) {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace(name);
    let mut spec = json!({ "replicas": 1 });
    if volumes {
        spec["persistence"] = json!({ "volumeSize": "1Gi" });
    }
    namespace.apply(&service_of("", "default", &spec)).ok();
    namespace.healthy("default");
    let pod = uid(&namespace, "pod/isbsvc-default-js-0");
    let claim = volumes.then(|| uid(&namespace, CLAIM));
    // The controller lets it go, as one that runs with --certificates-only does.
    namespace.kubectl(&["annotate", "isbsvc/default", "numaflow.numaproj.io/paused=true"]).ok();
    let numaflow = Numaflow::start(&namespace);
    let theirs = isbsvc_tests::numaflow::Service {
        namespace: namespace.name.clone(),
        uid: uid(&namespace, "isbsvc/default"),
        replicas: 1,
        tls: false,
        encryption: false,
        volume: volumes.then(|| "1Gi".to_owned()),
        images: Some(("localhost/nats:2.12.7".to_owned(), "localhost/nats-server-config-reloader:0.22.4".to_owned())),
    };
    // It reads the object, changes hash and spec, and writes it back.
    for theirs in [theirs.config_map(), theirs.service(), theirs.stateful_set()] {
        let what = format!("{}/{}", theirs["kind"].as_str().unwrap_or_default(), theirs["metadata"]["name"].as_str().unwrap_or_default());
        let mut live = namespace.get(&what);
        for field in ["spec", "data"] {
            if !theirs[field].is_null() {
                live[field] = theirs[field].clone();
            }
        }
        live["metadata"]["annotations"]["numaflow.numaproj.io/hash"] =
            theirs["metadata"]["annotations"]["numaflow.numaproj.io/hash"].clone();
        numaflow.replace(&live).ok();
    }
    eventually("the server rolled", 3 * MINUTE, || {
        let said = namespace.kubectl(&["get", "pod", "isbsvc-default-js-0", "-o", "json"]);
        let now: Value = serde_json::from_str(&said.out).unwrap_or_default();
        let conditions = now["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
        if ready && now["metadata"]["uid"] != json!(pod) { Ok(()) } else { Err(now["status"].to_string()) }
    });
    assert_eq!(volumes.then(|| uid(&namespace, CLAIM)), claim, "with the volume that it had");
    let policy = namespace.get("statefulset/isbsvc-default-js")["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"].clone();
    assert_eq!(policy, json!("Delete"), "a deleted StatefulSet takes the data with it again");
    namespace.kubectl(&["annotate", "isbsvc/default", "numaflow.numaproj.io/paused-"]).ok();
}

const CLAIM: &str = "persistentvolumeclaim/isbsvc-default-js-vol-isbsvc-default-js-0";

#[track_caller]
fn uid(namespace: &Namespace<'_>, what: &str) -> String {
    namespace.get(what)["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}
