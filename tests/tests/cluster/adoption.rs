//! A service that Numaflow's controller made is taken over: nothing restarts, no Secret and no byte of the status changes, the fields are ours, and from
//! then on what somebody edits comes back.

use isbsvc::plan::differences;
use isbsvc_tests::cluster::{Cluster, Controller, MINUTE, Namespace, eventually, service_of};
use serde_json::{Value, json};

use super::numaflow::{Numaflow, Variant};

const CHILDREN: [&str; 3] = ["statefulset/isbsvc-default-js", "service/isbsvc-default-js-svc", "configmap/isbsvc-default-js-config"];

/// All that must be the same before and after.
#[derive(Debug, PartialEq)]
struct Standing {
    pods: Vec<(Value, Value, Vec<Value>)>,
    revisions: (Value, Value),
    secrets: Vec<Value>,
    config_map: Value,
    status: Value,
}

impl Standing {
    fn of(namespace: &Namespace<'_>) -> Self {
        let items = |what: &str| {
            let arguments = ["get", what, "-l", "numaflow.numaproj.io/isbsvc-name=default", "-o", "json"];
            let list: Value = serde_json::from_str(&namespace.kubectl(&arguments).ok()).unwrap_or_else(|error| panic!("{error}"));
            list["items"].as_array().cloned().unwrap_or_default()
        };
        let restarts = |pod: &Value| {
            let containers = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
            containers.into_iter().map(|container| container["restartCount"].clone()).collect()
        };
        let set = namespace.get(CHILDREN[0]);
        let status = namespace.get("isbsvc/default")["status"].clone();
        Self {
            pods: items("pods")
                .iter()
                .map(|pod| (pod["metadata"]["name"].clone(), pod["metadata"]["uid"].clone(), restarts(pod)))
                .collect(),
            revisions: (set["status"]["currentRevision"].clone(), set["status"]["updateRevision"].clone()),
            secrets: items("secrets")
                .iter()
                .map(|secret| json!([secret["metadata"]["name"], secret["metadata"]["uid"], secret["data"]]))
                .collect(),
            config_map: namespace.get(CHILDREN[2])["data"].clone(),
            status,
        }
    }
}

/// Who owns fields of an object itself, not of its status.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut managers: Vec<_> = entries
        .filter(|entry| entry.get("subresource").is_none())
        .map(|entry| format!("{} {}", entry["manager"].as_str().unwrap_or_default(), entry["operation"].as_str().unwrap_or_default()))
        .collect();
    managers.sort();
    managers.dedup();
    managers
}

