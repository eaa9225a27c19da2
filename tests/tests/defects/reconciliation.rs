//! What is looked at, what goes on being repaired, and what is said in time.

use isbsvc::api::names;
use isbsvc::controller_config::ControllerConfig;
use isbsvc::observed::{Fact, Server};
use isbsvc::plan::{Action, ChildKind};
use isbsvc::rules::{self, Levels, Request};
use isbsvc_tests::fixtures::service;
use isbsvc_tests::simulator::Simulator;
use serde_json::json;

use super::{config, files, healthy, jetstream, set};

fn message(simulator: &Simulator) -> String {
    simulator.service().status.and_then(|status| status.message).unwrap_or_default()
}

fn each_server(simulator: &mut Simulator, change: impl Fn(&mut Server)) {
    for server in simulator.servers.values_mut() {
        if let Fact::Known(server) = server {
            change(server);
        }
    }
}

#[test]
fn defect_10_a_setting_that_servers_did_not_take_is_told() {
    let mut simulator = healthy(&json!({ "settings": "max_file_store: 10G\n" }));
    each_server(&mut simulator, |server| {
        server.max_payload = Some(1 << 20);
        server.jetstream.as_mut().into_iter().for_each(|jetstream| jetstream.max_storage = 10_000_000_000);
    });
    simulator.settle();
    assert_eq!(message(&simulator), "", "what runs is what the configuration says");
    each_server(&mut simulator, |server| server.jetstream.as_mut().into_iter().for_each(|jetstream| jetstream.max_storage = 5));
    simulator.settle();
    assert!(message(&simulator).contains("runs with max_file_store 5, its ConfigMap says 10G"), "{}", message(&simulator));
    each_server(&mut simulator, |server| server.max_payload = Some(5));
    simulator.settle();
    assert!(message(&simulator).contains("runs with max_payload 5, its ConfigMap says 1048576"), "{}", message(&simulator));
}

/// That each is watched is tested beside the watches (`src/controller/watches/tests.rs`); here, that what is seen has a consequence.
#[test]
fn defect_11_secrets_pods_claims_and_the_configuration_count() {
    let spec = json!({ "persistence": {} });
    let mut lost = healthy(&spec);
    lost.children.remove(&(ChildKind::Secret, names::client_secret("default")));
    assert!(matches!(lost.step().actions.as_slice(), [Action::Create { kind: ChildKind::Secret, .. }]));
    let mut unready = healthy(&spec);
    unready.pods.insert(names::pod("default", 1), false);
    unready.settle();
    assert!(message(&unready).contains("isbsvc-default-js-1"), "{}", message(&unready));
    let mut gone = healthy(&spec);
    let claim = gone.claim();
    gone.children.get_mut(&(ChildKind::PersistentVolumeClaim, claim.clone())).expect("made")["status"] = json!({ "phase": "Lost" });
    gone.settle();
    assert!(message(&gone).contains(&claim), "{}", message(&gone));
    let mut configured = healthy(&spec);
    configured.config.jetstream.settings = configured.config.jetstream.settings.replace("max_payload: 1048576", "max_payload: 4MB");
    configured.settle();
    assert!(config(&configured).contains("max_payload: 4MB\n"));
}

#[test]
fn defect_12_a_spec_that_is_refused_ends_no_repair() {
    for (field, value) in
        [("version", json!("9.9.9")), ("settings", json!("store_dir: /tmp")), ("replicas", json!("three")), ("tls", json!(true))]
    {
        let mut simulator = healthy(&json!({}));
        let wanted = simulator.children.clone();
        simulator.edit_spec(&format!("/jetstream/{field}"), value);
        simulator.settle();
        assert!(message(&simulator).starts_with("Refused:"), "{field}: {}", message(&simulator));
        for at in wanted.keys() {
            simulator.children.remove(at);
            simulator.settle();
            assert!(simulator.children.contains_key(at), "{field}: {at:?} comes back");
        }
        assert_eq!(set(&simulator)["template"], wanted[&(ChildKind::StatefulSet, names::stateful_set("default"))]["spec"]["template"]);
        let plan = simulator.step();
        assert!(plan.actions.is_empty() && plan.events.is_empty(), "{field}: and is not told again and again");
    }
}

#[test]
fn defect_19_a_name_is_refused_where_anything_that_is_made_from_it_would_be_too_long() {
    let refused = |name: &str| {
        let mut new = service(&jetstream(&json!({})));
        new.metadata.name = Some(name.to_owned());
        let findings = rules::check(Request::create(&new), &ControllerConfig::built_in(), &Levels::default());
        rules::denials(&findings).any(|finding| finding.rule == "name-length")
    };
    for length in 1..=63 {
        let name = "a".repeat(length);
        // A label of at most 63 characters: that of each revision of the StatefulSet has 11 more than its name, and a pod's name is its host's.
        let longest = [names::stateful_set(&name).len() + 11, names::pod(&name, 8).len(), names::service(&name).len()];
        assert_eq!(refused(&name), longest.into_iter().any(|length| length > 63), "{length}");
    }
}

#[test]
fn defect_30_nothing_that_a_configuration_includes_changes_while_servers_run() {
    for tls in [false, true] {
        let mut simulator = healthy(&json!({ "tls": tls }));
        let includes = |simulator: &Simulator| -> Vec<String> {
            config(simulator).lines().filter_map(|line| line.trim().strip_prefix("include ").map(str::to_owned)).collect()
        };
        assert_eq!(includes(&simulator), ["./auth.conf"]);
        // What it includes, and the certificates that it names, come from the one Secret.
        let secret = (ChildKind::Secret, names::server_secret("default"));
        let (before, named) = (simulator.children[&secret]["data"].clone(), files(&config(&simulator)));
        for (field, value) in [
            ("settings", json!("max_payload: 4MB\n")),
            ("replicas", json!(5)),
            ("containerTemplate", json!({ "resources": { "limits": { "memory": "1Gi" } } })),
            ("bufferConfig", json!("stream:\n  maxMsgs: 50000\n")),
            ("tls", json!(!tls)),
            ("encryption", json!(true)),
        ] {
            let text = config(&simulator);
            simulator.edit_spec(&format!("/jetstream/{field}"), value);
            simulator.settle();
            assert_eq!(simulator.children[&secret]["data"], before, "{field}");
            assert_eq!((includes(&simulator), files(&config(&simulator))), (vec!["./auth.conf".to_owned()], named.clone()), "{field}");
            assert_eq!(text != config(&simulator), ["settings", "replicas"].contains(&field), "{field}: what changes is in the main file");
        }
    }
}
