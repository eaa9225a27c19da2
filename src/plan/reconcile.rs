use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use serde_json::json;

use super::adoption::{self, Before, Obstacle};
use super::children::{Built, children};
use super::jetstream::{self, Baseline, Images, Ran, Subject};
use super::{Event, EventType, Input, Material, Plan, budget, deletion, material, missing, ownership, redis, status};
use crate::api::{
    CONDITION_CHILDREN_HEALTHY, CONDITION_CONFIGURED, CONDITION_DEPLOYED, InterStepBufferService, InterStepBufferServiceStatus,
    JetStreamBufferService, Phase, ServiceType, names,
};
use crate::controller_config::{Settings, ValueError, stream_config};
use crate::health::{self, Level, Verdict};
use crate::limits;
use crate::observed::{Fact, Observed};
use crate::rules::{self, Levels, Request, overrides};

/// The next step for one service.
pub fn plan(input: &Input<'_>, observed: &Observed, material: &Material) -> Plan {
    judged(input, observed, material, None)
}

/// The same, where the spec may be refused for a reason that stands outside of it, such as that it cannot be read; the rules are not asked then.
pub(super) fn judged(input: &Input<'_>, observed: &Observed, material: &Material, refused: Option<&str>) -> Plan {
    let service = input.service;
    if service.metadata.deletion_timestamp.is_some() {
        return deletion::plan(input, observed);
    }
    if let Some(words) = redis::vanished(service) {
        return Plan { held: Some(words.to_owned()), ..Plan::default() };
    }
    // Without these two it is not known what was accepted before, and a dangerous change would look like a new service.
    if let Some(why) = observed.stateful_set.unknown().or_else(|| observed.config_map.unknown()) {
        return held(why);
    }
    let before = match adoption::before(input, observed) {
        Ok(before) => before,
        Err(obstacle) => return obstructed(input, observed, obstacle, refused),
    };
    // Of an external Redis there is no object, and the status says what was accepted.
    let external = redis::before(service).filter(|_| before.is_none());
    let was = before.as_ref().map(|before| &before.service).or(external.as_ref());
    let mut overridden = Vec::new();
    let (refusals, tolerated) = if let Some(why) = refused {
        (vec![why.to_owned()], Vec::new())
    } else {
        let findings = rules::check(Request::update(was, service), input.config, &Levels::default());
        let (findings, lifted) = overrides::lift(findings, service);
        overridden.extend(lifted.iter().map(ToString::to_string));
        (rules::denials(&findings).map(ToString::to_string).collect(), rules::tolerated(&findings).map(ToString::to_string).collect())
    };
    let effective = match (was, refusals.is_empty()) {
        (_, true) => service,
        // The refused spec is held back whole; the service goes on by the last accepted one.
        (Some(was), false) => was,
        (None, false) => return no_valid_spec(input, observed, &refusals),
    };
    match effective.spec.types().first() {
        Some(ServiceType::JetStream) => {}
        Some(ServiceType::RedisNative) => return redis::native(input),
        Some(ServiceType::RedisExternal) => return redis::external(input, observed, effective, &refusals, &tolerated),
        None => return no_valid_spec(input, observed, &["spec: names no type of service".to_owned()]),
    }
    let mut plan = carry_out(input, observed, material, &Course { effective, before: before.as_ref(), refusals: &refusals, tolerated });
    if refusals.is_empty() && plan.held.is_none() && !overridden.is_empty() {
        let note = format!("carried out because a person who may overrode the rule: {}", overridden.join("; "));
        plan.events.push(Event { type_: EventType::Warning, reason: "RuleOverridden", note });
    }
    plan
}

/// What is carried out for a service.
struct Course<'a> {
    /// The service by the spec that holds.
    effective: &'a InterStepBufferService,
    /// What was there before.
    before: Option<&'a Before>,
    /// Why a newer spec is held back.
    refusals: &'a [String],
    /// What would be refused, had it not been there before.
    tolerated: Vec<String>,
}

/// The `JetStream` spec that runs, or will.
pub(super) fn effective_jetstream(input: &Input<'_>, observed: &Observed) -> Option<JetStreamBufferService> {
    runs(input, observed).spec.jetstream.or_else(|| input.service.spec.jetstream.clone())
}

/// How the servers of a service are, by the spec that they run by; `None` of a service that has none.
pub fn verdict(input: &Input<'_>, observed: &Observed) -> Option<Verdict> {
    let effective = runs(input, observed);
    effective.spec.jetstream.is_some().then(|| health::verdict(&effective, observed, input.now))
}

