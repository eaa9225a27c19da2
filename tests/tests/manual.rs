//! What Numaflow's manual promises of an `InterStepBufferService`, where no other test shows it. `docs/manual-coverage.md` lists every promise.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use isbsvc::api::names;
use isbsvc::controller_config::ControllerConfig;
use isbsvc::plan::{Action, ChildKind};
use isbsvc::rules::{self, Levels, Request};
use isbsvc_tests::fixtures::{pod_fields, service};
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

fn jetstream(more: &Value) -> Value {
    let mut spec = json!({ "version": "2.12.7" });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({ "jetstream": spec })
}

/// A service that is healthy.
fn healthy(more: &Value) -> Simulator {
    let mut simulator = Simulator::new(&jetstream(more));
    settle(&mut simulator);
    simulator
}

fn settle(simulator: &mut Simulator) {
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    assert!(simulator.service().status.expect("a status").is_healthy());
}

fn set(simulator: &Simulator) -> Value {
    simulator.children[&(ChildKind::StatefulSet, names::stateful_set("default"))]["spec"].clone()
}

fn config(simulator: &Simulator) -> String {
    let map = &simulator.children[&(ChildKind::ConfigMap, names::config_map("default"))];
    map["data"]["nats-js"].as_str().unwrap_or_default().to_owned()
}

fn stream_config(simulator: &Simulator) -> String {
    let config = simulator.service().status.and_then(|status| status.config?.jetstream?.stream_config);
    config.unwrap_or_default()
}

fn refused(spec: &Value) -> Vec<&'static str> {
    let new = service(spec);
    let findings = rules::check(Request::create(&new), &ControllerConfig::built_in(), &Levels::default());
    rules::denials(&findings).map(|finding| finding.rule).collect()
}

#[test]
fn manual_the_resource_is_namespaced_and_kubectl_gets_isbsvc() {
    let crd = isbsvc::api::crd();
    assert_eq!(crd["spec"]["scope"], json!("Namespaced"));
    assert_eq!(crd["spec"]["names"]["shortNames"], json!(["isbsvc"]));
    assert_eq!(crd["spec"]["names"]["plural"], json!("interstepbufferservices"));
}

#[test]
fn manual_replicas_are_the_number_of_servers_and_three_where_none_is_given() {
    for (more, count) in [(json!({}), 3), (json!({ "replicas": 1 }), 1), (json!({ "replicas": 3 }), 3), (json!({ "replicas": 5 }), 5)] {
        let simulator = healthy(&more);
        assert_eq!(set(&simulator)["replicas"], json!(count));
        let routes = config(&simulator).matches("nats://isbsvc-default-js-").count();
        assert_eq!(routes, if count == 1 { 0 } else { count }, "every server knows every other");
    }
}

#[test]
fn manual_persistence_has_the_cluster_s_class_one_writer_and_20gi_where_nothing_is_given() {
    let claim = |more: Value| set(&healthy(&json!({ "persistence": more })))["volumeClaimTemplates"][0]["spec"].clone();
    let size = |size: &str| json!({ "requests": { "storage": size } });
    assert_eq!(claim(json!({})), json!({ "accessModes": ["ReadWriteOnce"], "resources": size("20Gi") }));
    assert_eq!(
        claim(json!({ "storageClassName": "standard", "accessMode": "ReadWriteOncePod", "volumeSize": "10Gi" })),
        json!({ "storageClassName": "standard", "accessModes": ["ReadWriteOncePod"], "resources": size("10Gi") })
    );
    assert!(set(&healthy(&json!({}))).get("volumeClaimTemplates").is_none(), "and there are no volumes where none were asked for");
}

/// The labels that the manual's anti-affinity and budget select servers by.
fn manuals_labels() -> Value {
    json!({ "app.kubernetes.io/component": "isbsvc", "numaflow.numaproj.io/isbsvc-name": "default" })
}

#[test]
fn manual_anti_affinity_reaches_the_pods_and_selects_them() {
    let term = json!({
        "weight": 100,
        "podAffinityTerm": { "labelSelector": { "matchLabels": manuals_labels() }, "topologyKey": "topology.kubernetes.io/zone" },
    });
    let affinity = json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [term] } });
    let template = set(&healthy(&json!({ "affinity": affinity })))["template"].clone();
    assert_eq!(template["spec"]["affinity"], affinity);
    for (label, value) in manuals_labels().as_object().into_iter().flatten() {
        assert_eq!(&template["metadata"]["labels"][label], value);
    }
}

