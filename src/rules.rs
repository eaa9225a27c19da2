//! The rules: one named rule per question, with level, message and remedy. The webhook, the controller, `lint` and `check` ask these same rules
//! (law *one-verdict*).

mod buffers;
pub mod cel;
mod change;
mod documentation;
mod encryption;
mod example;
pub mod external;
mod in_use;
mod instance;
mod name;
pub mod overrides;
mod persistence;
mod pod;
mod policy;
mod replicas;
mod resources;
mod service_type;
mod settings;
mod spread;
mod start_args;
mod stores;
mod tls;
mod version;

use std::collections::HashSet;

use serde::Serialize;

use crate::api::InterStepBufferService;
use crate::controller_config::ControllerConfig;
use crate::observed::{Fact, PipelineUse};

pub use documentation::documentation;
pub use example::Example;
pub use policy::{Levels, Policy, PolicyError, Profile};

/// What a finding means for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Written to the audit log only, and admitted.
    Audit,
    /// Told to the person, and admitted.
    Warn,
    /// Refused.
    Deny,
}

impl Level {
    fn milder(self) -> Self {
        if self == Self::Deny { Self::Warn } else { Self::Audit }
    }
}

/// What is being asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The object as it would be, with defaults filled in; of a deletion, the object that goes.
    pub new: &'a InterStepBufferService,
    /// The object as it is; `None` when it is being created.
    pub old: Option<&'a InterStepBufferService>,
    /// What it is deleted from; `None` where it is not being deleted.
    pub deletion: Option<&'a Surroundings>,
}

impl<'a> Request<'a> {
    /// It is being created.
    pub fn create(new: &'a InterStepBufferService) -> Self {
        Self { new, old: None, deletion: None }
    }

    /// It is being changed, or created where there is none before.
    pub fn update(old: Option<&'a InterStepBufferService>, new: &'a InterStepBufferService) -> Self {
        Self { new, old, deletion: None }
    }

    /// It is being deleted.
    pub fn delete(old: &'a InterStepBufferService, from: &'a Surroundings) -> Self {
        Self { new: old, old: Some(old), deletion: Some(from) }
    }
}

/// What else there is in the namespace. What could not be looked at is no answer, and is said to be none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// Pipelines that use the service.
    pub pipelines: Fact<Vec<PipelineUse>>,
    /// Whether the namespace itself is being deleted.
    pub namespace_ends: bool,
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
    /// What the change leads to, where a person may override the rule: the `3` of `replicas-shrink=3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} ({})", self.field, self.message, self.rule)
    }
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The object as it would be.
    Object,
    /// What changes; it has nothing to say of a creation.
    Change,
    /// The deletion of the object; asked then, and nothing else is.
    Deletion,
}

/// A rule.
pub struct Rule {
    /// Stable name in lower-case words with hyphens.
    pub name: &'static str,
    /// What it means where it is broken, unless a policy says otherwise.
    pub level: Level,
    /// What it asks about.
    pub about: About,
    /// What it asks, in one sentence.
    pub summary: &'static str,
    /// Why, and what to do instead, for its section of `docs/rules.md`.
    pub advice: &'static str,
    /// Whether a person with the right to do so may override it: the controller carries such a change out, whatever it costs.
    pub overridable: bool,
    /// What it takes and what it does not; shown in `docs/rules.md` and run by the tests.
    pub examples: &'static [Example],
    check: fn(&Asked<'_>) -> Vec<Violation>,
}

/// What a rule is asked about.
#[derive(Clone, Copy)]
struct Asked<'a> {
    new: &'a InterStepBufferService,
    old: Option<&'a InterStepBufferService>,
    deletion: Option<&'a Surroundings>,
    config: &'a ControllerConfig,
}

/// What one rule found, before its level is known.
struct Violation {
    field: String,
    message: String,
    target: Option<String>,
    /// The level of this one, where it is milder than its rule.
    mild: bool,
    /// What tells it from another of the same words, and is not said because it may be a secret.
    unsaid: Option<String>,
}

