//! Services that cannot be read, and services whose type the definition lost (defects 12 and 13 of the field notes).

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use isbsvc::api::{CONDITION_CONFIGURED, Phase, names};
use isbsvc::observed::PipelineUse;
use isbsvc::plan::{Action, ChildKind, EventType};
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

fn healthy() -> Simulator {
    let mut simulator =
        Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "replicas": 3, "persistence": { "volumeSize": "10Gi" } } }));
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    assert!(simulator.service().status.expect("a status").is_healthy());
    simulator
}

fn claim(simulator: &mut Simulator) {
    let claim = names::claim("default", 0);
    let object = json!({ "metadata": { "name": claim, "uid": "uid-claim" } });
    simulator.children.insert((ChildKind::PersistentVolumeClaim, claim), object);
}

/// What is taken away, in order, until the service is gone.
fn taken_down(simulator: &mut Simulator) -> Vec<String> {
    let mut order = Vec::new();
    for _ in 0..10 {
        if !simulator.exists() {
            return order;
        }
        order.extend(simulator.step().actions.into_iter().filter_map(|action| match action {
            Action::Delete { kind, .. } => Some(format!("{kind:?}")),
            Action::SetFinalizers { .. } => Some("finalizer".to_owned()),
            _ => None,
        }));
    }
    panic!("still there: {order:?}");
}

#[test]
fn a_new_service_that_cannot_be_read_is_told_with_its_field() {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "replicas": "three" } }));
    let plan = simulator.step();
    let status = simulator.service().status.expect("a status");
    let condition = status.condition(CONDITION_CONFIGURED).expect("it is told");
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "InvalidSpec"));
    assert!(condition.message.starts_with("spec.jetstream.replicas: invalid type: string"), "{}", condition.message);
    assert_eq!(status.phase, Some(Phase::Failed));
    assert!(simulator.children.is_empty() && simulator.finalizers().is_empty());
    let [event] = plan.events.as_slice() else { panic!("one event: {:?}", plan.events) };
    assert_eq!((event.type_, event.reason), (EventType::Warning, "InvalidSpec"));
    assert!(event.note.contains("spec.jetstream.replicas"));
    let again = simulator.step();
    assert!(again.actions.is_empty() && again.events.is_empty(), "law quiet-when-done");
    simulator.edit_spec("/jetstream/replicas", json!(3));
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    assert!(simulator.service().status.expect("a status").is_healthy(), "mending the field is enough");
}

#[test]
fn law_refuse_without_harm_a_live_service_that_cannot_be_read_goes_on_and_is_repaired() {
    let mut simulator = healthy();
    let before = simulator.service().status.expect("a status");
    for (field, value) in [("/jetstream/replicas", json!("three")), ("/jetstream", json!(5)), ("/jetstream/affinity", json!([1]))] {
        let (good, children) = (simulator.object["spec"].clone(), simulator.children.clone());
        simulator.edit_spec(field, value);
        let plan = simulator.settle();
        let status = simulator.service().status.expect("a status");
        let message = status.message.clone().unwrap_or_default();
        assert!(message.starts_with(&format!("Refused: spec{}", field.replace('/', "."))), "{field}: {message}");
        assert_eq!((&status.conditions, status.phase, &status.config), (&before.conditions, before.phase, &before.config), "{field}");
        assert_eq!((status.observed_generation, &status.type_), (before.observed_generation, &before.type_), "{field}");
        assert_eq!(simulator.children, children, "{field}");
        assert!(plan.verdict.is_some_and(|verdict| verdict.servers_wanted == 3), "{field}: judged by the accepted spec");
        // Defect 12: what runs is repaired all the same.
        let set = (ChildKind::StatefulSet, names::stateful_set("default"));
        simulator.children.get_mut(&set).expect("made")["spec"]["replicas"] = json!(0);
        simulator.settle();
        assert_eq!(simulator.children[&set]["spec"]["replicas"], json!(3), "{field}");
        simulator.object["spec"] = good;
        simulator.object["metadata"]["generation"] = json!(1);
        simulator.settle();
        assert_eq!(simulator.service().status.expect("a status").message, None, "{field}");
    }
}

