//! What is refused, or is not ours: the running service goes on.

use isbsvc::api::names;
use isbsvc::observed::Fact;
use isbsvc::plan::ChildKind;
use isbsvc_tests::simulator::{Simulator, server};
use serde_json::json;

use super::{healthy, three};

#[test]
fn law_refuse_without_harm_what_was_accepted_is_known_without_stateful_set_and_config_map() {
    let mut simulator = healthy(&three());
    simulator.claim();
    for at in [(ChildKind::StatefulSet, names::stateful_set("default")), (ChildKind::ConfigMap, names::config_map("default"))] {
        simulator.children.remove(&at);
    }
    simulator.pods.clear();
    simulator.edit_spec("/jetstream/encryption", json!(true));
    simulator.settle();
    let message = simulator.service().status.expect("a status").message.expect("words");
    assert!(message.contains("encryption-toggle"), "the volumes still hold what was stored: {message}");
    let text = simulator.children[&(ChildKind::ConfigMap, names::config_map("default"))]["data"][names::CONFIG_KEY].clone();
    assert!(!text.as_str().unwrap_or_default().contains("key:"), "law drift-is-repaired, by the accepted spec: {text}");
}

#[test]
fn law_refuse_without_harm_the_instance_of_a_live_service_does_not_change() {
    let mut simulator = healthy(&three());
    let good = simulator.children.clone();
    simulator.object["metadata"]["annotations"] = json!({ names::INSTANCE_ANNOTATION: "blue" });
    simulator.settle();
    let status = simulator.service().status.expect("a status");
    assert!(status.is_healthy() && status.message.expect("words").contains("instance-change"));
    assert_eq!(simulator.children, good);
    let live = simulator.children.get_mut(&(ChildKind::StatefulSet, names::stateful_set("default"))).expect("made");
    live["spec"]["replicas"] = json!(0);
    simulator.settle();
    let set = &simulator.children[&(ChildKind::StatefulSet, names::stateful_set("default"))];
    assert_eq!(set["spec"]["replicas"], json!(3), "law drift-is-repaired goes on");
}

#[test]
fn what_belongs_to_somebody_else_is_never_written_over() {
    let theirs = json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-2" }]);
    for (kind, name) in [
        (ChildKind::StatefulSet, names::stateful_set("default")),
        (ChildKind::Service, names::service("default")),
        (ChildKind::ConfigMap, names::config_map("default")),
        (ChildKind::Secret, names::server_secret("default")),
    ] {
        let mut simulator = Simulator::new(&three());
        simulator.put(kind, json!({ "metadata": { "name": name, "ownerReferences": theirs }, "spec": { "template": {} } }));
        let before = simulator.children.clone();
        let plan = simulator.settle();
        assert!(plan.held.is_some_and(|why| why.contains(&name)), "{kind:?}");
        assert_eq!(simulator.children, before, "{kind:?}: and nothing half made beside it");
        // It keeps the service from being made, and not from being deleted.
        simulator.object["metadata"]["finalizers"] = json!([names::FINALIZER]);
        simulator.delete();
        simulator.settle();
        assert!(!simulator.exists());
        assert_eq!(simulator.children, before, "{kind:?}");
    }
}

#[test]
fn refuse_without_harm() {
    let mut simulator = healthy(&three());
    let before = simulator.service().status.expect("a status");
    for (field, value, rule) in [
        ("/jetstream/encryption", json!(true), "encryption-toggle"),
        ("/jetstream/tls", json!(true), "tls-toggle"),
        ("/jetstream/replicas", json!(1), "replicas-cluster-switch"),
        ("/jetstream/version", json!("2.10.29"), "version-downgrade"),
        ("/jetstream/persistence", json!(null), "persistence-change"),
        ("/jetstream/persistence", json!({ "volumeSize": "20Gi" }), "persistence-change"),
        ("/jetstream", json!(null), "type-change"),
    ] {
        let good = simulator.object["spec"].clone();
        let children = simulator.children.clone();
        simulator.edit_spec(field, value);
        let plan = simulator.settle();
        let status = simulator.service().status.expect("a status");
        let message = status.message.clone().unwrap_or_default();
        assert!(message.starts_with("Refused:") && message.contains(rule), "{field}: {message}");
        assert_eq!((&status.conditions, status.phase, &status.config), (&before.conditions, before.phase, &before.config), "{field}");
        assert_eq!(status.observed_generation, before.observed_generation, "{field}");
        assert_eq!(simulator.children, children, "{field}: nothing of the refused spec is carried out");
        assert!(plan.held.is_none());
        // Drift is still repaired, from the accepted spec.
        let set = (ChildKind::StatefulSet, names::stateful_set("default"));
        simulator.children.get_mut(&set).expect("made")["spec"]["replicas"] = json!(0);
        simulator.settle();
        assert_eq!(simulator.children[&set]["spec"]["replicas"], json!(3), "{field}");
        simulator.object["spec"] = good;
        simulator.object["metadata"]["generation"] = json!(1);
        simulator.settle();
        assert_eq!(simulator.service().status.expect("a status").message, None, "{field}: taking the change back clears the refusal");
    }
}

