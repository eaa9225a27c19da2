//! What the pods are: probes, limits, spreading, volumes, who may reach them.

use isbsvc::api::names;
use isbsvc::plan::ChildKind;
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

use super::{config, healthy, jetstream, main, pod, set, variable};

#[test]
fn defect_23_a_pod_has_longer_to_end_than_lame_duck_mode_takes() {
    let simulator = healthy(&json!({}));
    let text = config(&simulator);
    let (_, rest) = text.split_once("lame_duck_duration: ").expect("a duration");
    let duration: i64 = rest.split('s').next().and_then(|seconds| seconds.parse().ok()).expect("seconds");
    let grace = pod(&simulator)["terminationGracePeriodSeconds"].as_i64().expect("a period");
    // 10 s of grace before it begins, and 20 s to shut down.
    assert!(grace >= duration + 30, "{grace} s for {duration} s");
}

#[test]
fn defect_24_a_large_store_has_half_an_hour_to_be_read_back_and_a_small_one_does_not_wait() {
    let probe = main(&healthy(&json!({})))["startupProbe"].clone();
    let number = |field: &str| probe[field].as_i64().unwrap_or(0);
    assert!(number("periodSeconds") * number("failureThreshold") >= 1800, "{probe}");
    assert!(number("initialDelaySeconds") + number("periodSeconds") <= 2, "{probe}");
    assert_eq!(probe["httpGet"]["path"], json!("/healthz?js-server-only=true"), "one bad consumer keeps no pod from starting");
    let own = main(&healthy(&json!({ "containerTemplate": { "startupProbe": { "periodSeconds": 10, "failureThreshold": 720 } } })));
    let mut expected = probe.clone();
    expected["periodSeconds"] = json!(10);
    expected["failureThreshold"] = json!(720);
    assert_eq!(own["startupProbe"], expected, "the user may give it two hours, and it asks the same");
    let zero = main(&healthy(&json!({ "containerTemplate": { "startupProbe": { "periodSeconds": 0, "failureThreshold": 0 } } })));
    assert_eq!(zero["startupProbe"], probe, "what Kubernetes would fill in for a 0 is not fought over");
}

#[test]
fn defect_25_a_disabled_store_and_a_server_that_is_not_there_are_seen_by_probes() {
    for (version, ready, live) in [
        ("2.12.7", "/healthz?js-server-only=true", "/healthz?js-enabled-only=true"),
        ("2.9.8", "/healthz?js-server-only=true", "/"),
        ("2.8.3", "/", "/"),
    ] {
        let main = main(&healthy(&json!({ "version": version })));
        let path = |probe: &str| main[probe]["httpGet"]["path"].as_str().unwrap_or_default().to_owned();
        assert_eq!((path("readinessProbe").as_str(), path("livenessProbe").as_str()), (ready, live), "{version}");
    }
    // The image may not say which release it is.
    for digest in [false, true] {
        let mut simulator = Simulator::new(&jetstream(&json!({ "version": "2.8.3" })));
        for entry in simulator.config.jetstream.versions.iter_mut().filter(|_| digest) {
            entry.nats_image = format!("mirror.example/nats@sha256:{}", "0".repeat(64));
        }
        simulator.settle();
        let before = main(&simulator);
        simulator.edit_spec("/jetstream/containerTemplate", json!({ "resources": { "limits": { "cpu": "1" } } }));
        simulator.settle();
        let after = main(&simulator);
        assert_eq!(after["resources"], json!({ "limits": { "cpu": "1" } }));
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            assert_eq!(after[probe], before[probe], "{probe}");
        }
    }
    let own = main(&healthy(&json!({ "containerTemplate": { "readinessProbe": { "periodSeconds": 7 } } })));
    assert_eq!((&own["readinessProbe"]["periodSeconds"], own["readinessProbe"]["httpGet"].is_object()), (&json!(7), true));
}

#[test]
fn defect_26_the_store_is_smaller_than_the_volume_unless_the_user_names_its_size() {
    let limit = |more: &Value| {
        let text = config(&healthy(more));
        let (_, rest) = text.split_once("max_file_store: ").expect("a limit");
        rest.lines().next().unwrap_or_default().to_owned()
    };
    let bytes: u64 = limit(&json!({ "persistence": {} })).parse().expect("bytes");
    assert!(bytes < 20 << 30 && bytes > 18 << 30, "{bytes} of 20Gi");
    assert_eq!(limit(&json!({ "persistence": {}, "settings": "max_file_store: 30G" })), "30G");
    // Nor does a default of the controller configuration fill the volume.
    for default in ["20Gi", "21Gi", "-1"] {
        let mut simulator = Simulator::new(&jetstream(&json!({ "persistence": {} })));
        simulator.config.jetstream.settings = format!("max_payload: 1048576\nmax_memory_store: -1\nmax_file_store: {default}\n");
        simulator.settle();
        assert!(config(&simulator).contains(&format!("max_file_store: {bytes}\n")), "{default}: {}", config(&simulator));
    }
}