#[test]
fn manual_a_budget_of_ones_own_is_used_in_place_of_ours() {
    let mut simulator = healthy(&json!({}));
    let mut observed = simulator.observed();
    let budget =
        json!({ "metadata": { "name": "default" }, "spec": { "maxUnavailable": 1, "selector": { "matchLabels": manuals_labels() } } });
    observed.other_budgets = isbsvc::observed::Fact::Known(vec![serde_json::from_value(budget).expect("a budget")]);
    let service = simulator.service();
    let input = isbsvc::plan::Input { service: &service, config: &simulator.config, now: simulator.now };
    let plan = isbsvc::plan::plan(&input, &observed, &isbsvc::plan::Material::default());
    assert!(matches!(plan.actions.as_slice(), [Action::Delete { kind: ChildKind::PodDisruptionBudget, .. }]), "{:?}", plan.actions);
    assert_eq!(simulator.plan().actions, [], "without it, ours stays");
}

#[test]
fn manual_settings_come_from_the_config_map_and_the_service_overrides_them() {
    let mut simulator = Simulator::new(&jetstream(&json!({ "settings": "max_payload: 2097152\n" })));
    simulator.config.jetstream.settings = "max_payload: 4194304\nmax_memory_store: 1G\nmax_file_store: 2TB\n".to_owned();
    settle(&mut simulator);
    for line in ["max_payload: 2097152\n", "max_memory_store: 1G\n", "max_file_store: 2TB\n"] {
        assert!(config(&simulator).contains(line), "{line}");
    }
    let mut other = Simulator::new(&jetstream(&json!({})));
    other.config.jetstream.settings = simulator.config.jetstream.settings.clone();
    settle(&mut other);
    assert!(config(&other).contains("max_payload: 4194304\n"), "every service without a word of its own");
}

#[test]
fn manual_the_sample_of_settings_is_taken_and_what_it_warns_of_is_refused() {
    let sample = "# https://docs.nats.io/running-a-nats-service/configuration#limits\nmax_payload: 1048576\n#\nmax_memory_store: -1\n# e.g. 20G\nmax_file_store: 1TB\n";
    let settings = |text: &str| refused(&jetstream(&json!({ "settings": text })));
    assert!(settings(sample).is_empty());
    let text = config(&healthy(&json!({ "settings": sample })));
    assert!(text.contains("max_payload: 1048576\n") && text.contains("max_memory_store: -1\n") && text.contains("max_file_store: 1TB\n"));
    assert!(settings("max_payload: 64MB").is_empty() && settings("max_memory_store: 1G\nmax_file_store: 20G").is_empty());
    for bad in ["max_payload: 65MB", "store_dir: /data", "max_connections: 5"] {
        assert!(settings(bad).iter().all(|rule| rule.starts_with("settings-")) && !settings(bad).is_empty(), "{bad}");
    }
}

#[test]
fn manual_a_store_of_minus_one_has_no_limit_of_ours() {
    for more in [json!({}), json!({ "persistence": {} })] {
        let mut spec = more.clone();
        spec["settings"] = json!("max_file_store: -1\nmax_memory_store: -1\n");
        assert_eq!(refused(&jetstream(&spec)), Vec::<&str>::new());
        let text = config(&healthy(&spec));
        assert!(text.contains("max_file_store: -1\n") && text.contains("max_memory_store: -1\n"), "{text}");
    }
    assert_eq!(refused(&jetstream(&json!({ "settings": "max_file_store: -2\n" }))), ["settings-value"]);
}

const BUFFERS: &str = "# The properties of the buffers\nstream:\n  retention: 1\n  maxMsgs: 30000\n  maxAge: 168h\n  maxBytes: -1\n  storage: 0\n  replicas: 3\n  duplicates: 60s\nconsumer:\n  ackWait: 60s\n  maxAckPending: 20000\n";

