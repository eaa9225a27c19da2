//! Who wrote what of an object, besides us, as the API server keeps it in `metadata.managedFields`
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>).
//!
//! Two things follow from it. A field that somebody added beside ours is owned by them, and goes again; what the API server fills in is owned by
//! nobody. And an item of a list that nobody owns was put there by a mutating webhook or admission policy, which writes it again each time (measured
//! on Kubernetes 1.36: admission runs after the owners are noted): taking it away would be a war that nobody wins.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;

use super::Place;
use super::compare::segment;
use crate::api::names;

/// The parts of an object that are ours as a whole. Labels and annotations are not: others may have some beside ours.
const OURS: [&str; 3] = ["spec", "data", "binaryData"];

/// The maps in these parts that others may add to all the same: `kubectl rollout restart` writes an annotation into a pod template.
const SHARED: &str = "metadata";

/// Whether an entry says what somebody else than our server-side apply wrote of the object itself.
fn others(entry: &ManagedFieldsEntry) -> bool {
    let ours = entry.manager.as_deref() == Some(names::CHILDREN_MANAGER) && entry.operation.as_deref() == Some("Apply");
    !ours && entry.subresource.as_deref().is_none_or(str::is_empty)
}

/// Forgets what nobody asks for: the fields that we wrote ourselves, and those of subresources. Who wrote, and when, stays.
pub fn forget_own_fields(metadata: &mut ObjectMeta) {
    for entry in metadata.managed_fields.iter_mut().flatten().filter(|entry| !others(entry)) {
        entry.fields_v1 = None;
    }
}

/// Takes away what others added beside `desired`, and their claim to it with it, so that each claim is looked at once: a value that the API server
/// fills in again needs no owner. Empty where nothing was added.
pub(super) fn removals(desired: &Value, live: &Value, metadata: &ObjectMeta) -> Vec<Place> {
    let mut pointers = Vec::new();
    let mut claims = Vec::new();
    for (index, entry) in metadata.managed_fields.iter().flatten().enumerate() {
        // What Numaflow's own controller wrote is looked at by itself: its claim goes in any case.
        if !others(entry) || is_numaflows(entry) {
            continue;
        }
        let before = pointers.len();
        additions(entry, desired, live, &mut pointers);
        if pointers.len() > before {
            claims.push(index);
        }
    }
    pointers.sort();
    pointers.dedup();
    // From the last to the first, so that no index moves.
    let claims = claims.iter().rev().map(|index| format!("/metadata/managedFields/{index}"));
    pointers.into_iter().chain(claims).map(|pointer| Place { pointer, value: None }).collect()
}

/// The places that Numaflow's own controller added beside `desired`.
pub(super) fn numaflows_additions(desired: &Value, live: &Value, metadata: &ObjectMeta) -> Vec<String> {
    let mut pointers = Vec::new();
    for entry in metadata.managed_fields.iter().flatten().filter(|entry| others(entry) && is_numaflows(entry)) {
        additions(entry, desired, live, &mut pointers);
    }
    pointers
}

fn is_numaflows(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(names::NUMAFLOW_MANAGER)
}

/// What one of them added beside `desired`.
fn additions(entry: &ManagedFieldsEntry, desired: &Value, live: &Value, pointers: &mut Vec<String>) {
    let Some(fields) = &entry.fields_v1 else { return };
    for part in OURS {
        let Some(fields) = fields.0.get(format!("f:{part}")) else { continue };
        match (desired.get(part), live.get(part)) {
            (Some(desired), Some(live)) => added(fields, desired, live, &format!("/{part}"), pointers),
            (None, Some(_)) => pointers.push(format!("/{part}")),
            (_, None) => {}
        }
    }
}

/// The outermost places among `fields` that are there and are not desired. A whole item of a list is not among them: lists are compared.
fn added(fields: &Value, desired: &Value, live: &Value, at: &str, found: &mut Vec<String>) {
    for (field, inner) in fields.as_object().into_iter().flatten() {
        if let Some(name) = field.strip_prefix("f:") {
            let Some(live) = live.get(name).filter(|_| name != SHARED) else { continue };
            let at = format!("{at}/{}", segment(name));
            match desired.get(name) {
                Some(desired) => added(inner, desired, live, &at, found),
                None => found.push(at),
            }
        } else if let Some((index, live)) = item(live, field)
            && let Some((_, desired)) = item(desired, field)
        {
            added(inner, desired, live, &format!("{at}/{index}"), found);
        }
    }
}