fn with_managers(namespace: &Namespace<'_>, what: &str) -> Value {
    let text = namespace.kubectl(&["get", what, "-o", "json", "--show-managed-fields"]).ok();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// Waits until the service is ours: every child has no owner of fields but us.
#[track_caller]
fn taken_over(namespace: &Namespace<'_>) {
    for child in CHILDREN {
        eventually(&format!("{}: {child} is ours", namespace.name), MINUTE, || {
            let found = managers(&with_managers(namespace, child));
            let ours = found.iter().all(|manager| manager.starts_with("isbsvc-controller ")) && !found.is_empty();
            if ours { Ok(()) } else { Err(format!("{found:?}; {}", namespace.get("isbsvc/default")["status"]["message"])) }
        });
    }
}

/// Made by Numaflow's controller, taken over by ours; both on the real cluster.
fn take_over(name: &str, variant: Variant) {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace(name);
    let numaflow = Numaflow::start(&namespace);
    let service = numaflow.make(variant, &json!({ "numaflow.numaproj.io/instance": name }));
    numaflow.healthy(&service);
    let before = Standing::of(&namespace);
    assert_eq!(before.pods.len(), usize::try_from(variant.replicas).unwrap_or_default());

    let _controller = Controller::start(&namespace, "taker", &[]);
    taken_over(&namespace);
    let status = namespace.healthy("default");
    assert!(status["message"].as_str().is_none_or(str::is_empty), "{status}");
    assert_eq!(Standing::of(&namespace), before);

    repaired(&namespace);
    let after = Standing::of(&namespace);
    assert_eq!(
        (&after.pods, &after.revisions, &after.secrets, &after.status["config"]),
        (&before.pods, &before.revisions, &before.secrets, &before.status["config"])
    );

    template_repaired(&namespace);
    namespace.healthy("default");
    told(&namespace, &numaflow);
}

/// Every kind of edit that needs no restart, and that is back afterwards.
fn repaired(namespace: &Namespace<'_>) {
    let [set, service, config] = CHILDREN;
    let label = "/metadata/labels/app.kubernetes.io~1part-of";
    for (what, patch) in [
        (service, json!([{ "op": "replace", "path": "/spec/publishNotReadyAddresses", "value": false }])),
        (service, json!([{ "op": "replace", "path": "/spec/ports/0/port", "value": 4333 }])),
        (service, json!([{ "op": "remove", "path": "/spec/ports/3" }])),
        (service, json!([{ "op": "add", "path": "/spec/ports/-", "value": { "name": "extra", "port": 9999, "targetPort": 9999 } }])),
        (service, json!([{ "op": "add", "path": "/spec/selector/example.com~1extra", "value": "x" }])),
        (service, json!([{ "op": "remove", "path": label }])),
        (service, json!([{ "op": "remove", "path": "/metadata/ownerReferences" }])),
        (config, json!([{ "op": "replace", "path": "/data/nats-js", "value": "port: 1" }])),
        (config, json!([{ "op": "remove", "path": "/data" }])),
        (set, json!([{ "op": "replace", "path": "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", "value": "Delete" }])),
        (set, json!([{ "op": "remove", "path": label }])),
        (set, json!([{ "op": "remove", "path": "/metadata/annotations/numaflow.numaproj.io~1accepted-spec" }])),
    ] {
        comes_back(namespace, what, &patch);
    }
}

/// An item added to, changed in and removed from lists of the pod template. The StatefulSet may have begun to roll in between, so pods may be new.
fn template_repaired(namespace: &Namespace<'_>) {
    let env = "/spec/template/spec/containers/0/env";
    comes_back(
        namespace,
        CHILDREN[0],
        &json!([
            { "op": "replace", "path": format!("{env}/1/value"), "value": "other" },
            { "op": "remove", "path": format!("{env}/3") },
            { "op": "add", "path": format!("{env}/-"), "value": { "name": "EXTRA", "value": "x" } },
            { "op": "add", "path": "/spec/template/spec/volumes/-", "value": { "name": "extra", "emptyDir": {} } },
            { "op": "remove", "path": "/spec/template/spec/containers/0/startupProbe" },
            { "op": "replace", "path": "/spec/template/spec/terminationGracePeriodSeconds", "value": 1 },
        ]),
    );
}

/// Numaflow's controller writes once more, as where nothing keeps it off: it is told of and not fought.
fn told(namespace: &Namespace<'_>, numaflow: &Numaflow<'_>) {
    let mut theirs = Value::Null;
    // The StatefulSet's own controller writes its status at the same time.
    eventually(&format!("{}: Numaflow's controller writes", namespace.name), MINUTE, || {
        theirs = namespace.get(CHILDREN[0]);
        theirs["spec"]["template"]["metadata"]["annotations"]["theirs"] = json!("yes");
        let said = numaflow.replace(&theirs);
        if said.code == 0 { Ok(()) } else { Err(said.err) }
    });
    eventually(&format!("{}: the status tells of the other writer", namespace.name), MINUTE, || {
        let message = namespace.get("isbsvc/default")["status"]["message"].to_string();
        if message.contains("was written by Numaflow's own controller") { Ok(()) } else { Err(message) }
    });
    // A look that follows from an event of the service itself changes nothing either.
    namespace.kubectl(&["annotate", "isbsvc/default", "example.com/touched=yes"]).ok();
    let live = namespace.get(CHILDREN[0]);
    assert_eq!(live["spec"]["template"]["metadata"]["annotations"]["theirs"], json!("yes"), "it stays");
    assert_eq!(live["metadata"]["generation"], json!(theirs["metadata"]["generation"].as_i64().unwrap_or(0) + 1), "one write, theirs");
}

/// A person edits, and soon everything is as before.
#[track_caller]
fn comes_back(namespace: &Namespace<'_>, what: &str, patch: &Value) {
    let wanted = |object: &Value| {
        let metadata = &object["metadata"];
        json!([metadata["labels"], metadata["annotations"], metadata["ownerReferences"], object["spec"], object["data"]])
    };
    let before = wanted(&namespace.get(what));
    namespace.kubectl(&["patch", what, "--type=json", "--field-manager=person", "-p", &patch.to_string()]).ok();
    eventually(&format!("{}: {what} after {patch}", namespace.name), MINUTE, || {
        let after = wanted(&namespace.get(what));
        if after == before { Ok(()) } else { Err(format!("{:?} {:?}", differences(&before, &after), differences(&after, &before))) }
    });
}

#[test]
fn one_server_is_taken_over() {
    take_over("test-adopt-one", Variant { replicas: 1, ..Variant::default() });
}

/// As the observed one: three servers, no volumes, `version: latest`.
#[test]
fn three_servers_are_taken_over() {
    take_over("test-adopt-three", Variant { replicas: 3, ..Variant::default() });
}

#[test]
fn a_server_with_tls_is_taken_over() {
    take_over("test-adopt-tls", Variant { replicas: 1, tls: true, ..Variant::default() });
}

#[test]
fn an_encrypted_server_with_a_volume_is_taken_over() {
    take_over("test-adopt-encrypted", Variant { replicas: 1, encryption: true, volumes: true, ..Variant::default() });
}

#[test]
#[ignore = "more pods than a small machine likes beside other tests; run by `cargo xtask test --full`"]
fn five_servers_are_taken_over() {
    take_over("test-adopt-five", Variant { replicas: 5, ..Variant::default() });
}

/// What stands beside our own keys in a map and is no business of anybody's: a StatefulSet with a
/// partition never rolls, and a pod with one more node label fits no node.
#[test]
fn keys_that_somebody_added_to_maps_of_ours_go_again() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-added");
    let _controller = Controller::start(&namespace, "one", &[]);
    namespace.apply(&service_of(&namespace.name, "default", &json!({ "replicas": 1 }))).ok();
    namespace.healthy("default");
    for (what, at, value) in [
        (CHILDREN[0], "/spec/updateStrategy/rollingUpdate", json!({ "partition": 5 })),
        (CHILDREN[0], "/spec/template/spec/nodeSelector", json!({ "example.com/extra": "x" })),
        (CHILDREN[0], "/spec/template/spec/hostNetwork", json!(true)),
    ] {
        comes_back(&namespace, what, &json!([{ "op": "add", "path": at, "value": value }]));
    }
}

/// By the controller in the cluster, with its own rights, when the annotation that kept it off goes.
#[test]
fn three_servers_with_everything_are_taken_over_when_the_pause_ends() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-adopt-paused");
    let numaflow = Numaflow::start(&namespace);
    let variant = Variant { replicas: 3, tls: true, encryption: true, volumes: true };
    let service = numaflow.make(variant, &json!({ "numaflow.numaproj.io/paused": "true" }));
    numaflow.healthy(&service);
    let before = Standing::of(&namespace);
    assert_eq!(managers(&with_managers(&namespace, CHILDREN[0])), ["numaflow Update"], "a paused service is left alone");
    namespace.kubectl(&["annotate", "isbsvc/default", "numaflow.numaproj.io/paused-"]).ok();
    taken_over(&namespace);
    namespace.healthy("default");
    assert_eq!(Standing::of(&namespace), before);
    repaired(&namespace);
    assert_eq!(Standing::of(&namespace).pods, before.pods);
    // Afterwards it can be deleted like any other.
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=120s"]).ok();
    let claims = namespace.kubectl(&["get", "persistentvolumeclaim", "-o", "name"]).ok();
    assert_eq!(claims.trim(), "");
}