#[test]
fn a_refused_change_stays_refused_when_the_stateful_set_is_deleted() {
    let mut simulator = healthy(&three());
    simulator.edit_spec("/jetstream/encryption", json!(true));
    simulator.settle();
    simulator.children.remove(&(ChildKind::StatefulSet, names::stateful_set("default")));
    simulator.settle();
    let config = simulator.children[&(ChildKind::ConfigMap, names::config_map("default"))]["data"].to_string();
    assert!(!config.contains("JS_KEY"), "the volumes hold messages that are not encrypted");
    assert!(simulator.service().status.expect("a status").message.expect("words").starts_with("Refused:"));
}

#[test]
fn a_stateful_set_of_somebody_else_is_left_alone() {
    let mut simulator = Simulator::new(&three());
    let foreign = isbsvc_tests::fixtures::observed("StatefulSet", "isbsvc-default-js");
    simulator.children.insert((ChildKind::StatefulSet, names::stateful_set("default")), foreign.clone());
    let plan = simulator.settle();
    assert!(plan.held.is_some_and(|why| why.contains("made by somebody else")));
    assert_eq!(simulator.children.len(), 1);
    assert_eq!(simulator.children[&(ChildKind::StatefulSet, names::stateful_set("default"))], foreign);
}

#[test]
fn an_invalid_spec_is_named_and_nothing_is_made() {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "9.9.9" } }));
    let plan = simulator.settle();
    assert!(simulator.children.is_empty() && plan.held.is_some());
    let status = simulator.service().status.expect("a status");
    assert!(status.message.expect("words").contains("version-known"));
    simulator.edit_spec("/jetstream/version", json!("2.12.7"));
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    assert!(simulator.service().status.expect("a status").is_healthy(), "mending the spec is enough");
}

#[test]
fn an_invalid_service_of_somebody_else_goes_on_as_it_is() {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "replicas": 2 } }));
    simulator.object["status"] = json!({ "phase": "Running", "conditions": [
        { "type": "Deployed", "status": "True", "reason": "Successful", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" }] });
    simulator.children.insert(
        (ChildKind::StatefulSet, names::stateful_set("default")),
        isbsvc_tests::fixtures::observed("StatefulSet", "isbsvc-default-js"),
    );
    simulator.settle();
    let status = simulator.service().status.expect("a status");
    assert!(status.is_healthy() && status.message.expect("words").contains("made by somebody else"));
}

#[test]
fn an_accepted_spec_that_cannot_be_read_stops_us() {
    let mut simulator = healthy(&three());
    for text in ["{}", "{", "null"] {
        let set = (ChildKind::StatefulSet, names::stateful_set("default"));
        simulator.children.get_mut(&set).expect("made")["metadata"]["annotations"][names::ACCEPTED_SPEC_ANNOTATION] = json!(text);
        simulator.edit_spec("/jetstream/encryption", json!(true));
        assert!(simulator.settle().held.expect("words").contains("cannot be read"), "{text}");
    }
}

#[test]
fn law_honest_health_a_refused_change_hides_no_warning() {
    let mut simulator = healthy(&three());
    simulator.edit_spec("/jetstream/encryption", json!(true));
    simulator.settle();
    simulator.pods.insert(names::pod("default", 2), false);
    let plan = simulator.step();
    let message = simulator.service().status.expect("a status").message.expect("words");
    assert!(message.starts_with("Refused:") && message.contains("2 of 3 servers are ready"), "{message}");
    assert_eq!(plan.events, [], "of pods that come and go Kubernetes tells itself");
    let mut full = server("isbsvc-default-js-1", 3, Some("isbsvc-default-js-0"));
    let store = full.jetstream.as_mut().expect("it is on");
    (store.storage, store.max_storage) = (80, 100);
    simulator.servers.insert(full.name.clone(), Fact::Known(full));
    let plan = simulator.step();
    assert!(plan.events.iter().any(|event| event.reason == "StoreFull"), "{:?}", plan.events);
    assert_eq!(simulator.step().events, [], "once");
}
