//! Which rules hold where, and how strictly: an organisation's own policy.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::{Selector, SelectorExt as _};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{ALL, Level, Rule, find};
use crate::limits;

/// The policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", crate::controller_config::tame(.0))]
pub struct PolicyError(String);

/// The levels that hold in one namespace, where they are not the rules' own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels(BTreeMap<&'static str, Setting>);

/// What a policy may say of a rule, from the mildest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Setting {
    Off,
    Audit,
    Warn,
    Enforce,
}

/// A set of levels with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Good practice is written to the audit log and bothers nobody.
    Development,
    /// Good practice is enforced.
    Production,
}

/// What good practice asks of a service that matters, and the two profiles set: a fixed version, an odd number of servers and at least three, volumes,
/// servers on different nodes, and resources. The disruption budget of such a service is the controller's own doing.
const PRACTICE: [&str; 6] = ["version-floating", "replicas-single", "replicas-even", "no-persistence", "no-spread", "resources"];

impl Profile {
    /// Every profile, with its word.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Development, "development"), (Self::Production, "production")];

    fn setting(self, rule: &str) -> Option<Setting> {
        let setting = match self {
            Self::Development => Setting::Audit,
            Self::Production => Setting::Enforce,
        };
        PRACTICE.contains(&rule).then_some(setting)
    }

    /// The levels that the profile alone makes.
    pub fn levels(self) -> Levels {
        Levels(PRACTICE.into_iter().filter_map(|rule| Some((rule, self.setting(rule)?))).collect())
    }
}

impl Levels {
    /// The level at which a rule holds; `None` where it is off.
    pub fn of(&self, rule: &Rule) -> Option<Level> {
        match self.0.get(rule.name) {
            None => Some(rule.level),
            Some(Setting::Enforce) => Some(Level::Deny),
            Some(Setting::Warn) => Some(Level::Warn),
            Some(Setting::Audit) => Some(Level::Audit),
            Some(Setting::Off) => None,
        }
    }
}

/// An organisation's policy, the key `policy.yaml` of the `ConfigMap` `isbsvc-policy`. The default says nothing, so that every rule has its own level.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    everywhere: Section,
    namespaces: Vec<(Selector, Section)>,
    /// Why it stands in for one that cannot be used.
    stands_in: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Section {
    profile: Option<Profile>,
    rules: BTreeMap<&'static str, Setting>,
}

impl Section {
    fn setting(&self, rule: &str) -> Option<Setting> {
        self.rules.get(rule).copied().or_else(|| self.profile?.setting(rule))
    }
}

/// What may be left out may also be left empty, as it is where every line below it is a comment.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    profile: Option<Profile>,
    rules: Option<BTreeMap<String, Setting>>,
    namespaces: Option<Vec<FileNamespaces>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileNamespaces {
    selector: FileSelector,
    #[serde(default)]
    profile: Option<Profile>,
    #[serde(default)]
    rules: Option<BTreeMap<String, Setting>>,
}

/// Kubernetes' own selector, but for unknown fields and for fields that are left empty, which are mistakes here: without what was meant, it would select
/// every namespace. Whoever means every namespace writes `{}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileSelector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<FileRequirement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRequirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Policy {
    /// The `ConfigMap` that holds it, in the webhook's namespace.
    pub const CONFIG_MAP: &'static str = "isbsvc-policy";
    /// Its key there.
    pub const KEY: &'static str = "policy.yaml";

    /// Reads a policy:
    ///
    /// ```yaml
    /// profile: development            # or production; left out, every rule has its own level
    /// rules:                          # wins over the profile
    ///   version-floating: enforce     # enforce, warn, audit or off
    /// namespaces:                     # what holds instead where the namespace's labels match
    ///   - selector: { matchLabels: { stage: live } }
    ///     profile: production
    ///     rules: { replicas-even: warn }
    /// ```
    ///
    /// # Errors
    /// In one line, with the place: what is no YAML or no policy, names no rule, or would lower a rule that guards data or what can run. Those are not
    /// switched off by configuration alone.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let file: Option<File> = serde_saphyr::from_str(text).map_err(|error| PolicyError(in_words(&error.to_string())))?;
        let File { profile, rules, namespaces: entries } = file.unwrap_or_default();
        let everywhere = section("", profile, rules)?;
        let mut namespaces = Vec::new();
        for (index, entry) in entries.into_iter().flatten().enumerate() {
            if index == limits::POLICY_NAMESPACES {
                return Err(PolicyError(format!("namespaces: more than {index} entries; let one selector take several namespaces")));
            }
            let at = format!("namespaces[{index}].");
            namespaces.push((selector(&at, entry.selector)?, section(&at, entry.profile, entry.rules)?));
        }
        Ok(Self { everywhere, namespaces, stands_in: None })
    }

    /// What stands in for a policy that nobody can read, with the reason: every rule is enforced everywhere. Whatever the policy says, it asks no more.
    pub fn strictest(because: impl Into<String>) -> Self {
        let rules = ALL.iter().map(|rule| (rule.name, Setting::Enforce)).collect();
        Self { everywhere: Section { profile: None, rules }, namespaces: Vec::new(), stands_in: Some(because.into()) }
    }

    /// Why this one stands in for one that cannot be used.
    pub fn stands_in(&self) -> Option<&str> {
        self.stands_in.as_deref()
    }

    /// A number that tells texts of policies apart: the first 32 bits of their SHA-256. So it is the same in every release, and a metric holds it exactly.
    pub fn fingerprint(text: &str) -> u32 {
        let [first, second, third, fourth, ..] = <[u8; 32]>::from(Sha256::digest(text.as_bytes()));
        u32::from_be_bytes([first, second, third, fourth])
    }

    /// Whether the labels of namespaces matter.
    pub fn selects_namespaces(&self) -> bool {
        !self.namespaces.is_empty()
    }

    /// The levels that hold in a namespace with these labels. Where several sections match and say something of a rule, the strictest holds; where none
    /// does, what is said for everywhere. Of a namespace whose labels are not known, every section is taken to match, and the strictest of all holds.
    pub fn levels(&self, labels: Option<&BTreeMap<String, String>>) -> Levels {
        let matching = self.namespaces.iter().filter(|(selector, _)| labels.is_none_or(|labels| selector.matches(labels)));
        let matching: Vec<&Section> = matching.map(|(_, section)| section).collect();
        let mut levels = BTreeMap::new();
        for rule in ALL {
            let strictest = matching.iter().filter_map(|section| section.setting(rule.name)).max();
            let general = self.everywhere.setting(rule.name);
            let setting = match labels {
                Some(_) => strictest.or(general),
                // It may be that no section matches, and then what is said for everywhere would hold, or else the rule's own level.
                None => strictest.map(|strictest| strictest.max(general.unwrap_or_else(|| own(rule)))).or(general),
            };
            if let Some(setting) = setting {
                levels.insert(rule.name, setting);
            }
        }
        Levels(levels)
    }
}

