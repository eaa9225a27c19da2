//! Taking over what Numaflow's own controller made: nothing restarts, no secret and no byte of the status changes, and from then on it is ours.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

#[path = "adoption/pending.rs"]
mod pending;
#[path = "adoption/writers.rs"]
mod writers;

use isbsvc::api::names;
use isbsvc::plan::ChildKind;
use isbsvc_tests::numaflow::simulated as numaflows;
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

fn set() -> (ChildKind, String) {
    (ChildKind::StatefulSet, names::stateful_set("default"))
}

fn config_map() -> (ChildKind, String) {
    (ChildKind::ConfigMap, names::config_map("default"))
}

fn three() -> Value {
    json!({ "jetstream": { "version": "latest", "replicas": 3 } })
}

/// Settles a service of Numaflow's and gives it as it was and as it is.
fn adopted(spec: &Value) -> (Simulator, Simulator) {
    let (mut simulator, before) = (numaflows(spec), numaflows(spec));
    simulator.settle();
    (before, simulator)
}

/// Every shape of service: taken over as it runs.
#[test]
fn a_service_of_numaflows_is_taken_over_as_it_runs() {
    for more in [
        json!({}),
        json!({ "tls": true }),
        json!({ "encryption": true }),
        json!({ "replicas": 1 }),
        json!({ "replicas": 5 }),
        json!({ "persistence": { "volumeSize": "10Gi" } }),
        json!({ "settings": "max_payload: 2097152\n" }),
    ] {
        let mut spec = three();
        for (field, value) in more.as_object().into_iter().flatten() {
            spec["jetstream"][field] = value.clone();
        }
        let (before, after) = adopted(&spec);
        for (at, was) in &before.children {
            let is = &after.children[at];
            match at.0 {
                ChildKind::Secret => {
                    let but_for_notes = |secret: &Value| {
                        let mut secret = secret.clone();
                        let metadata = secret["metadata"].as_object_mut().into_iter();
                        metadata.for_each(|metadata| metadata.retain(|field, _| field != "annotations" && field != "resourceVersion"));
                        secret
                    };
                    assert_eq!(but_for_notes(is), but_for_notes(was), "{more}: no new secret");
                }
                ChildKind::ConfigMap => assert_eq!(is["data"], was["data"], "{more}: no reload"),
                ChildKind::StatefulSet => {
                    for field in ["template", "replicas", "volumeClaimTemplates", "selector", "serviceName", "podManagementPolicy"] {
                        assert_eq!(is["spec"].get(field), was["spec"].get(field), "{more}: spec.{field}");
                    }
                    assert_eq!(is["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"], json!("Retain"), "{more}");
                }
                _ => {}
            }
            if at.0 != ChildKind::Secret {
                let hash = |object: &Value| object["metadata"]["annotations"][names::HASH_ANNOTATION].clone();
                assert_eq!(hash(is), hash(was), "{more}: Numaflow's controller sees nothing to do");
                let managers = is["metadata"]["managedFields"].to_string();
                assert!(!managers.contains("\"numaflow\"") && managers.contains(names::CHILDREN_MANAGER), "{more}: {managers}");
            }
        }
        assert_eq!(after.object["status"], before.object["status"], "{more}: not a byte");
    }
}

#[test]
fn the_takeover_is_told_once() {
    let mut simulator = numaflows(&three());
    let reasons = |simulator: &mut Simulator| simulator.step().events.iter().map(|event| event.reason).collect::<Vec<_>>();
    assert_eq!(reasons(&mut simulator), ["Adopted"]);
    for _ in 0..3 {
        assert_eq!(reasons(&mut simulator), Vec::<&str>::new());
    }
}

