//! What reconciliation would write: the model behind `diff` and behind the plan that `reconcile` shows.

use isbsvc::api::{InterStepBufferService, names};
use isbsvc::observed::Observed;
use isbsvc::plan::{Action, ChildKind, Plan};
use serde::Serialize;
use serde_json::Value;

use super::{API_VERSION, Subject};

/// What stands in place of anything out of a Secret (law *secret-silence*).
pub const HIDDEN: &str = "<hidden>";

/// What would be written.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// Version of this form.
    pub api_version: &'static str,
    /// `ServiceDifference`.
    pub kind: &'static str,
    /// Which service.
    pub metadata: Subject,
    /// Writes to objects, in order.
    pub changes: Vec<Change>,
    /// Why no more would be done for now.
    pub held: Option<String>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `create`, `update`, `delete`.
    pub verb: &'static str,
    /// Kind of the object.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What differs; empty for an object that is made or deleted.
    pub fields: Vec<Field>,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Field {
    /// JSON pointer into the object.
    pub pointer: String,
    /// What is there; `null` where nothing is.
    pub live: Value,
    /// What should be there; `null` where nothing should.
    pub wanted: Value,
}

impl Difference {
    /// The plan's writes. The status is left out where only it would be written for a time or a message: it is what the controller says, and not what
    /// the service is.
    pub fn new(service: &InterStepBufferService, observed: &Observed, plan: &Plan, now: jiff::Timestamp) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "ServiceDifference",
            metadata: Subject { name: service.name().to_owned(), namespace: service.namespace_or_empty().to_owned(), observed_at: now },
            changes: plan.actions.iter().map(|action| change(service, observed, action)).collect(),
            held: plan.held.clone(),
        }
    }
}

fn change(service: &InterStepBufferService, observed: &Observed, action: &Action) -> Change {
    let made = |verb, kind: ChildKind, name: &str, fields| Change { verb, kind: kind.kind().to_owned(), name: name.to_owned(), fields };
    let of_service = |fields| Change { verb: "update", kind: names::KIND.to_owned(), name: service.name().to_owned(), fields };
    match action {
        Action::Create { kind, name, .. } => made("create", *kind, name, Vec::new()),
        Action::Delete { kind, name, .. } => made("delete", *kind, name, Vec::new()),
        Action::Apply { kind, name, object, changed, .. } => match live(observed, *kind) {
            None => made("create", *kind, name, Vec::new()),
            Some(live) => {
                let secret = *kind == ChildKind::Secret;
                made("update", *kind, name, changed.iter().map(|pointer| field(pointer, &live, object, secret)).collect())
            }
        },
        Action::Patch { kind, name, places, .. } => {
            let live = live(observed, *kind).unwrap_or(Value::Null);
            let shown = |value: Option<&Value>| match value {
                None | Some(Value::Null) => Value::Null,
                Some(_) if *kind == ChildKind::Secret => HIDDEN.into(),
                Some(value) => value.clone(),
            };
            let fields = places.iter().map(|place| Field {
                pointer: place.pointer.clone(),
                live: shown(live.pointer(&place.pointer)),
                wanted: shown(place.value.as_ref()),
            });
            made("update", *kind, name, fields.collect())
        }
        Action::SetFinalizers { finalizers, .. } => {
            let live = service.metadata.finalizers.clone().unwrap_or_default();
            of_service(vec![Field { pointer: "/metadata/finalizers".to_owned(), live: live.into(), wanted: finalizers.clone().into() }])
        }
        Action::ApplyStatus { status } => {
            let live = serde_json::to_value(&service.status).unwrap_or(Value::Null);
            let status = status.get("status").unwrap_or(status);
            let fields = status.as_object().into_iter().flatten().filter(|(key, wanted)| live.get(key.as_str()) != Some(*wanted));
            let fields = fields.map(|(key, wanted)| Field {
                pointer: format!("/status/{key}"),
                live: live.get(key).cloned().unwrap_or(Value::Null),
                wanted: wanted.clone(),
            });
            of_service(fields.collect())
        }
    }
}

fn field(pointer: &str, live: &Value, wanted: &Value, secret: bool) -> Field {
    let at = |object: &Value| {
        let value = object.pointer(pointer).cloned().unwrap_or(Value::Null);
        if secret && !value.is_null() { HIDDEN.into() } else { value }
    };
    Field { pointer: pointer.to_owned(), live: at(live), wanted: at(wanted) }
}

/// The object that is there, of the kinds of which a service has one.
fn live(observed: &Observed, kind: ChildKind) -> Option<Value> {
    fn value<T: serde::Serialize>(fact: &isbsvc::observed::Fact<Option<T>>) -> Option<Value> {
        serde_json::to_value(fact.known()?.as_ref()?).ok()
    }
    match kind {
        ChildKind::StatefulSet => value(&observed.stateful_set),
        ChildKind::Service => value(&observed.service),
        ChildKind::ConfigMap => value(&observed.config_map),
        ChildKind::PodDisruptionBudget => value(&observed.budget),
        // Whatever is shown of a Secret is hidden; that it is there is all that counts.
        ChildKind::Secret => Some(Value::Object(serde_json::Map::new())),
        ChildKind::PersistentVolumeClaim => None,
    }
}
