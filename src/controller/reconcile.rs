pub(super) mod external;
#[cfg(test)]
pub(super) mod simulated;
mod standing;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource as _};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::definition::{Definition, Follows};
use super::events::{self, Events};
use super::metrics::{Care, Metrics, Snapshot, store_used};
use super::queue::Key;
use crate::api::{CONDITION_CONFIGURED, InterStepBufferService, InterStepBufferServiceStatus, JetStreamBufferService, names};
use crate::apply::lease::Permit;
use crate::apply::{self, ApplyError, Secrets};
use crate::controller_config::ControllerConfig;
use crate::health::{Reason, Verdict, reasons};
use crate::limits;
use crate::observe::Stores;
use crate::observe::hidden::{self, Hindrance};
use crate::observed::{Fact, Observed, Server};
use crate::plan::{Action, Event, EventType, Input, Plan, readable};
use crate::servers::{self, Questions, Reach};
use standing::{Standing, ask_streams, askable, must_ask};

/// What a look at a service needs.
pub struct Reconciler {
    /// To the API server: for writes, and for reading by name what is to be made; all else comes from the stores.
    pub client: Client,
    /// What each write asks before it is begun.
    pub permit: Permit,
    /// What the cluster holds.
    pub stores: Stores,
    /// What the definition of the services lets through.
    pub definition: Definition,
    /// The controller configuration that is in force.
    pub config: watch::Receiver<Arc<ControllerConfig>>,
    /// The instance whose services are ours; the Lease is that instance's, so it never changes while the process runs.
    pub instance: String,
    /// The way to the servers.
    pub reach: Reach,
    /// Further addresses of external Redis that may be asked.
    pub external_redis: Arc<[external::Allowed]>,
    /// Places for asking one.
    pub endpoints: Semaphore,
    /// Tells people.
    pub events: Arc<Events>,
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
    /// When they were asked of every stream and consumer as well.
    streams_asked_at: Option<Instant>,
    /// What an external Redis answered last.
    endpoint: Option<external::Asked>,
    /// Whether all was well the last time.
    well: bool,
    /// When objects that the watches do not show were looked for by name.
    searched_at: Option<Instant>,
    /// Looks that failed since the last one that did not.
    failures: u32,
    /// What was logged last.
    said: String,
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
            self.events.forget(key);
            self.memory().remove(key);
            return Ended::idle("gone");
        };
        let (service, refusal) = match readable(&object) {
            Ok(service) => (service, None),
            Err(undecodable) => {
                let words = undecodable.words();
                (undecodable.service, Some(words))
            }
        };
        let observed = self.stores.observe(&key.namespace, &key.name);
        let deleting = service.metadata.deletion_timestamp.is_some();
        // Who accepted it goes on looking after it: another name in the annotation is a refused change, and no handing over. Its end is for whoever it
        // names, since the other one may be gone.
        let accepted_by = observed.recorded(names::ACCEPTED_INSTANCE_ANNOTATION).filter(|_| !deleting);
        let looked_after_by = accepted_by.unwrap_or_else(|| service.instance());
        if looked_after_by != self.instance {
            if service.instance() == self.instance {
                let note = format!(
                    "it is looked after by the controller instance {looked_after_by:?}, which accepted it, and {} alone does not change that; put the old value \
                     back, or, where that controller is gone, remove {} from the StatefulSet, the ConfigMap and the servers' Secret",
                    names::INSTANCE_ANNOTATION,
                    names::ACCEPTED_INSTANCE_ANNOTATION
                );
                self.leave(key, &service, Event { type_: EventType::Warning, reason: "OtherInstance", note }).await;
                return Ended::idle("other-instance");
            }
            self.metrics.forget(key);
            return Ended::idle("other-instance");
        }
        // Whoever deletes a service does not want it left alone.
        let looked = if service.is_paused() && !deleting {
            Box::pin(self.paused(key, &service, observed)).await
        } else {
            Box::pin(self.step(key, &service, observed, refusal)).await
        };
        match looked {
            Ok(ended) => {
                if let Some(memory) = self.memory().get_mut(key) {
                    memory.failures = 0;
                }
                ended
            }
            Err(error) => self.failed(key, &service, &error).await,
        }
    }

    /// Only watches.
    async fn paused(&self, key: &Key, service: &InterStepBufferService, mut observed: Observed) -> Result<Ended, ApplyError> {
        observed.servers = self.servers(key, observed.pods.known().map_or(&[][..], Vec::as_slice)).await;
        let config = Arc::clone(&self.config.borrow());
        let plan = crate::plan::paused(&Input { service, config: &config, now: Timestamp::now() }, &observed);
        let note = format!("{} is \"true\": nothing is done for this service until it is removed", names::PAUSED_ANNOTATION);
        if self.say(key, note.clone()) {
            let event = Event { type_: EventType::Normal, reason: "Paused", note };
            self.events.publish(key, &service.object_ref(&()), &event).await;
        }
        self.carry_out(key, service, &plan).await?;
        let next_look = self.remember(key, service, &observed, &plan, Care::Paused);
        Ok(Ended::Done { result: "paused", next_look })
    }

    /// observe, plan, apply.
    async fn step(
        &self,
        key: &Key,
        service: &InterStepBufferService,
        mut observed: Observed,
        refusal: Option<String>,
    ) -> Result<Ended, ApplyError> {
        let refusal = match self.definition.follows(service, &observed) {
            Follows::Nothing => refusal,
            Follows::Refuse(words) => Some(refusal.map_or_else(|| words.clone(), |refusal| format!("{refusal}; {words}"))),
            Follows::Leave(note) => {
                self.leave(key, service, Event { type_: EventType::Warning, reason: "DefinitionWithoutRedis", note }).await;
                return Ok(Ended::idle("left-alone"));
            }
        };
        let pods = observed.pods.known().map_or(&[][..], Vec::as_slice);
        observed.servers = self.servers(key, pods).await;
        observed.endpoint = Box::pin(self.endpoint(key, service)).await;
        let config = Arc::clone(&self.config.borrow());
        let input = Input { service, config: &config, now: Timestamp::now() };
        self.search(key, &input, refusal.as_deref(), &mut observed).await?;
        let plan = apply::next(&input, &observed, refusal.as_deref(), Secrets::Drawn)?;
        // What could not be written is not said to be so.
        self.carry_out(key, service, &plan).await?;
        let care = if plan.held.is_some() { Care::Held } else { Care::Given };
        let next_look = self.remember(key, service, &observed, &plan, care);
        self.say_how_it_is(key, service, &plan);
        Ok(Ended::Done { result: "done", next_look })
    }

    /// What is to be made, and is not in the watches, may be there without its labels: it is looked for by name first. What is somebody else's is never
    /// written over.
    async fn search(&self, key: &Key, input: &Input<'_>, refusal: Option<&str>, observed: &mut Observed) -> Result<(), ApplyError> {
        if !hidden::incomplete(observed) {
            return Ok(());
        }
        let recently = self.memory().get(key).and_then(|memory| memory.searched_at).is_some_and(|at| at.elapsed() < limits::HIDDEN_LOOK);
        if !hidden::matters(&apply::next(input, observed, refusal, Secrets::Placeholders)?, recently) {
            return Ok(());
        }
        let found = hidden::look(&self.client, input.service, observed).await;
        self.memory().entry(key.clone()).or_default().searched_at = Some(Instant::now());
        if found.any {
            tracing::info!(service = %key, "objects of the service were found without their labels");
        }
        // What somebody else has does not keep a service from being deleted.
        let deleting = input.service.metadata.deletion_timestamp.is_some();
        let hindrances = found.hindrances.into_iter().filter(|hindrance| !(deleting && matches!(hindrance, Hindrance::Foreign { .. })));
        match hindrances.map(|hindrance| ApplyError::hindered(hindrance, &key.namespace)).next() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    async fn carry_out(&self, key: &Key, service: &InterStepBufferService, plan: &Plan) -> Result<(), ApplyError> {
        for action in &plan.actions {
            tracing::debug!(service = %key, action = action_in_words(action), "writing");
        }
        let mut told = Vec::new();
        let written = apply::execute_telling(&self.client, &self.permit, service, plan, |action, carried| {
            tracing::info!(service = %key, "{carried}");
            self.metrics.wrote(action, &carried);
            told.extend(events::of_write(action, &carried));
        });
        let written = written.await;
        // What the planner tells is told once it stands in the status, so that it is not told at each look.
        let planned = plan.events.iter().filter(|_| written.is_ok());
        let about = service.object_ref(&());
        for event in told.iter().chain(planned) {
            self.events.publish(key, &about, event).await;
        }
        written
    }

    /// What the servers say: asked now, or what they said a moment ago.
    async fn servers(&self, key: &Key, pods: &[Pod]) -> BTreeMap<String, Fact<Server>> {
        let askable = askable(pods);
        let known = self.memory().entry(key.clone()).or_default().clone();
        if !must_ask(&known, &askable, Instant::now()) {
            return known.servers;
        }
        let streams = ask_streams(&known, Instant::now());
        let answers = servers::ask_all(&self.reach, pods, Questions { streams }).await;
        let mut memory = self.memory();
        let remembered = memory.entry(key.clone()).or_default();
        if streams {
            remembered.streams_asked_at = Some(Instant::now());
        }
        remembered.servers.clone_from(&answers);
        remembered.asked = askable;
        remembered.asked_at = Some(Instant::now());
        answers
    }

    /// Keeps what the next look needs. When to look again: as the planner says, counted from when the servers were asked, so that a service with many
    /// events is asked no later than one without.
    fn remember(&self, key: &Key, service: &InterStepBufferService, observed: &Observed, plan: &Plan, care: Care) -> Option<Duration> {
        let status = plan.status.as_ref().or(service.status.as_ref());
        let refused = |status: &InterStepBufferServiceStatus| {
            status.message.as_ref().is_some_and(|message| message.starts_with("Refused:"))
                || status.condition(CONDITION_CONFIGURED).is_some_and(|condition| condition.status == "False")
        };
        let known = known(service, status);
        let snapshot = Snapshot {
            // Of a service that is left alone the status may be old.
            healthy: known.healthy && plan.verdict.as_ref().is_none_or(Verdict::quorum_ready),
            verdict: plan.verdict.clone(),
            store_used: store_used(observed.servers.values()),
            refused: status.is_some_and(refused),
            care,
            ..known
        };
        self.metrics.service(key, snapshot);
        let mut next_look = plan.next_look;
        if let Some(memory) = self.memory().get_mut(key) {
            memory.well = plan.verdict.as_ref().is_some_and(streams_are_well);
            memory.ask_at = plan.next_look.zip(memory.asked_at).map(|(next, asked)| asked + next);
            if let Some(ask_at) = memory.ask_at {
                next_look = next_look.map(|next| next.min(ask_at.saturating_duration_since(Instant::now())));
            }
        }
        next_look
    }

    /// Logs how a service is, once.
    fn say_how_it_is(&self, key: &Key, service: &InterStepBufferService, plan: &Plan) {
        if let Some(held) = &plan.held {
            self.say(key, format!("waits: {held}"));
        } else if let Some(status) = plan.status.as_ref().or(service.status.as_ref()) {
            self.say(key, status.message.clone().filter(|message| !message.is_empty()).unwrap_or_else(|| "as it should be".to_owned()));
        }
    }

    /// Nothing is written to a service; said once.
    async fn leave(&self, key: &Key, service: &InterStepBufferService, event: Event) {
        self.metrics.service(key, Snapshot { care: Care::Held, ..known(service, service.status.as_ref()) });
        if self.say(key, event.note.clone()) {
            self.events.publish(key, &service.object_ref(&()), &event).await;
        }
    }

    async fn failed(&self, key: &Key, service: &InterStepBufferService, error: &ApplyError) -> Ended {
        self.metrics.failed(error.category);
        let mut observed = self.stores.observe(&key.namespace, &key.name);
        observed.servers = self.memory().get(key).map(|memory| memory.servers.clone()).unwrap_or_default();
        let config = Arc::clone(&self.config.borrow());
        let input = Input { service, config: &config, now: Timestamp::now() };
        let verdict = crate::plan::verdict(&input, &observed);
        let known = known(service, service.status.as_ref());
        let healthy = known.healthy && verdict.as_ref().is_none_or(Verdict::quorum_ready);
        let care = if error.is_conflict() { Care::Given } else { Care::Held };
        self.metrics.service(key, Snapshot { healthy, verdict, care, ..known });
        let (failures, retry) = self.retried(key);
        if error.is_conflict() && failures <= limits::CONFLICTS {
            tracing::debug!(service = %key, %error, "somebody was faster; looking again");
            return Ended::Failed { result: error.category(), retry: limits::RETRY_CONFLICT };
        }
        if self.say(key, error.to_string()) {
            let reason = error.kind.map_or("WriteFailed", |_| error.failure().reason());
            let event = Event { type_: EventType::Warning, reason, note: error.to_string() };
            self.events.publish(key, &service.object_ref(&()), &event).await;
        }
        // At each failure: the words may be the same, and the servers no longer.
        self.tell_of(&input, &observed, error).await;
        Ended::Failed { result: error.category(), retry }
    }

    /// Writes into the status that an object could not be written; where not even that can be done, log and event have told.
    async fn tell_of(&self, input: &Input<'_>, observed: &Observed, error: &ApplyError) {
        let plan = Plan { actions: crate::plan::failed(input, observed, error.failure(), &error.to_string()), ..Plan::default() };
        if let Err(error) = apply::execute(&self.client, &self.permit, input.service, &plan).await {
            tracing::debug!(%error, "the status could not be written either");
        }
    }

    /// How long to wait after one more failure.
    pub fn retry(&self, key: &Key) -> Duration {
        self.retried(key).1
    }

    fn retried(&self, key: &Key) -> (u32, Duration) {
        let mut memory = self.memory();
        let memory = memory.entry(key.clone()).or_default();
        memory.failures = memory.failures.saturating_add(1);
        (memory.failures, backoff(memory.failures))
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

/// What is known of a service by its object alone.
fn known(service: &InterStepBufferService, status: Option<&InterStepBufferServiceStatus>) -> Snapshot {
    Snapshot {
        healthy: status.is_some_and(InterStepBufferServiceStatus::is_healthy),
        replicas: service.spec.jetstream.as_ref().map(JetStreamBufferService::server_count),
        ..Snapshot::default()
    }
}

/// Whether nothing is wrong that only an answer about each stream shows.
fn streams_are_well(verdict: &Verdict) -> bool {
    let of_streams = |reason: &Reason| reasons::OF_STREAMS.iter().any(|kind| kind.id == reason.id);
    verdict.current == Some(true) && !verdict.reasons.iter().any(of_streams)
}

/// Doubles with each failure, up to [`limits::RETRY_MOST`].
fn backoff(failures: u32) -> Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    limits::RETRY_FIRST.checked_mul(factor).unwrap_or(limits::RETRY_MOST).min(limits::RETRY_MOST)
}

/// What is to be written, and because of which fields.
fn action_in_words(action: &Action) -> String {
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
