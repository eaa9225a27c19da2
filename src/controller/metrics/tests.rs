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
