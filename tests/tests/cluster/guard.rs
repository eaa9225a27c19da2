//! `manifests/guard`: Numaflow's controller makes and repairs services, our webhook guards them, our controller may touch none.

use std::path::Path;

use isbsvc_tests::cluster::{Cluster, MINUTE, eventually};
use serde_json::{Value, json};

use super::numaflow::{Numaflow, Variant};

const GUARD: &str = "test-guard";

/// The overlay as it is rendered, moved into a namespace of its own, since the cluster of the tests runs the full controller already. Its two webhook
/// configurations have one name in a cluster, so they stay with that one.
fn guard(cluster: &Cluster) -> Vec<Value> {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/guard").display().to_string();
    let rendered = cluster.kubectl(&["kustomize", &manifests]).ok();
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).unwrap_or_else(|error| panic!("{error}: {rendered}"));
    assert!(objects.iter().all(|object| object["kind"] != "Namespace"), "the namespace is Numaflow's");
    for object in &mut objects {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        if kind.starts_with("Cluster") {
            let own = |name: &Value| json!(format!("{GUARD}-{}", name.as_str().unwrap_or_default()));
            object["metadata"]["name"] = own(&object["metadata"]["name"]);
            if kind == "ClusterRoleBinding" {
                object["roleRef"]["name"] = own(&object["roleRef"]["name"]);
            }
        } else {
            assert_eq!(object["metadata"]["namespace"], json!("numaflow-system"), "{kind}");
            object["metadata"]["namespace"] = json!(GUARD);
        }
        for subject in object["subjects"].as_array_mut().into_iter().flatten() {
            subject["namespace"] = json!(GUARD);
        }
        if kind == "Deployment" {
            let container = &mut object["spec"]["template"]["spec"]["containers"][0];
            container["image"] = json!(format!("localhost/{}:dev", container["image"].as_str().unwrap_or_default()));
            if container["name"] == "controller" {
                assert!(container["args"].as_array().is_some_and(|args| args.contains(&json!("--certificates-only"))));
                let more = [
                    format!("--lease-namespace={GUARD}"),
                    format!("--webhook-namespace={GUARD}"),
                    "--webhook-configurations=false".to_owned(),
                ];
                container["args"].as_array_mut().expect("arguments").extend(more.map(Value::from));
            }
        }
    }
    objects
}

#[test]
fn services_of_numaflows_controller_are_guarded_and_left_alone() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace(GUARD);
    for object in guard(&cluster) {
        namespace.apply(&object.to_string()).ok();
    }
    let guarded = cluster.namespace("test-guarded");
    let numaflow = Numaflow::start(&guarded);
    // Of an instance of its own, so that the full controller of this cluster has nothing to do with it.
    let service = numaflow.make(Variant { replicas: 1, ..Variant::default() }, &json!({ "numaflow.numaproj.io/instance": "guarded" }));
    numaflow.healthy(&service);
    let before = everything(&guarded);

    // The webhook has the certificate that the controller made with its few rights, and answers.
    for deployment in ["deployment/isbsvc-controller", "deployment/isbsvc-webhook"] {
        namespace.kubectl(&["rollout", "status", deployment, "--timeout=180s"]).ok();
    }
    eventually("the certificate is there", MINUTE, || {
        let keys = namespace.kubectl(&["get", "secret", "isbsvc-webhook-tls", "-o", "jsonpath={.data}"]);
        if keys.out.contains("tls.crt") { Ok(()) } else { Err(keys.err) }
    });

    // A change that loses messages is refused, whoever reconciles; one that does not is Numaflow's business.
    let patch = |spec: Value| {
        let patch = json!({ "spec": { "jetstream": spec } }).to_string();
        guarded.kubectl(&["patch", "isbsvc", "default", "--type=merge", "--dry-run=server", "-p", &patch])
    };
    let said = patch(json!({ "encryption": true }));
    assert!(said.code != 0 && said.err.contains("encryption-toggle"), "{said:?}");
    patch(json!({ "nodeSelector": { "disk": "fast" } })).ok();

    // The plugin shows how it is, by the servers' own words.
    let said = guarded.isbsvc(&["status", "-o", "json"]);
    let shown: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    assert_eq!((said.code, &shown["verdict"]["level"]), (0, &json!("healthy")), "{said:?}");

    // What is to be written may not be written, nor read: not a service, none of its objects, no Secret but the webhook's.
    let account = format!("system:serviceaccount:{GUARD}:isbsvc-controller");
    for what in [
        "interstepbufferservices.numaflow.numaproj.io",
        "interstepbufferservices.numaflow.numaproj.io/status",
        "statefulsets.apps",
        "services",
        "configmaps",
        "secrets",
        "poddisruptionbudgets.policy",
        "persistentvolumeclaims",
        "pods",
    ] {
        for verb in ["get", "list", "watch", "create", "update", "patch", "delete"] {
            let (resource, subresource) = what.split_once('/').unwrap_or((what, ""));
            let said = guarded.kubectl(&["auth", "can-i", verb, resource, "--subresource", subresource, "--as", &account]);
            assert_eq!(said.out.trim(), "no", "{verb} {what}: {said:?}");
        }
    }
    for (verb, what) in [("patch", "validatingwebhookconfigurations/isbsvc-webhook"), ("create", "mutatingwebhookconfigurations")] {
        assert_eq!(cluster.kubectl(&["auth", "can-i", verb, what, "--as", &account]).out.trim(), "yes", "{verb} {what}");
    }
    for verb in ["get", "delete", "list"] {
        let said = namespace.kubectl(&["auth", "can-i", verb, "secrets", "--as", &account]);
        assert_eq!(said.out.trim(), "no", "{verb} any secret of its own namespace");
    }
    assert_eq!(everything(&guarded), before, "nothing of the service was written");
    let log = namespace.kubectl(&["logs", "deployment/isbsvc-controller"]).ok();
    assert!(!log.contains("forbidden") && !log.contains("cannot be watched"), "it has all the rights that it uses: {log}");
    for object in guard(&cluster).iter().filter(|object| object["kind"].as_str().is_some_and(|kind| kind.starts_with("Cluster"))) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        cluster.kubectl(&["delete", &text(&object["kind"]), &text(&object["metadata"]["name"])]).ok();
    }
}

/// Version of the service and of each of its objects but for pods, whose status moves.
fn everything(namespace: &isbsvc_tests::cluster::Namespace<'_>) -> String {
    let kinds = "isbsvc,statefulset,service,configmap,secret,poddisruptionbudget";
    let path = "jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.resourceVersion}{\"\\n\"}{end}";
    namespace.kubectl(&["get", kinds, "-o", path]).ok()
}
