use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::adoption::{self, Obstacle};
use super::budget::Wanted;
use super::deletion::seen;
use super::jetstream::{self, Subject};
use super::{Action, ChildKind, Desired, Material, Place, Plan, Precondition, compare, owners};
use crate::api::names;
use crate::observed::{Fact, Observed};

/// Objects that are built before they are compared with what is there.
pub(super) struct Built {
    /// The `StatefulSet`.
    pub stateful_set: Value,
    /// The `ConfigMap`.
    pub config_map: Value,
    /// The disruption budget.
    pub budget: Wanted,
    /// What stands on the servers' Secret of the accepted spec, in case both objects above are deleted: annotations.
    pub accepted: [(&'static str, String); 2],
}

/// The objects, in the order of making, with a write for each that is not as it should be.
pub(super) fn children(plan: &mut Plan, now: Timestamp, observed: &Observed, material: &Material, subject: Subject<'_>, built: Built) {
    secrets(plan, observed, material, subject, &built.accepted);
    child(plan, now, ChildKind::ConfigMap, built.config_map, &observed.config_map);
    child(plan, now, ChildKind::Service, jetstream::service(subject), &observed.service);
    child(plan, now, ChildKind::StatefulSet, built.stateful_set, &observed.stateful_set);
    match built.budget {
        Wanted::Object(object) => child(plan, now, ChildKind::PodDisruptionBudget, object, &observed.budget),
        Wanted::None => {
            if let Some(own) = observed.budget.known().and_then(Option::as_ref) {
                let precondition = Precondition { resource_version: None, ..seen(&own.metadata) };
                plan.actions.push(Action::Delete { kind: ChildKind::PodDisruptionBudget, name: own.name_any(), precondition });
            }
        }
        Wanted::Unknown => {}
    }
}

fn secrets(plan: &mut Plan, observed: &Observed, material: &Material, subject: Subject<'_>, accepted: &[(&'static str, String)]) {
    let (server, client) = match (&observed.server_secret, &observed.client_secret) {
        (Fact::Known(server), Fact::Known(client)) => (server, client),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => {
            plan.held = Some(why.clone());
            return;
        }
    };
    let Some(actions) = jetstream::secrets(subject, server.as_ref(), client.as_ref(), material, accepted) else {
        plan.held = Some("passwords, keys or certificates are missing and were not drawn".to_owned());
        return;
    };
    for action in &actions {
        if let Action::Create { kind, name, object } = action {
            plan.desired.push(Desired { kind: *kind, name: name.clone(), object: object.clone() });
        }
    }
    plan.actions.extend(actions);
}

fn child<K>(plan: &mut Plan, now: Timestamp, kind: ChildKind, mut object: Value, live: &Fact<Option<K>>)
where
    K: kube::Resource + serde::Serialize,
{
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if let Fact::Known(Some(live)) = live {
        keep_their_hash(&mut object, live.meta());
    }
    plan.desired.push(Desired { kind, name: name.clone(), object: object.clone() });
    match live {
        Fact::Unknown(why) => plan.held = Some(why.clone()),
        Fact::Known(None) => plan.actions.push(apply(kind, name, object, None, Vec::new())),
        Fact::Known(Some(live)) => {
            let live_value = json!(live);
            let changed = compare::differences(&comparable(&object), &owners::without_injected(&object, &live_value, live.meta()));
            let theirs = adoption::numaflows(live.meta());
            // Where they write after us, or over us, two controllers would fight.
            if let Some((_, written)) = theirs.filter(|(_, written)| {
                applied(live.meta())
                    .is_some_and(|ours| !changed.is_empty() || written.is_some_and(|written| ours.is_some_and(|ours| written > ours)))
            }) && let Err(Obstacle::ForeignWriter(words, _)) = adoption::wait_for_quiet(kind.kind(), live.meta(), written, now)
            {
                plan.foreign_writers.push(words);
                return;
            }
            if changed.is_empty() {
                plan.actions.extend(match theirs {
                    Some((index, _)) => {
                        Some(disown(kind, name, index, owners::numaflows_additions(&object, &live_value, live.meta()), live.meta()))
                    }
                    None => take_away(kind, name, owners::removals(&object, &live_value, live.meta()), live.meta()),
                });
                return;
            }
            let action = drift(kind, &name, &object, &live_value, live.meta(), &changed);
            plan.actions.push(action.unwrap_or_else(|| apply(kind, name, object, Some(live.meta()), changed)));
        }
    }
}

