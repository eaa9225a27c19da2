//! Kubernetes' own edge cases of an admission review, as kubectl makes the API server send them. Those that no client can make it send are in
//! `webhook/tests/reviews.rs`.

use isbsvc::api::names;
use isbsvc_tests::cluster::{Cluster, Said, service_of};
use serde_json::{Value, json};

/// A service that no controller looks after.
fn unattended(more: &Value) -> Value {
    serde_json::from_str(&service_of("nobody", "default", more)).expect("ours")
}

fn refused(said: &Said, rule: &str) {
    assert!(said.code != 0 && said.err.contains(&format!("({rule})")), "{rule}: {said:?}");
}

#[test]
fn objects_without_a_name_dry_runs_and_every_way_to_write_one() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-edges");
    let write = |arguments: &[&str], object: &Value| namespace.kubectl_stdin(&[arguments, &["-f", "-"]].concat(), &object.to_string());

    // The API server makes the name after it has asked, so that a rule about names has nothing to say; all others do.
    let mut unnamed = unattended(&json!({}));
    unnamed["metadata"] = json!({ "generateName": "made-", "annotations": unnamed["metadata"]["annotations"] });
    unnamed["spec"]["jetstream"]["persistence"] = json!({});
    let made: Value = serde_json::from_str(&write(&["create", "-o", "json"], &unnamed).ok()).expect("JSON");
    assert!(made["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("made-")), "{made}");
    assert_eq!(made["spec"]["jetstream"]["persistence"], json!({ "accessMode": "ReadWriteOnce", "volumeSize": "20Gi" }));
    unnamed["spec"]["jetstream"]["startArgs"] = json!(["-p=1"]);
    refused(&write(&["create"], &unnamed), "start-args");

    // A dry run answers as the real one, and leaves nothing.
    let object = unattended(&json!({ "replicas": 5 }));
    let dry: Value = serde_json::from_str(&write(&["create", "--dry-run=server", "-o", "json"], &object).ok()).expect("JSON");
    assert_ne!(namespace.kubectl(&["get", "isbsvc", "default"]).code, 0);
    let real: Value = serde_json::from_str(&write(&["create", "-o", "json"], &object).ok()).expect("JSON");
    assert_eq!(dry["spec"], real["spec"]);

    // One refusal, whichever way the change is written; and each way can write what is allowed.
    let mut toggled = object.clone();
    toggled["spec"]["jetstream"]["encryption"] = json!(true);
    let mut fine = object.clone();
    fine["spec"]["jetstream"]["nodeSelector"] = json!({ "disk": "fast" });
    for (change, allowed) in [(&toggled, false), (&fine, true)] {
        for arguments in [
            &["apply"][..],
            &["apply", "--server-side", "--force-conflicts"],
            &["apply", "--server-side", "--force-conflicts", "--dry-run=server"],
            &["apply", "--server-side", "--field-manager=argocd", "--force-conflicts"],
            &["replace"],
        ] {
            let said = write(arguments, change);
            if allowed {
                assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
            } else {
                refused(&said, "encryption-toggle");
            }
        }
        let merge = json!({ "spec": change["spec"] }).to_string();
        let places = json!([{ "op": "add", "path": "/spec/jetstream/encryption", "value": !allowed }]).to_string();
        for arguments in [["--type=merge", "-p", &merge], ["--type=json", "-p", &places]] {
            let said = namespace.kubectl(&[&["patch", "isbsvc", "default"], &arguments[..]].concat());
            if allowed {
                assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
            } else {
                refused(&said, "encryption-toggle");
            }
        }
    }
    // Another object of the same name is another object.
    write(&["replace", "--force", "--timeout=60s"], &toggled).ok();
}

#[test]
fn what_is_not_the_spec_is_not_judged() {
    let cluster = Cluster::from_environment();
    // Nobody judges what is made here, so that there is something wrong to begin with.
    let namespace = cluster.kube_system("test-edges");
    let mut wrong: Value =
        serde_json::from_str(&service_of("nobody", "test-edges", &json!({ "version": "no-such", "startArgs": ["-p=1"] }))).expect("ours");
    wrong["spec"]["jetstream"]["replicas"] = json!(2);
    namespace.apply(&wrong.to_string()).ok();
    let this = "isbsvc/test-edges";
    let status = json!({ "status": { "phase": "Running", "message": "of a test" } }).to_string();
    for arguments in [
        &["label", this, "team=a"][..],
        &["annotate", this, "team=a"],
        &["patch", this, "--type=merge", "--subresource=status", "-p", &status],
        &["patch", this, "--type=merge", "-p", r#"{"metadata":{"finalizers":["example.com/a"]}}"#],
        &["patch", this, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#],
    ] {
        namespace.kubectl(arguments).ok();
    }
    let live = namespace.get(this);
    assert_eq!((&live["status"]["message"], &live["spec"]["jetstream"]["replicas"]), (&json!("of a test"), &json!(2)));
    assert_eq!(live["metadata"]["annotations"][names::OVERRIDDEN_ANNOTATION], Value::Null);
    namespace.kubectl(&["delete", this, "--timeout=60s"]).ok();
}
