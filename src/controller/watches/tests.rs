use super::*;
use crate::observe::scripted::{Log, api_server, failure};

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
    sleep(std::time::Duration::from_mins(10)).await;
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