/// A later change carries that change and what harms nobody; another user or another store limit it does not.
#[test]
fn a_later_change_carries_itself_and_what_harms_nobody() {
    let (before, mut simulator) = adopted(&three());
    simulator.edit_spec("/jetstream/containerTemplate", json!({ "resources": { "limits": { "memory": "1Gi" } } }));
    simulator.settle();
    let pod = |simulator: &Simulator| simulator.children[&set()]["spec"]["template"]["spec"].clone();
    let (was, is) = (pod(&before), pod(&simulator));
    assert_eq!(is["containers"][0]["resources"], json!({ "limits": { "memory": "1Gi" } }));
    assert_eq!(is["securityContext"], was["securityContext"], "the store was written by another user");
    assert!(is["containers"][0].get("securityContext").is_none() && is.get("affinity").is_none());
    assert_eq!(is["terminationGracePeriodSeconds"], json!(150));
    assert_eq!(is["containers"][0]["livenessProbe"]["httpGet"]["path"], json!("/healthz?js-enabled-only=true"));
    let limit = is["containers"][0]["env"].as_array().into_iter().flatten().find(|variable| variable["name"] == "GOMEMLIMIT");
    assert_eq!(limit, Some(&json!({ "name": "GOMEMLIMIT", "value": "966367638" })), "nine tenths, and nothing of the old reference");
    for container in 1..3 {
        assert_eq!(is["containers"][container], was["containers"][container]);
    }
    assert_eq!(simulator.children[&config_map()]["data"], before.children[&config_map()]["data"]);
    assert_eq!(simulator.step().actions, [], "and then it is quiet");
}

/// A change brings the probes along, and which of them a server can answer is told by the version where the image is a digest.
#[test]
fn the_probes_of_an_old_server_whose_image_is_a_digest_stay_those_that_it_can_answer() {
    let mut simulator = numaflows(&json!({ "jetstream": { "version": "2.8.3", "replicas": 3 } }));
    let live = simulator.children.get_mut(&set()).and_then(|set| set.pointer_mut("/spec/template/spec/containers/0")).expect("made");
    live["image"] = json!(format!("mirror.example/nats@sha256:{}", "0".repeat(64)));
    simulator.settle();
    simulator.edit_spec("/jetstream/containerTemplate", json!({ "resources": { "limits": { "cpu": "1" } } }));
    simulator.settle();
    let main = simulator.children[&set()]["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(main["resources"], json!({ "limits": { "cpu": "1" } }));
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(main[probe]["httpGet"]["path"], json!("/"), "{probe}");
    }
}

#[test]
fn arguments_that_were_taken_over_are_replaced_and_removed() {
    let spec = json!({ "jetstream": { "version": "latest", "replicas": 3, "startArgs": ["-D", "-V"] } });
    for (own, expected) in [(json!(["-DV"]), json!(["-DV"])), (json!([]), json!(null)), (json!(null), json!(null))] {
        let (before, mut simulator) = adopted(&spec);
        let main = |simulator: &Simulator| simulator.children[&set()]["spec"]["template"]["spec"]["containers"][0].clone();
        assert_eq!((&main(&simulator), &main(&simulator)["args"]), (&main(&before), &json!(["-D", "-V"])));
        simulator.edit_spec("/jetstream/startArgs", own);
        simulator.settle();
        assert_eq!(main(&simulator)["args"], expected);
        assert_eq!(main(&simulator)["command"], main(&before)["command"]);
        assert_eq!(simulator.step().actions, [], "and then it is quiet");
    }
}

#[test]
fn a_payload_that_grows_is_reloaded_and_leaves_what_a_server_reads_only_at_its_start() {
    let spec = json!({ "jetstream": { "version": "latest", "replicas": 3, "persistence": { "volumeSize": "10Gi" } } });
    let (before, mut simulator) = adopted(&spec);
    simulator.edit_spec("/jetstream/settings", json!("max_payload: 2097152\n"));
    simulator.settle();
    let text = simulator.children[&config_map()]["data"][names::CONFIG_KEY].as_str().unwrap_or_default().to_owned();
    assert!(text.contains("max_payload: 2097152\n") && text.contains("max_file_store: 1TB\n"), "{text}");
    assert_eq!(simulator.children[&set()]["spec"]["template"], before.children[&set()]["spec"]["template"], "no restart");
}

/// What somebody does to the pod of the template.
type Edit = fn(&mut Value);

