use super::*;
use crate::apply::Verb;
use crate::health::{Level, Reason, Verdict};
use crate::plan::{ChildKind, Precondition};

fn key() -> Key {
    Key { namespace: "pl".to_owned(), name: "default".to_owned() }
}

fn verdict() -> Verdict {
    let reason = |id| Reason { id, level: Level::Critical, message: "words that no label repeats".to_owned() };
    Verdict {
        level: Level::Critical,
        reasons: vec![reason("PeerLagging"), reason("NoMetaLeader"), reason("PeerLagging")],
        servers_wanted: 3,
        pods_ready: 2,
        servers_answering: 1,
        meta_leader: None,
        pod_failure: None,
        crash_loop: false,
        rolling: false,
        current: None,
    }
}

#[test]
fn the_metrics_of_a_service_have_the_references_names_and_go_with_it() {
    let metrics = Metrics::default();
    metrics.service(
        &key(),
        Snapshot {
            healthy: true,
            replicas: Some(3),
            verdict: Some(verdict()),
            store_used: Some(0.25),
            refused: true,
            ..Snapshot::default()
        },
    );
    let text = metrics.text();
    for line in [
        "controller_isbsvc_health{ns=\"pl\",isbsvc=\"default\"} 1.0",
        "controller_isbsvc_jetstream_replicas{ns=\"pl\",isbsvc=\"default\"} 3.0",
        "isbsvc_service_level{ns=\"pl\",isbsvc=\"default\"} 3.0",
        "isbsvc_service_servers_wanted{ns=\"pl\",isbsvc=\"default\"} 3.0",
        "isbsvc_service_servers_ready{ns=\"pl\",isbsvc=\"default\"} 2.0",
        "isbsvc_service_servers_answering{ns=\"pl\",isbsvc=\"default\"} 1.0",
        "isbsvc_service_meta_leader{ns=\"pl\",isbsvc=\"default\"} 0.0",
        "isbsvc_service_store_used_ratio{ns=\"pl\",isbsvc=\"default\"} 0.25",
        "isbsvc_service_refused{ns=\"pl\",isbsvc=\"default\"} 1.0",
        "isbsvc_service_held{ns=\"pl\",isbsvc=\"default\"} 0.0",
        "isbsvc_service_reason{ns=\"pl\",isbsvc=\"default\",reason=\"NoMetaLeader\"} 1",
        "isbsvc_service_reason{ns=\"pl\",isbsvc=\"default\",reason=\"PeerLagging\"} 1",
    ] {
        assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{line}\n{text}");
    }
    assert!(!text.contains("no label repeats"));
    // A reason that is over goes; so does what is not known.
    metrics.service(&key(), Snapshot { healthy: true, ..Snapshot::default() });
    let text = metrics.text();
    assert!(!text.contains("reason=") && !text.contains("isbsvc_service_level{"), "{text}");
    metrics.forget(&key());
    assert!(!metrics.text().contains("isbsvc=\"default\""));
}

