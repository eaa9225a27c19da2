//! Secrets that are lost, and a key that NATS reads as something else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use isbsvc::api::names;
use isbsvc::plan::ChildKind;
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

use super::{healthy, jetstream};

fn server() -> (ChildKind, String) {
    (ChildKind::Secret, names::server_secret("default"))
}

fn client() -> (ChildKind, String) {
    (ChildKind::Secret, names::client_secret("default"))
}

fn message(simulator: &Simulator) -> String {
    simulator.service().status.and_then(|status| status.message).unwrap_or_default()
}

#[test]
fn defect_03_a_lost_secret_takes_nothing_else_along() {
    for encryption in [false, true] {
        for (lost, kept) in [(server(), client()), (client(), server())] {
            let mut simulator = healthy(&json!({ "encryption": encryption }));
            let (secrets, before) = ([simulator.children[&lost].clone(), simulator.children[&kept].clone()], simulator.children.clone());
            simulator.children.remove(&lost);
            simulator.settle();
            assert_eq!(simulator.children[&kept], secrets[1], "encryption {encryption}: the other one is not touched");
            if encryption && lost == server() {
                assert!(!simulator.children.contains_key(&lost), "no new key is drawn over what is stored");
                assert!(message(&simulator).contains("put the Secret back from a backup"), "{}", message(&simulator));
                continue;
            }
            let user = |secret: &Value| STANDARD.decode(secret["data"]["auth"].as_str().unwrap_or_default()).expect("base64");
            let name = before[&client()]["data"][names::CLIENT_USER_KEY].as_str().unwrap_or_default();
            let name = String::from_utf8(STANDARD.decode(name).expect("base64")).expect("text");
            let accounts = String::from_utf8(user(&simulator.children[&server()])).expect("text");
            assert!(accounts.contains(&format!("\"user\": \"{name}\"")), "servers and clients know the same user");
            assert_eq!(simulator.children[&client()]["data"], before[&client()]["data"], "no pod of a Pipeline is locked out");
        }
    }
}

#[test]
fn defect_07_a_key_that_nats_reads_as_a_number_stops_us_with_words() {
    let set = |simulator: &mut Simulator, key: &str| {
        simulator.children.get_mut(&server()).expect("made")["data"]["encryption"] = json!(STANDARD.encode(key));
    };
    for key in ["123456789012", "-5", "123456k", "12Mi", "7EiB", "1.5", "true", "OFF"] {
        let mut simulator = healthy(&json!({ "encryption": true }));
        set(&mut simulator, key);
        let before = simulator.children.clone();
        let words = simulator.settle().held.unwrap_or_default();
        assert!(words.contains("encryption key") && words.contains("double quotes") && !words.contains(key), "{key}: {words}");
        assert_eq!(simulator.children, before, "{key}: it is never written over");
        assert!(message(&simulator).starts_with("Stopped: ") && simulator.service().status.expect("a status").is_healthy(), "{key}");
        // Nor are servers made that could not start.
        let mut new = Simulator::new(&jetstream(&json!({ "encryption": true })));
        new.put(ChildKind::Secret, simulator.children[&server()].clone());
        new.settle();
        assert!(!new.children.keys().any(|(kind, _)| *kind == ChildKind::StatefulSet), "{key}");
        // As it is written in the remedy.
        set(&mut simulator, &format!("\"{key}\""));
        simulator.settle();
        assert_eq!(message(&simulator), "", "{key}");
    }
    for key in ["abcdefghijkl", "k12345678901", "12ab34cd56ef", "truely", "<generated>"] {
        let mut simulator = healthy(&json!({ "encryption": true }));
        set(&mut simulator, key);
        simulator.settle();
        assert_eq!(message(&simulator), "", "{key}");
    }
    let mut unused = healthy(&json!({}));
    set(&mut unused, "123456789012");
    unused.settle();
    assert_eq!(message(&unused), "", "without encryption no server reads it");
}
