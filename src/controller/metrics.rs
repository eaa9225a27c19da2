mod services;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::queue::{Depth, Key};
use crate::apply::{Carried, Category};
use crate::plan::Action;

use services::Services;
pub use services::{Care, Snapshot, store_used};

/// How something ended; always one of a few words of ours.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Result {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    kind: &'static str,
    verb: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    category: Category,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Queued {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Watched {
    resource: &'static str,
}

/// What came of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Telling {
    /// It was published.
    Published,
    /// It was counted on one that says the same.
    Repeated,
    /// It says what was said a moment ago, or there were too many.
    HeldBack,
    /// It could not be published.
    Lost,
}

impl Telling {
    fn word(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Repeated => "repeated",
            Self::HeldBack => "held_back",
            Self::Lost => "lost",
        }
    }
}

impl EncodeLabelValue for Category {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::result::Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

/// The labels of a metric that has none, and that is absent while it is not known.
type Unlabelled = [(&'static str, &'static str); 0];

type Seconds = Gauge<f64, AtomicU64>;

/// What the controller counts. Words in labels come from us, names from the services that exist, so there are never more series than those.
pub struct Metrics {
    registry: Registry,
    services: Arc<Services>,
    reconciles: Family<Result, Counter>,
    seconds: Histogram,
    writes: Family<Write, Counter>,
    failures: Family<Failure, Counter>,
    watches: Family<Watched, Counter>,
    events: Family<Result, Counter>,
    queue: Family<Queued, Gauge>,
    oldest: Seconds,
    leader: Gauge,
    renewed: Seconds,
    renewals: Family<Result, Counter>,
    configs: Family<Result, Counter>,
    config_good: Gauge,
    config_read: Seconds,
    restart_needed: Gauge,
    redis_in_definition: Family<Unlabelled, Gauge>,
    certificate_end: Seconds,
    policy_good: Family<Unlabelled, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let services = Arc::<Services>::default();
        registry.register_collector(Box::new(Arc::clone(&services)));
        registry.register("isbsvc_controller_build", "The release that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        // From a look that finds nothing to do to one that waits for its limit.
        let seconds = Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]);
        let mut metrics = Self {
            registry,
            services,
            reconciles: Family::default(),
            seconds,
            writes: Family::default(),
            failures: Family::default(),
            watches: Family::default(),
            events: Family::default(),
            queue: Family::default(),
            oldest: Seconds::default(),
            leader: Gauge::default(),
            renewed: Seconds::default(),
            renewals: Family::default(),
            configs: Family::default(),
            config_good: Gauge::default(),
            config_read: Seconds::default(),
            restart_needed: Gauge::default(),
            redis_in_definition: Family::default(),
            certificate_end: Seconds::default(),
            policy_good: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let Self { registry, .. } = self;
        let ours = registry.sub_registry_with_prefix("isbsvc_controller");
        ours.register("reconciles", "Looks at a service, by how they ended", self.reconciles.clone());
        ours.register("reconcile_seconds", "How long a look at a service took", self.seconds.clone());
        ours.register("writes", "Writes to the API server that were carried out, by kind and verb", self.writes.clone());
        ours.register("api_errors", "Requests to the API server that failed, by category", self.failures.clone());
        ours.register("watch_failures", "Watches that could not be begun, by resource", self.watches.clone());
        ours.register("events", "Events, by what came of them", self.events.clone());
        ours.register("queue", "Services in the queue: ready for a look, to be looked at later, being looked at", self.queue.clone());
        ours.register("queue_oldest_wait_seconds", "How long the service has waited that is ready for a look longest", self.oldest.clone());
        ours.register("leader", "1 where this process may write", self.leader.clone());
        ours.register("lease_renewed_timestamp_seconds", "When the Lease was renewed last, seconds since 1970", self.renewed.clone());
        ours.register("lease_renewals", "Attempts to renew the Lease, by how they ended", self.renewals.clone());
        ours.register("config_reloads", "Changes of the controller configuration, by whether they could be used", self.configs.clone());
        ours.register(
            "config_good",
            "1 where the controller configuration as it stands now is in force, 0 where it cannot be used and the last good one holds",
            self.config_good.clone(),
        );
        ours.register(
            "config_last_good_timestamp_seconds",
            "When the controller configuration in force was read, seconds since 1970",
            self.config_read.clone(),
        );
        ours.register(
            "restart_needed",
            "1 where the controller configuration names another instance than the one this process was started for",
            self.restart_needed.clone(),
        );
        ours.register(
            "definition_has_redis",
            "1 where the installed definition (CRD) has spec.redis, else 0; absent while it is not known",
            self.redis_in_definition.clone(),
        );
        ours.register(
            "webhook_certificate_end_seconds",
            "When the webhook's certificate ends, seconds since 1970; 0 where none is kept",
            self.certificate_end.clone(),
        );
        ours.register(
            "policy_good",
            "1 where the policy can be used, or there is none, else 0; absent where it was not looked at",
            self.policy_good.clone(),
        );
    }

