use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::core::{Selector, SelectorExt as _};
use serde_json::{Value, json};

use super::deletion::seen;
use super::jetstream::{self, Images, Subject};
use super::{Action, ChildKind, Desired, Input, Material, Place, Plan, Precondition, compare, deletion, material, redis, status};
use crate::api::{
    CONDITION_CHILDREN_HEALTHY, CONDITION_CONFIGURED, CONDITION_DEPLOYED, InterStepBufferService, InterStepBufferServiceSpec,
    InterStepBufferServiceStatus, JetStreamBufferService, Phase, ServiceType, names,
};
use crate::controller_config::{Settings, stream_config};
use crate::health::{self, Level};
use crate::limits;
use crate::observed::{Fact, Observed};
use crate::rules::{self, Policy, Request};

/// The next step for one service.
pub fn plan(input: &Input<'_>, observed: &Observed, material: &Material) -> Plan {
    let service = input.service;
    if service.metadata.deletion_timestamp.is_some() {
        return deletion::plan(input, observed);
    }
    // Without these two it is not known what was accepted before, and a dangerous change would look like a new service.
    if let Some(why) = observed.stateful_set.unknown().or_else(|| observed.config_map.unknown()) {
        return held(why);
    }
    if unreadable(observed) {
        let words =
            format!("the annotation {} cannot be read, so no change can be judged; put it back as it was", names::ACCEPTED_SPEC_ANNOTATION);
        return stopped(input, Plan::default(), &words);
    }
    let accepted = accepted(observed);
    let was = accepted.as_ref().map(|spec| InterStepBufferService { spec: spec.clone(), ..service.clone() });
    let findings = rules::check(Request { new: service, old: was.as_ref() }, input.config, &Policy::default());
    let refusals: Vec<_> = rules::denials(&findings).map(ToString::to_string).collect();
    let effective = match (&was, refusals.is_empty()) {
        (_, true) => service,
        // The refused spec is held back whole; the service goes on by the last accepted one.
        (Some(was), false) => was,
        (None, false) => return no_valid_spec(input, observed, &refusals),
    };
    match effective.spec.types().first() {
        Some(ServiceType::JetStream) => {}
        Some(ServiceType::RedisNative | ServiceType::RedisExternal) => return redis::plan(input),
        None => return no_valid_spec(input, observed, &["spec: names no type of service".to_owned()]),
    }
    carry_out(input, observed, material, effective, &refusals)
}

/// The last accepted spec: from the `StatefulSet`, or where somebody deleted that, from the `ConfigMap`. Volumes outlive both.
fn accepted(observed: &Observed) -> Option<InterStepBufferServiceSpec> {
    serde_json::from_str(accepted_text(observed)?).ok()
}

fn accepted_text(observed: &Observed) -> Option<&str> {
    fn read<K: kube::Resource>(object: &Fact<Option<K>>) -> Option<&str> {
        object.known()?.as_ref()?.meta().annotations.as_ref()?.get(names::ACCEPTED_SPEC_ANNOTATION).map(String::as_str)
    }
    read(&observed.stateful_set).or_else(|| read(&observed.config_map))
}

/// Whether there is an accepted spec that says nothing: without it every change rule would be silent.
fn unreadable(observed: &Observed) -> bool {
    accepted_text(observed).is_some() && accepted(observed).is_none_or(|spec| spec.types().is_empty())
}

/// The `JetStream` spec that runs, or will.
pub(super) fn effective_jetstream(input: &Input<'_>, observed: &Observed) -> Option<JetStreamBufferService> {
    accepted(observed).and_then(|spec| spec.jetstream).or_else(|| input.service.spec.jetstream.clone())
}

/// No spec can be carried out. Where something runs all the same, it goes on as it is.
fn no_valid_spec(input: &Input<'_>, observed: &Observed, refusals: &[String]) -> Plan {
    match observed.stateful_set.known() {
        Some(None) => invalid(input, refusals),
        _ => stopped(
            input,
            Plan::default(),
            &format!("the spec cannot be carried out, and the servers run on as they are: {}", refusals.join("; ")),
        ),
    }
}

