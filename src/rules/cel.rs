//! Which rules the API server can ask by itself, in the words that it understands (CEL): in the resource's definition, and in admission policies for
//! clusters that want no webhook (`manifests/policy/`).

mod change;
mod manifests;
mod object;
mod readable;
mod variables;

use super::{ALL, Rule};

pub use manifests::{Manifest, manifests};

/// Where the API server can ask a rule by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the resource's definition, which knows no level, no user and no namespace; and in the policies, for a cluster with Numaflow's definition.
    Definition {
        /// What stands in the definition.
        validation: Validation,
        /// What stands in the policies.
        question: Question,
    },
    /// In an admission policy.
    Policy {
        /// What stands in it.
        question: Question,
        /// What the rule asks and the policy does not, where there is such a thing.
        without: Option<&'static str>,
    },
    /// Nowhere, and why.
    Nowhere(&'static str),
}

/// A validation of the resource's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// The fields that it stands at, as parts of the path below `spec`; empty for the spec itself.
    pub fields: &'static [&'static [&'static str]],
    /// CEL over `self` and `oldSelf`; false where the rule is broken.
    pub rule: String,
    /// What it says then.
    pub message: String,
}

/// What a policy asks: CEL for a list of texts, `field: what is wrong`, that is empty where nothing is. It is made of the variables of `variables.rs`, each
/// of which is a pair: of the object as it would be, and as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// About an object, the one `at` (0: as it would be, 1: as it is): what was wrong before and is not touched counts for nothing.
    Object {
        /// The texts.
        found: String,
        /// Whether a text goes on behind a line break with what is compared and not said, because it may be a secret.
        unsaid: bool,
    },
    /// About a change.
    Change {
        /// The texts.
        found: String,
        /// CEL for what the change leads to, where a person may override the rule.
        target: Option<&'static str>,
    },
}

const EMBEDDED: &str = "it reads YAML that stands in a text, which CEL cannot";
const CONFIGURATION: &str = "the versions stand in the controller configuration, which the API server does not read";
const OTHER_OBJECTS: &str = "it asks about other objects, which the API server shows to no policy";

/// Where each rule can be asked, in the order of [`ALL`].
pub fn places() -> Vec<(&'static str, Place)> {
    let policy = |question| Place::Policy { question, without: None };
    vec![
        ("one-type", Place::Definition { validation: one_type(), question: object::one_type() }),
        ("version-required", Place::Definition { validation: version_required(), question: object::version_required() }),
        ("version-known", Place::Nowhere(CONFIGURATION)),
        ("version-floating", policy(object::version_floating())),
        ("name-length", policy(object::name_length())),
        ("replicas", policy(object::replicas())),
        ("replicas-single", policy(object::replicas_single())),
        ("replicas-even", policy(object::replicas_even())),
        ("settings-key", Place::Nowhere(EMBEDDED)),
        ("settings-value", Place::Nowhere(EMBEDDED)),
        ("payload-size", Place::Nowhere(EMBEDDED)),
        ("store-exceeds-volume", Place::Nowhere(EMBEDDED)),
        ("buffer-config", Place::Nowhere(EMBEDDED)),
        ("buffer-replicas", Place::Nowhere(EMBEDDED)),
        ("buffer-size", Place::Nowhere(EMBEDDED)),
        ("volume-size", policy(object::volume_size())),
        ("access-mode", policy(object::access_mode())),
        ("no-persistence", policy(object::no_persistence())),
        ("no-spread", policy(object::no_spread())),
        ("start-args", policy(object::start_args())),
        ("container-env", Place::Policy { question: object::container_env(), without: Some(object::LONG_ENV) }),
        ("container-probe", policy(object::container_probe())),
        ("resources", policy(object::resources())),
        ("tls-clients", policy(object::tls_clients())),
        ("redis-url", Place::Policy { question: object::redis_url(), without: Some(object::PORTS) }),
        ("redis-auth", policy(object::redis_auth())),
        ("type-change", Place::Definition { validation: type_change(), question: change::type_change() }),
        ("encryption-toggle", policy(change::toggle("encryption", "loses data: a server that restarts cannot read what it stored before"))),
        ("tls-toggle", policy(change::toggle("tls", "stops it: a restarted server cannot talk to the others, nor clients to it"))),
        ("persistence-change", policy(change::persistence())),
        ("replicas-shrink", policy(change::replicas_shrink())),
        ("replicas-cluster-switch", policy(change::replicas_cluster_switch())),
        ("payload-shrink", Place::Nowhere(EMBEDDED)),
        ("store-shrink", Place::Nowhere(EMBEDDED)),
        ("store-grow", Place::Nowhere(EMBEDDED)),
        ("buffer-config-change", Place::Nowhere(EMBEDDED)),
        ("version-downgrade", Place::Policy { question: change::version_downgrade(), without: Some(change::FLOATING) }),
        ("external-endpoint-change", policy(change::external_endpoint())),
        ("instance-change", policy(change::instance())),
        ("in-use", Place::Nowhere(OTHER_OBJECTS)),
    ]
}

