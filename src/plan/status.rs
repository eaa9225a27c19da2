use k8s_openapi::api::core::v1::SecretKeySelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::json;

use super::{Action, Event, EventType, Input, Plan, budget, reconcile};
use crate::api::{
    BufferServiceConfig, CONDITION_CHILDREN_HEALTHY, CONDITION_CONFIGURED, CONDITION_DEPLOYED, InterStepBufferService,
    InterStepBufferServiceStatus, JetStreamAuth, JetStreamBasicAuth, JetStreamBufferService, JetStreamConfig, Phase, names,
};
use crate::health::{Level, Reason, Verdict, reasons};
use crate::limits;
use crate::observed::Observed;

/// One condition as it should stand.
pub(super) struct Stand {
    type_: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

impl Stand {
    pub(super) fn new(type_: &'static str, status: &'static str, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { type_, status, reason: reason.into(), message: message.into() }
    }

    pub(super) fn successful(type_: &'static str) -> Self {
        Self::new(type_, "True", "Successful", "Successful")
    }
}

/// The conditions that should stand, sorted by type; one whose status does not change keeps its transition time.
pub(super) fn merged(before: &[Condition], stands: Vec<Stand>, now: jiff::Timestamp) -> Vec<Condition> {
    let mut conditions: Vec<Condition> = stands
        .into_iter()
        .map(|stand| {
            let same = before.iter().find(|condition| condition.type_ == stand.type_ && condition.status == stand.status);
            let now = whole_second(now);
            Condition {
                type_: stand.type_.to_owned(),
                status: stand.status.to_owned(),
                last_transition_time: same.map_or(Time(now), |condition| condition.last_transition_time.clone()),
                reason: stand.reason,
                message: stand.message,
                observed_generation: None,
            }
        })
        .collect();
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions
}

/// A time as the API server stores it.
pub(super) fn whole_second(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The condition about the servers. Where the pods cannot be seen, `before` stands: what is not known must not block every pipeline.
pub(super) fn children(verdict: &Verdict, once_healthy: bool, before: &InterStepBufferServiceStatus) -> Stand {
    if verdict.reasons.iter().any(|reason| reason.id == reasons::PODS_UNKNOWN.id) {
        return match before.condition(CONDITION_CHILDREN_HEALTHY) {
            Some(before) if before.status == "True" => {
                Stand::new(CONDITION_CHILDREN_HEALTHY, "True", before.reason.clone(), before.message.clone())
            }
            _ => Stand::new(CONDITION_CHILDREN_HEALTHY, "False", "ListPodsFailed", words(verdict, Level::Warning)),
        };
    }
    // Once healthy, only a lost quorum or a crash loop turns the condition: a sidecar whose image cannot be pulled must not block every pipeline.
    let counts = !(once_healthy && verdict.quorum_ready()) || verdict.crash_loop;
    if let Some(failure) = verdict.pod_failure.as_ref().filter(|_| counts) {
        return Stand::new(CONDITION_CHILDREN_HEALTHY, "False", format!("Pod{failure}"), words(verdict, Level::Warning));
    }
    let leader_known = verdict.meta_leader.is_some();
    if verdict.quorum_ready() && (once_healthy || leader_known) {
        return Stand::new(CONDITION_CHILDREN_HEALTHY, "True", "Healthy", "JetStream cluster is healthy");
    }
    let reason = if verdict.quorum_ready() { "Progressing" } else { "Unavailable" };
    Stand::new(CONDITION_CHILDREN_HEALTHY, "False", reason, words(verdict, Level::Warning))
}

/// The conditions of a service that nothing is written for at the moment: that of the servers follows the servers all the same, so that no status says
/// better than they do (law *honest-health*).
pub(super) fn watched(
    before: &InterStepBufferServiceStatus,
    verdict: &Verdict,
    once_healthy: bool,
    now: jiff::Timestamp,
) -> Vec<Condition> {
    // Of a service of which nothing was said yet, one condition alone would say too little.
    if before.condition(CONDITION_CHILDREN_HEALTHY).is_none() {
        return before.conditions.clone();
    }
    let mut conditions: Vec<_> =
        before.conditions.iter().filter(|condition| condition.type_ != CONDITION_CHILDREN_HEALTHY).cloned().collect();
    conditions.extend(merged(&before.conditions, vec![children(verdict, once_healthy, before)], now));
    conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    conditions
}

/// The reasons of a verdict that are at least this bad, in one line of bounded length.
pub(super) fn words(verdict: &Verdict, at_least: Level) -> String {
    let text: Vec<_> = verdict.reasons.iter().filter(|reason| reason.level >= at_least).map(|reason| reason.message.as_str()).collect();
    bounded(&text.join("; "))
}

pub(super) fn bounded(text: &str) -> String {
    if text.len() <= limits::STATUS_MESSAGE {
        return text.to_owned();
    }
    let mut end = limits::STATUS_MESSAGE - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// How clients connect (`status.config`); each byte counts (law *same-bytes*).
pub(super) fn config(service: &InterStepBufferService, spec: &JetStreamBufferService, stream_config: String) -> BufferServiceConfig {
    let name = service.name();
    let key = |key: &str| Some(SecretKeySelector { name: names::client_secret(name), key: key.to_owned(), optional: None });
    BufferServiceConfig {
        jetstream: Some(JetStreamConfig {
            url: Some(format!("nats://{}.{}.svc:{}", names::service(name), service.namespace_or_empty(), names::CLIENT_PORT)),
            auth: Some(JetStreamAuth {
                basic: Some(JetStreamBasicAuth { user: key(names::CLIENT_USER_KEY), password: key(names::CLIENT_PASSWORD_KEY) }),
                nkey: None,
                token: None,
            }),
            stream_config: Some(stream_config),
            tls_enabled: spec.tls_enabled().then_some(true),
        }),
        redis: None,
    }
}

/// Puts a status into a plan: a write only where it differs from the one that stands, and events for what people want to hear of.
pub(super) fn settle(plan: &mut Plan, service: &InterStepBufferService, status: InterStepBufferServiceStatus) {
    let before = service.status.clone().unwrap_or_default();
    if before != status {
        plan.events.extend(transitions(&before, &status));
        plan.actions.push(Action::ApplyStatus { status: json!(status) });
    }
    plan.status = Some(status);
}

fn transitions(before: &InterStepBufferServiceStatus, after: &InterStepBufferServiceStatus) -> Vec<Event> {
    let state =
        |status: &InterStepBufferServiceStatus| status.condition(CONDITION_CHILDREN_HEALTHY).map(|condition| condition.status == "True");
    let mut events = Vec::new();
    match (state(before), state(after)) {
        (Some(true), Some(false)) => {
            let condition = after.condition(CONDITION_CHILDREN_HEALTHY);
            let note = condition.map(|condition| condition.message.clone()).unwrap_or_default();
            events.push(Event { type_: EventType::Warning, reason: "Unavailable", note });
        }
        (None | Some(false), Some(true)) => {
            let condition = after.condition(CONDITION_CHILDREN_HEALTHY);
            let note = condition.map(|condition| condition.message.clone()).unwrap_or_default();
            events.push(Event { type_: EventType::Normal, reason: "Healthy", note });
        }
        _ => {}
    }
    let invalid = |status: &InterStepBufferServiceStatus| {
        status.condition(CONDITION_CONFIGURED).filter(|condition| condition.status == "False").cloned()
    };
    if let Some(condition) = invalid(after)
        && invalid(before).map(|old| old.message) != Some(condition.message.clone())
    {
        events.push(Event { type_: EventType::Warning, reason: "InvalidSpec", note: condition.message });
    }
    events
}

/// The event for a change that is held back, unless the status says so already, whatever else it says by now.
pub(super) fn refusal(before: &InterStepBufferServiceStatus, refusals: &[String]) -> Option<Event> {
    let note = refused(refusals)?;
    let said = before.message.as_ref().is_some_and(|message| message.starts_with(&note) || *message == bounded(&note));
    (!said).then_some(Event { type_: EventType::Warning, reason: "SpecRefused", note })
}

/// What a status says of a change that is held back.
pub(super) fn refused(refusals: &[String]) -> Option<String> {
    (!refusals.is_empty()).then(|| format!("Refused: {}", refusals.join("; ")))
}

/// How what should be looked at begins.
pub(super) const WARNING: &str = "Warning: ";
/// How a fault that was there before is told.
pub(super) const TOLERATED: &str = "tolerated, because it was there before: ";

/// What a status says of faults that were there before.
pub(super) fn tolerated(findings: &[String]) -> Vec<String> {
    findings.iter().map(|finding| format!("{TOLERATED}{finding}")).collect()
}

/// What a status says of what should be looked at, where there is such a thing.
pub(super) fn warnings(mut warnings: Vec<String>) -> Option<String> {
    warnings.retain(|words| !words.is_empty());
    (!warnings.is_empty()).then(|| format!("{WARNING}{}", warnings.join("; ")))
}

/// What is told by an event although it is a warning: a person has to do something about it, and it does not go by itself.
const TOLD: [&reasons::Kind; 5] =
    [&reasons::CERTIFICATE_EXPIRING, &reasons::STORE_FULL, &reasons::VOLUME_FULL, &reasons::META_SIZE, &reasons::CONFIG_NOT_LOADED];

/// Events for what the servers say that the status does not say yet, the worst first. Of pods that come and go Kubernetes tells itself.
pub(super) fn news(before: &InterStepBufferServiceStatus, verdict: &Verdict) -> Vec<Event> {
    let said = |reason: &Reason| {
        let words = before.message.iter().chain(before.conditions.iter().map(|condition| &condition.message));
        // A message that was cut may have said it.
        words.into_iter().any(|words| words.contains(&reason.message) || words.ends_with('…'))
    };
    let told = |reason: &Reason| reason.level == Level::Critical || TOLD.iter().any(|kind| kind.id == reason.id);
    let new = verdict.reasons.iter().filter(|reason| told(reason) && !said(reason));
    new.take(limits::NEWS).map(|reason| Event { type_: EventType::Warning, reason: reason.id, note: reason.message.clone() }).collect()
}

/// What could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A Secret.
    Secrets,
    /// The `ConfigMap`.
    ConfigMap,
    /// The Service.
    Service,
    /// The `StatefulSet`, its budget, or anything else.
    StatefulSet,
    /// Whether there is a `StatefulSet` could not be found out.
    StatefulSetUnseen,
}

impl Failure {
    /// The word of the contract, for conditions and events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Secrets => "JetStreamAuthSecretsFailed",
            Self::ConfigMap => "JetStreamConfigMapFailed",
            Self::Service => "JetStreamServiceFailed",
            Self::StatefulSet => "JetStreamStatefulSetFailed",
            Self::StatefulSetUnseen => "GetStatefulSetFailed",
        }
    }
}

