//! `manifests/monitoring/` fits what runs, and what Prometheus takes. That every metric in it exists is tested beside the metrics (`src/controller/`,
//! `webhook/`).

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use isbsvc::plan::ChildKind;
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

const RULES: &str = include_str!("../../manifests/monitoring/rules.yaml");
const DASHBOARD: &str = include_str!("../../manifests/monitoring/dashboard.json");
const PODS: &str = include_str!("../../manifests/monitoring/pod-monitors.yaml");
const SERVICES: &str = include_str!("../../manifests/monitoring/service-monitor.yaml");
const CONTROLLER: &str = include_str!("../../manifests/controller/deployment.yaml");
const WEBHOOK: &str = include_str!("../../manifests/webhook/deployment.yaml");

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

fn rules() -> Vec<Value> {
    let groups = yaml(RULES)["spec"]["groups"].as_array().cloned().unwrap_or_default();
    groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect()
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().expect("a name").to_owned();
        assert!(["info", "warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default()), "{name}");
        for part in ["summary", "description", "runbook"] {
            let text = rule["annotations"][part].as_str().unwrap_or_default();
            assert!(text.len() > 20 && text.len() < 600 && !text.contains('\n'), "{name}: {part}: {text:?}");
        }
        let expr = rule["expr"].as_str().expect("an expression");
        assert!(!expr.contains('\n') && !expr.is_empty(), "{name}");
        assert!(names.insert(name.clone()), "{name} is there twice");
    }
    assert!(names.len() > 20);
}

#[test]
fn the_ports_and_labels_are_those_of_what_runs() {
    let monitors: Vec<Value> = serde_saphyr::from_multiple(PODS).expect("YAML");
    for (monitor, deployment) in monitors.iter().zip([CONTROLLER, WEBHOOK]) {
        let template = &yaml(deployment)["spec"]["template"];
        for (label, value) in monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels") {
            assert_eq!(&template["metadata"]["labels"][label], value);
        }
        let ports = template["spec"]["containers"][0]["ports"].as_array().expect("ports");
        assert!(ports.iter().any(|port| port["name"] == monitor["spec"]["podMetricsEndpoints"][0]["port"]), "{monitor}");
    }
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7" } }));
    simulator.settle();
    let (_, service) = simulator.children.iter().find(|((kind, _), _)| *kind == ChildKind::Service).expect("made");
    let monitor = yaml(SERVICES);
    for (label, value) in monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels") {
        assert_eq!(&service["metadata"]["labels"][label], value);
    }
    let ports = service["spec"]["ports"].as_array().expect("ports");
    assert!(ports.iter().any(|port| port["name"] == monitor["spec"]["endpoints"][0]["port"]));
}

#[test]
fn no_panel_of_the_dashboard_covers_another() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeMap::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64()), "{panel}");
        let at = |side: &str| panel["gridPos"][side].as_u64().expect("a number");
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert_eq!(cells.insert((x, y), panel["title"].clone()), None, "{panel}");
            }
        }
        assert!(panel["type"] == "row" || !panel["description"].as_str().unwrap_or_default().is_empty(), "{panel}");
    }
}

/// Numaflow's own controller tells of this name as well, so whoever asks for it says whose is meant.
#[test]
fn the_name_that_two_controllers_tell_of_is_asked_of_ours() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels =
        dashboard["panels"].as_array().expect("panels").iter().flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let variables = dashboard["templating"]["list"].as_array().expect("variables").iter().map(|one| one["query"].to_string());
    let asked: Vec<_> = rules().into_iter().chain(panels).map(|one| one["expr"].to_string()).chain(variables).collect();
    let shared: Vec<_> = asked.iter().filter(|expr| expr.contains("controller_isbsvc_health")).collect();
    assert_eq!(shared.len(), 2, "one alert and one panel: {shared:?}");
    assert!(shared.iter().all(|expr| expr.contains("and on (job, instance) isbsvc_controller_leader == 1")), "{shared:?}");
}