    /// What is known of a service.
    pub fn service(&self, key: &Key, snapshot: Snapshot) {
        self.services.set(key, snapshot);
    }

    /// A service that is gone.
    pub fn forget(&self, key: &Key) {
        self.services.forget(key);
    }

    /// A look that ended.
    pub fn reconciled(&self, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Result { result }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// A write that was carried out.
    pub fn wrote(&self, action: &Action, carried: &Carried) {
        let kind = match (action.child(), action) {
            (Some(kind), _) => kind.kind(),
            (None, Action::ApplyStatus { .. }) => "Status",
            (None, _) => crate::api::names::KIND,
        };
        self.writes.get_or_create(&Write { kind, verb: carried.verb.as_str() }).inc();
    }

    /// A request that failed.
    pub fn failed(&self, category: Category) {
        self.failures.get_or_create(&Failure { category }).inc();
    }

    /// A watch that could not be begun.
    pub fn watch_failed(&self, resource: &'static str) {
        self.watches.get_or_create(&Watched { resource }).inc();
    }

    /// What came of an event.
    pub fn told(&self, telling: Telling) {
        self.events.get_or_create(&Result { result: telling.word() }).inc();
    }

    /// How full the queue is.
    pub fn queue(&self, depth: &Depth) {
        for (state, count) in [("ready", depth.ready), ("later", depth.later), ("running", depth.running)] {
            self.queue.get_or_create(&Queued { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.oldest.set(depth.oldest.as_secs_f64());
    }

    /// Whether we may write.
    pub fn leader(&self, leading: bool) {
        self.leader.set(i64::from(leading));
    }

    /// An attempt to renew the Lease.
    pub fn renewed(&self, renewed: bool) {
        self.renewals.get_or_create(&Result { result: if renewed { "renewed" } else { "failed" } }).inc();
        if renewed {
            self.renewed.set(now());
        }
    }

    /// A controller configuration that was read: at the start, or because it changed.
    pub fn configured(&self, good: bool) {
        self.configs.get_or_create(&Result { result: if good { "good" } else { "bad" } }).inc();
        self.config_good.set(i64::from(good));
        if good {
            self.config_read.set(now());
        }
    }

    /// Whether only a restart brings the instance that the controller configuration names.
    pub fn restart_needed(&self, needed: bool) {
        self.restart_needed.set(i64::from(needed));
    }

    /// Whether the installed definition has `spec.redis`; nothing where that is not known.
    pub fn definition(&self, redis: Option<bool>) {
        match redis {
            Some(has) => drop(self.redis_in_definition.get_or_create(&[]).set(i64::from(has))),
            None => drop(self.redis_in_definition.remove(&[])),
        }
    }

    /// When the webhook's certificate ends.
    pub fn certificate_end(&self, end: jiff::Timestamp) {
        self.certificate_end.set(end.as_duration().as_secs_f64());
    }

    /// Whether the policy can be used, or there is none.
    pub fn policy(&self, good: bool) {
        self.policy_good.get_or_create(&[]).set(i64::from(good));
    }

    /// All of it, in the text form of `OpenMetrics`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn now() -> f64 {
    jiff::Timestamp::now().as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests;
