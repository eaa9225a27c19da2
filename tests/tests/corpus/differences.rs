use std::collections::BTreeSet;

use super::site::Definition;

/// A case of which something else is said than by the library: its name, beside which definition (both where there is none), and what is said.
pub type Difference = (&'static str, Option<Definition>, &'static [&'static str]);

const PRACTICE: &[&str] = &["no-persistence", "resources"];

/// What policies say otherwise. What is refused because it asks about versions, about texts that hold YAML, or about other objects is not here: no policy
/// asks it (`src/rules/cel.rs`).
pub const POLICIES: &[Difference] = &[
    // The library reads no object without a spec; for a policy it is one that names no type.
    ("no spec", Some(Definition::Minimal), &["one-type"]),
    // More than 32 bits are no number for the library; for a policy they are too many servers.
    ("a number that is too large", Some(Definition::Minimal), &["replicas", "no-persistence", "resources"]),
    // What is in a list is not looked at, unless it is a text.
    ("a number among arguments", Some(Definition::Minimal), PRACTICE),
    // The cost of an expression has a bound (`limits::POLICY_LIST`).
    ("more variables than policies compare", None, PRACTICE),
    // What latest is stands in the controller configuration.
    ("latest to an older version", None, &[]),
];

/// What the definition says otherwise.
pub const DEFINITION: &[Difference] = &[
    // Each part of the schema is asked by itself, so that more is said than the first thing that is wrong.
    ("all three", None, &["one-type", "version-required"]),
    ("one type, and a second", None, &["one-type", "type-change"]),
    // Blanks are no version for the library.
    ("a blank version", None, &[]),
    // A validation of a definition lets pass what was wrong before only where nothing in the spec changes.
    ("no type before and after", None, &["one-type"]),
    // A service without a type or with two cannot get one in place: the definition compares types, however many there were.
    ("a type at last", None, &["type-change"]),
    ("two types, and one is left", None, &["type-change"]),
];

/// What is expected instead.
pub fn expected_of(list: &[Difference], name: &str, definition: Definition) -> Option<BTreeSet<&'static str>> {
    list.iter()
        .find(|(one, beside, _)| *one == name && beside.is_none_or(|beside| beside == definition))
        .map(|(_, _, rules)| rules.iter().copied().collect())
}
