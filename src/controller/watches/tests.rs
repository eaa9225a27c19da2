use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::observe::scripted::{Log, api_server, failure};

/// What an API server answers that has nothing of the kind.
fn nothing_there(path: &str) -> (u16, Value) {
    if path.contains("watch=true") {
        return (200, json!({}));
    }
    (200, json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": [] }))
}

/// Watches the definition for ten minutes, where it may not be read; what was asked, and what the metrics say of it.
async fn ten_minutes(scope: Option<&str>) -> (Log, String) {
    let (client, log) =
        api_server(|_| failure(403, "Forbidden", "customresourcedefinitions is forbidden: User \"x\" cannot list resource"));
    let (queue, metrics, definition) = (Arc::new(Queue::default()), Arc::new(Metrics::default()), Definition::default());
    let (services, _writer) = dynamic(&ApiResource::erase::<InterStepBufferService>(&()));
    let mut tasks = JoinSet::new();
    Starter { client: &client, scope, queue: &queue, metrics: &metrics }.definition(&definition, &services, &mut tasks);
    let begun = Instant::now();
    definition.looked_at().await;
    assert!(begun.elapsed() < limits::DEFINITION_WAIT, "the controller does not wait for what it may not see");
    sleep(Duration::from_mins(10)).await;
    assert!(tasks.try_join_next().is_none(), "a task that ends would end the controller");
    (log, metrics.text())
}

#[tokio::test(start_paused = true)]
async fn a_controller_of_one_namespace_asks_once_for_what_it_may_not_read() {
    let (log, metrics) = ten_minutes(Some("pl")).await;
    assert_eq!(log.lock().unwrap().len(), 1, "{log:?}");
    assert!(!metrics.contains("customresourcedefinitions"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_controller_of_the_cluster_goes_on_asking() {
    let (log, metrics) = ten_minutes(None).await;
    assert!(log.lock().unwrap().len() > 10, "{log:?}");
    assert!(metrics.contains("isbsvc_controller_watch_failures_total{resource=\"customresourcedefinitions\"}"), "{metrics}");
}

/// Every kind that a look at a service needs is listed and then watched; those that are made for services by their label, so that no controller holds
/// the Secrets of others.
#[tokio::test(start_paused = true)]
async fn defect_11_secrets_pods_claims_and_all_else_that_counts_are_watched() {
    let (client, log) = api_server(|asked| nothing_there(&asked.path));
    let (queue, metrics) = (Arc::new(Queue::default()), Arc::new(Metrics::default()));
    let (stores, definition, _tasks) = start(&client, None, &queue, &metrics);
    tokio::time::timeout(Duration::from_mins(1), ready(&stores, &definition)).await.unwrap().unwrap();
    let watched = || -> BTreeSet<String> {
        let log = log.lock().unwrap();
        let watched = log.iter().filter(|asked| asked.path.contains("watch=true"));
        watched.map(|asked| asked.path.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()).collect()
    };
    let children = ["configmaps", "persistentvolumeclaims", "pods", "secrets", "services", "statefulsets"];
    let wanted: BTreeSet<_> = children
        .into_iter()
        .chain(["customresourcedefinitions", names::PLURAL, "pipelines", "poddisruptionbudgets"])
        .map(str::to_owned)
        .collect();
    // The clock stands still until nothing else is to be done.
    let deadline = Instant::now() + Duration::from_mins(1);
    while watched() != wanted && Instant::now() < deadline {
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(watched(), wanted);
    for asked in log.lock().unwrap().iter() {
        let of_children = children.iter().any(|plural| asked.path.contains(&format!("/{plural}?")));
        assert_eq!(of_children, asked.path.contains("labelSelector="), "{}", asked.path);
    }
}

/// An API server that was away for a moment, as at an upgrade of it; nothing changes meanwhile, so that no watch has anything to say afterwards.
#[tokio::test(start_paused = true)]
async fn what_could_not_be_followed_for_a_moment_is_known_again() {
    let away = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&away);
    let (client, _log) = api_server(move |asked| {
        if gone.load(Ordering::Relaxed) {
            return failure(503, "ServiceUnavailable", "the API server is going away");
        }
        nothing_there(&asked.path)
    });
    let (queue, metrics) = (Arc::new(Queue::default()), Arc::new(Metrics::default()));
    let (stores, definition, _tasks) = start(&client, None, &queue, &metrics);
    tokio::time::timeout(Duration::from_mins(1), ready(&stores, &definition)).await.unwrap().unwrap();
    let known = || stores.pipelines_known.lock().unwrap().known().is_some();
    let becomes = async |wanted| {
        let deadline = Instant::now() + Duration::from_mins(5);
        while known() != wanted {
            assert!(Instant::now() < deadline, "wanted: {wanted}");
            sleep(Duration::from_millis(100)).await;
        }
    };
    becomes(true).await;
    away.store(true, Ordering::Relaxed);
    becomes(false).await;
    away.store(false, Ordering::Relaxed);
    becomes(true).await;
}
