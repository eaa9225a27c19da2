use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource as _, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use super::events::Events;
use super::metrics::Metrics;
use super::queue::Key;
use crate::api::{InterStepBufferService, decode, names};
use crate::apply::{self, ApplyError};
use crate::controller_config::ControllerConfig;
use crate::limits;
use crate::observe::Stores;
use crate::observed::{Fact, Server};
use crate::plan::{Event, EventType, Input, Plan, plan};
use crate::servers::{self, Questions, Reach};

/// What a look at a service needs.
pub struct Reconciler {
    /// To the API server, for writes alone: what is read comes from the stores.
    pub client: Client,
    /// What the cluster holds.
    pub stores: Stores,
    /// The controller configuration that is in force.
    pub config: watch::Receiver<Arc<ControllerConfig>>,
    /// The instance whose services are ours, where the command line names one.
    pub instance: Option<String>,
    /// The way to the servers.
    pub reach: Reach,
    /// Tells people.
    pub events: Events,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What is remembered of each service from look to look; nothing that could not be found again.
    pub memory: Mutex<HashMap<Key, Memory>>,
}

/// What is remembered of a service.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What the servers said last, by pod name.
    servers: BTreeMap<String, Fact<Server>>,
    /// The pods that were asked, and how they stood.
    asked: BTreeMap<String, Standing>,
    /// When they were asked.
    asked_at: Option<Instant>,
    /// When they are to be asked again although nothing changed.
    ask_at: Option<Instant>,
    /// Looks that failed since the last one that did not.
    failures: u32,
    /// What was logged last.
    said: String,
}

/// What of a pod makes its server worth asking anew.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    uid: String,
    ready: bool,
    restarts: i32,
}

/// How a look ended.
#[derive(Debug)]
pub enum Ended {
    /// Nothing was to be done, or all of it was.
    Done {
        /// The word for metrics.
        result: &'static str,
        /// When to look again although nothing changed.
        next_look: Option<Duration>,
    },
    /// It is to be tried again.
    Failed {
        /// The word for metrics.
        result: &'static str,
        /// When.
        retry: Duration,
    },
}

impl Ended {
    /// Nothing to do until something changes.
    fn idle(result: &'static str) -> Self {
        Self::Done { result, next_look: None }
    }
}

impl Reconciler {
    /// Looks at one service and does the next step.
    pub async fn reconcile(&self, key: &Key) -> Ended {
        let reference =
            ObjectRef::<DynamicObject>::new_with(&key.name, ApiResource::erase::<InterStepBufferService>(&())).within(&key.namespace);
        let Some(object) = self.stores.services.get(&reference) else {
            self.metrics.forget(key);
            self.memory().remove(key);
            return Ended::idle("gone");
        };
        let service = match serde_json::to_value(object.as_ref())
            .map_err(|error| error.to_string())
            .and_then(|value| decode(&value).map_err(|error| error.to_string()))
        {
            Ok(service) => service,
            Err(error) => {
                self.metrics.service(key, false, None);
                self.say(key, format!("the service cannot be read: {error}"));
                return Ended::idle("unreadable");
            }
        };
        let config = Arc::clone(&self.config.borrow());
        if service.instance() != self.instance.as_deref().unwrap_or(&config.instance) {
            self.metrics.forget(key);
            return Ended::idle("other-instance");
        }
        if service.annotations().get(names::PAUSED_ANNOTATION).is_some_and(|value| value == "true") {
            if self.say(key, format!("paused by the annotation {}", names::PAUSED_ANNOTATION)) {
                let note = format!("{} is \"true\": nothing is done for this service until it is removed", names::PAUSED_ANNOTATION);
                self.events.publish(&service.object_ref(&()), &Event { type_: EventType::Normal, reason: "Paused", note }).await;
            }
            return Ended::idle("paused");
        }
        match self.step(key, &service, &config).await {
            Ok(next_look) => {
                if let Some(memory) = self.memory().get_mut(key) {
                    memory.failures = 0;
                }
                Ended::Done { result: "done", next_look }
            }
            Err(error) => self.failed(key, &service, &error).await,
        }
    }

    /// observe, plan, apply.
    async fn step(&self, key: &Key, service: &InterStepBufferService, config: &ControllerConfig) -> Result<Option<Duration>, ApplyError> {
        let mut observed = self.stores.observe(&key.namespace, &key.name);
        let pods = observed.pods.known().map_or(&[][..], Vec::as_slice);
        observed.servers = self.servers(key, pods).await;
        let input = Input { service, config, now: Timestamp::now() };
        let material = apply::draw(&input, &observed)?;
        let plan = plan(&input, &observed, &material);
        let next_look = self.remember(key, service, &plan);
        if !plan.actions.is_empty() {
            for action in &plan.actions {
                tracing::debug!(service = %key, action = action_in_words(action), "writing");
            }
            let outcome = apply::execute(&self.client, service, &plan).await?;
            self.metrics.wrote(outcome.carried.len());
            for carried in &outcome.carried {
                tracing::info!(service = %key, "{carried}");
            }
        }
        let about = service.object_ref(&());
        for event in &plan.events {
            self.events.publish(&about, event).await;
        }
        Ok(next_look)
    }

    /// What the servers say: asked now, or what they said a moment ago.
    async fn servers(&self, key: &Key, pods: &[Pod]) -> BTreeMap<String, Fact<Server>> {
        let askable = askable(pods);
        let known = self.memory().entry(key.clone()).or_default().clone();
        if !must_ask(&known, &askable, Instant::now()) {
            return known.servers;
        }
        let answers = servers::ask_all(&self.reach, pods, Questions::default()).await;
        let mut memory = self.memory();
        let remembered = memory.entry(key.clone()).or_default();
        remembered.servers.clone_from(&answers);
        remembered.asked = askable;
        remembered.asked_at = Some(Instant::now());
        answers
    }

