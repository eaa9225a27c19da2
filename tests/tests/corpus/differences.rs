use std::collections::BTreeSet;

use super::site::Definition;

/// A case of which something else is said than by the library: its name, beside which definition (both where there is none), and what is said.
pub type Difference = (&'static str, Option<Definition>, &'static [&'static str]);

/// What policies say otherwise. Those that ask about versions, about texts that hold YAML, or about other objects are not here: no policy asks them.
pub const POLICIES: &[Difference] = &[];

/// What the definition says otherwise.
pub const DEFINITION: &[Difference] = &[];

/// What is expected instead.
pub fn expected_of(list: &[Difference], name: &str, definition: Definition) -> Option<BTreeSet<&'static str>> {
    list.iter()
        .find(|(one, beside, _)| *one == name && beside.is_none_or(|beside| beside == definition))
        .map(|(_, _, rules)| rules.iter().copied().collect())
}
