use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as Published;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::metrics::{Metrics, Telling};
use super::queue::Key;
use crate::api::names;
use crate::apply::{Carried, Verb};
use crate::limits;
use crate::observe::in_words;
use crate::plan::{Action, ChildKind, Event, EventType};

/// Tells people what happened, on the service itself. The same words again become a series of one event, and a service has only so many in a while: who
/// fights with us over an object must not flood the namespace. An event that is lost is counted and changes nothing else.
///
/// kube's own recorder keeps the words of the first event of a reason for all that follow, so it is not used.
pub struct Events {
    client: Client,
    instance: String,
    metrics: Arc<Metrics>,
    told: Mutex<HashMap<Key, Vec<Told>>>,
}

/// An event that was published a while ago.
struct Told {
    event: Event,
    /// Name of the object in the API.
    name: String,
    count: i32,
    first: Instant,
    last: Instant,
}

/// What is to be done about an event.
enum Next {
    Create,
    Repeat { name: String, count: i32 },
    Nothing(Telling),
}

impl Events {
    /// Publishes as this instance of the controller.
    pub fn new(client: Client, instance: String, metrics: Arc<Metrics>) -> Self {
        Self { client, instance, metrics, told: Mutex::default() }
    }

    /// Publishes one.
    pub async fn publish(&self, key: &Key, about: &ObjectReference, event: &Event) {
        let event = Event { note: cut(&event.note, limits::EVENT_NOTE).to_owned(), ..event.clone() };
        let api: Api<Published> = Api::namespaced(self.client.clone(), &key.namespace);
        let now = Timestamp::now();
        let request = async {
            match self.decide(key, &event) {
                Next::Nothing(telling) => Ok(telling),
                Next::Create => {
                    let name = format!("{}.{:x}", key.name, now.as_nanosecond());
                    api.create(&PostParams::default(), &self.object(about, &event, &name, now)).await?;
                    self.created(key, event.clone(), name);
                    Ok(Telling::Published)
                }
                Next::Repeat { name, count } => {
                    let series = json!({ "series": { "count": count, "lastObservedTime": MicroTime(now) } });
                    match api.patch(&name, &PatchParams::default(), &Patch::Merge(&series)).await {
                        // The API server keeps events for an hour, or less.
                        Err(kube::Error::Api(status)) if status.code == 404 => {
                            api.create(&PostParams::default(), &self.object(about, &event, &name, now)).await?;
                        }
                        other => drop(other?),
                    }
                    Ok(Telling::Repeated)
                }
            }
        };
        let why = match timeout(limits::API_REQUEST, request).await {
            Ok(Ok(telling)) => return self.metrics.told(telling),
            Ok(Err(error)) => in_words(&error),
            Err(_) => "no answer of the API server".to_owned(),
        };
        self.metrics.told(Telling::Lost);
        tracing::warn!(service = %key, reason = event.reason, why, "an event could not be published");
    }

    /// Forgets what was told of a service that is gone.
    pub fn forget(&self, key: &Key) {
        self.told().remove(key);
    }

    fn decide(&self, key: &Key, event: &Event) -> Next {
        let now = Instant::now();
        let mut all = self.told();
        let told = all.entry(key.clone()).or_default();
        told.retain(|one| now.duration_since(one.last) < limits::EVENT_WINDOW);
        if let Some(one) = told.iter_mut().find(|one| one.event == *event) {
            one.count = one.count.saturating_add(1);
            if now.duration_since(one.last) < limits::EVENT_AGAIN {
                return Next::Nothing(Telling::HeldBack);
            }
            one.last = now;
            return Next::Repeat { name: one.name.clone(), count: one.count };
        }
        if told.iter().filter(|one| now.duration_since(one.first) < limits::EVENT_WINDOW).count() >= limits::EVENTS_PER_SERVICE {
            tracing::debug!(service = %key, reason = event.reason, note = event.note, "too many events; this one is not published");
            return Next::Nothing(Telling::HeldBack);
        }
        Next::Create
    }

    fn created(&self, key: &Key, event: Event, name: String) {
        let now = Instant::now();
        self.told().entry(key.clone()).or_default().push(Told { event, name, count: 1, first: now, last: now });
    }

    fn object(&self, about: &ObjectReference, event: &Event, name: &str, now: Timestamp) -> Published {
        Published {
            metadata: ObjectMeta { name: Some(name.to_owned()), namespace: about.namespace.clone(), ..ObjectMeta::default() },
            event_time: Some(MicroTime(now)),
            type_: Some(
                match event.type_ {
                    EventType::Normal => "Normal",
                    EventType::Warning => "Warning",
                }
                .to_owned(),
            ),
            reason: Some(event.reason.to_owned()),
            note: Some(event.note.clone()),
            action: Some("Reconcile".to_owned()),
            regarding: Some(about.clone()),
            reporting_controller: Some(names::CHILDREN_MANAGER.to_owned()),
            reporting_instance: Some(cut(&self.instance, 128).to_owned()),
            ..Published::default()
        }
    }

    fn told(&self) -> MutexGuard<'_, HashMap<Key, Vec<Told>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a write is told as, with Numaflow's own reasons; nothing for writes that it does not tell.
pub fn of_write(action: &Action, carried: &Carried) -> Option<Event> {
    let kind = action.child()?;
    let reason = match (kind, carried.verb) {
        (_, Verb::Deleted) | (ChildKind::Secret | ChildKind::PodDisruptionBudget | ChildKind::PersistentVolumeClaim, _) => return None,
        (ChildKind::ConfigMap, _) => "JetStreamConfigMap",
        (ChildKind::Service, _) => "JetStreamServiceSuccess",
        (ChildKind::StatefulSet, Verb::Created) => "JetStreamStatefulSetSuccess",
        (ChildKind::StatefulSet, Verb::Configured) => "JetStreamStatefulSet",
    };
    let pointers: Vec<&str> = match action {
        Action::Apply { changed, .. } => changed.iter().map(String::as_str).collect(),
        Action::Patch { places, .. } => places.iter().map(|place| place.pointer.as_str()).collect(),
        _ => Vec::new(),
    };
    // What we note for ourselves in annotations is nothing that happened.
    if !pointers.is_empty() && pointers.iter().all(|pointer| pointer.starts_with("/metadata/annotations")) {
        return None;
    }
    let shown = pointers.iter().take(FIELDS_SHOWN).copied().collect::<Vec<_>>().join(", ");
    let more = pointers.len().saturating_sub(FIELDS_SHOWN);
    let note = match (carried.verb, more) {
        (Verb::Created, _) => format!("{} {} created", kind.kind(), carried.name),
        _ if pointers.is_empty() => format!("{} {} written", kind.kind(), carried.name),
        (_, 0) => format!("{} {} written: {shown}", kind.kind(), carried.name),
        (_, more) => format!("{} {} written: {shown} and {more} more", kind.kind(), carried.name),
    };
    Some(Event { type_: EventType::Normal, reason, note })
}

/// Fields that an event names.
const FIELDS_SHOWN: usize = 5;

/// At most so many bytes, and whole characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests;
