mod running;

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt as _};
use serde_json::{Value, json};

use super::jetstream::{Baseline, Subject, Text, may_stand_twice, server_config};
use super::{Input, compare, owners};
use crate::api::{InterStepBufferService, InterStepBufferServiceSpec, ServiceType, names};
use crate::limits;
use crate::observed::{Fact, Observed};
use running::{Beside, as_it_runs};

/// The spec that was accepted last, and where to read what runs by it.
pub(super) struct Before {
    /// The service as it was accepted.
    pub service: InterStepBufferService,
    /// Whether what runs is taken over with this look.
    pub adopted: bool,
    runs: Runs,
}

enum Runs {
    /// As we wrote down.
    Recorded(Option<Box<Baseline>>),
    /// As it was found.
    Found { template: Value, volume_claim_templates: Vec<Value>, config: Option<String>, stream_config: Option<String> },
}

/// Why a service must be left alone for now.
pub(super) enum Obstacle {
    /// Until a person helps, in words.
    Stop(String),
    /// Another controller writes; what, and until when we wait.
    ForeignWriter(String, Timestamp),
}

/// What was there before this look; none for a service of which nothing is.
///
/// What was accepted is read from the `StatefulSet`, or where somebody deleted that, from the `ConfigMap`: volumes outlive both. A `StatefulSet` that
/// does not say what was accepted, or that Numaflow's controller wrote since, is taken as it runs.
pub(super) fn before(input: &Input<'_>, observed: &Observed) -> Result<Option<Before>, Obstacle> {
    // Without these two it is not known what was accepted before, and a dangerous change would look like a new service; the caller asked that already.
    let (Fact::Known(set), Fact::Known(config_map)) = (&observed.stateful_set, &observed.config_map) else { return Ok(None) };
    let recorded = match set {
        Some(set) => annotated(set),
        None => config_map.as_ref().and_then(annotated).or_else(|| observed.server_secret.known()?.as_ref().and_then(annotated)),
    };
    let Some(recorded) = recorded else {
        return set.as_ref().map(|set| adopt(input, &input.service.spec, set, config_map.as_ref())).transpose();
    };
    let recorded = recorded.ok_or_else(|| {
        Obstacle::Stop(format!(
            "the annotation {} cannot be read, so no change can be judged; put it back as it was",
            names::ACCEPTED_SPEC_ANNOTATION
        ))
    })?;
    if let Some(set) = set
        && let Some(baseline) = &recorded.baseline
        && let Some((_, written)) = numaflows(&set.metadata)
        && rewritten(baseline, set)
    {
        wait_for_quiet("StatefulSet", &set.metadata, written, input.now)?;
        // What was accepted stays accepted: a spec that was refused, or changed meanwhile, must not pass with what somebody else wrote.
        let before = adopt(input, &recorded.spec, set, config_map.as_ref())?;
        return Ok(Some(Before { service: accepted_of(before.service, recorded.instance.as_deref()), ..before }));
    }
    let service = InterStepBufferService { spec: recorded.spec, ..input.service.clone() };
    let service = accepted_of(service, recorded.instance.as_deref());
    Ok(Some(Before { service, adopted: false, runs: Runs::Recorded(recorded.baseline.map(Box::new)) }))
}

/// What an object says was accepted.
struct Recorded {
    spec: InterStepBufferServiceSpec,
    /// The controller instance that accepted it; the service's own where nothing is said.
    instance: Option<String>,
    baseline: Option<Baseline>,
}

/// What an object says was accepted; the outer option is whether it says anything, the inner one whether that can be read.
#[expect(clippy::option_option, reason = "absent and unreadable are two things, and only here")]
fn annotated<K: Resource>(object: &K) -> Option<Option<Recorded>> {
    let annotations = object.meta().annotations.as_ref()?;
    let spec = annotations.get(names::ACCEPTED_SPEC_ANNOTATION)?;
    let spec = serde_json::from_str::<InterStepBufferServiceSpec>(spec).ok().filter(|spec| !spec.types().is_empty());
    let baseline = annotations.get(names::BASELINE_ANNOTATION).and_then(|text| serde_json::from_str(text).ok());
    let instance = annotations.get(names::ACCEPTED_INSTANCE_ANNOTATION).cloned();
    Some(spec.map(|spec| Recorded { spec, instance, baseline }))
}

/// The service as the controller instance that accepted it knew it.
fn accepted_of(mut service: InterStepBufferService, instance: Option<&str>) -> InterStepBufferService {
    if let Some(instance) = instance.filter(|instance| *instance != service.instance()) {
        service.annotations_mut().insert(names::INSTANCE_ANNOTATION.to_owned(), instance.to_owned());
    }
    service
}

/// Whether Numaflow's controller wrote another pod template than ours: it changed something, or added a field that we would not have there.
fn rewritten(baseline: &Baseline, set: &StatefulSet) -> bool {
    let live = json!(set);
    let ours = json!({ "spec": { "template": baseline.template } });
    !compare::differences(&baseline.template, &live["spec"]["template"]).is_empty()
        || owners::numaflows_additions(&ours, &live, &set.metadata).iter().any(|pointer| pointer.starts_with("/spec/template/"))
}

