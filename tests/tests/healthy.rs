//! A healthy service against what was observed of Numaflow's own, field by field. Every difference is intended, and listed with its reason.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use isbsvc::api::names;
use isbsvc::plan::ChildKind;
use isbsvc_tests::fixtures::OBSERVED_HEALTHY;
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

/// The observed service: its status and finalizers, and the two texts that its servers read.
fn observed() -> [Value; 3] {
    let documents: Vec<Value> = serde_saphyr::from_multiple(OBSERVED_HEALTHY).expect("the fixture");
    documents.try_into().unwrap_or_else(|documents| panic!("three documents: {documents:?}"))
}

/// The same service of ours.
fn healthy() -> Simulator {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } }));
    simulator.object["metadata"]["namespace"] = json!("pl");
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    simulator
}

/// Compares after both sides lost what is listed, each of which must differ.
fn assert_differs_only(mut ours: Value, mut observed: Value, intended: &[(&str, &str)]) {
    for (pointer, reason) in intended {
        assert_ne!(ours.pointer(pointer), observed.pointer(pointer), "{pointer} is listed ({reason}), but does not differ");
        for side in [&mut ours, &mut observed] {
            *side.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is on both sides")) = Value::Null;
        }
    }
    assert_eq!(ours, observed);
}

#[test]
fn the_status_of_a_healthy_service_is_the_observed_one() {
    let [service, _, _] = observed();
    let simulator = healthy();
    assert_differs_only(
        simulator.object["status"].clone(),
        service["status"].clone(),
        &[
            ("/conditions/0/lastTransitionTime", "the clock of the simulator stands still"),
            ("/conditions/1/lastTransitionTime", "the clock of the simulator stands still"),
            ("/conditions/2/lastTransitionTime", "the clock of the simulator stands still"),
        ],
    );
    assert_eq!(json!(simulator.finalizers()), service["finalizers"]);
}

#[test]
fn the_users_of_a_healthy_service_are_the_observed_ones() {
    let [_, auth, _] = observed();
    let simulator = healthy();
    let data = |name: String, key: &str| {
        let text = simulator.children[&(ChildKind::Secret, name)]["data"][key].as_str().unwrap_or_default().to_owned();
        String::from_utf8(STANDARD.decode(text).expect("base64")).expect("text")
    };
    let mut text = data(names::server_secret("default"), "auth");
    // What was drawn is not shown in the fixture.
    for (drawn, shown) in [
        (data(names::client_secret("default"), names::CLIENT_USER_KEY), "<8 chars>"),
        (data(names::client_secret("default"), names::CLIENT_PASSWORD_KEY), "<16 chars>"),
    ] {
        text = text.replace(&format!("\"{drawn}\""), &format!("\"{shown}\""));
    }
    let (before, system) = text.split_once("\"user\": \"sys\", \"pass\": \"").expect("a system user");
    let (_, after) = system.split_once('"').expect("its end");
    let text = format!("{before}\"user\": \"sys\", \"pass\": \"<24 chars>\"{after}");
    assert_eq!(Some(text.trim_end()), auth["auth"].as_str().map(str::trim_end));
}

#[test]
fn the_configuration_of_a_healthy_service_is_the_observed_one() {
    let [_, _, config] = observed();
    let simulator = healthy();
    let text = simulator.children[&(ChildKind::ConfigMap, names::config_map("default"))]["data"][names::CONFIG_KEY].clone();
    // The fixture was taken without comments and with lines of blanks shortened.
    let lines = |text: &Value| -> Vec<String> {
        let lines = text.as_str().unwrap_or_default().lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        lines.map(str::to_owned).collect()
    };
    assert_eq!(lines(&text), lines(&config["nats-js"]));
    assert!(lines(&text).len() > 15);
}
