//! Which rules hold where, and how strictly: an organisation's own policy.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::{Selector, SelectorExt as _};
use serde::Deserialize;

use super::{ALL, Level, Rule, find};

/// The policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
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

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    profile: Option<Profile>,
    rules: BTreeMap<String, Setting>,
    namespaces: Vec<FileNamespaces>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileNamespaces {
    selector: FileSelector,
    #[serde(default)]
    profile: Option<Profile>,
    #[serde(default)]
    rules: BTreeMap<String, Setting>,
}

/// Kubernetes' own selector, but for unknown fields, which are mistakes here: without the one that was meant, it would select every namespace.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileSelector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<FileRequirement>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRequirement {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

impl Policy {
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
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let file: File = serde_saphyr::from_str(text)
            .map_err(|error| PolicyError(error.to_string().lines().next().unwrap_or_default().trim().to_owned()))?;
        let everywhere = section("", file.profile, &file.rules)?;
        let mut namespaces = Vec::new();
        for (index, entry) in file.namespaces.iter().enumerate() {
            let at = format!("namespaces[{index}].");
            namespaces.push((selector(&at, &entry.selector)?, section(&at, entry.profile, &entry.rules)?));
        }
        Ok(Self { everywhere, namespaces })
    }

    /// Whether the labels of namespaces matter.
    pub fn selects_namespaces(&self) -> bool {
        !self.namespaces.is_empty()
    }

    /// The levels that hold in a namespace with these labels. Where several sections match and say something of a rule, the strictest holds; where none
    /// does, what is said for everywhere. Of a namespace whose labels are not known, every section is taken to match, and the strictest of all holds.
    pub fn levels(&self, labels: Option<&BTreeMap<String, String>>) -> Levels {
        let mut levels = BTreeMap::new();
        for rule in ALL {
            let matching = self.namespaces.iter().filter(|(selector, _)| labels.is_none_or(|labels| selector.matches(labels)));
            let strictest = matching.filter_map(|(_, section)| section.setting(rule.name)).max();
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

fn section(at: &str, profile: Option<Profile>, rules: &BTreeMap<String, Setting>) -> Result<Section, PolicyError> {
    let mut section = Section { profile, rules: BTreeMap::new() };
    for (name, setting) in rules {
        let Some(rule) = find(name) else {
            let names: Vec<_> = ALL.iter().map(|rule| rule.name).collect();
            return Err(PolicyError(format!("{at}rules.{name}: there is no such rule; the rules are {}", names.join(", "))));
        };
        if rule.level == Level::Deny && *setting != Setting::Enforce {
            return Err(PolicyError(format!(
                "{at}rules.{name}: it guards data or what can run, and cannot be lowered by configuration; take the line out"
            )));
        }
        section.rules.insert(rule.name, *setting);
    }
    Ok(section)
}

fn selector(at: &str, file: &FileSelector) -> Result<Selector, PolicyError> {
    let requirement = |one: &FileRequirement| LabelSelectorRequirement {
        key: one.key.clone(),
        operator: one.operator.clone(),
        values: one.values.clone(),
    };
    let selector = LabelSelector {
        match_labels: file.match_labels.clone(),
        match_expressions: file.match_expressions.as_ref().map(|all| all.iter().map(requirement).collect()),
    };
    Selector::try_from(selector).map_err(|error| PolicyError(format!("{at}selector: {error}; write it as Kubernetes' own label selectors")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::version::{VERSION_FLOATING, VERSION_KNOWN};

    fn labels(text: &str) -> BTreeMap<String, String> {
        text.split(',').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    fn level(policy: &str, rule: &str, namespace: Option<&str>) -> Option<Level> {
        let policy = Policy::parse(policy).expect(policy);
        policy.levels(namespace.map(labels).as_ref()).of(find(rule).expect(rule))
    }

    #[test]
    fn a_warning_can_be_raised_or_put_off() {
        let level = |word: &str| level(&format!("rules:\n  version-floating: {word}\n"), "version-floating", Some(""));
        assert_eq!(level("enforce"), Some(Level::Deny));
        assert_eq!(level("warn"), Some(Level::Warn));
        assert_eq!(level("audit"), Some(Level::Audit));
        assert_eq!(level("off"), None);
        assert_eq!(Policy::default().levels(None).of(&VERSION_KNOWN), Some(Level::Deny));
        assert_eq!(Policy::default().levels(None).of(&VERSION_FLOATING), Some(Level::Warn));
    }

    #[test]
    fn what_cannot_be_used_is_one_line_with_its_place() {
        for (text, words) in [
            ("rules:\n  encryption-toggle: off\n", "rules.encryption-toggle: it guards data"),
            ("rules:\n  in-use: warn\n", "rules.in-use: it guards data"),
            ("rules:\n  no-such: warn\n", "rules.no-such: there is no such rule"),
            ("rule: 1\n", "rule"),
            ("profile: live\n", "live"),
            ("namespaces: [{ selector: {}, rules: { version-known: audit } }]\n", "namespaces[0].rules.version-known: it guards data"),
            ("namespaces: [{ profile: production }]\n", "selector"),
            ("namespaces: [{ selector: { matchLabel: { a: b } } }]\n", "matchLabel"),
            ("namespaces: [{ selector: { matchExpressions: [{ key: a, operator: Is, values: [b] }] } }]\n", "namespaces[0].selector: "),
            ("rules: [", ""),
        ] {
            let error = Policy::parse(text).expect_err(text).to_string();
            assert!(error.contains(words) && !error.contains('\n') && !error.is_empty(), "{error}");
        }
        for empty in ["", "\n", "# nothing\n", "{}"] {
            assert_eq!(Policy::parse(empty).expect(empty), Policy::default());
        }
    }

    #[test]
    fn a_profile_sets_good_practice_and_a_rule_by_name_wins_over_it() {
        const TEXT: &str = "profile: production\nrules:\n  replicas-even: warn\n";
        assert_eq!(level(TEXT, "no-persistence", Some("")), Some(Level::Deny));
        assert_eq!(level(TEXT, "replicas-even", Some("")), Some(Level::Warn));
        assert_eq!(level(TEXT, "tls-clients", Some("")), Some(Level::Warn), "no matter of profiles");
        assert_eq!(level("profile: development\n", "no-persistence", Some("")), Some(Level::Audit));
        for name in PRACTICE {
            let rule = find(name).expect(name);
            assert!(rule.level < Level::Deny && Profile::Production.levels().of(rule) == Some(Level::Deny), "{name}");
        }
    }

    #[test]
    fn the_strictest_section_that_matches_holds_instead_of_what_is_said_for_everywhere() {
        const TEXT: &str = "
rules: { version-floating: enforce }
namespaces:
  - selector: { matchLabels: { stage: test } }
    rules: { version-floating: off, replicas-even: audit }
  - selector: { matchExpressions: [{ key: team, operator: In, values: [a, b] }] }
    rules: { version-floating: warn, replicas-even: enforce }
";
        for (namespace, floating, even) in [
            ("", Some(Level::Deny), Some(Level::Warn)),
            ("stage=test", None, Some(Level::Audit)),
            ("team=b", Some(Level::Warn), Some(Level::Deny)),
            ("stage=test,team=a", Some(Level::Warn), Some(Level::Deny)),
            ("stage=test,team=c", None, Some(Level::Audit)),
        ] {
            assert_eq!(level(TEXT, "version-floating", Some(namespace)), floating, "{namespace}");
            assert_eq!(level(TEXT, "replicas-even", Some(namespace)), even, "{namespace}");
        }
    }

    #[test]
    fn of_a_namespace_whose_labels_are_not_known_the_strictest_of_all_holds() {
        const TEXT: &str = "namespaces:\n  - selector: { matchLabels: { a: b } }\n    rules: { version-floating: off }\n  - selector: { matchLabels: { c: d } }\n    profile: production\n";
        assert_eq!(level(TEXT, "no-persistence", None), Some(Level::Deny));
        assert_eq!(level(TEXT, "version-floating", None), Some(Level::Deny));
        let mild = "namespaces:\n  - selector: { matchLabels: { a: b } }\n    rules: { version-floating: off }\n";
        assert_eq!(
            level(mild, "version-floating", None),
            Some(Level::Warn),
            "it may be another namespace, where the rule has its own level"
        );
    }
}
