//! The rules: one named rule per question, with level, message and remedy. The webhook, the controller, `lint` and `check` ask these same rules
//! (law *one-verdict*).

mod change;
mod encryption;
mod instance;
mod name;
mod persistence;
mod pod;
mod policy;
mod replicas;
mod service_type;
mod settings;
mod start_args;
mod tls;
mod version;

use serde::Serialize;

use crate::api::InterStepBufferService;
use crate::controller_config::ControllerConfig;

pub use policy::{Policy, PolicyError};

/// What a finding means for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Told to the person, and admitted.
    Warn,
    /// Refused.
    Deny,
}

/// What is being asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The object as it would be, with defaults filled in.
    pub new: &'a InterStepBufferService,
    /// The object as it is; `None` when it is being created.
    pub old: Option<&'a InterStepBufferService>,
}

/// Something that a rule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Name of the rule, such as `encryption-toggle`.
    pub rule: &'static str,
    /// What it means for the request.
    pub level: Level,
    /// The field, such as `spec.jetstream.encryption`.
    pub field: String,
    /// What is wrong, why, and what to do instead.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.field, self.message, self.rule)
    }
}

/// A rule.
pub struct Rule {
    /// Stable name in lower-case words with hyphens.
    pub name: &'static str,
    /// What it means where it is broken, unless a policy says otherwise.
    pub level: Level,
    /// What it asks, in one sentence.
    pub summary: &'static str,
    /// Whether it compares with the object as it was; it is not asked on creation then.
    pub about_change: bool,
    check: fn(&Asked<'_>) -> Vec<Violation>,
}

/// What a rule is asked about.
#[derive(Clone, Copy)]
struct Asked<'a> {
    new: &'a InterStepBufferService,
    old: Option<&'a InterStepBufferService>,
    config: &'a ControllerConfig,
}

/// What one rule found, before its level is known.
struct Violation {
    field: String,
    message: String,
}

impl Violation {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Every rule, in the order in which findings are shown.
pub const ALL: &[&Rule] = &[
    &service_type::ONE_TYPE,
    &version::VERSION_REQUIRED,
    &version::VERSION_KNOWN,
    &version::VERSION_FLOATING,
    &name::NAME_LENGTH,
    &replicas::REPLICAS,
    &replicas::REPLICAS_EVEN,
    &settings::SETTINGS,
    &settings::PAYLOAD_SIZE,
    &settings::BUFFER_CONFIG,
    &settings::BUFFER_SIZE,
    &persistence::PERSISTENCE,
    &start_args::START_ARGS,
    &pod::CONTAINER_ENV,
    &pod::CONTAINER_PROBE,
    &tls::TLS_CLIENTS,
    &service_type::TYPE_CHANGE,
    &encryption::ENCRYPTION_TOGGLE,
    &tls::TLS_TOGGLE,
    &persistence::PERSISTENCE_CHANGE,
    &replicas::REPLICAS_SHRINK,
    &replicas::REPLICAS_CLUSTER_SWITCH,
    &settings::PAYLOAD_SHRINK,
    &settings::STORE_CHANGE,
    &settings::BUFFER_CONFIG_CHANGE,
    &version::VERSION_DOWNGRADE,
    &instance::INSTANCE_CHANGE,
];

/// Asks every rule. What was wrong before and is not touched now is told as a warning and never refused (ratcheting), so that an old object can
/// always be mended one field at a time.
pub fn check(request: Request<'_>, config: &ControllerConfig, policy: &Policy) -> Vec<Finding> {
    let asked = Asked { new: request.new, old: request.old, config };
    let before = request.old.map(|old| Asked { new: old, old: None, config });
    let mut findings = Vec::new();
    for rule in ALL {
        if rule.about_change && request.old.is_none() {
            continue;
        }
        let Some(level) = policy.level(rule) else { continue };
        let known = match &before {
            Some(before) if !rule.about_change => (rule.check)(before),
            _ => Vec::new(),
        };
        findings.extend((rule.check)(&asked).into_iter().map(|violation| {
            let was_there = known.iter().any(|old| old.field == violation.field && old.message == violation.message);
            let level = if was_there { Level::Warn } else { level };
            Finding { rule: rule.name, level, field: violation.field, message: violation.message }
        }));
    }
    findings
}

/// What would refuse the request, had it not been there before (ratcheting).
pub fn tolerated(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    let denies = |finding: &&Finding| ALL.iter().any(|rule| rule.name == finding.rule && rule.level == Level::Deny);
    findings.iter().filter(|finding| finding.level == Level::Warn).filter(denies)
}

/// The findings that refuse the request.
pub fn denials(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.level == Level::Deny)
}
