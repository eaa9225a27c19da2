//! Deletion.

use super::{About, Asked, Example, Level, Rule, Violation};
use crate::limits;

/// A service that Pipelines use is not deleted.
pub const IN_USE: Rule = Rule {
    name: "in-use",
    level: Level::Deny,
    about: About::Deletion,
    summary: "A service is not deleted while Pipelines use it: by its name, or where they name none, because it is called default.",
    advice: "The messages between the steps of those Pipelines would be gone. Delete the Pipelines first, or move them to another service. Where the whole \
             namespace is being deleted, or those Pipelines are, this is a warning only: the controller deletes the service once the last of them is gone. \
             The webhook's entry for deletions fails open, because the controller's finalizer guards the service as well.",
    overridable: false,
    examples: &[
        Example::deletion("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n", &["orders", "payments"]),
        Example::deletion("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n", &[]),
    ],
    check: in_use,
};

fn in_use(asked: &Asked<'_>) -> Vec<Violation> {
    const FIELD: &str = "metadata.name";
    let Some(from) = asked.deletion else { return Vec::new() };
    let pipelines = match (from.pipelines.known(), from.pipelines.unknown()) {
        (Some(pipelines), _) => pipelines,
        (None, why) => {
            let why = why.unwrap_or("not looked at");
            return vec![Violation::new(FIELD, format!("whether Pipelines use it was not checked: {why}")).mild()];
        }
    };
    let staying: Vec<_> = pipelines.iter().filter(|pipeline| !pipeline.deleting).map(|pipeline| pipeline.name.as_str()).collect();
    if pipelines.is_empty() {
        return Vec::new();
    }
    if staying.is_empty() {
        return vec![Violation::new(FIELD, format!("goes once {} Pipelines that use it are gone", pipelines.len())).mild()];
    }
    if from.namespace_ends {
        return vec![Violation::new(FIELD, format!("{} Pipelines use it, which go with the namespace", staying.len())).mild()];
    }
    let named = staying.iter().take(limits::REASON_NAMES).copied().collect::<Vec<_>>().join(", ");
    let more = staying.len().saturating_sub(limits::REASON_NAMES);
    let named = if more > 0 { format!("{named} and {more} more") } else { named };
    let (verb, noun) = if staying.len() == 1 { ("uses", "Pipeline") } else { ("use", "Pipelines") };
    vec![Violation::new(
        FIELD,
        format!(
            "{noun} {named} {verb} this service, and would lose the messages between their steps; delete them first, or move them to another service"
        ),
    )]
}