/// What Prometheus itself says of the rules.
#[test]
#[ignore = "asks promtool, which `cargo xtask test` brings; alone: ISBSVC_TEST_PROMTOOL=promtool cargo test -p isbsvc-tests --test monitoring -- --ignored"]
fn promtool_takes_the_rules_and_they_fire_when_they_should() {
    let promtool = std::env::var_os("ISBSVC_TEST_PROMTOOL").unwrap_or_else(|| "promtool".into());
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let write = |name: &str, value: &Value| {
        let path = folder.join(name);
        std::fs::write(&path, value.to_string()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    };
    // Its tests compare annotations too; what those say is not the question here.
    let mut bare = yaml(RULES)["spec"].clone();
    for rule in bare["groups"].as_array_mut().into_iter().flatten().flat_map(|group| group["rules"].as_array_mut().into_iter().flatten()) {
        rule.as_object_mut().expect("a rule").remove("annotations");
    }
    write("monitoring-bare.yaml", &bare);
    let rules = write("monitoring-rules.yaml", &yaml(RULES)["spec"]);
    let cases = json!({ "rule_files": ["monitoring-bare.yaml"], "evaluation_interval": "1m", "tests": cases_of_trouble() });
    let cases = write("monitoring-cases.yaml", &cases);
    for (question, file) in [("check", rules), ("test", cases)] {
        let said = Command::new(&promtool).args([question, "rules"]).arg(file).output().expect("promtool runs");
        let words = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success(), "{question}: {words}");
    }
}

