use serde_json::{Value, json};

use super::{Baseline, Subject, hash, metadata};
use crate::api::names;
use crate::plan::ChildKind;

/// The `ConfigMap` with the server's configuration; `annotations` are ours that no server reads.
pub(in crate::plan) fn config_map(
    subject: Subject<'_>,
    baseline: &Baseline,
    annotations: impl IntoIterator<Item = (&'static str, String)>,
) -> Value {
    let body = json!({ "data": { names::CONFIG_KEY: baseline.config.as_str() } });
    let hash = hash(&body);
    let mut object = metadata::object(subject, ChildKind::ConfigMap, &names::config_map(subject.name()), body);
    metadata::annotate_hash(&mut object, hash);
    metadata::annotate(&mut object, annotations);
    object
}