/// A spec that cannot be carried out, and nothing runs.
fn invalid(input: &Input<'_>, refusals: &[String]) -> Plan {
    let before = input.service.status.clone().unwrap_or_default();
    let words = status::bounded(&refusals.join("; "));
    let stands = vec![
        status::Stand::new(CONDITION_CONFIGURED, "False", "InvalidSpec", words.clone()),
        status::Stand::new(CONDITION_DEPLOYED, "Unknown", "InvalidSpec", "waits for a valid spec"),
        status::Stand::new(CONDITION_CHILDREN_HEALTHY, "Unknown", "InvalidSpec", "waits for a valid spec"),
    ];
    let after = InterStepBufferServiceStatus {
        conditions: status::merged(&before.conditions, stands, input.now),
        phase: Some(Phase::Failed),
        message: Some(status::bounded(&format!("InvalidSpec: {words}"))),
        type_: input.service.spec.types().first().map(|one| one.as_str().to_owned()),
        observed_generation: input.service.metadata.generation,
        config: before.config,
    };
    let mut plan = Plan { held: Some(words), ..Plan::default() };
    status::settle(&mut plan, input.service, after);
    plan
}

fn carry_out(input: &Input<'_>, observed: &Observed, material: &Material, effective: &InterStepBufferService, refusals: &[String]) -> Plan {
    let service = input.service;
    let Some(spec) = effective.spec.jetstream.as_ref() else { return Plan::default() };
    let Fact::Known(live) = &observed.stateful_set else { return held(observed.stateful_set.unknown().unwrap_or_default()) };
    // Both texts were checked by the rules, unless the controller configuration itself was broken since; then nothing is written.
    let settings = match Settings::merged(&input.config.jetstream.settings, spec.settings.as_deref()) {
        Ok(settings) => settings,
        Err(error) => return no_valid_spec(input, observed, &[format!("spec.jetstream.settings: {error}")]),
    };
    let stream_config = match stream_config(&input.config.jetstream.buffer_config, spec.buffer_config.as_deref(), spec.server_count()) {
        Ok(text) => text,
        Err(error) => return no_valid_spec(input, observed, &[format!("spec.jetstream.bufferConfig: {error}")]),
    };
    let Some(images) = images(input, spec, live.as_ref(), observed) else {
        return no_valid_spec(
            input,
            observed,
            &[format!("spec.jetstream.version: {:?} is not in the controller configuration", spec.version.as_deref().unwrap_or_default())],
        );
    };
    let mut plan = Plan::default();
    if let Some(words) = material::lost(input, observed) {
        return stopped(input, plan, &words);
    }
    if !service.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER) {
        let mut finalizers = service.finalizers().to_vec();
        finalizers.push(names::FINALIZER.to_owned());
        plan.actions.push(Action::SetFinalizers { finalizers, precondition: seen(&service.metadata) });
    }
    let verdict = health::verdict(effective, observed);
    let subject = Subject { service, spec, settings: &settings };
    let first_healthy = live.as_ref().and_then(|live| live.annotations().get(names::FIRST_HEALTHY_ANNOTATION).cloned()).or_else(|| {
        (verdict.quorum_ready() && verdict.meta_leader.is_some())
            .then(|| jiff::Timestamp::from_second(input.now.as_second()).unwrap_or(input.now).to_string())
    });
    let once_healthy = live.as_ref().is_some_and(|live| live.annotations().contains_key(names::FIRST_HEALTHY_ANNOTATION));
    let accepted = json!(effective.spec).to_string();
    let annotations = [(names::ACCEPTED_SPEC_ANNOTATION, accepted.clone())]
        .into_iter()
        .chain(first_healthy.map(|when| (names::FIRST_HEALTHY_ANNOTATION, when)));
    let stateful_set = jetstream::stateful_set(subject, &images, annotations);

    if let Some(live) = live
        && let Some(foreign) = foreign(live, &stateful_set)
    {
        return stopped(input, Plan::default(), &foreign);
    }
    children(&mut plan, observed, material, subject, stateful_set, accepted);
    if plan.held.is_some() {
        // Half of a service is not made: what is missing here may be what keeps the rest safe.
        plan.actions.clear();
        plan.next_look = Some(limits::LOOK_WHILE_WAITING);
        return plan;
    }

    let before = service.status.clone().unwrap_or_default();
    let stands = vec![
        status::Stand::successful(CONDITION_CONFIGURED),
        status::Stand::successful(CONDITION_DEPLOYED),
        status::children(&verdict, once_healthy),
    ];
    let conditions = status::merged(&before.conditions, stands, input.now);
    let healthy = conditions.iter().all(|condition| condition.status == "True");
    let message = if !refusals.is_empty() {
        Some(format!("Refused: {}", refusals.join("; ")))
    } else if !healthy {
        conditions
            .iter()
            .find(|condition| condition.status != "True")
            .map(|condition| format!("{}: {}", condition.reason, condition.message))
    } else if verdict.level == Level::Healthy || verdict.level == Level::Unknown {
        None
    } else {
        Some(format!("Warning: {}", status::words(&verdict, Level::Warning)))
    };
    let after = InterStepBufferServiceStatus {
        conditions,
        phase: Some(Phase::Running),
        message: message.map(|text| status::bounded(&text)),
        config: Some(status::config(service, spec, stream_config)),
        type_: Some(ServiceType::JetStream.as_str().to_owned()),
        observed_generation: if refusals.is_empty() { service.metadata.generation } else { before.observed_generation },
    };
    status::settle(&mut plan, service, after);
    plan.next_look = Some(match (healthy, verdict.level) {
        (true, Level::Healthy) => limits::LOOK_WHILE_HEALTHY,
        (true, _) => limits::LOOK_WHILE_UNWELL,
        (false, _) if once_healthy => limits::LOOK_WHILE_UNWELL,
        (false, _) => limits::LOOK_WHILE_STARTING,
    });
    plan
}

