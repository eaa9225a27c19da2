//! A change that Numaflow's controller had not carried out when we took over.

use isbsvc::api::names;
use serde_json::json;

use super::{config_map, numaflows, set, three};

/// A change that Numaflow's controller had not carried out, by its own words, is carried out by ours; which of it is unsafe is refused by name.
#[test]
fn a_change_that_was_not_carried_out_yet_is_carried_out_at_the_takeover() {
    let memory = json!({ "resources": { "limits": { "memory": "1Gi" } } });
    for (field, value) in [
        ("containerTemplate", memory.clone()),
        ("reloaderContainerTemplate", memory),
        ("nodeSelector", json!({ "disk": "ssd" })),
        ("priorityClassName", json!("high")),
        ("tolerations", json!([{ "key": "a", "operator": "Exists" }])),
        ("metadata", json!({ "annotations": { "team": "flow" } })),
        ("dnsPolicy", json!("Default")),
    ] {
        let mut simulator = numaflows(&three());
        let before = simulator.children[&set()]["spec"]["template"].clone();
        simulator.edit_spec(&format!("/jetstream/{field}"), value);
        simulator.settle();
        let status = simulator.service().status.expect("a status");
        assert_eq!((status.is_healthy(), status.observed_generation, status.message), (true, Some(2), None), "{field}");
        let after = &simulator.children[&set()]["spec"]["template"];
        assert_ne!(*after, before, "{field}");
        assert_eq!(after["spec"]["securityContext"], before["spec"]["securityContext"], "{field}: no other user");
        assert_eq!(simulator.step().actions, [], "{field}");
    }
    let mut simulator = numaflows(&three());
    let before = simulator.children[&set()]["spec"]["template"].clone();
    simulator.edit_spec("/jetstream/settings", json!("max_payload: 2097152\n"));
    simulator.edit_spec("/jetstream/bufferConfig", json!("stream:\n  maxMsgs: 200000\n"));
    simulator.settle();
    let text = simulator.children[&config_map()]["data"][names::CONFIG_KEY].as_str().unwrap_or_default();
    assert!(text.contains("max_payload: 2097152\n"), "{text}");
    let config = &simulator.object["status"]["config"]["jetstream"]["streamConfig"];
    assert!(config.as_str().is_some_and(|text| text.contains("maxmsgs: 200000")), "{config}");
    assert_eq!(simulator.children[&set()]["spec"]["template"], before, "no restart");
}

/// Only what was changed moves, whatever the API server made of the words of the rest.
#[test]
fn a_change_that_was_not_carried_out_yet_takes_nothing_else_along() {
    let spec = json!({ "jetstream": { "version": "latest", "replicas": 3, "persistence": { "volumeSize": "20Gi" }, "containerTemplate": {
        "resources": { "limits": { "cpu": "0.5" } },
        "env": [{ "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
    } } });
    let with_template = || {
        let mut simulator = numaflows(&spec);
        let main =
            simulator.children.get_mut(&set()).and_then(|set| set.pointer_mut("/spec/template/spec/containers/0")).expect("it is there");
        main["resources"] = json!({ "limits": { "cpu": "500m" } });
        let filled_in = json!({ "name": "NODE", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "spec.nodeName" } } });
        main["env"].as_array_mut().into_iter().for_each(|env| {
            env.retain(|variable| variable["name"] != "NODE");
            env.push(filled_in.clone());
        });
        simulator
    };
    let mut simulator = with_template();
    let before = simulator.children[&set()]["spec"]["template"].clone();
    simulator.edit_spec("/jetstream/settings", json!("max_payload: 2097152\n"));
    simulator.settle();
    let status = simulator.service().status.expect("a status");
    assert_eq!((status.message, status.observed_generation), (None, Some(2)), "the store was not touched");
    assert_eq!(simulator.children[&set()]["spec"]["template"], before, "no restart");
    assert!(
        simulator.children[&config_map()]["data"][names::CONFIG_KEY].as_str().is_some_and(|text| text.contains("max_payload: 2097152\n"))
    );
    // What was taken away goes.
    let mut simulator = with_template();
    simulator.edit_spec("/jetstream/containerTemplate", json!({}));
    simulator.settle();
    let main = &simulator.children[&set()]["spec"]["template"]["spec"]["containers"][0];
    assert!(!main["env"].to_string().contains("NODE") && main["resources"].as_object().is_none_or(serde_json::Map::is_empty), "{main}");
}

#[test]
fn an_upgrade_from_an_image_that_is_not_listed_is_carried_out_at_the_takeover() {
    for (image, carried) in [("nats:2.10.20", true), ("mirror.example/nats:2.12.7", false), ("mirror.example/nats:prod", false)] {
        let mut simulator = numaflows(&three());
        let main =
            simulator.children.get_mut(&set()).and_then(|set| set.pointer_mut("/spec/template/spec/containers/0")).expect("it is there");
        main["image"] = json!(image);
        simulator.edit_spec("/jetstream/version", json!("2.12.7"));
        simulator.settle();
        let runs = &simulator.children[&set()]["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(*runs == json!("nats:2.12.7"), carried, "{image}: {runs}");
        // Whose release cannot be told may be newer: a person who may can override that.
        let message = simulator.service().status.and_then(|status| status.message).unwrap_or_default();
        assert_eq!(message.contains("(version-downgrade)"), image.ends_with(":prod"), "{image}: {message}");
    }
}

#[test]
fn a_version_that_was_not_carried_out_yet_is_judged_by_what_runs() {
    let mut simulator = numaflows(&three());
    let before = simulator.children[&set()]["spec"]["template"].clone();
    // The fixture runs 2.12.7.
    simulator.edit_spec("/jetstream/version", json!("2.10.29"));
    simulator.settle();
    let status = simulator.service().status.expect("a status");
    assert_eq!(status.observed_generation, Some(1), "not carried out");
    assert!(status.is_healthy() && status.message.expect("words").contains("version-downgrade"));
    assert_eq!(simulator.children[&set()]["spec"]["template"], before);
}