#[test]
fn a_live_service_of_somebody_else_that_cannot_be_read_keeps_its_conditions() {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": 5 } }));
    simulator.object["status"] = json!({ "phase": "Running", "conditions": [
        { "type": "Deployed", "status": "True", "reason": "Successful", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" }] });
    let foreign = isbsvc_tests::fixtures::observed("StatefulSet", "isbsvc-default-js");
    simulator.children.insert((ChildKind::StatefulSet, names::stateful_set("default")), foreign);
    let plan = simulator.step();
    let status = simulator.service().status.expect("a status");
    assert!(status.is_healthy());
    assert!(status.message.expect("words").contains("spec.jetstream.version: invalid type"));
    assert!(matches!(plan.events.as_slice(), [event] if event.type_ == EventType::Warning && event.reason == "InvalidSpec"));
}

#[test]
fn a_service_that_cannot_be_read_is_deleted_in_the_same_order() {
    for broken in [json!("three"), json!({ "replicas": [] })] {
        let mut simulator = healthy();
        claim(&mut simulator);
        simulator.edit_spec("/jetstream", broken);
        simulator.pipelines = vec![PipelineUse { name: "orders".to_owned(), deleting: false }];
        simulator.delete();
        simulator.settle();
        assert!(simulator.exists() && simulator.service().status.expect("a status").message.expect("words").contains("orders"));
        simulator.pipelines.clear();
        assert_eq!(taken_down(&mut simulator), ["StatefulSet", "PersistentVolumeClaim", "finalizer"]);
    }
}

#[test]
fn law_secret_silence_the_value_of_an_environment_variable_is_not_repeated() {
    let container = json!({ "env": [{ "name": "TOKEN", "value": 731_904 }] });
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "containerTemplate": container } }));
    let plan = simulator.step();
    let message = simulator.service().status.expect("a status").message.expect("words");
    assert!(message.contains("spec.jetstream.containerTemplate.env[0].value: invalid type"), "{message}");
    assert!(!format!("{message}{:?}{:?}", plan.events, plan.held).contains("731904"));
}

#[test]
fn a_status_that_cannot_be_read_is_written_anew_and_stops_nothing() {
    let mut simulator = healthy();
    let before = simulator.service().status.expect("a status");
    simulator.object["status"]["phase"] = json!("Elsewhere");
    simulator.object["status"]["observedGeneration"] = json!("one");
    assert_eq!(simulator.service().status.expect("a status").config, before.config, "what can be read is read");
    simulator.settle();
    assert_eq!(simulator.service().status.expect("a status"), before);
}

/// Numaflow's definition of today has no `spec.redis`: the API server drops it from what is read and from what is stored.
fn pruned(status: &Value, annotations: &Value) -> Simulator {
    let mut simulator = Simulator::new(&json!({}));
    simulator.object["metadata"]["finalizers"] = json!([names::FINALIZER]);
    simulator.object["metadata"]["annotations"] = annotations.clone();
    simulator.object["status"] = status.clone();
    simulator
}

#[test]
fn a_service_of_redis_whose_type_vanished_is_left_as_it_is() {
    let applied = json!({ "spec": { "redis": { "external": { "url": "redis:6379" } } } }).to_string();
    for (status, annotations) in [
        (json!({ "phase": "Running", "type": "redis" }), json!({})),
        (json!({}), json!({ "kubectl.kubernetes.io/last-applied-configuration": applied })),
    ] {
        let mut simulator = pruned(&status, &annotations);
        let plan = simulator.step();
        assert_eq!(plan.actions, [], "{status}");
        assert!(plan.held.is_some_and(|why| why.contains("spec.redis is gone")), "{status}");
        assert!(isbsvc::plan::vanished(&simulator.service()).is_some());
        // Its pods, with the labels of every service, are no reason to wait: they go with their owner (defect 13).
        simulator.pods.insert("isbsvc-default-redis-0".to_owned(), true);
        simulator.delete();
        assert_eq!(taken_down(&mut simulator), ["finalizer"], "{status}");
    }
}

#[test]
fn a_live_jetstream_service_whose_type_vanished_is_a_refused_change() {
    let mut simulator = healthy();
    let children = simulator.children.clone();
    simulator.object["spec"] = json!({});
    simulator.settle();
    assert_eq!(simulator.children, children);
    let status = simulator.service().status.expect("a status");
    assert!(status.is_healthy() && status.message.expect("words").starts_with("Refused:"));
}

#[test]
fn a_service_of_redis_that_cannot_be_read_keeps_the_words_of_who_serves_it() {
    let mut simulator = Simulator::new(&json!({ "redis": { "native": { "replicas": "three" } } }));
    simulator.object["status"] =
        json!({ "phase": "Running", "type": "redis", "config": { "redis": { "url": "isbsvc-default-redis-svc.ns.svc:6379" } } });
    let plan = simulator.step();
    assert_eq!(plan.actions, []);
    assert!(plan.held.is_some_and(|why| why.starts_with("spec.redis.native.replicas")));
}

/// The definition takes a whole number of bytes, and so do we, also above what 32 bits hold.
#[test]
fn a_size_of_volumes_that_is_a_large_number_is_read() {
    let mut simulator = Simulator::new(
        &json!({ "jetstream": { "version": "2.12.7", "replicas": 3, "persistence": { "volumeSize": 21_474_836_480_i64 } } }),
    );
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    assert!(simulator.service().status.expect("a status").is_healthy());
    let set = &simulator.children[&(ChildKind::StatefulSet, names::stateful_set("default"))];
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"], json!("21474836480"));
    simulator.edit_spec("/jetstream/persistence/volumeSize", json!("20Gi"));
    simulator.settle();
    assert_eq!(simulator.service().status.expect("a status").message, None, "the same size in other words");
}