/// Law drift-is-repaired holds for what was taken over as well.
#[test]
fn drift_of_what_was_taken_over_is_repaired() {
    let (_, mut simulator) = adopted(&three());
    let wanted = simulator.children[&set()]["spec"]["template"].clone();
    let edits: [(&str, Edit); 4] = [
        ("a changed field", |pod| pod["containers"][0]["image"] = json!("elsewhere")),
        ("a removed field", |pod| drop(pod["containers"][0].as_object_mut().and_then(|main| main.remove("lifecycle")))),
        ("a removed item", |pod| drop(pod["containers"][0]["env"].as_array_mut().and_then(Vec::pop))),
        ("a removed container", |pod| drop(pod["containers"].as_array_mut().and_then(Vec::pop))),
    ];
    for (what, edit) in edits {
        let live = simulator.children.get_mut(&set()).and_then(|set| set.pointer_mut("/spec/template/spec")).expect("made");
        edit(live);
        simulator.settle();
        assert_eq!(simulator.children[&set()]["spec"]["template"], wanted, "{what}");
    }
    let (kind, name) = set();
    for (pointer, value) in [("containers/0/env/-", json!({ "name": "FOO", "value": "x" })), ("hostNetwork", json!(true))] {
        simulator.edit_child(kind, &name, &format!("/spec/template/spec/{pointer}"), &value);
        simulator.settle();
        assert_eq!(simulator.children[&set()]["spec"]["template"], wanted, "an added {pointer}");
    }
}

/// What decides over stored messages is read from what runs: a spec that was changed while nobody looked is no accepted spec.
#[test]
fn a_dangerous_change_that_was_not_carried_out_yet_is_refused_at_the_takeover() {
    for (field, value, rule) in [
        ("encryption", json!(true), "encryption-toggle"),
        ("tls", json!(true), "tls-toggle"),
        ("replicas", json!(1), "replicas-cluster-switch"),
        ("persistence", json!({}), "persistence-change"),
    ] {
        let mut simulator = numaflows(&three());
        let before = simulator.children[&set()]["spec"]["template"].clone();
        simulator.edit_spec(&format!("/jetstream/{field}"), value);
        simulator.settle();
        let status = simulator.service().status.expect("a status");
        let message = status.message.clone().expect("words");
        assert!(message.starts_with("Refused:") && message.contains(rule), "{message}");
        assert!(status.is_healthy() && status.observed_generation == Some(1));
        assert_eq!(simulator.children[&set()]["spec"]["template"], before);
        assert_eq!(simulator.children[&set()]["spec"]["replicas"], json!(3));
    }
}

/// What was already wrong at the takeover is tolerated and named.
#[test]
fn what_was_wrong_before_is_tolerated_and_named() {
    let spec = json!({ "jetstream": { "version": "2.7.4", "replicas": 3, "settings": "max_connections: 100\n" } });
    let (before, mut simulator) = adopted(&spec);
    let status = simulator.service().status.expect("a status");
    let message = status.message.clone().expect("words");
    assert!(status.is_healthy() && message.contains("version-known") && message.contains("settings"), "{message}");
    assert_eq!(simulator.children[&set()]["spec"]["template"], before.children[&set()]["spec"]["template"]);
    assert_eq!(simulator.children[&config_map()]["data"], before.children[&config_map()]["data"]);
    assert_eq!(simulator.step().actions, []);
}

/// The remedy is in the StatefulSet: server-side apply cannot write a list with one name twice, and a changed spec is carried out by nobody before the takeover.
#[test]
fn a_variable_that_is_named_twice_stops_the_takeover_with_words_and_the_remedy_works() {
    let twice = json!([{ "name": "FOO", "value": "1" }, { "name": "FOO", "value": "2" }]);
    let mut simulator = numaflows(&json!({ "jetstream": { "version": "latest", "replicas": 3, "containerTemplate": { "env": twice } } }));
    let before = simulator.children.clone();
    let words = simulator.settle().held.expect("words");
    assert!(words.contains("FOO twice in container main") && words.contains("kubectl patch --type=json"), "{words}");
    assert_eq!(simulator.children, before);
    simulator.edit_spec("/jetstream/containerTemplate", json!({ "env": [twice[1]] }));
    assert!(simulator.settle().held.expect("words").contains("FOO twice"), "the spec alone helps nobody");
    let env = simulator.children.get_mut(&set()).and_then(|set| set.pointer_mut("/spec/template/spec/containers/0/env")).expect("a list");
    let env = env.as_array_mut().expect("a list");
    let first = env.iter().position(|variable| variable["name"] == "FOO").expect("there");
    env.remove(first);
    let wanted = simulator.children[&set()]["spec"]["template"].clone();
    assert!(simulator.settle().held.is_none());
    assert_eq!(simulator.children[&set()]["spec"]["template"], wanted);
}

