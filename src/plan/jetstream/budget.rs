use serde_json::{Value, json};

use super::{Subject, hash, metadata};
use crate::api::names;
use crate::plan::ChildKind;

/// The disruption budget: at most one server away at a time. A single server gets none, because it would block every drain.
pub(in crate::plan) fn budget(subject: Subject<'_>) -> Option<Value> {
    if subject.spec.server_count() < 3 {
        return None;
    }
    let body = json!({ "spec": { "maxUnavailable": 1, "selector": { "matchLabels": metadata::labels(subject) } } });
    let hash = hash(&body);
    let mut object = metadata::object(subject, ChildKind::PodDisruptionBudget, &names::stateful_set(subject.name()), body);
    metadata::annotate_hash(&mut object, hash);
    Some(object)
}
