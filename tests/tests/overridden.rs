//! A rule that a person overrides: the controller carries the change out where the webhook recorded it, once, and for this object alone.

use isbsvc::api::names;
use isbsvc::plan::ChildKind;
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

fn healthy(replicas: i32) -> Simulator {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "replicas": replicas } }));
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    simulator
}

fn servers(simulator: &Simulator) -> Value {
    simulator.children[&(ChildKind::StatefulSet, names::stateful_set("default"))]["spec"]["replicas"].clone()
}

fn message(simulator: &Simulator) -> String {
    simulator.service().status.and_then(|status| status.message).unwrap_or_default()
}

/// Scales, with the record that the webhook would write for the change.
fn scale_with_record(simulator: &mut Simulator, replicas: i32, change: impl Fn(&mut Value)) {
    let old = &simulator.object["metadata"];
    let generation = old["generation"].as_i64().expect("a generation") + 1;
    let mut record = json!({ "rule": "replicas-shrink", "target": replicas.to_string(), "generation": generation, "uid": old["uid"] });
    change(&mut record);
    simulator.object["metadata"]["annotations"][names::OVERRIDDEN_ANNOTATION] = json!(json!([record]).to_string());
    simulator.edit_spec("/jetstream/replicas", json!(replicas));
}

#[test]
fn the_record_of_the_webhook_lets_the_change_through_once() {
    let mut simulator = healthy(5);
    scale_with_record(&mut simulator, 3, |_| {});
    simulator.settle();
    assert_eq!((servers(&simulator), message(&simulator).contains("Refused")), (json!(3), false));
    let status = simulator.service().status.expect("a status");
    assert_eq!(status.observed_generation, simulator.service().metadata.generation);

    // The record is still there, and spent.
    simulator.edit_spec("/jetstream/replicas", json!(5));
    simulator.settle();
    simulator.edit_spec("/jetstream/replicas", json!(3));
    simulator.settle();
    assert!(message(&simulator).contains("replicas-shrink"), "{}", message(&simulator));
    assert_eq!(servers(&simulator), json!(5));
}

#[test]
fn a_record_of_another_object_or_target_and_the_users_own_annotation_let_nothing_through() {
    for change in [
        |record: &mut Value| record["uid"] = json!("of-another"),
        |record: &mut Value| record["target"] = json!("4"),
        |record: &mut Value| record["rule"] = json!("version-downgrade"),
        |record: &mut Value| record["generation"] = json!(1),
    ] {
        let mut simulator = healthy(5);
        simulator.object["metadata"]["annotations"][names::OVERRIDE_ANNOTATION] = json!("replicas-shrink=3");
        scale_with_record(&mut simulator, 3, change);
        simulator.settle();
        assert_eq!(servers(&simulator), json!(5));
        assert!(message(&simulator).starts_with("Refused: ") && message(&simulator).contains("replicas-shrink"), "{}", message(&simulator));
    }
}

#[test]
fn an_override_of_one_rule_lifts_no_other() {
    let mut simulator = healthy(5);
    simulator.edit_spec("/jetstream/encryption", json!(true));
    scale_with_record(&mut simulator, 3, |_| {});
    simulator.settle();
    assert_eq!(servers(&simulator), json!(5), "the refused spec is held back whole");
    assert!(message(&simulator).contains("encryption-toggle"), "{}", message(&simulator));
}

#[test]
fn an_older_version_is_carried_out() {
    let mut simulator = healthy(3);
    let old = simulator.object["metadata"].clone();
    let generation = old["generation"].as_i64().expect("a generation") + 1;
    let record = json!([{ "rule": "version-downgrade", "target": "2.10.29", "generation": generation, "uid": old["uid"] }]);
    simulator.object["metadata"]["annotations"][names::OVERRIDDEN_ANNOTATION] = json!(record.to_string());
    simulator.edit_spec("/jetstream/version", json!("2.10.29"));
    simulator.settle();
    let set = &simulator.children[&(ChildKind::StatefulSet, names::stateful_set("default"))];
    assert!(set["spec"]["template"].to_string().contains("nats:2.10.29"), "{set}");
}