/// What is to be written where an object could not be: the status that says so, unless it says so already, and the end of held evictions. A service
/// that served before goes on serving as long as its servers do: only its message tells (law *refuse-without-harm*).
pub fn failed(input: &Input<'_>, observed: &Observed, failure: Failure, message: &str) -> Vec<Action> {
    let before = input.service.status.clone().unwrap_or_default();
    let mut status = before.clone();
    let message = bounded(message);
    let verdict = super::verdict(input, observed);
    if reconcile::was_healthy(input, observed) {
        if let Some(verdict) = &verdict {
            status.conditions = watched(&before, verdict, true, input.now);
        }
    } else {
        let mut stands =
            vec![Stand::successful(CONDITION_CONFIGURED), Stand::new(CONDITION_DEPLOYED, "False", failure.reason(), message.clone())];
        if let Some(children) = before.condition(CONDITION_CHILDREN_HEALTHY) {
            let held = if children.status == "True" { "True" } else { "False" };
            stands.push(Stand::new(CONDITION_CHILDREN_HEALTHY, held, children.reason.clone(), children.message.clone()));
        }
        status.conditions = merged(&before.conditions, stands, input.now);
        status.phase = Some(Phase::Failed);
    }
    status.message = Some(bounded(&format!("{}: {message}", failure.reason())));
    status.type_ = Some(input.service.spec.types().first().map_or("jetstream", |one| one.as_str()).to_owned());
    let told = (status != before).then(|| Action::ApplyStatus { status: json!(status) });
    told.into_iter().chain(budget::released(input, observed, verdict.as_ref())).collect()
}