/// The memory limits that the container of the server names.
fn memory_limits(simulator: &Simulator) -> Vec<Value> {
    let env = simulator.children[&set()]["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let limits = env.as_array().into_iter().flatten().filter(|variable| variable["name"] == "GOMEMLIMIT");
    limits.map(|variable| variable["value"].clone()).collect()
}

/// Numaflow's controller appends a user's own memory limit to its own; that is taken over as it runs, and ends with the next change.
#[test]
fn a_users_own_memory_limit_is_taken_over_as_it_runs_and_holds_after_any_change() {
    let own = json!({ "env": [{ "name": "GOMEMLIMIT", "value": "100MiB" }] });
    let spec = json!({ "jetstream": { "version": "latest", "replicas": 3, "containerTemplate": own } });
    let limited = json!({ "resources": { "limits": { "memory": "1000Mi" } } });
    let mut both = limited.clone();
    both["env"] = own["env"].clone();
    for (field, value, limit) in [
        ("nodeSelector", json!({ "disk": "fast" }), json!("100MiB")),
        ("containerTemplate", both, json!("100MiB")),
        ("containerTemplate", json!({ "env": [{ "name": "GOMEMLIMIT", "value": "200MiB" }] }), json!("200MiB")),
        ("containerTemplate", limited, json!("943718400")),
        ("containerTemplate", json!(null), json!("off")),
    ] {
        let (before, mut simulator) = adopted(&spec);
        let template = |simulator: &Simulator| simulator.children[&set()]["spec"]["template"].clone();
        assert_eq!(template(&simulator), template(&before), "no restart");
        assert_eq!(memory_limits(&simulator), [json!(null), json!("100MiB")]);
        assert!(!simulator.children[&set()]["metadata"]["managedFields"].to_string().contains("\"numaflow\""));
        let live =
            simulator.children.get_mut(&set()).and_then(|set| set.pointer_mut("/spec/template/spec/containers/0/env")).expect("a list");
        live.as_array_mut().expect("a list").retain(|variable| variable["name"] != "GOMEMLIMIT");
        simulator.settle();
        assert_eq!(template(&simulator), template(&before), "drift is repaired to both");
        simulator.children.remove(&set());
        simulator.settle();
        assert_eq!(template(&simulator), template(&before), "and so is a deleted StatefulSet");
        simulator.edit_spec(&format!("/jetstream/{field}"), value.clone());
        simulator.settle();
        assert_eq!(memory_limits(&simulator), [limit], "{field} {value}");
        assert_eq!(simulator.step().actions, [], "and then it is quiet");
    }
}

/// A service of ours is not restarted by an upgrade of ours or a changed list of images either.
#[test]
fn a_changed_controller_configuration_restarts_nothing() {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } }));
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    let before = simulator.children[&set()]["spec"].clone();
    for entry in &mut simulator.config.jetstream.versions {
        entry.nats_image = "registry.example/nats:other".to_owned();
    }
    simulator.config.jetstream.settings = "max_payload: 2097152\nmax_memory_store: -1\nmax_file_store: 2TB\n".to_owned();
    simulator.settle();
    assert_eq!(simulator.children[&set()]["spec"], before);
    let text = simulator.children[&config_map()]["data"][names::CONFIG_KEY].as_str().unwrap_or_default();
    assert!(text.contains("max_payload: 2097152\n"), "what a server reloads goes out: {text}");
    assert!(text.contains("max_file_store: 1TB\n"), "what it would refuse to reload does not: {text}");
    assert_eq!(simulator.service().status.expect("a status").message, None);
}