/// The rules with where each can be asked.
pub fn rows() -> impl Iterator<Item = (&'static Rule, Place)> {
    let mut places = places();
    ALL.iter().filter_map(move |rule| {
        let index = places.iter().position(|(name, _)| *name == rule.name)?;
        Some((*rule, places.swap_remove(index).1))
    })
}

/// What stands in the resource's definition, each with the name of its rule at the end of its message.
pub fn definition() -> Vec<Validation> {
    let of = |(rule, place): (&'static Rule, Place)| match place {
        Place::Definition { validation, .. } => {
            Some(Validation { message: format!("{} ({})", validation.message, rule.name), ..validation })
        }
        _ => None,
    };
    rows().filter_map(of).collect()
}

/// One line of Markdown about where else a rule is asked.
pub(super) fn shown(rule: &Rule) -> String {
    let place = rows().find(|(other, _)| other.name == rule.name).map(|(_, place)| place);
    match place {
        Some(Place::Definition { .. }) => {
            "Also asked by the resource's definition and by [`manifests/policy`](policy.md#without-a-webhook).".to_owned()
        }
        Some(Place::Policy { without, .. }) => {
            let but = without.map(|without| format!(", {without}")).unwrap_or_default();
            format!("Also asked by [`manifests/policy`](policy.md#without-a-webhook){but}.")
        }
        Some(Place::Nowhere(why)) => format!("Asked by the webhook alone: {why}."),
        None => String::new(),
    }
}

fn native(of: &str) -> String {
    format!("(has({of}.redis) && has({of}.redis.native))")
}

fn external(of: &str) -> String {
    format!("(has({of}.redis) && has({of}.redis.external))")
}

fn one_type() -> Validation {
    Validation {
        fields: &[&[]],
        rule: format!("(has(self.jetstream) ? 1 : 0) + ({} ? 1 : 0) + ({} ? 1 : 0) == 1", native("self"), external("self")),
        message: "name exactly one of jetstream, redis.native, redis.external".to_owned(),
    }
}

fn type_change() -> Validation {
    Validation {
        fields: &[&[]],
        rule: format!(
            "has(self.jetstream) == has(oldSelf.jetstream) && {} == {} && {} == {}",
            native("self"),
            native("oldSelf"),
            external("self"),
            external("oldSelf")
        ),
        message: "the type of a live service cannot change, because its unread messages would stay behind".to_owned(),
    }
}

fn version_required() -> Validation {
    Validation {
        fields: &[&["jetstream"], &["redis", "native"]],
        rule: "has(self.version) && self.version != ''".to_owned(),
        message: "version is required; name one of the controller configuration".to_owned(),
    }
}

/// A text as CEL writes it.
fn text(of: &str) -> String {
    format!("'{}'", of.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_exactly_one_place_and_every_place_is_of_a_rule() {
        let names: Vec<_> = ALL.iter().map(|rule| rule.name).collect();
        assert_eq!(places().iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
        assert_eq!(rows().map(|(rule, _)| rule.name).collect::<Vec<_>>(), names);
    }

    /// Schema validation runs before every policy and webhook and cannot be put off or overridden: it holds what has no level and no override.
    #[test]
    fn the_definition_asks_three_rules_that_nobody_may_override() {
        let asked: Vec<_> = rows().filter(|(_, place)| matches!(place, Place::Definition { .. })).map(|(rule, _)| rule).collect();
        assert_eq!(asked.iter().map(|rule| rule.name).collect::<Vec<_>>(), ["one-type", "version-required", "type-change"]);
        assert!(asked.iter().all(|rule| rule.level == super::super::Level::Deny && !rule.overridable));
        assert_eq!(definition().len(), asked.len());
        for (validation, rule) in definition().iter().zip(asked) {
            assert!(validation.message.ends_with(&format!("({})", rule.name)), "{}", validation.message);
        }
    }

    #[test]
    fn what_may_be_overridden_in_the_webhook_may_be_in_the_policies() {
        for (rule, place) in rows() {
            let question = match place {
                Place::Definition { question, .. } | Place::Policy { question, .. } => question,
                Place::Nowhere(_) => continue,
            };
            let (about, target) = match &question {
                Question::Object { .. } => (super::super::About::Object, None),
                Question::Change { target, .. } => (super::super::About::Change, *target),
            };
            assert_eq!((rule.about, rule.overridable), (about, target.is_some()), "{}", rule.name);
        }
    }

    #[test]
    fn a_text_is_quoted_as_cel_wants_it() {
        assert_eq!(text("Numaflow's \\d"), "'Numaflow\\'s \\\\d'");
    }
}