/// The item of a list that a key such as `k:{"name":"main"}` names. A key may hold what the API server filled in, such as a port's protocol.
fn item<'a>(list: &'a Value, key: &str) -> Option<(usize, &'a Value)> {
    let key: Value = serde_json::from_str(key.strip_prefix("k:")?).ok()?;
    let key = key.as_object()?;
    list.as_array()?.iter().enumerate().find(|(_, item)| {
        let mut known = key.iter().filter_map(|(field, value)| item.get(field).map(|found| found == value)).peekable();
        known.peek().is_some() && known.all(|same| same)
    })
}

/// The live object without the items of its lists that neither we want nor anybody owns.
pub(super) fn without_injected(desired: &Value, live: &Value, metadata: &ObjectMeta) -> Value {
    let claims: Vec<&Value> = metadata
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| others(entry))
        .filter_map(|entry| entry.fields_v1.as_ref().map(|fields| &fields.0))
        .collect();
    let mut live = live.clone();
    for part in OURS {
        let claims: Vec<&Value> = claims.iter().filter_map(|claim| claim.get(format!("f:{part}"))).collect();
        if let (Some(desired), Some(live)) = (desired.get(part), live.get_mut(part)) {
            strip(desired, live, &claims);
        }
    }
    live
}

fn strip(desired: &Value, live: &mut Value, claims: &[&Value]) {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            for (name, desired) in desired {
                if let Some(live) = live.get_mut(name) {
                    let claims: Vec<&Value> = claims.iter().filter_map(|claim| claim.get(format!("f:{name}"))).collect();
                    strip(desired, live, &claims);
                }
            }
        }
        (Value::Array(wanted), Value::Array(items)) => {
            // Only lists whose items have names tell owners apart.
            let Some(key) = known_by(wanted).filter(|key| items.len() > wanted.len() && known_by(items) == Some(*key)) else {
                for (wanted, live) in wanted.iter().zip(items) {
                    descend(wanted, live, claims);
                }
                return;
            };
            items.retain(|item| {
                wanted.iter().any(|wanted| wanted[key] == item[key]) || claims.iter().any(|claim| claim_of(claim, item).is_some())
            });
            for (wanted, live) in wanted.iter().zip(items) {
                descend(wanted, live, claims);
            }
        }
        _ => {}
    }
}

/// Into an item of a list, with the claims to it.
fn descend(desired: &Value, live: &mut Value, claims: &[&Value]) {
    let claims: Vec<&Value> = claims.iter().filter_map(|claim| claim_of(claim, live)).collect();
    strip(desired, live, &claims);
}

/// What a claim to a list says about one item of it.
fn claim_of<'a>(claim: &'a Value, item: &Value) -> Option<&'a Value> {
    let mut keys = claim.as_object().into_iter().flatten();
    keys.find(|(key, _)| self::item(&Value::Array(vec![item.clone()]), key).is_some()).map(|(_, inner)| inner)
}

