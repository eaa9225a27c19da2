//! What is measured. Labels take only the values of the types below: never a name, a namespace or a message.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::admission::{Operation, Question};

/// Seconds. A decision takes some 100 microseconds; what takes longer waits for its body or for a core.
const BUCKETS: [f64; 13] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0];

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Goes on as it is.
    Allowed,
    /// Goes on with defaults filled in.
    Patched,
    /// Refused by a rule.
    Denied,
    /// No question that can be answered.
    Malformed,
    /// Larger than the limit.
    TooLarge,
    /// Put off, to be asked again.
    Shed,
    /// Not answered in time.
    TimedOut,
}

impl Outcome {
    /// One word, for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Patched => "patched",
            Self::Denied => "denied",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Shed => "shed",
            Self::TimedOut => "timed_out",
        }
    }
}

/// A file that says how to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfigFile {
    /// The controller configuration.
    ControllerConfig,
    /// The policy.
    Policy,
}

impl ConfigFile {
    /// One word, for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::ControllerConfig => "controller_config",
            Self::Policy => "policy",
        }
    }
}

/// Writes the words of a type as the values of its label.
macro_rules! words_as_label {
    ($($type:ty),*) => {
        $(impl EncodeLabelValue for $type {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
                EncodeLabelValue::encode(&self.word(), encoder)
            }
        })*
    };
}
words_as_label!(Question, Operation, Outcome, ConfigFile, Kind, Granted);

/// What is followed of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Labels of namespaces, and which of them are being deleted.
    Namespaces,
    /// Which services Pipelines use.
    Pipelines,
}

impl Kind {
    /// One word, for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Pipelines => "pipelines",
        }
    }
}

/// What became of a question whether somebody may override a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granted {
    /// Somebody may.
    Yes,
    /// Somebody may not.
    No,
    /// There was no answer.
    Unknown,
}

impl Granted {
    /// One word, for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabels {
    file: ConfigFile,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    store: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccessLabels {
    granted: Granted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    path: Question,
    operation: Operation,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuestionLabels {
    path: Question,
}

/// Counters and their registry.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    duration: Family<QuestionLabels, Histogram>,
    /// Requests that ended in a panic of ours.
    pub panics: Counter,
    /// Connections that were turned away, or gave way to others, because there were too many, or that did not finish their handshake.
    pub connections_failed: Counter,
    certificate_expiry: Gauge<f64, AtomicU64>,
    /// Looks at the certificate files that found nothing to serve.
    pub certificate_failures: Counter,
    config_failures: Family<FileLabels, Counter>,
    policy_good: Gauge,
    policy_fingerprint: Gauge,
    stores: Family<StoreLabels, Gauge>,
    access: Family<AccessLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(Registry::default())
    }
}