#[test]
fn looks_writes_and_failures_are_counted_by_words_of_ours() {
    let metrics = Metrics::default();
    metrics.reconciled("done", Duration::from_millis(3));
    metrics.failed(Category::Forbidden);
    metrics.watch_failed("pods");
    let carried = |verb| Carried { kind: "x".to_owned(), name: "a-name".to_owned(), verb };
    let precondition = Precondition::default();
    let delete = Action::Delete { kind: ChildKind::StatefulSet, name: "a-name".to_owned(), precondition: precondition.clone() };
    metrics.wrote(&delete, &carried(Verb::Deleted));
    metrics.wrote(&Action::ApplyStatus { status: serde_json::Value::Null }, &carried(Verb::Configured));
    metrics.wrote(&Action::SetFinalizers { finalizers: Vec::new(), precondition }, &carried(Verb::Configured));
    let text = metrics.text();
    for line in [
        "isbsvc_controller_reconciles_total{result=\"done\"} 1",
        "isbsvc_controller_api_errors_total{category=\"forbidden\"} 1",
        "isbsvc_controller_watch_failures_total{resource=\"pods\"} 1",
        "isbsvc_controller_writes_total{kind=\"StatefulSet\",verb=\"deleted\"} 1",
        "isbsvc_controller_writes_total{kind=\"Status\",verb=\"configured\"} 1",
        "isbsvc_controller_writes_total{kind=\"InterStepBufferService\",verb=\"configured\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("a-name"));
}

#[test]
fn configuration_lease_queue_and_definition_are_told() {
    let metrics = Metrics::default();
    metrics.configured(true);
    metrics.configured(false);
    metrics.renewed(true);
    metrics.renewed(false);
    metrics.queue(&Depth { ready: 2, later: 5, running: 1, oldest: Duration::from_millis(1500) });
    metrics.definition(Some(false));
    let text = metrics.text();
    for line in [
        "isbsvc_controller_config_reloads_total{result=\"bad\"} 1",
        "isbsvc_controller_lease_renewals_total{result=\"failed\"} 1",
        "isbsvc_controller_queue{state=\"ready\"} 2",
        "isbsvc_controller_queue_oldest_wait_seconds 1.5",
        "isbsvc_controller_definition_has_redis{} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    metrics.definition(None);
    assert!(!metrics.text().lines().any(|line| line.starts_with("isbsvc_controller_definition_has_redis{")));
}

/// Everything that can be told, told once, so that each metric is in the text.
fn all_told() -> String {
    let metrics = Metrics::default();
    metrics.service(&key(), Snapshot { replicas: Some(3), verdict: Some(verdict()), store_used: Some(0.5), ..Snapshot::default() });
    metrics.reconciled("done", Duration::ZERO);
    metrics.failed(Category::Forbidden);
    metrics.watch_failed("pods");
    metrics.told(Telling::Published);
    metrics.wrote(
        &Action::ApplyStatus { status: serde_json::Value::Null },
        &Carried { kind: "x".to_owned(), name: "x".to_owned(), verb: Verb::Configured },
    );
    metrics.queue(&Depth::default());
    metrics.renewed(true);
    metrics.configured(true);
    metrics.definition(Some(true));
    metrics.policy(true);
    metrics.text()
}

/// What the exporter tells as it is started for services (`-varz -jsz=all -prefix=nats`), as far as the manifests use it: in each of its releases from
/// 0.9.1 on (nats-io/prometheus-nats-exporter, `collector/`).
const EXPORTER: [&str; 9] = [
    "nats_consumer_num_ack_pending",
    "nats_consumer_num_pending",
    "nats_server_jetstream_disabled",
    "nats_stream_total_messages",
    "nats_varz_connections",
    "nats_varz_in_msgs",
    "nats_varz_mem",
    "nats_varz_out_msgs",
    "nats_varz_slow_consumers",
];

/// Words of `PromQL` that the manifests use.
const PROMQL: [&str; 16] = [
    "absent",
    "and",
    "avg",
    "delta",
    "histogram_quantile",
    "increase",
    "label_values",
    "max",
    "min",
    "on",
    "or",
    "predict_linear",
    "rate",
    "sum",
    "time",
    "vector",
];

/// The names in an expression: what is left without strings, label matchers, ranges and lists of labels.
fn named(expression: &str) -> Vec<String> {
    let mut text = String::new();
    let mut rest = expression;
    while let Some(at) = rest.find(['"', '{', '[']) {
        text.push_str(&rest[..at]);
        let (open, close) = match &rest[at..=at] {
            "\"" => ("\"", '"'),
            "{" => ("{", '}'),
            _ => ("[", ']'),
        };
        let after = &rest[at + open.len()..];
        rest = after.find(close).map_or("", |end| &after[end + 1..]);
        text.push(' ');
    }
    text.push_str(rest);
    for list in ["by (", "on (", "ignoring (", "without ("] {
        while let Some(at) = text.find(list) {
            let end = text[at..].find(')').map_or(text.len(), |end| at + end + 1);
            text.replace_range(at..end, " ");
        }
    }
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with(|letter: char| letter.is_ascii_alphabetic())).map(str::to_owned).collect()
}

#[test]
fn names_are_told_from_labels_and_words() {
    assert_eq!(
        named("sum by (le, path) (rate(a_b_total{c=~\"d|e_f\"}[5m])) > 0 and on (ns) g_h == 1"),
        ["sum", "rate", "a_b_total", "and", "g_h"]
    );
}

#[test]
fn every_metric_of_the_rules_and_of_the_dashboard_is_told() {
    let told = all_told();
    let exists = |name: &str| told.lines().any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
    let rules: serde_json::Value = serde_saphyr::from_str(include_str!("../../../manifests/monitoring/rules.yaml")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(include_str!("../../../manifests/monitoring/dashboard.json")).unwrap();
    let mut expressions = Vec::new();
    let mut look = vec![&rules, &dashboard];
    while let Some(value) = look.pop() {
        match value {
            serde_json::Value::Object(fields) => {
                // An expression of a rule or a panel, or the question behind a variable.
                expressions.extend(["expr", "query"].iter().filter_map(|field| fields.get(*field)?.as_str()));
                look.extend(fields.values());
            }
            serde_json::Value::Array(items) => look.extend(items),
            _ => {}
        }
    }
    assert!(expressions.len() > 60, "{}", expressions.len());
    let mut used = std::collections::BTreeSet::new();
    for expression in expressions.into_iter().filter(|expression| *expression != "prometheus") {
        // The second argument of label_values is a label.
        let expression = expression.strip_prefix("label_values(").map_or(expression, |question| question.rsplit_once(',').unwrap().0);
        for name in named(expression).into_iter().filter(|name| !PROMQL.contains(&name.as_str())) {
            // The webhook's are compared in its own tests.
            let known = exists(&name) || EXPORTER.contains(&name.as_str()) || name.starts_with("isbsvc_webhook_");
            assert!(known, "{name} in {expression}");
            used.insert(name);
        }
    }
    for name in EXPORTER {
        assert!(used.contains(name), "{name} is not used any more");
    }
    // What somebody should hear of or see is somewhere in it.
    for line in told.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        let covered = used.iter().any(|used| used.strip_prefix(name).is_some_and(|rest| ["", "_total", "_bucket"].contains(&rest)));
        let aside = [
            "controller_isbsvc_jetstream_replicas",
            "isbsvc_controller_build",
            "isbsvc_controller_config_last_good_timestamp_seconds",
            "isbsvc_controller_webhook_certificate_end_seconds",
        ];
        assert!(covered || aside.contains(&name), "{name} is neither in the rules nor on the dashboard");
    }
}
