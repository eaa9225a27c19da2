//! Defects of the reference that are states, each with a test that fails on the described behaviour. `docs/defects.md` lists all of them, with their numbers.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

#[path = "defects/data.rs"]
mod data;
#[path = "defects/pods.rs"]
mod pods;
#[path = "defects/reconciliation.rs"]
mod reconciliation;
#[path = "defects/secrets.rs"]
mod secrets;

use std::collections::BTreeSet;

use base64::Engine as _;
use isbsvc::api::names;
use isbsvc::controller_config::ControllerConfig;
use isbsvc::plan::{Action, ChildKind};
use isbsvc::rules::{self, Level, Levels, Request};
use isbsvc_tests::fixtures::service;
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

fn jetstream(more: &Value) -> Value {
    let mut spec = json!({ "version": "2.12.7", "replicas": 3 });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({ "jetstream": spec })
}

/// A service that is healthy.
fn healthy(more: &Value) -> Simulator {
    let mut simulator = Simulator::new(&jetstream(more));
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    assert!(simulator.service().status.expect("a status").is_healthy());
    simulator
}

fn set(simulator: &Simulator) -> Value {
    simulator.children[&(ChildKind::StatefulSet, names::stateful_set("default"))]["spec"].clone()
}

fn pod(simulator: &Simulator) -> Value {
    set(simulator)["template"]["spec"].clone()
}

/// The container of the server.
fn main(simulator: &Simulator) -> Value {
    pod(simulator)["containers"][0].clone()
}

fn config(simulator: &Simulator) -> String {
    let map = &simulator.children[&(ChildKind::ConfigMap, names::config_map("default"))];
    map["data"]["nats-js"].as_str().unwrap_or_default().to_owned()
}

fn variable(simulator: &Simulator, name: &str) -> Option<Value> {
    let main = main(simulator);
    main["env"].as_array().and_then(|env| env.iter().find(|variable| variable["name"] == name)).cloned()
}

/// Files of the configuration folder that the configuration names.
fn files(config: &str) -> BTreeSet<String> {
    let names = config.split("/etc/nats-config/").skip(1);
    names.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
}