/// The service by the spec that runs, also where it cannot be gone on from.
fn runs(input: &Input<'_>, observed: &Observed) -> InterStepBufferService {
    match adoption::before(input, observed) {
        Ok(Some(before)) => before.service,
        Ok(None) => input.service.clone(),
        Err(_) => match observed.accepted_spec() {
            Some(spec) => InterStepBufferService { spec, ..input.service.clone() },
            None => input.service.clone(),
        },
    }
}

/// Whether a service was healthy before: from then on a quorum of ready pods is enough.
pub(super) fn was_healthy(input: &Input<'_>, observed: &Observed) -> bool {
    let noted = |set: &StatefulSet| set.annotations().contains_key(names::FIRST_HEALTHY_ANNOTATION);
    observed.stateful_set.known().and_then(Option::as_ref).is_some_and(noted)
        || input.service.status.as_ref().is_some_and(InterStepBufferServiceStatus::is_healthy)
}

/// Goes on watching the servers of a service that nothing is written for at the moment: the verdict, the condition that follows from it, and the
/// disruption budget, which must not forbid evictions for ever.
pub(super) fn watch(input: &Input<'_>, observed: &Observed, plan: &mut Plan, status: &mut InterStepBufferServiceStatus) {
    let Some(verdict) = verdict(input, observed) else { return };
    status.conditions = status::watched(status, &verdict, was_healthy(input, observed), input.now);
    plan.actions.extend(budget::released(input, observed, Some(&verdict)));
    plan.verdict = Some(verdict);
}

/// A service that is to be left alone (annotation `paused`): it is watched, and nothing is written but the end of held evictions.
pub fn paused(input: &Input<'_>, observed: &Observed) -> Plan {
    let verdict = verdict(input, observed);
    Plan {
        actions: budget::released(input, observed, verdict.as_ref()).into_iter().collect(),
        verdict,
        next_look: Some(limits::LOOK_WHILE_HEALTHY),
        ..Plan::default()
    }
}

/// Left alone for now.
fn obstructed(input: &Input<'_>, observed: &Observed, obstacle: Obstacle, refused: Option<&str>) -> Plan {
    let (words, quiet) = match obstacle {
        Obstacle::Stop(words) => (words, None),
        Obstacle::ForeignWriter(words, quiet) => (words, Some(quiet)),
    };
    let words = refused.map_or_else(|| words.clone(), |why| format!("{why}; {words}"));
    let mut plan = stopped(input, observed, &words);
    if let Some(quiet) = quiet {
        if plan.status.as_ref().map(|status| &status.message) != input.service.status.as_ref().map(|status| &status.message) {
            plan.events.push(Event { type_: EventType::Warning, reason: "ForeignWriter", note: words });
        }
        let wait: Duration = quiet.duration_since(input.now).try_into().unwrap_or(limits::FOREIGN_QUIET);
        plan.next_look = Some(wait.min(limits::LOOK_WHILE_HEALTHY));
    }
    plan
}

