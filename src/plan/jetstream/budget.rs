use serde_json::{Value, json};

use super::{Subject, hash, metadata};
use crate::api::names;
use crate::plan::ChildKind;

/// The disruption budget: at most one server away at a time, and none while evictions are `held`. `since` notes from when on a server does not hold
/// everything. A single server gets no budget, because it would block every drain.
pub(in crate::plan) fn budget(subject: Subject<'_>, held: bool, since: Option<&str>) -> Option<Value> {
    if subject.spec.server_count() < 3 {
        return None;
    }
    let body = json!({ "spec": { "maxUnavailable": i32::from(!held), "selector": { "matchLabels": metadata::labels(subject) } } });
    // The note is part of the digest: one that is to go is a difference only so.
    let hash = if since.is_some() { hash(&json!([body, since])) } else { hash(&body) };
    let mut object = metadata::object(subject, ChildKind::PodDisruptionBudget, &names::stateful_set(subject.name()), body);
    metadata::annotate_hash(&mut object, hash);
    metadata::annotate(&mut object, since.map(|since| (names::NOT_CURRENT_SINCE_ANNOTATION, since.to_owned())));
    Some(object)
}
