//! The controller instance.

use super::{About, Asked, Example, Level, Rule, Violation};
use crate::api::names::INSTANCE_ANNOTATION;

/// The instance does not change.
pub const INSTANCE_CHANGE: Rule = Rule {
    name: "instance-change",
    level: Level::Deny,
    about: About::Change,
    summary: "The controller instance of a live service does not change: two controllers would write its objects, and its Pipelines would not find it.",
    advice: "The annotation says which controller looks after the service, and Pipelines use only services of their own instance. Set it when the service is \
             created, and leave it.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "metadata:\n  annotations:\n    numaflow.numaproj.io/instance: blue\nspec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
        ),
        Example::good_change(
            "metadata:\n  annotations:\n    numaflow.numaproj.io/instance: blue\nspec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "metadata:\n  annotations:\n    numaflow.numaproj.io/instance: blue\nspec:\n  jetstream:\n    version: 2.12.7\n    replicas: 5\n",
        ),
    ],
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
