use serde_json::{Value, json};

use super::{HASH_ANNOTATION, Subject, hash, metadata, server_config::server_config};
use crate::api::names;
use crate::plan::ChildKind;

/// The `ConfigMap` with the server's configuration; `accepted` is the spec that it carries out.
pub(in crate::plan) fn config_map(subject: Subject<'_>, accepted: String) -> Value {
    let body = json!({ "data": { names::CONFIG_KEY: server_config(subject) } });
    let hash = hash(&body);
    let mut object = metadata::object(subject, ChildKind::ConfigMap, &names::config_map(subject.name()), body);
    metadata::annotate(&mut object, [(HASH_ANNOTATION, hash), (names::ACCEPTED_SPEC_ANNOTATION, accepted)]);
    object
}
