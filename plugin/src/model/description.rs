//! A service, its settings, its objects and its events: the model behind `describe`.

use isbsvc::health::Verdict;
use isbsvc::observed::{Fact, Observed};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde_json::Value;

use super::{API_VERSION, Condition, EventLine, Gap, Pipeline, Subject, Summary, status};
use crate::services::Found;

/// A service with everything that belongs to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Version of this form.
    pub api_version: &'static str,
    /// `ServiceDescription`.
    pub kind: &'static str,
    /// Which service.
    pub metadata: Subject,
    /// Its labels.
    pub labels: Value,
    /// Its annotations, without the copy of the manifest that kubectl keeps there.
    pub annotations: Value,
    /// What holds its deletion up.
    pub finalizers: Vec<String>,
    /// The service in a few lines.
    pub summary: Summary,
    /// The spec as it is written, every field kept.
    pub spec: Value,
    /// How clients connect: names of Secrets, not what is in them.
    pub client_config: Value,
    /// What its controller says.
    pub conditions: Vec<Condition>,
    /// The objects that it consists of.
    pub objects: Vec<Object>,
    /// Pipelines that use it; `None` where they could not be read.
    pub pipelines: Option<Vec<Pipeline>>,
    /// Events about it, newest first; `None` where they could not be read.
    pub events: Option<Vec<EventLine>>,
    /// What could not be looked at.
    pub errors: Vec<Gap>,
}

/// An object of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// A few words on how it is.
    pub info: String,
    /// When it was created; `None` where it is missing.
    pub created_at: Option<jiff::Timestamp>,
}

impl Description {
    /// Puts together what was found.
    pub fn new(found: &Found, observed: &Observed, verdict: &Verdict, events: &Fact<Vec<Event>>, now: jiff::Timestamp) -> Self {
        let service = &found.service;
        let field = |pointer: &str| found.object.pointer(pointer).cloned().unwrap_or(Value::Null);
        let mut annotations = field("/metadata/annotations");
        if let Some(map) = annotations.as_object_mut() {
            map.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
        Self {
            api_version: API_VERSION,
            kind: "ServiceDescription",
            metadata: Subject { name: service.name().to_owned(), namespace: service.namespace_or_empty().to_owned(), observed_at: now },
            labels: field("/metadata/labels"),
            annotations,
            finalizers: service.metadata.finalizers.clone().unwrap_or_default(),
            summary: status::summary(service, observed, verdict),
            spec: field("/spec"),
            client_config: field("/status/config"),
            conditions: status::conditions(service),
            objects: objects(observed),
            pipelines: observed.pipelines.known().map(|pipelines| {
                pipelines.iter().map(|pipeline| Pipeline { name: pipeline.name.clone(), deleting: pipeline.deleting }).collect()
            }),
            events: events.known().map(|events| status::event_lines(service.name(), events)),
            errors: status::gaps(observed, events),
        }
    }
}

fn objects(observed: &Observed) -> Vec<Object> {
    let mut objects = Vec::new();
    let mut add = |kind: &str, meta: &ObjectMeta, info: String| {
        objects.push(Object {
            kind: kind.to_owned(),
            name: meta.name.clone().unwrap_or_default(),
            info,
            created_at: meta.creation_timestamp.as_ref().map(|time| time.0),
        });
    };
    if let Some(Some(set)) = observed.stateful_set.known() {
        let ready = set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default();
        let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
        add("StatefulSet", &set.metadata, format!("{ready}/{wanted} ready"));
    }
    if let Some(Some(service)) = observed.service.known() {
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        add("Service", &service.metadata, ports.iter().map(|port| port.port.to_string()).collect::<Vec<_>>().join(","));
    }
    if let Some(Some(map)) = observed.config_map.known() {
        let keys = map.data.iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>().join(",");
        add("ConfigMap", &map.metadata, keys);
    }
    if let Some(Some(budget)) = observed.budget.known() {
        let allowed = budget.status.as_ref().and_then(|status| status.disruptions_allowed).unwrap_or_default();
        add("PodDisruptionBudget", &budget.metadata, format!("{allowed} disruptions allowed"));
    }
    for pod in observed.pods.known().into_iter().flatten() {
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_else(|| "Unknown".to_owned());
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        add("Pod", &pod.metadata, node.map_or(phase.clone(), |node| format!("{phase} on {node}")));
    }
    for claim in observed.claims.known().into_iter().flatten() {
        let phase = claim.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_else(|| "Unknown".to_owned());
        add("PersistentVolumeClaim", &claim.metadata, phase);
    }
    objects
}
