//! The controller instance.

use super::{Asked, Level, Rule, Violation};
use crate::api::names::INSTANCE_ANNOTATION;

/// The instance does not change.
pub const INSTANCE_CHANGE: Rule = Rule {
    name: "instance-change",
    level: Level::Deny,
    summary: "The controller instance of a live service does not change: two controllers would write its objects, and its Pipelines would not find it.",
    about_change: true,
    check: instance_change,
};

fn instance_change(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(old) = asked.old else { return Vec::new() };
    let (was, wanted) = (old.instance(), asked.new.instance());
    if was == wanted {
        return Vec::new();
    }
    vec![Violation::new(
        format!("metadata.annotations[{INSTANCE_ANNOTATION}]"),
        format!(
            "{was:?} to {wanted:?} would hand the live service to another controller, and its Pipelines would no longer find it; keep {was:?}"
        ),
    )]
}