impl Violation {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), target: None, mild: false, unsaid: None }
    }

    /// What is the same in the object before, where the fault was there already.
    fn identity(&self) -> (&str, &str, Option<&str>) {
        (&self.field, &self.message, self.unsaid.as_deref())
    }

    /// It may be overridden by naming what it leads to.
    fn overridden_by(self, target: impl Into<String>) -> Self {
        Self { target: Some(target.into()), ..self }
    }

    /// It is another one than that of the same words about another value, which is not said.
    fn about(self, unsaid: impl Into<String>) -> Self {
        Self { unsaid: Some(unsaid.into()), ..self }
    }

    /// It is told, and refuses nothing.
    fn mild(self) -> Self {
        Self { mild: true, ..self }
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
    &replicas::REPLICAS_SINGLE,
    &replicas::REPLICAS_EVEN,
    &settings::SETTINGS_KEY,
    &settings::SETTINGS_VALUE,
    &settings::PAYLOAD_SIZE,
    &stores::STORE_EXCEEDS_VOLUME,
    &buffers::BUFFER_CONFIG,
    &buffers::BUFFER_REPLICAS,
    &buffers::BUFFER_SIZE,
    &persistence::VOLUME_SIZE,
    &persistence::ACCESS_MODE,
    &persistence::NO_PERSISTENCE,
    &spread::NO_SPREAD,
    &start_args::START_ARGS,
    &pod::CONTAINER_ENV,
    &pod::CONTAINER_PROBE,
    &resources::RESOURCES,
    &tls::TLS_CLIENTS,
    &external::REDIS_URL,
    &external::REDIS_AUTH,
    &service_type::TYPE_CHANGE,
    &encryption::ENCRYPTION_TOGGLE,
    &tls::TLS_TOGGLE,
    &persistence::PERSISTENCE_CHANGE,
    &replicas::REPLICAS_SHRINK,
    &replicas::REPLICAS_CLUSTER_SWITCH,
    &settings::PAYLOAD_SHRINK,
    &stores::STORE_SHRINK,
    &stores::STORE_GROW,
    &buffers::BUFFER_CONFIG_CHANGE,
    &version::VERSION_DOWNGRADE,
    &external::EXTERNAL_ENDPOINT_CHANGE,
    &instance::INSTANCE_CHANGE,
    &in_use::IN_USE,
];

/// The rule of a name.
pub fn find(name: &str) -> Option<&'static Rule> {
    ALL.iter().copied().find(|rule| rule.name == name)
}

/// Asks every rule. What was wrong before and is not touched now counts one level less (ratcheting): it is told and never refused, so that an old object
/// can always be mended one field at a time; and a warning is not told again at each change of something else.
pub fn check(request: Request<'_>, config: &ControllerConfig, levels: &Levels) -> Vec<Finding> {
    let asked = Asked { new: request.new, old: request.old, deletion: request.deletion, config };
    let before = request.old.map(|old| Asked { new: old, ..asked });
    let mut findings = Vec::new();
    for rule in ALL {
        let applies = match rule.about {
            About::Object | About::Change => request.deletion.is_none(),
            About::Deletion => request.deletion.is_some(),
        };
        let Some(level) = levels.of(rule).filter(|_| applies) else { continue };
        let known = match &before {
            Some(before) if rule.about == About::Object => (rule.check)(before),
            _ => Vec::new(),
        };
        // A set, because a list of tens of thousands of faults would be gone through once for each of them.
        let known: HashSet<_> = known.iter().map(Violation::identity).collect();
        findings.extend((rule.check)(&asked).into_iter().map(|violation| {
            let was_there = known.contains(&violation.identity());
            let level = if was_there { level.milder() } else { level };
            let level = if violation.mild { level.min(Level::Warn) } else { level };
            Finding { rule: rule.name, level, field: violation.field, message: violation.message, target: violation.target }
        }));
    }
    findings
}

/// What would refuse the request, had it not been there before (ratcheting).
pub fn tolerated(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    let denies = |finding: &&Finding| find(finding.rule).is_some_and(|rule| rule.level == Level::Deny);
    findings.iter().filter(|finding| finding.level == Level::Warn).filter(denies)
}

/// The findings that refuse the request.
pub fn denials(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.level == Level::Deny)
}

/// The findings that are told to the person, and refuse nothing.
pub fn warnings(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.level == Level::Warn)
}

#[cfg(test)]
mod tests;
