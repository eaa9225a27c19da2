use std::collections::BTreeMap;

use isbsvc::rules::{ALL, Level, Policy};

use crate::is_one_line;

/// A policy: what is taken lowers no rule that guards data or what can run, whatever the labels of a namespace; and where they are not known, nothing is
/// milder than it is for any labels.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let policy = match Policy::parse(text) {
        Ok(policy) => policy,
        Err(error) => return assert!(is_one_line(&error.to_string()), "{error:?}"),
    };
    let namespaces = [&[][..], &[("a", "b")], &[("stage", "test")], &[("stage", "live"), ("team", "a")]];
    let unknown = policy.levels(None);
    for labels in namespaces {
        let labels: BTreeMap<_, _> = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let levels = policy.levels(Some(&labels));
        for rule in ALL {
            assert!(rule.level != Level::Deny || levels.of(rule) == Some(Level::Deny), "{} in {labels:?}: {text}", rule.name);
            assert!(unknown.of(rule) >= levels.of(rule), "{} in {labels:?}: {text}", rule.name);
        }
    }
}