/// The images of the version; those that run, where the version floats or is no longer listed and was not changed by the user.
fn images(input: &Input<'_>, spec: &JetStreamBufferService, live: Option<&StatefulSet>, observed: &Observed) -> Option<Images> {
    let version = spec.version.as_deref().unwrap_or_default();
    let listed = input.config.jetstream_version(version);
    let unchanged = accepted(observed).and_then(|spec| spec.jetstream).is_some_and(|accepted| accepted.version == spec.version);
    let floating = crate::controller_config::parse_version(version).is_none();
    match (live.filter(|_| unchanged), listed) {
        (Some(live), Some(entry)) if floating => Images::running(live).or_else(|| Some(Images::listed(entry))),
        (Some(live), None) => Images::running(live),
        (_, Some(entry)) => Some(Images::listed(entry)),
        (None, None) => None,
    }
}

/// Why a `StatefulSet` of that name is not ours to write: somebody else made it, and it would be restarted. One of ours that merely lost its
/// annotations is ours.
fn foreign(live: &StatefulSet, desired: &Value) -> Option<String> {
    if live.annotations().contains_key(names::ACCEPTED_SPEC_ANNOTATION) {
        return None;
    }
    let live = json!(live);
    let template = compare::differences(&desired["spec"], &live["spec"]);
    (!template.is_empty()).then(|| {
        format!(
            "StatefulSet {} was made by somebody else (it differs in {} places, first {}); this release does not take services over yet, and leaves it as it is",
            desired["metadata"]["name"].as_str().unwrap_or_default(),
            template.len(),
            template[0],
        )
    })
}

