//! Numaflow's controller writes again after we took over.

use isbsvc::api::names;
use isbsvc::plan::Action;
use isbsvc_tests::simulator::{Simulator, managed};
use serde_json::json;

use super::{adopted, config_map, set, three};

/// Two controllers never fight: what Numaflow's writes after the takeover is reported, left alone for a while, and then taken as it runs.
#[test]
fn a_foreign_writer_is_reported_and_not_fought() {
    let (_, mut simulator) = adopted(&three());
    let now = simulator.now;
    let live = simulator.children.get_mut(&set()).expect("made");
    live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nats:2.12.8");
    managed(live, names::NUMAFLOW_MANAGER, "Update", now);
    for _ in 0..3 {
        let plan = simulator.step();
        assert!(plan.held.expect("words").contains("two controllers never fight"));
        assert!(plan.actions.iter().all(|action| matches!(action, Action::ApplyStatus { .. })), "{:?}", plan.actions);
    }
    let status = simulator.service().status.expect("a status");
    assert!(status.is_healthy() && status.message.expect("words").contains("manifests/handover"));
    simulator.now = now + jiff::SignedDuration::from_mins(11);
    simulator.settle();
    assert_eq!(simulator.children[&set()]["spec"]["template"]["spec"]["containers"][0]["image"], json!("nats:2.12.8"), "no second restart");
    assert_eq!(simulator.service().status.expect("a status").message, None);
    assert!(!simulator.children[&set()]["metadata"]["managedFields"].to_string().contains("\"numaflow\""));
}

#[test]
fn a_config_map_that_numaflows_controller_wrote_again_is_put_back_after_a_while() {
    let (before, mut simulator) = adopted(&three());
    let now = simulator.now;
    let live = simulator.children.get_mut(&config_map()).expect("made");
    live["data"][names::CONFIG_KEY] = json!("port: 1");
    managed(live, names::NUMAFLOW_MANAGER, "Update", now);
    let plan = simulator.settle();
    assert!(plan.actions.is_empty() && plan.foreign_writers.len() == 1);
    let status = simulator.service().status.expect("a status");
    assert!(status.is_healthy() && status.message.expect("words").starts_with("Warning: ConfigMap"));
    simulator.now = now + jiff::SignedDuration::from_mins(11);
    simulator.settle();
    assert_eq!(simulator.children[&config_map()]["data"], before.children[&config_map()]["data"]);
}

#[test]
fn numaflows_controller_that_writes_again_what_is_there_is_told_of_as_well() {
    let (_, mut simulator) = adopted(&three());
    let spec = simulator.children[&set()]["spec"].clone();
    let later = simulator.now + jiff::SignedDuration::from_secs(60);
    simulator.now = later;
    managed(simulator.children.get_mut(&set()).expect("made"), names::NUMAFLOW_MANAGER, "Update", later);
    let plan = simulator.settle();
    assert!(plan.foreign_writers.iter().any(|words| words.contains("StatefulSet")), "{:?}", plan.foreign_writers);
    assert!(simulator.children[&set()]["metadata"]["managedFields"].to_string().contains("\"numaflow\""), "left alone");
    simulator.now = later + jiff::SignedDuration::from_mins(11);
    simulator.settle();
    assert!(!simulator.children[&set()]["metadata"]["managedFields"].to_string().contains("\"numaflow\""));
    assert_eq!(simulator.children[&set()]["spec"], spec);
}

/// Whoever wrote meanwhile, what we accepted stays accepted, and what we refused stays refused.
#[test]
fn taking_over_again_lets_no_refused_change_pass() {
    let (_, mut simulator) = adopted(&three());
    simulator.edit_spec("/jetstream/settings", json!("max_payload: 1024\n"));
    simulator.settle();
    let refused = |simulator: &Simulator| simulator.service().status.expect("a status").message.expect("words").contains("payload-shrink");
    assert!(refused(&simulator));
    let now = simulator.now;
    let live = simulator.children.get_mut(&set()).expect("made");
    live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nats:2.12.8");
    managed(live, names::NUMAFLOW_MANAGER, "Update", now);
    simulator.settle();
    simulator.now = now + jiff::SignedDuration::from_mins(11);
    simulator.settle();
    assert!(refused(&simulator), "{:?}", simulator.service().status);
    let text = simulator.children[&config_map()]["data"][names::CONFIG_KEY].as_str().unwrap_or_default();
    assert!(text.contains("max_payload: 1048576\n"), "{text}");
}

/// Law honest-health: while another controller writes, nothing is written by us, and nobody says that all is well.
#[test]
fn servers_are_watched_while_a_foreign_writer_is_waited_for() {
    let (_, mut simulator) = adopted(&three());
    let now = simulator.now;
    let live = simulator.children.get_mut(&set()).expect("made");
    live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("nats:2.12.8");
    managed(live, names::NUMAFLOW_MANAGER, "Update", now);
    simulator.settle();
    for ordinal in 0..2 {
        simulator.pods.insert(names::pod("default", ordinal), false);
    }
    let plan = simulator.settle();
    assert!(plan.held.is_some() && plan.verdict.is_some());
    assert!(!simulator.service().status.expect("a status").is_healthy());
    simulator.start_pods();
    simulator.settle();
    assert!(simulator.service().status.expect("a status").is_healthy());
}

/// What Numaflow's controller adds beside our fields goes with its claim, after the same pause.
#[test]
fn what_numaflows_controller_added_later_goes_again() {
    let (_, mut simulator) = adopted(&three());
    let (now, wanted) = (simulator.now, simulator.children[&config_map()]["data"].clone());
    let live = simulator.children.get_mut(&config_map()).expect("made");
    live["data"]["more"] = json!("x");
    managed(live, names::NUMAFLOW_MANAGER, "Update", now + jiff::SignedDuration::from_secs(1));
    let entry = live["metadata"]["managedFields"].as_array_mut().and_then(|entries| entries.last_mut()).expect("just noted");
    entry["fieldsV1"] = json!({ "f:data": { "f:more": {} } });
    simulator.now = now + jiff::SignedDuration::from_secs(2);
    simulator.settle();
    assert_eq!(simulator.children[&config_map()]["data"]["more"], json!("x"), "it is waited");
    simulator.now = now + jiff::SignedDuration::from_mins(11);
    simulator.settle();
    assert_eq!(simulator.children[&config_map()]["data"], wanted);
    assert!(!simulator.children[&config_map()]["metadata"]["managedFields"].to_string().contains("\"numaflow\""));
}

/// A field of the pods that Numaflow's controller added restarted them already: it is taken as it runs.
#[test]
fn a_field_of_the_pods_that_numaflows_controller_added_is_taken_as_it_runs() {
    let (_, mut simulator) = adopted(&three());
    let now = simulator.now;
    let live = simulator.children.get_mut(&set()).expect("made");
    live["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    managed(live, names::NUMAFLOW_MANAGER, "Update", now);
    let entry = live["metadata"]["managedFields"].as_array_mut().and_then(|entries| entries.last_mut()).expect("just noted");
    entry["fieldsV1"] = json!({ "f:spec": { "f:template": { "f:spec": { "f:hostNetwork": {} } } } });
    assert!(simulator.settle().held.expect("words").contains("two controllers never fight"));
    simulator.now = now + jiff::SignedDuration::from_mins(11);
    simulator.settle();
    assert_eq!(simulator.children[&set()]["spec"]["template"]["spec"]["hostNetwork"], json!(true), "no second restart");
    assert!(!simulator.children[&set()]["metadata"]["managedFields"].to_string().contains("\"numaflow\""));
    assert_eq!(simulator.step().actions, []);
}