    /// Keeps what the next look needs, and says aloud what changed. When to look again: as the planner says, counted from when the servers were asked,
    /// so that a service with many events is asked no later than one without.
    fn remember(&self, key: &Key, service: &InterStepBufferService, plan: &Plan) -> Option<Duration> {
        let status = plan.status.as_ref().or(service.status.as_ref());
        let servers = service.spec.jetstream.as_ref().map(crate::api::JetStreamBufferService::server_count);
        self.metrics.service(key, status.is_some_and(crate::api::InterStepBufferServiceStatus::is_healthy), servers);
        let mut next_look = plan.next_look;
        if let Some(memory) = self.memory().get_mut(key) {
            memory.ask_at = plan.next_look.zip(memory.asked_at).map(|(next, asked)| asked + next);
            if let Some(ask_at) = memory.ask_at {
                next_look = next_look.map(|next| next.min(ask_at.saturating_duration_since(Instant::now())));
            }
        }
        if let Some(held) = &plan.held {
            self.say(key, format!("waits: {held}"));
        } else if let Some(status) = status {
            self.say(key, status.message.clone().filter(|message| !message.is_empty()).unwrap_or_else(|| "as it should be".to_owned()));
        }
        next_look
    }

    async fn failed(&self, key: &Key, service: &InterStepBufferService, error: &ApplyError) -> Ended {
        if error.is_conflict() {
            tracing::debug!(service = %key, %error, "somebody was faster; looking again");
            return Ended::Failed { result: error.category(), retry: limits::RETRY_CONFLICT };
        }
        let retry = self.retry(key);
        if self.say(key, error.to_string()) {
            let event = Event { type_: EventType::Warning, reason: "WriteFailed", note: error.to_string() };
            self.events.publish(&service.object_ref(&()), &event).await;
            self.tell_of(service, error).await;
        }
        Ended::Failed { result: error.category(), retry }
    }

    /// Writes into the status that an object could not be written; where not even that can be done, log and event have told.
    async fn tell_of(&self, service: &InterStepBufferService, error: &ApplyError) {
        let config = Arc::clone(&self.config.borrow());
        let input = Input { service, config: &config, now: Timestamp::now() };
        let Some(action) = crate::plan::failed(&input, error.failure(), &error.to_string()) else { return };
        let plan = Plan { actions: vec![action], ..Plan::default() };
        if let Err(error) = apply::execute(&self.client, service, &plan).await {
            tracing::debug!(%error, "the status could not be written either");
        }
    }

    /// How long to wait after one more failure.
    pub fn retry(&self, key: &Key) -> Duration {
        let mut memory = self.memory();
        let memory = memory.entry(key.clone()).or_default();
        memory.failures = memory.failures.saturating_add(1);
        backoff(memory.failures)
    }

    /// Logs it unless it is what was logged last; whether it was.
    fn say(&self, key: &Key, words: String) -> bool {
        let mut memory = self.memory();
        let memory = memory.entry(key.clone()).or_default();
        if memory.said == words {
            return false;
        }
        tracing::info!(service = %key, "{words}");
        memory.said = words;
        true
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<Key, Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pods that can be asked.
fn askable(pods: &[Pod]) -> BTreeMap<String, Standing> {
    let askable = pods.iter().filter(|pod| servers::can_answer(pod));
    askable
        .map(|pod| {
            let status = pod.status.as_ref();
            let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
            let containers = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
            let standing = Standing {
                uid: pod.metadata.uid.clone().unwrap_or_default(),
                ready: conditions.clone().any(|condition| condition.type_ == "Ready" && condition.status == "True"),
                restarts: containers.map(|container| container.restart_count).sum(),
            };
            (pod.name_any(), standing)
        })
        .collect()
}

/// The servers are asked when their time has come (soon, for a service that is not well) or their pods stand otherwise. Any other event, such as the
/// one of our own status, is looked at with what they said last: numbers that always move would otherwise keep us writing.
fn must_ask(memory: &Memory, askable: &BTreeMap<String, Standing>, now: Instant) -> bool {
    memory.asked != *askable || (!askable.is_empty() && memory.ask_at.is_none_or(|at| now >= at))
}

/// Doubles with each failure, up to [`limits::RETRY_MOST`].
fn backoff(failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    limits::RETRY_FIRST.checked_mul(factor).unwrap_or(limits::RETRY_MOST).min(limits::RETRY_MOST)
}

/// What is to be written, and because of which fields.
fn action_in_words(action: &crate::plan::Action) -> String {
    use crate::plan::Action;
    match action {
        Action::Create { kind, name, .. } => format!("create {} {name}", kind.kind()),
        Action::Apply { kind, name, changed, .. } => format!("apply {} {name}: {}", kind.kind(), changed.join(" ")),
        Action::Patch { kind, name, places, .. } => {
            let pointers: Vec<_> = places.iter().map(|place| place.pointer.as_str()).collect();
            format!("patch {} {name}: {}", kind.kind(), pointers.join(" "))
        }
        Action::Delete { kind, name, .. } => format!("delete {} {name}", kind.kind()),
        Action::SetFinalizers { finalizers, .. } => format!("set the finalizers to {finalizers:?}"),
        Action::ApplyStatus { .. } => "write the status".to_owned(),
    }
}

#[cfg(test)]
mod tests;
