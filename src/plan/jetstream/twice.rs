//! The memory limit of a server that names it twice. Numaflow's controller sets `GOMEMLIMIT`, and appends the user's own to it; of the two the later one
//! holds.
//!
//! Kubernetes takes such a list, and server-side apply cannot write it. But it leaves a pair in its place where we do not name the variable at all
//! (structured-merge-diff 6.3, `typed/merge.go`, `visitListItems`), so what runs can be taken over as it runs.

use serde_json::{Value, json};

/// Bytes from which Go collects, in any of the forms that Go's runtime reads.
pub(in crate::plan) const MEMORY_LIMIT: &str = "GOMEMLIMIT";

/// Whether a variable may stand twice in what is taken over. No other one: what server-side apply does not own it does not take away later, and only of
/// this one we know a value that says nothing.
pub(in crate::plan) fn may_stand_twice(container: &str, variable: &str) -> bool {
    container == "main" && variable == MEMORY_LIMIT
}

/// What server-side apply can write of a `StatefulSet`: all but a pair.
pub(in crate::plan) fn applicable(mut object: Value) -> Value {
    if let Some(env) = env(&mut object["spec"]["template"]).filter(|env| places(env).len() > 1) {
        env.retain(|variable| variable["name"] != MEMORY_LIMIT);
    }
    object
}

/// The template with the later one of a pair alone, and whether there was a pair.
pub(super) fn once(template: &Value) -> (Value, bool) {
    let mut template = template.clone();
    let mut pair = false;
    if let Some(env) = env(&mut template) {
        while let [first, _, ..] = places(env)[..] {
            env.remove(first);
            pair = true;
        }
    }
    (template, pair)
}

/// Names the limit where a pair that ran before would stay otherwise; `off` is Go's word for none.
pub(super) fn replace_pair(template: &mut Value) {
    if let Some(env) = env(template).filter(|env| places(env).is_empty()) {
        env.push(json!({ "name": MEMORY_LIMIT, "value": "off" }));
    }
}

/// The variables of the server.
fn env(template: &mut Value) -> Option<&mut Vec<Value>> {
    let containers = template.pointer_mut("/spec/containers")?.as_array_mut()?;
    containers.iter_mut().find(|container| container["name"] == "main")?.get_mut("env")?.as_array_mut()
}

/// Where the limit stands.
fn places(env: &[Value]) -> Vec<usize> {
    env.iter().enumerate().filter(|(_, variable)| variable["name"] == MEMORY_LIMIT).map(|(index, _)| index).collect()
}
