//! Which rules hold, and how strictly.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ALL, Level, Rule};

/// The policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(String);

/// Levels that differ from the rules' own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    levels: BTreeMap<String, Setting>,
}

/// What a policy may say of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Setting {
    Enforce,
    Warn,
    Off,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    rules: BTreeMap<String, Setting>,
}

impl Policy {
    /// Reads a policy: YAML, `rules:` with `name: enforce | warn | off`. A rule that refuses keeps doing so: what loses data or cannot run is not
    /// switched off by configuration alone.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let file: File = serde_saphyr::from_str(text)
            .map_err(|error| PolicyError(error.to_string().lines().next().unwrap_or_default().trim().to_owned()))?;
        for (name, setting) in &file.rules {
            let Some(rule) = ALL.iter().find(|rule| rule.name == name) else {
                let names: Vec<_> = ALL.iter().map(|rule| rule.name).collect();
                return Err(PolicyError(format!("rules.{name}: there is no such rule; the rules are {}", names.join(", "))));
            };
            if rule.level == Level::Deny && *setting != Setting::Enforce {
                return Err(PolicyError(format!(
                    "rules.{name}: it guards data, and cannot be lowered by configuration; take the line out"
                )));
            }
        }
        Ok(Self { levels: file.rules })
    }

    /// The level at which a rule holds; `None` where it is off.
    pub fn level(&self, rule: &Rule) -> Option<Level> {
        match self.levels.get(rule.name) {
            None => Some(rule.level),
            Some(Setting::Enforce) => Some(Level::Deny),
            Some(Setting::Warn) => Some(Level::Warn),
            Some(Setting::Off) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::version::{VERSION_FLOATING, VERSION_KNOWN};

    #[test]
    fn a_warning_can_be_raised_or_put_off() {
        let level = |word: &str| Policy::parse(&format!("rules:\n  version-floating: {word}\n")).expect("valid").level(&VERSION_FLOATING);
        assert_eq!(level("enforce"), Some(Level::Deny));
        assert_eq!(level("warn"), Some(Level::Warn));
        assert_eq!(level("off"), None);
        assert_eq!(Policy::default().level(&VERSION_KNOWN), Some(Level::Deny));
    }

    #[test]
    fn what_guards_data_cannot_be_lowered_and_unknown_names_are_refused() {
        for (text, part) in
            [("rules:\n  encryption-toggle: off\n", "guards data"), ("rules:\n  no-such: warn\n", "no such rule"), ("rule: 1\n", "")]
        {
            let error = Policy::parse(text).expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
    }
}