/// No spec can be carried out. Where something runs all the same, it goes on as it is.
fn no_valid_spec(input: &Input<'_>, observed: &Observed, refusals: &[String]) -> Plan {
    match observed.stateful_set.known() {
        Some(None) => invalid(input, refusals),
        _ => stopped(
            input,
            observed,
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

fn carry_out(input: &Input<'_>, observed: &Observed, material: &Material, course: &Course<'_>) -> Plan {
    let (service, effective, refusals) = (input.service, course.effective, course.refusals);
    let Some(spec) = effective.spec.jetstream.as_ref() else { return Plan::default() };
    let Fact::Known(live) = &observed.stateful_set else { return held(observed.stateful_set.unknown().unwrap_or_default()) };
    let made = match made(input, course) {
        Ok(made) => made,
        Err(why) => return no_valid_spec(input, observed, &[why]),
    };
    let subject = Subject { service, spec, settings: &made.settings };
    let mut plan = Plan::default();
    if let Some(words) = material::lost(input, observed).or_else(|| ownership::stranger(service, observed)) {
        return stopped(input, observed, &words);
    }
    plan.actions.extend(deletion::held(service));
    let verdict = health::verdict(effective, observed, input.now);
    let first = live.as_ref().and_then(|live| live.annotations().get(names::FIRST_HEALTHY_ANNOTATION).cloned());
    // A service that is taken over while it serves goes on serving.
    let served =
        course.before.is_some_and(|before| before.adopted) && service.status.as_ref().is_some_and(InterStepBufferServiceStatus::is_healthy);
    let once_healthy = first.is_some() || served;
    let healthy_now = served || (verdict.quorum_ready() && verdict.meta_leader.is_some());
    let first_healthy = first.or_else(|| healthy_now.then(|| status::whole_second(input.now).to_string()));
    let accepted = [
        (names::ACCEPTED_SPEC_ANNOTATION, json!(effective.spec).to_string()),
        (names::ACCEPTED_INSTANCE_ANNOTATION, effective.instance().to_owned()),
    ];
    let notes = accepted.clone().into_iter().chain([(names::BASELINE_ANNOTATION, json!(made.baseline).to_string())]);
    let missing = live.as_ref().and_then(|live| missing::noted(service.name(), live, observed, input.now));
    let annotations = notes
        .clone()
        .chain(first_healthy.map(|when| (names::FIRST_HEALTHY_ANNOTATION, when)))
        .chain(missing.map(|when| (names::PODS_MISSING_ANNOTATION, when)));
    let stateful_set = jetstream::stateful_set(subject, &made.baseline, annotations);
    let config_map = jetstream::config_map(subject, &made.baseline, notes);
    if course.before.is_some_and(|before| before.adopted) {
        let note = format!("StatefulSet {} is taken over as it runs", names::stateful_set(service.name()));
        plan.events.push(Event { type_: EventType::Normal, reason: "Adopted", note });
    }
    if made.buffers_moved {
        // Bounded: the text itself may hold 64 KiB.
        let note = "bufferConfig of the controller configuration changed: existing buffers keep theirs, and every Pipeline pod restarts";
        plan.events.push(Event { type_: EventType::Warning, reason: "BufferConfigChanged", note: note.to_owned() });
    }
    let budget = budget::wanted(&mut plan, input.now, observed, subject, &verdict, once_healthy);
    children(&mut plan, input.now, observed, material, subject, Built { stateful_set, config_map, budget, accepted });
    if plan.held.is_some() {
        // Half of a service is not made: what is missing here may be what keeps the rest safe.
        plan.actions.clear();
        plan.next_look = Some(limits::LOOK_WHILE_WAITING);
        plan.verdict = Some(verdict);
        return plan;
    }

    let before = service.status.clone().unwrap_or_default();
    let stands = vec![
        status::Stand::successful(CONDITION_CONFIGURED),
        status::Stand::successful(CONDITION_DEPLOYED),
        status::children(&verdict, once_healthy, &before),
    ];
    let conditions = status::merged(&before.conditions, stands, input.now);
    let healthy = conditions.iter().all(|condition| condition.status == "True");
    let message = message(&plan, course, &made, &conditions, &verdict);
    if before.message != message
        && let Some(note) = plan.foreign_writers.first().cloned()
    {
        plan.events.push(Event { type_: EventType::Warning, reason: "ForeignWriter", note });
    }
    let after = InterStepBufferServiceStatus {
        conditions,
        phase: Some(Phase::Running),
        message,
        config: Some(status::config(service, spec, made.baseline.stream_config.as_str().to_owned())),
        type_: Some(ServiceType::JetStream.as_str().to_owned()),
        observed_generation: if refusals.is_empty() { service.metadata.generation } else { before.observed_generation },
    };
    if once_healthy && before != after {
        plan.events.extend(status::news(&before, &verdict));
    }
    plan.events.extend(status::refusal(&before, refusals));
    status::settle(&mut plan, service, after);
    plan.next_look = Some(match (healthy, verdict.level) {
        (true, Level::Healthy) => limits::LOOK_WHILE_HEALTHY,
        (true, _) => limits::LOOK_WHILE_UNWELL,
        (false, _) if once_healthy => limits::LOOK_WHILE_UNWELL,
        (false, _) => limits::LOOK_WHILE_STARTING,
    });
    plan.verdict = Some(verdict);
    plan
}

/// `status.message`: why a change is held back, and why the service is not healthy, or what should be looked at.
fn message(plan: &Plan, course: &Course<'_>, made: &Made, conditions: &[Condition], verdict: &Verdict) -> Option<String> {
    let unwell = conditions.iter().find(|condition| condition.status != "True");
    let mut parts: Vec<String> = status::refused(course.refusals).into_iter().collect();
    if let Some(condition) = unwell {
        parts.push(format!("{}: {}", condition.reason, condition.message));
    } else {
        let mut warnings = plan.foreign_writers.clone();
        warnings.extend(payload_kept(made));
        warnings.extend(status::tolerated(&course.tolerated));
        warnings.push(status::words(verdict, Level::Warning));
        parts.extend(status::warnings(warnings));
    }
    (!parts.is_empty()).then(|| status::bounded(&parts.join("; ")))
}

/// What a spec comes to: merged settings, and what should run.
struct Made {
    settings: Settings,
    baseline: Baseline,
    /// Whether `streamConfig` becomes another text although the spec asks for the same as before.
    buffers_moved: bool,
}

/// That servers go on taking larger messages than the settings ask for, in words.
fn payload_kept(made: &Made) -> Option<String> {
    let (runs, asked) = (made.baseline.max_payload()?, &made.settings.max_payload);
    (asked.bytes < runs.bytes).then(|| {
        format!(
            "max_payload stays {}, not {} as the settings say now, because larger messages that are stored could not be delivered",
            runs.text, asked.text
        )
    })
}

/// What the spec that holds comes to, beside what was there before; in words, why it comes to nothing. All of it was asked by the rules, unless the
/// controller configuration was broken since, or somebody else accepted it: that is taken as Numaflow's controller takes it.
fn made(input: &Input<'_>, course: &Course<'_>) -> Result<Made, String> {
    let Some(spec) = course.effective.spec.jetstream.as_ref() else { return Err("spec.jetstream: is not there".to_owned()) };
    let config = &input.config.jetstream;
    let was = course.before.and_then(|before| Some((before, before.service.spec.jetstream.as_ref()?)));
    let usable = |own: Option<&str>| Settings::merged_where_usable(&config.settings, own);
    let taken = |same: bool, error: ValueError| match was.filter(|_| same).and_then(|_| usable(spec.settings.as_deref())) {
        Some(settings) => Ok(settings),
        None => Err(format!("spec.jetstream.settings: {error}")),
    };
    let same_settings = was.is_some_and(|(_, was)| was.settings == spec.settings);
    let settings = Settings::merged(&config.settings, spec.settings.as_deref()).or_else(|error| taken(same_settings, error))?;
    let stream = |spec: &JetStreamBufferService| stream_config(&config.buffer_config, spec.buffer_config.as_deref(), spec.server_count());
    let subject = Subject { service: input.service, spec, settings: &settings };

    let old_settings = was.and_then(|(_, was)| usable(was.settings.as_deref()));
    let old = was.zip(old_settings.as_ref()).map(|((before, was), settings)| {
        let subject = Subject { service: input.service, spec: was, settings };
        (subject, before.baseline(subject, &stream(was).unwrap_or_default()))
    });
    let old = old.and_then(|(subject, baseline)| Some((subject, baseline?)));
    let stream_config = match stream(spec) {
        Ok(text) => Some(text),
        // What was taken before these rules were asked stays in use.
        Err(_) if old.as_ref().is_some_and(|(was, _)| was.spec.buffer_config == spec.buffer_config) => None,
        Err(error) => return Err(format!("spec.jetstream.bufferConfig: {error}")),
    };
    let ran = old.as_ref().and_then(|(was, baseline)| Images::of(&baseline.template, was.spec.version.as_deref(), config));
    // As long as the user does not change the version, the images that run, so that neither a floating version nor a changed list restarts anything.
    let unchanged = old.as_ref().is_some_and(|(was, _)| was.spec.version == spec.version);
    let images = match ran.clone().filter(|_| unchanged) {
        Some(images) => images,
        None => listed(input, spec)?,
    };
    let old = old.as_ref().map(|(was, baseline)| Ran { was: *was, baseline, images: ran.as_ref() });
    let baseline = jetstream::baseline(subject, &images, stream_config, old);
    let asks = |spec: &JetStreamBufferService| (spec.buffer_config.clone(), spec.server_count());
    let buffers_moved =
        old.is_some_and(|ran| asks(ran.was.spec) == asks(spec) && ran.baseline.stream_config.as_str() != baseline.stream_config.as_str());
    Ok(Made { settings, baseline, buffers_moved })
}

/// The images of a version by the controller configuration.
fn listed(input: &Input<'_>, spec: &JetStreamBufferService) -> Result<Images, String> {
    let version = spec.version.as_deref().unwrap_or_default();
    let entry = input.config.jetstream_version(version);
    entry.map(Images::listed).ok_or_else(|| format!("spec.jetstream.version: {version:?} is not in the controller configuration"))
}

/// Nothing can be done before a fact is known.
fn held(why: &str) -> Plan {
    Plan { held: Some(why.to_owned()), next_look: Some(limits::LOOK_WHILE_WAITING), ..Plan::default() }
}

/// We must not go on, and only a person can help; what runs goes on running, and is watched.
fn stopped(input: &Input<'_>, observed: &Observed, words: &str) -> Plan {
    let mut plan = Plan::default();
    let before = input.service.status.clone().unwrap_or_default();
    let mut after = InterStepBufferServiceStatus { message: Some(status::bounded(&format!("Stopped: {words}"))), ..before };
    watch(input, observed, &mut plan, &mut after);
    status::settle(&mut plan, input.service, after);
    plan.held = Some(words.to_owned());
    plan.next_look = Some(limits::LOOK_WHILE_HEALTHY);
    plan
}