/// Files that the pod has there.
fn projected(simulator: &Simulator) -> BTreeSet<String> {
    let volumes = pod(simulator)["volumes"].clone();
    let sources = volumes[1]["projected"]["sources"].as_array().cloned().unwrap_or_default();
    let items = sources.iter().flat_map(|source| {
        let items = source["secret"]["items"].as_array().or_else(|| source["configMap"]["items"].as_array());
        items.cloned().unwrap_or_default()
    });
    items.map(|item| item["path"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn defect_01_servers_offer_tls_to_clients_exactly_where_the_status_says_so() {
    for tls in [false, true] {
        let simulator = healthy(&json!({ "tls": tls }));
        let text = config(&simulator);
        let offered = text.lines().any(|line| line == "tls {");
        let status = simulator.service().status.and_then(|status| status.config?.jetstream?.tls_enabled);
        assert_eq!((offered, status.unwrap_or(false)), (tls, tls), "{text}");
    }
}

#[test]
fn defect_02_a_configuration_names_no_file_that_its_pods_lack() {
    for tls in [false, true] {
        let mut simulator = healthy(&json!({ "tls": tls }));
        assert!(files(&config(&simulator)).is_subset(&projected(&simulator)), "{:?}", files(&config(&simulator)));
        assert_eq!(files(&config(&simulator)).is_empty(), !tls);
        simulator.edit_spec("/jetstream/tls", json!(!tls));
        simulator.settle();
        assert!(files(&config(&simulator)).is_subset(&projected(&simulator)), "nor where a toggle came past the webhook");
        assert_eq!(files(&config(&simulator)).is_empty(), !tls);
    }
}

#[test]
fn defect_02_a_service_that_was_taken_over_gets_no_configuration_that_names_a_file_its_pods_lack() {
    for change in [("settings", json!("max_payload: 2097152\n")), ("replicas", json!(5))] {
        let mut simulator = isbsvc_tests::numaflow::simulated(&jetstream(&json!({ "tls": true })));
        simulator.settle();
        let found = config(&simulator);
        simulator.edit_spec(&format!("/jetstream/{}", change.0), change.1.clone());
        simulator.settle();
        let text = config(&simulator);
        assert_ne!(text, found, "{}: a text of ours", change.0);
        // The block for clients stands in both, and NATS takes the one that is included.
        let secret = &simulator.children[&(ChildKind::Secret, names::server_secret("default"))];
        let auth = base64::engine::general_purpose::STANDARD.decode(secret["data"]["auth"].as_str().unwrap_or_default()).expect("base64");
        let included = String::from_utf8(auth).expect("text");
        assert_eq!((files(&text).len(), files(&included).len()), (6, 3));
        for named in [&text, &included] {
            assert!(files(named).is_subset(&projected(&simulator)), "{}: {:?} of {:?}", change.0, files(named), projected(&simulator));
        }
    }
}

#[test]
fn defect_04_tls_is_warned_of_because_vertices_of_today_cannot_connect() {
    let new = service(&jetstream(&json!({ "tls": true })));
    let findings = rules::check(Request::create(&new), &ControllerConfig::built_in(), &Levels::default());
    let found = findings.iter().find(|finding| finding.field == "spec.jetstream.tls");
    assert!(found.is_some_and(|finding| finding.level == Level::Warn), "{findings:?}");
}

#[test]
fn defect_06_the_encryption_key_is_in_no_configuration() {
    let simulator = healthy(&json!({ "encryption": true }));
    let text = config(&simulator);
    assert!(text.contains("key: $JS_KEY") && !text.contains("encryption-"), "{text}");
    let key = variable(&simulator, "JS_KEY").expect("a key");
    assert!(key["valueFrom"]["secretKeyRef"].is_object() && key.get("value").is_none(), "{key}");
}

#[test]
fn defect_08_labels_owners_and_annotations_come_back_on_every_object() {
    let mut simulator = healthy(&json!({}));
    let wanted = simulator.children.clone();
    for (at, object) in &wanted {
        for field in ["labels", "ownerReferences", "annotations"] {
            if object["metadata"].get(field).is_none() {
                continue;
            }
            let metadata = simulator.children.get_mut(at).and_then(|object| object["metadata"].as_object_mut()).expect("metadata");
            metadata.remove(field);
            simulator.settle();
            assert_eq!(simulator.children[at]["metadata"][field], object["metadata"][field], "{at:?} {field}");
        }
    }
}

#[test]
fn defect_09_no_change_of_a_spec_touches_what_a_stateful_set_cannot_change() {
    let mut simulator = healthy(&json!({ "persistence": { "volumeSize": "10Gi" } }));
    let frozen = |simulator: &Simulator| {
        ["volumeClaimTemplates", "selector", "serviceName", "podManagementPolicy"].map(|field| set(simulator)[field].clone())
    };
    let before = frozen(&simulator);
    for (field, value) in [
        ("persistence", json!({ "volumeSize": "20Gi" })),
        ("persistence", json!({ "volumeSize": "10Gi", "storageClassName": "fast" })),
        ("persistence", json!(null)),
        ("replicas", json!(5)),
        ("metadata", json!({ "labels": { "team": "blue" } })),
        ("version", json!("latest")),
        ("nodeSelector", json!({ "disk": "fast" })),
    ] {
        simulator.edit_spec(&format!("/jetstream/{field}"), value);
        simulator.settle();
        assert_eq!(frozen(&simulator), before, "{field}");
    }
}

#[test]
fn defect_13_a_service_without_a_type_can_be_deleted() {
    for spec in [json!({}), json!({ "redis": { "native": { "version": "7" } } }), json!({ "redis": {} })] {
        let mut simulator = Simulator::new(&spec);
        simulator.object["metadata"]["finalizers"] = json!([names::FINALIZER, names::LEGACY_FINALIZER]);
        simulator.delete();
        simulator.settle();
        assert!(!simulator.exists(), "{spec}");
    }
}

#[test]
fn defect_14_finalizers_of_others_stay_and_a_list_that_changed_meanwhile_is_not_overwritten() {
    let mut simulator = Simulator::new(&jetstream(&json!({})));
    simulator.object["metadata"]["finalizers"] = json!(["example.com/theirs"]);
    let guarded = |plan: isbsvc::plan::Plan| {
        let action = plan.actions.into_iter().find(|action| matches!(action, Action::SetFinalizers { .. }));
        let Some(Action::SetFinalizers { precondition, .. }) = action else { panic!("no finalizers") };
        precondition.resource_version.is_some()
    };
    assert!(guarded(simulator.plan()));
    simulator.settle();
    assert_eq!(simulator.finalizers(), ["example.com/theirs", names::FINALIZER]);
    simulator.delete();
    for _ in 0..20 {
        if simulator.finalizers().len() == 1 {
            break;
        }
        simulator.step();
    }
    assert_eq!(simulator.finalizers(), ["example.com/theirs"]);
}

#[test]
fn defect_15_a_condition_keeps_its_time_as_long_as_its_status_stays() {
    let mut simulator = healthy(&json!({}));
    let time = |simulator: &Simulator| {
        let conditions = simulator.service().status.expect("a status").conditions;
        conditions.into_iter().map(|condition| condition.last_transition_time).collect::<Vec<_>>()
    };
    let before = time(&simulator);
    simulator.now = "2030-01-01T00:00:00Z".parse().expect("a time");
    simulator.pods.insert(names::pod("default", 1), false);
    simulator.settle();
    let status = simulator.service().status.expect("a status");
    assert!(status.message.is_some_and(|words| !words.is_empty()), "something else is written");
    assert_eq!(time(&simulator), before);
}

#[test]
fn defect_16_how_to_connect_stands_in_the_status_before_any_pod_is_there() {
    let mut simulator = Simulator::new(&jetstream(&json!({})));
    simulator.settle();
    let status = simulator.service().status.expect("a status");
    assert!(!status.is_healthy() && status.config.is_some_and(|config| config.jetstream.is_some()));
}

#[test]
fn defect_17_a_rollout_is_no_outage() {
    for strategy in ["RollingUpdate", "OnDelete"] {
        let mut simulator = healthy(&json!({}));
        let live = simulator.children.get_mut(&(ChildKind::StatefulSet, names::stateful_set("default"))).expect("made");
        live["status"] =
            json!({ "replicas": 3, "currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1, "currentReplicas": 2 });
        live["spec"]["updateStrategy"]["type"] = json!(strategy);
        simulator.pods.insert(names::pod("default", 2), false);
        simulator.settle();
        assert!(simulator.service().status.expect("a status").is_healthy(), "{strategy}: a quorum serves");
    }
    let mut nothing = healthy(&json!({}));
    nothing.pods.clear();
    nothing.servers.clear();
    nothing.settle();
    assert!(!nothing.service().status.expect("a status").is_healthy(), "no pods are no health");
}

#[test]
fn defect_18_numbers_are_written_as_they_were_given_and_nothing_else_gets_in() {
    let simulator = healthy(&json!({ "settings": "max_payload: 8388608\nmax_file_store: 1000000000000\nmax_memory_store: 2000000000\n" }));
    let text = config(&simulator);
    for line in ["max_payload: 8388608\n", "max_file_store: 1000000000000\n", "max_memory_store: 2000000000\n"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let denied = |spec: &Value| {
        let new = service(spec);
        let findings = rules::check(Request::create(&new), &ControllerConfig::built_in(), &Levels::default());
        rules::denials(&findings).count() > 0
    };
    for bad in ["max_payload: \"1}\\nauthorization {\"", "max_connections: 1", "store_dir: /tmp"] {
        assert!(denied(&jetstream(&json!({ "settings": bad }))), "{bad}");
    }
    for bad in ["--config=/tmp/x", "--store_dir=/tmp", "-js=false"] {
        assert!(denied(&jetstream(&json!({ "startArgs": [bad] }))), "{bad}");
    }
}

#[test]
fn defect_20_a_configuration_with_tls_has_no_tabs() {
    assert!(!config(&healthy(&json!({ "tls": true }))).contains('\t'));
}

#[test]
fn defect_21_a_container_template_replaces_what_it_names_and_nothing_else() {
    let before = main(&healthy(&json!({})));
    let after = main(&healthy(&json!({ "containerTemplate": { "resources": { "limits": { "cpu": "1" } } } })));
    assert_eq!(after["resources"], json!({ "limits": { "cpu": "1" } }));
    for field in ["securityContext", "imagePullPolicy", "env", "readinessProbe", "livenessProbe"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert!(before["securityContext"].is_object());
}

#[test]
fn defect_22_a_floating_version_keeps_the_image_that_runs() {
    let mut simulator = healthy(&json!({ "version": "latest" }));
    let before = set(&simulator);
    for entry in &mut simulator.config.jetstream.versions {
        entry.nats_image = "nats:99".to_owned();
    }
    simulator.settle();
    assert_eq!(set(&simulator), before);
}