/// Nothing can be done before a fact is known.
fn held(why: &str) -> Plan {
    Plan { held: Some(why.to_owned()), next_look: Some(limits::LOOK_WHILE_WAITING), ..Plan::default() }
}

/// We must not go on, and only a person can help; what runs goes on running, and its conditions stay.
fn stopped(input: &Input<'_>, mut plan: Plan, words: &str) -> Plan {
    let before = input.service.status.clone().unwrap_or_default();
    let after = InterStepBufferServiceStatus { message: Some(status::bounded(&format!("Stopped: {words}"))), ..before };
    plan.actions.clear();
    status::settle(&mut plan, input.service, after);
    plan.held = Some(words.to_owned());
    plan.next_look = Some(limits::LOOK_WHILE_HEALTHY);
    plan
}

/// The objects, in the order of making, with a write for each that is not as it should be.
fn children(plan: &mut Plan, observed: &Observed, material: &Material, subject: Subject<'_>, stateful_set: Value, accepted: String) {
    secrets(plan, observed, material, subject);
    child(plan, ChildKind::ConfigMap, jetstream::config_map(subject, accepted), &observed.config_map);
    child(plan, ChildKind::Service, jetstream::service(subject), &observed.service);
    child(plan, ChildKind::StatefulSet, stateful_set, &observed.stateful_set);
    budget(plan, observed, subject);
}

fn secrets(plan: &mut Plan, observed: &Observed, material: &Material, subject: Subject<'_>) {
    let (server, client) = match (&observed.server_secret, &observed.client_secret) {
        (Fact::Known(server), Fact::Known(client)) => (server, client),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => {
            plan.held = Some(why.clone());
            return;
        }
    };
    let Some(actions) = jetstream::secrets(subject, server.as_ref(), client.as_ref(), material) else {
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

fn budget(plan: &mut Plan, observed: &Observed, subject: Subject<'_>) {
    let Fact::Known(others) = &observed.other_budgets else { return };
    let Fact::Known(own) = &observed.budget else { return };
    let labels = jetstream::pod_labels(subject);
    let covered = others.iter().any(|other| selects(other, &labels));
    match jetstream::budget(subject).filter(|_| !covered) {
        Some(object) => child(plan, ChildKind::PodDisruptionBudget, object, &observed.budget),
        None => {
            // Two budgets over one pod would block every eviction.
            if let Some(own) = own {
                let precondition = Precondition { resource_version: None, ..seen(&own.metadata) };
                plan.actions.push(Action::Delete { kind: ChildKind::PodDisruptionBudget, name: own.name_any(), precondition });
            }
        }
    }
}

/// Whether a budget selects pods with these labels; one whose selector cannot be read selects none, as in Kubernetes.
fn selects(budget: &PodDisruptionBudget, labels: &std::collections::BTreeMap<String, String>) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.clone());
    selector.and_then(|selector| Selector::try_from(selector).ok()).is_some_and(|selector| selector.matches(labels))
}

fn child<K>(plan: &mut Plan, kind: ChildKind, object: Value, live: &Fact<Option<K>>)
where
    K: kube::Resource + serde::Serialize,
{
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    plan.desired.push(Desired { kind, name: name.clone(), object: object.clone() });
    match live {
        Fact::Unknown(why) => plan.held = Some(why.clone()),
        Fact::Known(None) => plan.actions.push(apply(kind, name, object, None, Vec::new())),
        Fact::Known(Some(live)) => {
            let live_value = json!(live);
            let changed = compare::differences(&comparable(&object), &live_value);
            if changed.is_empty() {
                return;
            }
            let action = drift(kind, &name, &object, &live_value, live.meta(), &changed);
            plan.actions.push(action.unwrap_or_else(|| apply(kind, name, object, Some(live.meta()), changed)));
        }
    }
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
        object,
        precondition: live.map(|live| Precondition { uid: live.uid.clone(), resource_version: None }).unwrap_or_default(),
        changed,
    }
}