impl Metrics {
    /// Registers ours beside what the registry holds.
    pub fn new(mut registry: Registry) -> Self {
        let ours = registry.sub_registry_with_prefix("isbsvc_webhook");
        let requests = Family::default();
        let duration = Family::<QuestionLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let (panics, connections_failed) = (Counter::default(), Counter::default());
        let (certificate_expiry, certificate_failures) = (Gauge::default(), Counter::default());
        let config_failures = Family::<FileLabels, Counter>::default();
        let (policy_good, policy_fingerprint) = (Gauge::default(), Gauge::default());
        ours.register("requests", "Admission requests by path, operation and outcome", requests.clone());
        ours.register_with_unit("request_duration", "Time from the head of a request to its answer", Unit::Seconds, duration.clone());
        ours.register("panics", "Requests that ended in a panic", panics.clone());
        ours.register(
            "connections_failed",
            "Connections turned away or given up for others because there were too many, or whose handshake failed",
            connections_failed.clone(),
        );
        ours.register_with_unit(
            "certificate_expiry_timestamp",
            "When the certificate that is served ends, as Unix time; 0 while none is served",
            Unit::Seconds,
            certificate_expiry.clone(),
        );
        ours.register(
            "certificate_reload_failures",
            "Looks at the certificate files that found nothing to serve",
            certificate_failures.clone(),
        );
        ours.register("config_reload_failures", "Looks at the files of configuration that found nothing to use", config_failures.clone());
        for file in [ConfigFile::ControllerConfig, ConfigFile::Policy] {
            // From the start, so that the first failure is an increase.
            drop(config_failures.get_or_create(&FileLabels { file }));
        }
        ours.register(
            "policy_good",
            "1 where the policy as it stands now is in force, or there is none; 0 where it cannot be used, and the last good one holds or every rule is enforced",
            policy_good.clone(),
        );
        ours.register(
            "policy_fingerprint",
            "First 32 bits of the SHA-256 of the policy in force; 0 where there is none, 1 where every rule is enforced in its place",
            policy_fingerprint.clone(),
        );
        let (stores, access) = (Family::<StoreLabels, Gauge>::default(), Family::<AccessLabels, Counter>::default());
        ours.register(
            "store_current",
            "1 while what is kept of the cluster follows it; 0 before it was read, and while it cannot be followed",
            stores.clone(),
        );
        ours.register("override_questions", "Questions to the API server whether somebody may override a rule, by answer", access.clone());
        Self {
            registry,
            requests,
            duration,
            panics,
            connections_failed,
            certificate_expiry,
            certificate_failures,
            config_failures,
            policy_good,
            policy_fingerprint,
            stores,
            access,
        }
    }

    /// Counts a request; where its operation could not be read, it counts as another one.
    pub fn request(&self, path: Question, operation: Option<Operation>, outcome: Outcome, took: Duration) {
        let operation = operation.unwrap_or(Operation::Other);
        self.requests.get_or_create(&RequestLabels { path, operation, outcome }).inc();
        self.duration.get_or_create(&QuestionLabels { path }).observe(took.as_secs_f64());
    }

    /// Notes whether a part of the cluster is followed.
    pub fn followed(&self, store: Kind, current: bool) {
        self.stores.get_or_create(&StoreLabels { store }).set(i64::from(current));
    }

    /// Counts a question whether somebody may override a rule.
    pub fn override_question(&self, granted: Granted) {
        self.access.get_or_create(&AccessLabels { granted }).inc();
    }

    /// Notes until when the certificate is valid that is served from now on.
    pub fn certificate_until(&self, end: Timestamp) {
        self.certificate_expiry.set(end.as_duration().as_secs_f64());
    }

    /// Counts a look at a file of configuration that found nothing to use.
    pub fn config_failure(&self, file: ConfigFile) {
        self.config_failures.get_or_create(&FileLabels { file }).inc();
    }

    /// Notes by what policy is judged from now on.
    pub fn policy(&self, good: bool, fingerprint: u32) {
        self.policy_good.set(i64::from(good));
        self.policy_fingerprint.set(i64::from(fingerprint));
    }

    /// All of it, as `OpenMetrics` text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_rules_and_of_the_dashboard_is_told() {
        let metrics = Metrics::default();
        metrics.request(Question::Validate, Some(Operation::Update), Outcome::Denied, Duration::from_millis(1));
        metrics.followed(Kind::Namespaces, true);
        let told = metrics.text();
        let exists = |name: &str| told.lines().any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
        let (rules, dashboard) =
            (include_str!("../../manifests/monitoring/rules.yaml"), include_str!("../../manifests/monitoring/dashboard.json"));
        let words =
            [rules, dashboard].into_iter().flat_map(|text| text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_'));
        let names: std::collections::BTreeSet<_> = words.filter(|word| word.starts_with("isbsvc_webhook_")).collect();
        assert!(names.len() >= 5, "{names:?}");
        for name in names {
            assert!(exists(name), "{name}\n{told}");
        }
    }
}