/// Larger messages that are stored could not be delivered any more, whoever makes the limit smaller.
#[test]
fn a_smaller_max_payload_of_the_controller_configuration_reaches_no_live_service() {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } }));
    let default = |simulator: &mut Simulator, size: &str| {
        simulator.config.jetstream.settings = format!("max_payload: {size}\nmax_memory_store: -1\nmax_file_store: 1TB\n");
        simulator.settle();
    };
    let runs = |simulator: &Simulator| {
        let text = simulator.children[&config_map()]["data"][names::CONFIG_KEY].as_str().unwrap_or_default().to_owned();
        text.lines().find_map(|line| line.strip_prefix("max_payload: ").map(str::to_owned))
    };
    default(&mut simulator, "8MB");
    simulator.start_pods();
    for (what, size, own, kept, warned) in [
        ("the configuration's goes down", "1MB", json!(null), "8MB", Some("max_payload stays 8MB, not 1MB")),
        ("and something else changes", "1MB", json!("max_memory_store: -1\n"), "8MB", Some("max_payload stays 8MB, not 1MB")),
        ("the user's own is below what runs", "1MB", json!("max_payload: 2MB\n"), "8MB", Some("max_payload stays 8MB, not 2MB")),
        ("the configuration's goes up again", "16MB", json!(null), "16MB", None),
    ] {
        simulator.edit_spec("/jetstream/settings", own);
        default(&mut simulator, size);
        assert_eq!(runs(&simulator).as_deref(), Some(kept), "{what}");
        let status = simulator.service().status.expect("a status");
        let message = status.message.clone().unwrap_or_default();
        assert!(
            status.is_healthy() && message.starts_with(&warned.map(|words| format!("Warning: {words}")).unwrap_or_default()),
            "{message}"
        );
        assert_eq!(message.is_empty(), warned.is_none(), "{what}: {message}");
    }
}

/// The configuration holds the defaults of buffers that are made from then on, so a change of it goes out, and is told because vertices restart.
#[test]
fn a_changed_buffer_config_of_the_controller_configuration_is_told_and_goes_out() {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } }));
    let stream = |simulator: &Simulator| {
        let status = simulator.service().status.expect("a status");
        status.config.and_then(|config| config.jetstream?.stream_config).unwrap_or_default()
    };
    let told = |simulator: &mut Simulator| {
        let mut notes = Vec::new();
        for _ in 0..3 {
            notes.extend(simulator.step().events.into_iter().filter(|event| event.reason == "BufferConfigChanged").map(|event| event.note));
        }
        notes
    };
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    let (before, set_before) = (stream(&simulator), simulator.children[&set()]["spec"].clone());
    let default = simulator.config.jetstream.buffer_config.clone();
    simulator.config.jetstream.buffer_config = default.replace("maxMsgs: 100000", "maxMsgs: 50000");
    let notes = told(&mut simulator);
    let [note] = notes.as_slice() else { panic!("told once: {notes:?}") };
    for part in ["controller configuration", "existing buffers keep theirs", "every Pipeline pod restarts"] {
        assert!(note.contains(part), "{note}");
    }
    assert_eq!(stream(&simulator), before.replace("maxmsgs: 100000", "maxmsgs: 50000"));
    assert_eq!(simulator.children[&set()]["spec"], set_before, "no server restarts");
    // In other words, or where the service says it by itself, nothing moves; and what the user changes is told by the rule.
    simulator.config.jetstream.buffer_config = format!("# a comment\n{}", simulator.config.jetstream.buffer_config);
    assert_eq!(told(&mut simulator), Vec::<String>::new());
    simulator.edit_spec("/jetstream/bufferConfig", json!("stream:\n  maxMsgs: 60000\n"));
    assert_eq!(told(&mut simulator), Vec::<String>::new());
    simulator.config.jetstream.buffer_config = default;
    assert_eq!(told(&mut simulator), Vec::<String>::new());
    assert!(stream(&simulator).contains("maxmsgs: 60000"));
}

/// What an earlier release took goes on, to the byte, where this one would refuse it.
#[test]
fn buffer_properties_that_were_accepted_and_would_be_refused_now_stay_in_use() {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } }));
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    let config = simulator.object["status"]["config"].clone();
    let text = "stream:\n  maxAge: 99999999h\n";
    simulator.object["spec"]["jetstream"]["bufferConfig"] = json!(text);
    for at in [set(), config_map()] {
        let accepted = &mut simulator.children.get_mut(&at).expect("made")["metadata"]["annotations"][names::ACCEPTED_SPEC_ANNOTATION];
        let mut spec: Value = serde_json::from_str(accepted.as_str().unwrap_or_default()).expect("a spec");
        spec["jetstream"]["bufferConfig"] = json!(text);
        *accepted = json!(spec.to_string());
    }
    simulator.settle();
    assert_eq!(simulator.object["status"]["config"], config);
    assert!(
        simulator.object["status"]["message"].as_str().is_some_and(|words| words.contains("tolerated")),
        "{}",
        simulator.object["status"]
    );
}