/// Waits until whoever wrote an object at that time has left it alone for a while.
pub(super) fn wait_for_quiet(kind: &str, metadata: &ObjectMeta, written: Option<Timestamp>, now: Timestamp) -> Result<(), Obstacle> {
    let Some(quiet) = written.and_then(|written| written.checked_add(limits::FOREIGN_QUIET).ok()).filter(|quiet| *quiet > now) else {
        return Ok(());
    };
    let (name, when) = (metadata.name.as_deref().unwrap_or_default(), written.unwrap_or(now));
    Err(Obstacle::ForeignWriter(
        format!(
            "{kind} {name} was written by Numaflow's own controller (field manager {}) at {when}; nothing of this service is written before {quiet}, so \
             that two controllers never fight; keep that one away as manifests/handover does",
            names::NUMAFLOW_MANAGER
        ),
        quiet,
    ))
}

/// What Numaflow's own controller wrote of an object: the place among the managed fields, and when.
pub(super) fn numaflows(metadata: &ObjectMeta) -> Option<(usize, Option<Timestamp>)> {
    let entries = metadata.managed_fields.iter().flatten();
    let found = entries.enumerate().find(|(_, entry)| {
        entry.manager.as_deref() == Some(names::NUMAFLOW_MANAGER)
            && entry.operation.as_deref() == Some("Update")
            && entry.subresource.as_deref().is_none_or(str::is_empty)
    });
    found.map(|(index, entry)| (index, entry.time.as_ref().map(|time| time.0)))
}

/// Takes a `StatefulSet` as it runs, where it belongs to the service and can be kept as it is.
fn adopt(
    input: &Input<'_>,
    spec: &InterStepBufferServiceSpec,
    set: &StatefulSet,
    config_map: Option<&ConfigMap>,
) -> Result<Before, Obstacle> {
    if let Some(why) = not_ours(input.service, set) {
        return Err(Obstacle::Stop(format!("StatefulSet {} {why}; it is left as it is", set.name_any())));
    }
    let live = json!(set);
    let template = live["spec"]["template"].clone();
    let mut volume_claim_templates = live["spec"]["volumeClaimTemplates"].as_array().cloned().unwrap_or_default();
    for claim in &mut volume_claim_templates {
        // What the API server fills in.
        for field in ["apiVersion", "kind", "status"] {
            claim.as_object_mut().map(|claim| claim.remove(field));
        }
    }
    let config = config_map.and_then(|config_map| config_map.data.as_ref()?.get(names::CONFIG_KEY)).cloned();
    let status = input.service.status.as_ref();
    let stream_config = status.and_then(|status| status.config.as_ref()?.jetstream.as_ref()?.stream_config.clone());
    let beside = Beside { config: config.as_deref(), stream_config: stream_config.as_deref() };
    let spec = as_it_runs(input.service, spec, set, &beside, input.config);
    Ok(Before {
        service: InterStepBufferService { spec, ..input.service.clone() },
        adopted: true,
        runs: Runs::Found { template, volume_claim_templates, config, stream_config },
    })
}

/// Why a `StatefulSet` of the right name cannot be taken over.
fn not_ours(service: &InterStepBufferService, set: &StatefulSet) -> Option<String> {
    let uid = service.metadata.uid.as_deref().unwrap_or_default();
    if !set.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.uid == uid) {
        return Some("was made by somebody else: its controller (metadata.ownerReferences) is not this service".to_owned());
    }
    let spec = set.spec.as_ref()?;
    let labels = names::labels(service.name(), ServiceType::JetStream.as_str());
    if spec.selector.match_labels.as_ref() != Some(&labels) {
        return Some("selects other pods (spec.selector) than those of this service, which cannot be changed".to_owned());
    }
    let containers = spec.template.spec.iter().flat_map(|spec| &spec.containers);
    for container in containers {
        let mut seen = BTreeSet::new();
        let mut again = container.env.iter().flatten().filter(|variable| !seen.insert(&variable.name));
        if let Some(twice) = again.find(|variable| !may_stand_twice(&container.name, &variable.name)) {
            // Not in the spec: neither Numaflow's controller, once it is kept away, nor ours would carry that out.
            return Some(format!(
                "names the variable {} twice in container {}, which server-side apply cannot write; take the first of the two out of the StatefulSet itself, \
                 with kubectl patch --type=json (the later one holds already; the pods restart one by one)",
                twice.name, container.name
            ));
        }
    }
    None
}

impl Before {
    /// What runs by the accepted spec; `was` is the subject by that spec, `stream_config` the text that we would write for it. None where it was not
    /// written down.
    pub fn baseline(&self, was: Subject<'_>, stream_config: &str) -> Option<Baseline> {
        match &self.runs {
            Runs::Recorded(baseline) => baseline.as_deref().cloned(),
            Runs::Found { template, volume_claim_templates, config, stream_config: found } => {
                let ours = server_config(was);
                Some(Baseline {
                    template: template.clone(),
                    volume_claim_templates: volume_claim_templates.clone(),
                    config: Text::found(config.clone().unwrap_or_else(|| ours.clone()), &ours),
                    stream_config: Text::found(found.clone().unwrap_or_else(|| stream_config.to_owned()), stream_config),
                })
            }
        }
    }
}
