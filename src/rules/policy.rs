//! Which rules hold, and how strictly.

use super::{Level, Rule};

/// Levels that differ from the rules' own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {}

impl Policy {
    /// The level at which a rule holds; `None` where it is off.
    pub fn level(&self, rule: &Rule) -> Option<Level> {
        Some(rule.level)
    }
}