/// The digest that Numaflow's controller wrote stays, so that it sees nothing to do; ours, where it is the live one, follows what we want.
fn keep_their_hash(object: &mut Value, live: &ObjectMeta) {
    let annotation = |name: &str| live.annotations.as_ref().and_then(|annotations| annotations.get(name));
    if let Some(hash) = annotation(names::HASH_ANNOTATION).filter(|hash| annotation(names::DESIRED_HASH_ANNOTATION) != Some(hash)) {
        object["metadata"]["annotations"][names::HASH_ANNOTATION] = json!(hash);
    }
}

/// When we applied an object last; none where we never did.
#[expect(clippy::option_option, reason = "never, and at a time that is not told")]
fn applied(metadata: &ObjectMeta) -> Option<Option<Timestamp>> {
    let mut entries = metadata.managed_fields.iter().flatten();
    let ours =
        entries.find(|entry| entry.manager.as_deref() == Some(names::CHILDREN_MANAGER) && entry.operation.as_deref() == Some("Apply"))?;
    Some(ours.time.as_ref().map(|time| time.0))
}

/// Takes the fields from Numaflow's controller, once all of them are ours as well: as long as it owns them too, server-side apply never takes one away.
/// What it added beside ours goes with its claim; of a pod template that is taken over nothing does, because all of it is ours by then.
fn disown(kind: ChildKind, name: String, index: usize, additions: Vec<String>, metadata: &ObjectMeta) -> Action {
    let claim = format!("/metadata/managedFields/{index}");
    let places = additions.into_iter().chain([claim]).map(|pointer| Place { pointer, value: None }).collect();
    Action::Patch { kind, name, places, precondition: seen(metadata) }
}

/// Takes away what others added beside our fields, which server-side apply leaves to them.
fn take_away(kind: ChildKind, name: String, places: Vec<Place>, metadata: &ObjectMeta) -> Option<Action> {
    // Before we have written it, all of it is somebody else's.
    (!places.is_empty() && applied(metadata).is_some()).then(|| Action::Patch { kind, name, places, precondition: seen(metadata) })
}

/// The repair of what somebody edited in lists that are ours as a whole. Server-side apply merges such lists: it would keep the items of others, and add
/// a port beside one whose number was edited. `None` where what we want changed itself, or a place is gone, which apply says well.
fn drift(kind: ChildKind, name: &str, object: &Value, live: &Value, metadata: &ObjectMeta, changed: &[String]) -> Option<Action> {
    if changed.iter().any(|pointer| pointer.starts_with("/metadata/")) {
        return None;
    }
    let mut pointers: Vec<String> = changed.iter().map(|pointer| list_around(live, pointer)).collect();
    pointers.sort();
    pointers.dedup();
    if !pointers.iter().any(|pointer| live.pointer(pointer).is_some_and(Value::is_array)) {
        return None;
    }
    let places = pointers.into_iter().map(|pointer| {
        live.pointer(&pointer)?;
        let value = Some(object.pointer(&pointer)?.clone());
        Some(Place { pointer, value })
    });
    Some(Action::Patch { kind, name: name.to_owned(), places: places.collect::<Option<_>>()?, precondition: seen(metadata) })
}

/// The outermost list that a place is in; the place itself where it is in none.
fn list_around(live: &Value, pointer: &str) -> String {
    let ends = pointer.match_indices('/').map(|(at, _)| at).skip(1).chain([pointer.len()]);
    ends.map(|end| &pointer[..end]).find(|part| live.pointer(part).is_some_and(Value::is_array)).unwrap_or(pointer).to_owned()
}

/// The part of an object that is compared with what is there: k8s-openapi's types write no apiVersion and kind.
fn comparable(object: &Value) -> Value {
    let mut object = object.clone();
    if let Value::Object(fields) = &mut object {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    object
}

fn apply(kind: ChildKind, name: String, object: Value, live: Option<&ObjectMeta>, changed: Vec<String>) -> Action {
    Action::Apply {
        kind,
        name,
        object: if kind == ChildKind::StatefulSet { jetstream::applicable(object) } else { object },
        precondition: live.map(|live| Precondition { uid: live.uid.clone(), resource_version: None }).unwrap_or_default(),
        changed,
    }
}
