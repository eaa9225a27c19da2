use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::queue::Key;

/// Labels of what is said of one service; the names are Numaflow's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Service {
    ns: String,
    isbsvc: String,
}

impl From<&Key> for Service {
    fn from(key: &Key) -> Self {
        Self { ns: key.namespace.clone(), isbsvc: key.name.clone() }
    }
}

/// How something ended; always one of a few words of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: &'static str,
}

/// What the controller counts. Words in labels come from us, names from the services that exist, so there are never more series than those.
pub struct Metrics {
    registry: Registry,
    health: Family<Service, Gauge>,
    replicas: Family<Service, Gauge>,
    reconciles: Family<Result, Counter>,
    seconds: Histogram,
    writes: Counter,
    events_lost: Counter,
    queue: Gauge,
    leader: Gauge,
    certificate_end: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            health: Family::default(),
            replicas: Family::default(),
            reconciles: Family::default(),
            // From a look that finds nothing to do to one that waits for its limit.
            seconds: Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]),
            writes: Counter::default(),
            events_lost: Counter::default(),
            queue: Gauge::default(),
            leader: Gauge::default(),
            certificate_end: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("controller_isbsvc_health", "1 where pipelines may use the service, else 0", metrics.health.clone());
        registry.register("controller_isbsvc_jetstream_replicas", "Servers that a JetStream service should have", metrics.replicas.clone());
        registry.register("isbsvc_controller_reconciles", "Looks at a service, by how they ended", metrics.reconciles.clone());
        registry.register("isbsvc_controller_reconcile_seconds", "How long a look at a service took", metrics.seconds.clone());
        registry.register("isbsvc_controller_writes", "Writes to the API server", metrics.writes.clone());
        registry.register("isbsvc_controller_events_lost", "Events that could not be published", metrics.events_lost.clone());
        registry.register("isbsvc_controller_queue", "Services that wait for a look, most of them for a later one", metrics.queue.clone());
        registry.register("isbsvc_controller_leader", "1 where this process may write", metrics.leader.clone());
        registry.register(
            "isbsvc_controller_webhook_certificate_end_seconds",
            "When the webhook's certificate ends, seconds since 1970; 0 where none is kept",
            metrics.certificate_end.clone(),
        );
        metrics
    }
}

impl Metrics {
    /// What is known of a service.
    pub fn service(&self, key: &Key, healthy: bool, servers: Option<i32>) {
        let labels = Service::from(key);
        self.health.get_or_create(&labels).set(i64::from(healthy));
        match servers {
            Some(servers) => {
                self.replicas.get_or_create(&labels).set(i64::from(servers));
            }
            None => {
                self.replicas.remove(&labels);
            }
        }
    }

    /// A service that is gone.
    pub fn forget(&self, key: &Key) {
        let labels = Service::from(key);
        self.health.remove(&labels);
        self.replicas.remove(&labels);
    }

    /// A look that ended.
    pub fn reconciled(&self, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Result { result }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Writes that were carried out.
    pub fn wrote(&self, writes: usize) {
        self.writes.inc_by(writes as u64);
    }

    /// An event that could not be published.
    pub fn event_lost(&self) {
        self.events_lost.inc();
    }

    /// Length of the queue.
    pub fn queue(&self, length: usize) {
        self.queue.set(i64::try_from(length).unwrap_or(i64::MAX));
    }

    /// Whether we may write.
    pub fn leader(&self, leading: bool) {
        self.leader.set(i64::from(leading));
    }

    /// When the webhook's certificate ends.
    pub fn certificate_end(&self, end: jiff::Timestamp) {
        self.certificate_end.set(end.as_duration().as_secs_f64());
    }

    /// All of it, in the text form of `OpenMetrics`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_of_a_service_have_the_references_names_and_go_with_it() {
        let (metrics, key) = (Metrics::default(), Key { namespace: "pl".to_owned(), name: "default".to_owned() });
        metrics.service(&key, true, Some(3));
        let text = metrics.text();
        assert!(text.contains("controller_isbsvc_health{ns=\"pl\",isbsvc=\"default\"} 1\n"), "{text}");
        assert!(text.contains("controller_isbsvc_jetstream_replicas{ns=\"pl\",isbsvc=\"default\"} 3\n"), "{text}");
        metrics.forget(&key);
        assert!(!metrics.text().contains("isbsvc=\"default\""));
    }

    #[test]
    fn looks_are_counted_by_how_they_ended() {
        let metrics = Metrics::default();
        metrics.reconciled("done", Duration::from_millis(3));
        assert!(metrics.text().contains("isbsvc_controller_reconciles_total{result=\"done\"} 1\n"));
    }
}
