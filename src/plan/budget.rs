use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::core::{Selector, SelectorExt as _};
use serde_json::{Value, json};

use super::compare::segment;
use super::deletion::seen;
use super::jetstream::{self, Subject};
use super::{Action, ChildKind, Event, EventType, Input, Place, Plan, ownership, status};
use crate::api::names;
use crate::health::Verdict;
use crate::limits;
use crate::observed::{Fact, Observed};

/// The disruption budget that should be there.
pub(super) enum Wanted {
    /// This one.
    Object(Value),
    /// None: of a single server, or beside somebody else's.
    None,
    /// Nobody can say: what is there stays.
    Unknown,
}

/// What the budget should say now: one server may be evicted, and none while another one does not hold everything, for [`limits::EVICTIONS_HELD`] at
/// most. A pod is ready long before it has caught up, so readiness alone would let a drain take the next server while the first has yet to receive what
/// only the others have.
pub(super) fn wanted(
    plan: &mut Plan,
    now: Timestamp,
    observed: &Observed,
    subject: Subject<'_>,
    verdict: &Verdict,
    once_healthy: bool,
) -> Wanted {
    let (Fact::Known(others), Fact::Known(own)) = (&observed.other_budgets, &observed.budget) else { return Wanted::Unknown };
    let labels = jetstream::pod_labels(subject);
    // One of somebody else's under our name is theirs, and left as it is.
    if let Some(why) = own.as_ref().and_then(|own| ownership::foreign(&own.metadata, subject.service, false)) {
        plan.foreign_writers.push(format!("PodDisruptionBudget {}: {why}", names::stateful_set(subject.service.name())));
        return Wanted::Unknown;
    }
    // Two budgets over one pod would block every eviction.
    if others.iter().any(|other| selects(other, &labels)) {
        return Wanted::None;
    }
    let noted = own.as_ref().and_then(|own| own.annotations().get(names::NOT_CURRENT_SINCE_ANNOTATION)?.parse::<Timestamp>().ok());
    let since = match verdict.current {
        // Before anything was served there is nothing to protect.
        _ if !once_healthy => None,
        Some(true) => None,
        // A time in the future is somebody's mistake, and must not hold for ever.
        Some(false) => Some(noted.filter(|noted| *noted <= now).unwrap_or(now)),
        None => noted,
    };
    let held = since.is_some_and(|since| since.checked_add(limits::EVICTIONS_HELD).is_ok_and(|end| now < end));
    let note = since.map(|since| status::whole_second(since).to_string());
    let Some(object) = jetstream::budget(subject, held, note.as_deref()) else { return Wanted::None };
    let holds = own.as_ref().is_some_and(|own| json!(own)["spec"]["maxUnavailable"] == json!(0));
    if let Some(since) = note.filter(|_| holds && !held) {
        plan.events.push(Event {
            type_: EventType::Warning,
            reason: "EvictionsAllowed",
            note: format!(
                "servers do not hold everything since {since}; evictions were held for {} minutes and are allowed again",
                limits::EVICTIONS_HELD.as_secs() / 60
            ),
        });
    }
    Wanted::Object(object)
}

/// Allows evictions again where nothing else of the service is written: once every server holds everything, and after [`limits::EVICTIONS_HELD`] in any
/// case.
pub(super) fn released(input: &Input<'_>, observed: &Observed, verdict: Option<&Verdict>) -> Option<Action> {
    let own = observed.budget.known()?.as_ref()?;
    if json!(own)["spec"]["maxUnavailable"] != json!(0) || ownership::foreign(&own.metadata, input.service, false).is_some() {
        return None;
    }
    let noted = own.annotations().get(names::NOT_CURRENT_SINCE_ANNOTATION).and_then(|noted| noted.parse::<Timestamp>().ok());
    let over = noted.and_then(|noted| noted.checked_add(limits::EVICTIONS_HELD).ok()).is_none_or(|end| input.now >= end);
    let current = verdict.is_some_and(|verdict| verdict.current == Some(true));
    let mut places = vec![Place { pointer: "/spec/maxUnavailable".to_owned(), value: Some(json!(1)) }];
    if current && noted.is_some() {
        // The next lag has its own quarter of an hour.
        let pointer = format!("/metadata/annotations/{}", segment(names::NOT_CURRENT_SINCE_ANNOTATION));
        places.push(Place { pointer, value: None });
    }
    (over || current).then(|| Action::Patch {
        kind: ChildKind::PodDisruptionBudget,
        name: own.name_any(),
        places,
        precondition: seen(&own.metadata),
    })
}

/// Whether a budget selects pods with these labels; one whose selector cannot be read selects none, as in Kubernetes.
fn selects(budget: &PodDisruptionBudget, labels: &BTreeMap<String, String>) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
    selector.and_then(|selector| Selector::try_from(selector).ok()).is_some_and(|selector| selector.matches(labels))
}