/// Series over half an hour, the alert that is asked about, when, and the labels with which it fires; none where it must not.
fn cases_of_trouble() -> Vec<Value> {
    const OURS: &str = "controller_isbsvc_health{ns=\"pl\",isbsvc=\"default\",job=\"isbsvc\",instance=\"a\"}";
    const THEIRS: &str = "controller_isbsvc_health{ns=\"pl\",isbsvc=\"default\",job=\"numaflow\",instance=\"b\"}";
    const LEADER: &str = "isbsvc_controller_leader{job=\"isbsvc\",instance=\"a\"}";
    const SERVICE: &str = "{ns=\"pl\",isbsvc=\"default\"}";
    let of = |series: &[(&str, &str)], alert: &str, minutes: u32, labels: Option<Value>| {
        let series: Vec<_> =
            series.iter().map(|(name, values)| json!({ "series": name.replace("{}", SERVICE), "values": values })).collect();
        let fires: Vec<_> = labels.into_iter().map(|labels| json!({ "exp_labels": labels })).collect();
        json!({ "interval": "1m", "input_series": series,
            "alert_rule_test": [{ "eval_time": format!("{minutes}m"), "alertname": alert, "exp_alerts": fires }] })
    };
    let service = |severity: &str| Some(json!({ "severity": severity, "ns": "pl", "isbsvc": "default" }));
    vec![
        of(&[(OURS, "1x5 0x30"), (LEADER, "1x40")], "IsbsvcNotHealthy", 8, None),
        of(
            &[(OURS, "1x5 0x30"), (LEADER, "1x40")],
            "IsbsvcNotHealthy",
            12,
            Some(json!({ "severity": "critical", "ns": "pl", "isbsvc": "default", "job": "isbsvc", "instance": "a" })),
        ),
        // Numaflow's controller tells of the same name, and says 0 of what it is kept off.
        of(&[(OURS, "1x40"), (LEADER, "1x40"), (THEIRS, "0x40")], "IsbsvcNotHealthy", 30, None),
        of(&[("isbsvc_service_meta_leader{}", "0x30"), ("isbsvc_service_servers_answering{}", "0x30")], "IsbsvcNoMetaLeader", 10, None),
        of(
            &[("isbsvc_service_meta_leader{}", "0x30"), ("isbsvc_service_servers_answering{}", "3x30")],
            "IsbsvcNoMetaLeader",
            10,
            service("critical"),
        ),
        of(
            &[("isbsvc_controller_leader{pod=\"a\"}", "0x30"), ("isbsvc_controller_leader{pod=\"b\"}", "1x30")],
            "IsbsvcControllerAbsent",
            20,
            None,
        ),
        of(&[("isbsvc_controller_leader{pod=\"a\"}", "0x30")], "IsbsvcControllerAbsent", 20, Some(json!({ "severity": "critical" }))),
        of(&[("isbsvc_controller_api_errors_total{pod=\"a\",category=\"conflict\"}", "0+5x40")], "IsbsvcControllerFailing", 35, None),
        of(
            &[("isbsvc_controller_api_errors_total{pod=\"a\",category=\"forbidden\"}", "0+5x40")],
            "IsbsvcControllerFailing",
            35,
            Some(json!({ "severity": "warning", "pod": "a", "category": "forbidden" })),
        ),
        of(&[("isbsvc_webhook_certificate_expiry_timestamp_seconds{pod=\"w\"}", "8640000x100")], "IsbsvcWebhookCertificateEnds", 90, None),
        of(
            &[("isbsvc_webhook_certificate_expiry_timestamp_seconds{pod=\"w\"}", "86400x100")],
            "IsbsvcWebhookCertificateEnds",
            90,
            Some(json!({ "severity": "critical", "pod": "w" })),
        ),
        of(
            &[("isbsvc_controller_policy_good{pod=\"a\"}", "1x30"), ("isbsvc_webhook_policy_good{pod=\"w\"}", "1x30")],
            "IsbsvcPolicyBad",
            20,
            None,
        ),
        of(
            &[("isbsvc_controller_policy_good{pod=\"a\"}", "0x30"), ("isbsvc_webhook_policy_good{pod=\"w\"}", "1x30")],
            "IsbsvcPolicyBad",
            20,
            Some(json!({ "severity": "warning", "pod": "a" })),
        ),
        // Where no controller of ours leads.
        of(
            &[("isbsvc_webhook_policy_good{pod=\"w\"}", "1x5 0x30")],
            "IsbsvcPolicyBad",
            20,
            Some(json!({ "severity": "warning", "pod": "w" })),
        ),
        // An API server that restarts is back within minutes.
        of(&[("isbsvc_webhook_store_current{pod=\"w\",store=\"pipelines\"}", "1x5 0x5 1x30")], "IsbsvcWebhookBlind", 20, None),
        of(
            &[
                ("isbsvc_webhook_store_current{pod=\"w\",store=\"pipelines\"}", "1x5 0x30"),
                ("isbsvc_webhook_store_current{pod=\"w\",store=\"namespaces\"}", "1x40"),
            ],
            "IsbsvcWebhookBlind",
            20,
            Some(json!({ "severity": "warning", "pod": "w", "store": "pipelines" })),
        ),
        // A change reaches one replica a little before the other.
        of(
            &[("isbsvc_webhook_policy_fingerprint{pod=\"v\"}", "5x5 7x30"), ("isbsvc_webhook_policy_fingerprint{pod=\"w\"}", "5x7 7x30")],
            "IsbsvcPolicyDiffers",
            25,
            None,
        ),
        of(
            &[("isbsvc_webhook_policy_fingerprint{pod=\"v\"}", "7x40"), ("isbsvc_webhook_policy_fingerprint{pod=\"w\"}", "1x40")],
            "IsbsvcPolicyDiffers",
            25,
            Some(json!({ "severity": "warning" })),
        ),
        of(&[("isbsvc_service_store_used_ratio{}", "0.5+0.02x30")], "IsbsvcStoreFull", 18, None),
        of(&[("isbsvc_service_store_used_ratio{}", "0.5+0.02x30")], "IsbsvcStoreFull", 25, service("critical")),
    ]
}