#[test]
fn defect_27_go_collects_before_the_kernel_kills() {
    assert_eq!(variable(&healthy(&json!({})), "GOMEMLIMIT"), None, "without a limit there is none to stay below");
    let unlimited = healthy(&json!({ "containerTemplate": { "resources": { "limits": { "memory": "0" } } } }));
    assert_eq!(variable(&unlimited, "GOMEMLIMIT"), None, "0 is no limit");
    let limited = healthy(&json!({ "containerTemplate": { "resources": { "limits": { "memory": "1000Mi" } } } }));
    assert_eq!(variable(&limited, "GOMEMLIMIT").expect("a limit")["value"], json!((900 << 20).to_string()));
    let own = json!({ "resources": { "limits": { "memory": "1000Mi" } }, "env": [{ "name": "GOMEMLIMIT", "value": "500MiB" }] });
    let own = main(&healthy(&json!({ "containerTemplate": own })));
    let limits = own["env"].as_array().into_iter().flatten().filter(|variable| variable["name"] == "GOMEMLIMIT");
    assert_eq!(limits.collect::<Vec<_>>(), [&json!({ "name": "GOMEMLIMIT", "value": "500MiB" })], "the user's own holds");
}

#[test]
fn defect_28_servers_are_spread_and_one_at_a_time_may_go() {
    let simulator = healthy(&json!({}));
    let terms = pod(&simulator)["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"].clone();
    let keys: Vec<_> = terms.as_array().into_iter().flatten().map(|term| term["podAffinityTerm"]["topologyKey"].clone()).collect();
    assert_eq!(keys, [json!("kubernetes.io/hostname"), json!("topology.kubernetes.io/zone")]);
    let budget = &simulator.children[&(ChildKind::PodDisruptionBudget, names::stateful_set("default"))]["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["selector"]), (&json!(1), &set(&simulator)["selector"]));
    let own = json!({ "nodeAffinity": {} });
    assert_eq!(pod(&healthy(&json!({ "affinity": own })))["affinity"], own, "the user's affinity holds as a whole");
}

#[test]
fn defect_29_neither_deleting_nor_scaling_a_stateful_set_deletes_volumes() {
    let policy = set(&healthy(&json!({ "persistence": {} })))["persistentVolumeClaimRetentionPolicy"].clone();
    assert_eq!(policy, json!({ "whenDeleted": "Retain", "whenScaled": "Retain" }));
}

#[test]
fn defect_31_with_tls_servers_prove_themselves_to_one_another() {
    let text = config(&healthy(&json!({ "tls": true })));
    let (_, cluster) = text.split_once("cluster {").expect("a cluster");
    let (cluster, _) = cluster.split_once("lame_duck").expect("an end");
    assert!(cluster.contains("tls {") && cluster.contains("verify: true"), "{cluster}");
}

#[test]
fn defect_31_without_tls_the_sample_of_a_network_policy_keeps_strangers_out() {
    let policy: Value = serde_saphyr::from_str(include_str!("../../../manifests/samples/network-policy.yaml")).expect("YAML");
    let simulator = healthy(&json!({}));
    let labels = &set(&simulator)["template"]["metadata"]["labels"];
    let ours = &policy["spec"]["podSelector"];
    for (label, value) in ours["matchLabels"].as_object().expect("labels") {
        assert_eq!(&labels[label], value, "it selects the servers");
    }
    let from = |port: i64| {
        let mut rules = policy["spec"]["ingress"].as_array().into_iter().flatten();
        rules.find(|rule| rule["ports"][0]["port"] == json!(port)).map(|rule| rule["from"].clone())
    };
    assert_eq!(from(6222), Some(json!([{ "podSelector": ours }])), "only servers join the servers");
    assert_eq!(from(8222).expect("a rule")[0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], json!("numaflow-system"));
    let container = pod(&simulator)["containers"][0]["ports"].clone();
    for port in container.as_array().expect("ports") {
        assert!(from(port["containerPort"].as_i64().expect("a number")).is_some(), "{port}");
    }
}

#[test]
fn defect_32_no_token_and_no_service_links() {
    let pod = pod(&healthy(&json!({})));
    assert_eq!((&pod["automountServiceAccountToken"], &pod["enableServiceLinks"]), (&json!(false), &json!(false)));
}
