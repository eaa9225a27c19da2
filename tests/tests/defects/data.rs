//! What becomes of messages: lost buffers, deletions, and buffers that are full.

use isbsvc::api::names;
use isbsvc::controller_config::ControllerConfig;
use isbsvc::observed::{Fact, PipelineUse, Stream};
use isbsvc::plan::ChildKind;
use isbsvc::rules::{self, Level, Levels, Request};
use isbsvc_tests::fixtures::service;
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

use super::{healthy, jetstream};

fn message(simulator: &Simulator) -> String {
    simulator.service().status.and_then(|status| status.message).unwrap_or_default()
}

/// Which buffers should be there is for Numaflow's Pipeline controller to say; what the servers and volumes lost, we tell.
#[test]
fn defect_34_what_was_lost_is_told() {
    let stream = |leader: Option<&str>| Stream {
        name: "pl-simple-in-0".to_owned(),
        leader: leader.map(str::to_owned),
        replicas: 3,
        ..Stream::default()
    };
    let with = |stream: &Stream| {
        let mut simulator = healthy(&json!({ "persistence": {} }));
        for server in simulator.servers.values_mut() {
            if let Fact::Known(server) = server {
                server.jetstream.as_mut().expect("it runs").stream_details = vec![stream.clone()];
            }
        }
        simulator.settle();
        message(&simulator)
    };
    let without_leader = with(&stream(None));
    assert!(without_leader.contains("streams without a leader: pl-simple-in-0"), "{without_leader}");
    let short = with(&stream(Some("isbsvc-default-js-0")));
    assert!(short.contains("streams with fewer replicas than they ask for: pl-simple-in-0"), "{short}");
    let mut simulator = healthy(&json!({ "persistence": {} }));
    let claim = simulator.claim();
    simulator.children.get_mut(&(ChildKind::PersistentVolumeClaim, claim.clone())).expect("made")["status"] = json!({ "phase": "Lost" });
    simulator.settle();
    assert!(message(&simulator).contains(&format!("the volume of claim {claim} is gone")), "{}", message(&simulator));
}

#[test]
fn defect_35_servers_and_secrets_outlive_the_last_pipeline() {
    let mut simulator = healthy(&json!({ "persistence": {} }));
    let claim = (ChildKind::PersistentVolumeClaim, simulator.claim());
    simulator.pipelines = ["one", "two"].map(|name| PipelineUse { name: name.to_owned(), deleting: false }).to_vec();
    let before = simulator.children.clone();
    simulator.delete();
    while !simulator.pipelines.is_empty() {
        simulator.settle();
        assert_eq!(simulator.children, before, "jobs that clean up need servers and Secrets");
        assert!(message(&simulator).contains(&simulator.pipelines[0].name), "{}", message(&simulator));
        simulator.pipelines.pop();
    }
    let mut gone = Vec::new();
    for _ in 0..10 {
        let left = simulator.children.clone();
        if !simulator.exists() {
            break;
        }
        simulator.step();
        gone.extend(left.keys().filter(|at| !simulator.children.contains_key(*at)).cloned());
    }
    assert_eq!(gone, [(ChildKind::StatefulSet, names::stateful_set("default")), claim], "servers first, then what they store");
    assert!(!simulator.exists());
}

#[test]
fn defect_36_a_buffer_that_drops_unread_messages_is_warned_of_wherever_its_size_comes_from() {
    let warned = |config: &ControllerConfig, more: &Value| {
        let new = service(&jetstream(more));
        let findings = rules::check(Request::create(&new), config, &Levels::default());
        findings.iter().any(|finding| finding.rule == "buffer-size" && finding.level == Level::Warn && finding.message.contains("29999"))
    };
    let built_in = ControllerConfig::built_in();
    let mut small = built_in.clone();
    small.jetstream.buffer_config = small.jetstream.buffer_config.replace("maxMsgs: 100000", "maxMsgs: 29999");
    let own = |size: u32| json!({ "bufferConfig": format!("stream:\n  maxMsgs: {size}\n") });
    assert!(!warned(&built_in, &json!({})), "the default leaves room");
    assert!(warned(&built_in, &own(29_999)) && warned(&small, &json!({})));
    assert!(!warned(&small, &own(30_000)), "the service's own word holds");
    // A stream that keeps what nobody read refuses the new message instead, and vertices wait.
    assert!(!warned(&small, &json!({ "bufferConfig": "stream:\n  retention: 1\n" })));
}