fn own(rule: &Rule) -> Setting {
    match rule.level {
        Level::Audit => Setting::Audit,
        Level::Warn => Setting::Warn,
        Level::Deny => Setting::Enforce,
    }
}

/// The first line of what the reader of YAML says, without its advice for programs.
fn in_words(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    let line = line.split(", set DuplicateKeyPolicy").next().unwrap_or_default();
    let line = line.split("; use from_str").next().unwrap_or_default();
    line.trim_start_matches("error: ").trim().to_owned()
}

fn section(at: &str, profile: Option<Profile>, rules: Option<BTreeMap<String, Setting>>) -> Result<Section, PolicyError> {
    let mut section = Section { profile, rules: BTreeMap::new() };
    for (name, setting) in rules.into_iter().flatten() {
        // A name in quotes may hold anything, also the end of a line.
        let place = format!("{at}rules.{}", name.escape_debug());
        let Some(rule) = find(&name) else {
            return Err(PolicyError(format!("{place}: there is no such rule; docs/rules.md lists them")));
        };
        if rule.level == Level::Deny && setting != Setting::Enforce {
            return Err(PolicyError(format!(
                "{place}: it guards data or what can run, and cannot be lowered by configuration; take the line out"
            )));
        }
        section.rules.insert(rule.name, setting);
    }
    Ok(section)
}

fn selector(at: &str, file: FileSelector) -> Result<Selector, PolicyError> {
    for (key, value) in &file.match_labels {
        let at = format!("{at}selector.matchLabels.{}", key.escape_debug());
        check_label(&at, key, [value])?;
    }
    for (index, one) in file.match_expressions.iter().enumerate() {
        let at = format!("{at}selector.matchExpressions[{index}]");
        check_label(&at, &one.key, &one.values)?;
        let wants_values = match one.operator.as_str() {
            "In" | "NotIn" => true,
            "Exists" | "DoesNotExist" => false,
            _ => return Err(PolicyError(format!("{at}.operator: give one of In, NotIn, Exists, DoesNotExist"))),
        };
        if wants_values == one.values.is_empty() {
            let words = if wants_values { "needs values" } else { "takes no values" };
            return Err(PolicyError(format!("{at}: the operator {} {words}", one.operator)));
        }
    }
    let requirement = |one: FileRequirement| LabelSelectorRequirement { key: one.key, operator: one.operator, values: Some(one.values) };
    let selector = LabelSelector {
        match_labels: Some(file.match_labels),
        match_expressions: Some(file.match_expressions.into_iter().map(requirement).collect()),
    };
    Selector::try_from(selector).map_err(|error| PolicyError(format!("{at}selector: {error}")))
}

/// Whether some namespace can have such a label. One that none can have would never be found, and what was meant to hold there would hold nowhere.
fn check_label<'a>(at: &str, key: &str, values: impl IntoIterator<Item = &'a String>) -> Result<(), PolicyError> {
    let is_word = |text: &str| {
        let inner = |letter: u8| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter);
        let ends = [text.bytes().next(), text.bytes().next_back()];
        text.len() <= 63 && text.bytes().all(inner) && ends.iter().flatten().all(u8::is_ascii_alphanumeric)
    };
    // A name in the DNS: Kubernetes takes no other before the slash.
    let is_domain = |text: &str| {
        let inner = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
        let is_label = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(inner);
        text.len() <= 253 && text.split('.').all(is_label)
    };
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if name.is_empty() || !is_word(name) || !prefix.is_none_or(is_domain) {
        return Err(PolicyError(format!("{at}: {} is no key of a label", key.escape_debug())));
    }
    match values.into_iter().find(|value| !is_word(value)) {
        Some(value) => Err(PolicyError(format!("{at}: {} is no value of a label", value.escape_debug()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