/// The field by which the items of a list are known, as in the API's own list keys; lists without one are somebody's as a whole.
fn known_by(items: &[Value]) -> Option<&'static str> {
    ["mountPath", "name"].into_iter().find(|key| !items.is_empty() && items.iter().all(|item| item[key].is_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(entries: &Value) -> ObjectMeta {
        serde_json::from_value(json!({ "managedFields": entries })).expect("metadata")
    }

    fn of_person(fields: &Value) -> ObjectMeta {
        metadata(&json!([
            { "manager": names::CHILDREN_MANAGER, "operation": "Apply", "fieldsV1": {} },
            { "manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields },
            { "manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": { "f:spec": { "f:x": {} } } },
        ]))
    }

    fn pointers(places: &[Place]) -> Vec<&str> {
        assert!(places.iter().all(|place| place.value.is_none()));
        places.iter().map(|place| place.pointer.as_str()).collect()
    }

    #[test]
    fn what_somebody_added_goes_with_their_claim() {
        let desired = json!({ "spec": { "strategy": { "type": "R" }, "containers": [{ "name": "a" }, { "name": "main", "ports": [{ "port": 1 }] }] } });
        let live = json!({ "spec": {
            "strategy": { "type": "R", "rollingUpdate": { "partition": 5 } },
            "hostNetwork": true,
            "dnsPolicy": "ClusterFirst",
            "template": { "metadata": { "annotations": { "kubectl.kubernetes.io/restartedAt": "now" } } },
            "containers": [{ "name": "a" }, { "name": "main", "stdin": true, "ports": [{ "port": 1, "protocol": "TCP", "hostPort": 1 }] }],
        } });
        let fields = json!({ "f:metadata": { "f:labels": { "f:theirs": {} } }, "f:spec": {
            "f:strategy": { "f:rollingUpdate": { "f:partition": {} } },
            "f:hostNetwork": {},
            "f:gone": {},
            "f:containers": { "k:{\"name\":\"main\"}": {
                ".": {}, "f:stdin": {}, "f:ports": { "k:{\"port\":1,\"protocol\":\"TCP\"}": { "f:hostPort": {} } } } },
        } });
        assert_eq!(
            pointers(&removals(&desired, &live, &of_person(&fields))),
            [
                "/spec/containers/1/ports/0/hostPort",
                "/spec/containers/1/stdin",
                "/spec/hostNetwork",
                "/spec/strategy/rollingUpdate",
                "/metadata/managedFields/1"
            ]
        );
        let none: [&str; 0] = [];
        assert_eq!(pointers(&removals(&desired, &live, &of_person(&json!({})))), none, "what the API server fills in has no owner");
        let restart =
            json!({ "f:spec": { "f:template": { "f:metadata": { "f:annotations": { "f:kubectl.kubernetes.io/restartedAt": {} } } } } });
        let desired = json!({ "spec": { "template": {} } });
        assert_eq!(pointers(&removals(&desired, &live, &of_person(&restart))), none, "annotations of a template are shared");
    }

    #[test]
    fn two_claims_go_from_the_last_to_the_first() {
        let fields = json!({ "f:data": { "f:extra": {} } });
        let entry = |manager: &str| json!({ "manager": manager, "operation": "Update", "fieldsV1": fields });
        let live = json!({ "data": { "ours": "1", "extra": "2" } });
        let places = removals(&json!({ "data": { "ours": "1" } }), &live, &metadata(&json!([entry("a"), entry("b")])));
        assert_eq!(pointers(&places), ["/data/extra", "/metadata/managedFields/1", "/metadata/managedFields/0"]);
        let none: [&str; 0] = [];
        let theirs = removals(&json!({ "data": { "ours": "1" } }), &live, &metadata(&json!([entry(names::NUMAFLOW_MANAGER)])));
        assert_eq!(pointers(&theirs), none, "what Numaflow's controller wrote is taken over, not away");
    }

    #[test]
    fn an_item_that_nobody_owns_was_injected_and_one_that_somebody_owns_was_not() {
        let desired = json!({ "spec": { "containers": [{ "name": "main", "env": [{ "name": "A", "value": "1" }], "args": ["x"] }] } });
        let live = json!({ "spec": { "containers": [
            { "name": "main", "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }], "args": ["x", "y"] },
            { "name": "sidecar" },
        ] } });
        let stripped = without_injected(&desired, &live, &of_person(&json!({})));
        assert_eq!(stripped["spec"]["containers"], json!([{ "name": "main", "env": [{ "name": "A", "value": "1" }], "args": ["x", "y"] }]));
        let claim =
            json!({ "f:spec": { "f:containers": { "k:{\"name\":\"main\"}": { "f:env": { "k:{\"name\":\"B\"}": { "f:value": {} } } } } } });
        let stripped = without_injected(&desired, &live, &of_person(&claim));
        assert_eq!(stripped["spec"]["containers"][0]["env"], live["spec"]["containers"][0]["env"]);
        let sidecar = json!({ "f:spec": { "f:containers": { "k:{\"name\":\"sidecar\"}": { "f:name": {} } } } });
        assert_eq!(without_injected(&desired, &live, &of_person(&sidecar))["spec"]["containers"][1], json!({ "name": "sidecar" }));
    }

    #[test]
    fn only_what_others_wrote_is_remembered() {
        let mut metadata = of_person(&json!({ "f:spec": {} }));
        forget_own_fields(&mut metadata);
        let kept: Vec<bool> = metadata.managed_fields.iter().flatten().map(|entry| entry.fields_v1.is_some()).collect();
        assert_eq!(kept, [false, true, false]);
    }
}