#[test]
fn manual_the_sample_of_buffer_properties_is_merged_over_the_config_maps() {
    let simulator = healthy(&json!({ "bufferConfig": BUFFERS }));
    let text = stream_config(&simulator);
    for line in ["maxmsgs: 30000", "maxage: 168h", "retention: 1", "maxackpending: 20000", "otbucket:\n", "ttl: 3h"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let one = stream_config(&healthy(&json!({ "bufferConfig": "stream:\n  maxMsgs: 5\n" })));
    let default = stream_config(&healthy(&json!({})));
    assert_eq!(one, default.replace("maxmsgs: 100000", "maxmsgs: 5"), "a value that is given alone keeps all others");
}

#[test]
fn manual_a_change_of_buffer_properties_touches_no_server() {
    let mut simulator = healthy(&json!({}));
    let (before, text) = (set(&simulator), config(&simulator));
    simulator.edit_spec("/jetstream/bufferConfig", json!(BUFFERS));
    simulator.settle();
    assert_eq!((set(&simulator), config(&simulator)), (before, text));
    assert!(stream_config(&simulator).contains("maxmsgs: 30000"), "buffers that are made from now on have them");
}

#[test]
fn manual_tls_and_encryption_are_off_unless_asked_for() {
    let simulator = healthy(&json!({}));
    assert!(!config(&simulator).contains("tls {") && !config(&simulator).contains("key:"));
    let simulator = healthy(&json!({ "tls": true, "encryption": true }));
    assert!(config(&simulator).contains("tls {") && config(&simulator).contains("key: $JS_KEY"));
    let secret = &simulator.children[&(ChildKind::Secret, names::server_secret("default"))]["data"];
    assert!(["cert", "private-key", "ca-cert"].iter().all(|key| secret[key].is_string()), "the certificate is made with the service");
}

#[test]
fn manual_encryption_is_changed_by_deleting_the_service_and_making_it_anew_with_other_credentials() {
    let mut simulator = healthy(&json!({ "persistence": {} }));
    simulator.claim();
    simulator.edit_spec("/jetstream/encryption", json!(true));
    simulator.settle();
    assert!(simulator.service().status.and_then(|status| status.message).is_some_and(|words| words.contains("encryption-toggle")));
    simulator.delete();
    simulator.settle();
    assert!(!simulator.exists() && !simulator.children.keys().any(|(kind, _)| *kind == ChildKind::PersistentVolumeClaim));
    // What belongs to the service goes with it, and the new one draws its own.
    let secret = (ChildKind::Secret, names::client_secret("default"));
    let old = simulator.children[&secret]["data"].clone();
    simulator.children.clear();
    simulator.object = Simulator::new(&jetstream(&json!({ "persistence": {}, "encryption": true }))).object;
    settle(&mut simulator);
    assert!(config(&simulator).contains("key: $JS_KEY"));
    assert_ne!(simulator.children[&secret]["data"], old, "which is why vertices have to be restarted");
}

#[test]
fn manual_every_other_field_of_the_spec_reaches_the_pods() {
    let pod = pod_fields();
    let container = json!({
        "resources": { "limits": { "cpu": "1" } },
        "imagePullPolicy": "Always",
        "securityContext": { "readOnlyRootFilesystem": true },
        "envFrom": [{ "configMapRef": { "name": "more" } }],
    });
    let mut spec = pod.clone();
    for field in ["containerTemplate", "reloaderContainerTemplate", "metricsContainerTemplate"] {
        spec[field] = container.clone();
        spec[field]["env"] = json!([{ "name": "OWN", "value": "x" }]);
    }
    spec["metadata"] = json!({ "labels": { "team": "blue" }, "annotations": { "note": "x" } });
    spec["startArgs"] = json!(["-D"]);
    let probes = json!({
        "readinessProbe": { "successThreshold": 2 },
        "livenessProbe": { "initialDelaySeconds": 90, "periodSeconds": 61, "timeoutSeconds": 9, "failureThreshold": 8 },
        "startupProbe": { "periodSeconds": 10, "failureThreshold": 720 },
    });
    for (probe, numbers) in probes.as_object().into_iter().flatten() {
        spec["containerTemplate"][probe] = numbers.clone();
    }
    let without = set(&healthy(&json!({})))["template"]["spec"]["containers"][0].clone();
    let template = set(&healthy(&spec))["template"].clone();
    for (field, value) in pod.as_object().into_iter().flatten() {
        assert_eq!(&template["spec"][field], value, "{field}");
    }
    let containers = template["spec"]["containers"].as_array().cloned().unwrap_or_default();
    assert_eq!(containers.len(), 3);
    for (one, (field, value)) in
        containers.iter().flat_map(|one| container.as_object().into_iter().flatten().map(move |field| (one, field)))
    {
        assert_eq!(&one[field], value, "{} {field}", one["name"]);
    }
    for one in &containers {
        let own = one["env"].as_array().is_some_and(|env| env.contains(&json!({ "name": "OWN", "value": "x" })));
        assert!(own, "{}", one["name"]);
    }
    assert_eq!(containers[0]["args"], json!(["-D"]));
    for (probe, numbers) in probes.as_object().into_iter().flatten() {
        let mut expected = without[probe].clone();
        for (number, value) in numbers.as_object().into_iter().flatten() {
            expected[number] = value.clone();
        }
        assert_eq!(containers[0][probe], expected, "the numbers that were given, and no other");
    }
    assert_eq!((&template["metadata"]["labels"]["team"], &template["metadata"]["annotations"]["note"]), (&json!("blue"), &json!("x")));
}
