//! Services as they can be found, built from the objects that a cluster would hold.

use std::collections::BTreeMap;

use isbsvc::api::{InterStepBufferService, decode};
use isbsvc::health;
use isbsvc::observed::{Consumer, Fact, Healthz, JetStream, Meta, Observed, Peer, PipelineUse, Server, Stream};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kubectl_isbsvc::model::status::ServiceStatus;
use kubectl_isbsvc::services::Found;
use serde_json::{Value, json};

/// The moment at which everything is looked at.
pub fn now() -> jiff::Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

/// A service with what was found of it.
pub struct Case {
    pub object: Value,
    pub observed: Observed,
    pub events: Fact<Vec<Event>>,
}

impl Case {
    /// Three healthy servers with volumes, a stream, and a Pipeline.
    pub fn healthy(name: &str) -> Self {
        let pod = |ordinal: usize| format!("isbsvc-{name}-js-{ordinal}");
        let observed = Observed {
            stateful_set: known(json!({
                "metadata": { "name": format!("isbsvc-{name}-js"), "creationTimestamp": "2026-11-20T12:00:00Z" },
                "spec": { "replicas": 3, "selector": {}, "serviceName": "s", "template": { "spec": { "containers": [{ "name": "main", "image": "nats:2.12.7" }] } } },
                "status": { "replicas": 3, "readyReplicas": 3, "updatedReplicas": 3, "currentRevision": "a", "updateRevision": "a" },
            })),
            service: known(json!({
                "metadata": { "name": format!("isbsvc-{name}-js-svc"), "creationTimestamp": "2026-11-20T12:00:00Z" },
                "spec": { "ports": [{ "port": 4222 }, { "port": 8222 }] },
            })),
            config_map: known(json!({
                "metadata": { "name": format!("isbsvc-{name}-js-config"), "creationTimestamp": "2026-11-20T12:00:00Z" }, "data": { "nats-js": "port: 4222" },
            })),
            budget: known(json!({
                "metadata": { "name": format!("isbsvc-{name}-js"), "creationTimestamp": "2026-11-20T12:00:00Z" },
                "status": { "currentHealthy": 3, "desiredHealthy": 2, "disruptionsAllowed": 1, "expectedPods": 3 },
            })),
            pods: Fact::Known((0..3).map(|ordinal| pod_object(&pod(ordinal), ordinal)).collect()),
            claims: Fact::Known((0..3).map(|ordinal| claim(&format!("isbsvc-{name}-js-vol-{}", pod(ordinal)))).collect()),
            pipelines: Fact::Known(vec![
                PipelineUse { name: "clicks".to_owned(), deleting: false },
                PipelineUse { name: "orders".to_owned(), deleting: true },
            ]),
            servers: (0..3).map(|ordinal| (pod(ordinal), Fact::Known(server(name, ordinal)))).collect::<BTreeMap<_, _>>(),
            ..Observed::nothing()
        };
        Self { object: service(name), observed, events: Fact::Known(events(name)) }
    }

    /// A server's words, to be changed.
    pub fn server(&mut self, name: &str, ordinal: usize) -> &mut Server {
        match self.observed.servers.get_mut(&format!("isbsvc-{name}-js-{ordinal}")) {
            Some(Fact::Known(server)) => server,
            _ => panic!("no server {ordinal}"),
        }
    }

    /// A pod, to be changed.
    pub fn pod(&mut self, ordinal: usize) -> &mut Pod {
        match &mut self.observed.pods {
            Fact::Known(pods) => &mut pods[ordinal],
            Fact::Unknown(_) => panic!("no pods"),
        }
    }

    pub fn service(&self) -> InterStepBufferService {
        decode(&self.object).unwrap()
    }

    pub fn found(&self) -> Found {
        Found { service: self.service(), object: self.object.clone() }
    }

    pub fn status(&self) -> ServiceStatus {
        let service = self.service();
        ServiceStatus::new(&service, &self.observed, &health::verdict(&service, &self.observed, now()), &self.events, now())
    }
}

fn known<T: serde::de::DeserializeOwned>(object: Value) -> Fact<Option<T>> {
    Fact::Known(Some(serde_json::from_value(object).unwrap()))
}

fn service(name: &str) -> Value {
    let condition = |type_: &str, reason: &str, message: &str| json!({ "type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": "2026-11-23T10:30:00Z" });
    json!({
        "apiVersion": "numaflow.numaproj.io/v1alpha1",
        "kind": "InterStepBufferService",
        "metadata": {
            "name": name, "namespace": "work", "generation": 2, "creationTimestamp": "2026-11-20T12:00:00Z", "uid": "u",
            "finalizers": ["numaflow.numaproj.io/isbsvc-controller"],
            "labels": { "team": "payments" },
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "owner": "ann" },
        },
        "spec": { "jetstream": { "version": "2.12.7", "replicas": 3, "persistence": { "storageClassName": "standard", "volumeSize": "10Gi" } } },
        "status": {
            "type": "jetstream", "phase": "Running", "observedGeneration": 2,
            "conditions": [
                condition("ChildrenResourcesHealthy", "Healthy", "JetStream cluster is healthy"),
                condition("Configured", "Successful", "Successful"),
                condition("Deployed", "Successful", "Successful"),
            ],
            "config": { "jetstream": { "url": format!("nats://isbsvc-{name}-js-svc.work.svc:4222") } },
        },
    })
}

fn pod_object(name: &str, ordinal: usize) -> Pod {
    let container = |name: &str| json!({ "name": name, "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": { "startedAt": "2026-11-20T12:00:00Z" } } });
    serde_json::from_value(json!({
        "metadata": { "name": name, "creationTimestamp": "2026-11-20T12:00:00Z" },
        "spec": { "nodeName": format!("node-{ordinal}"), "containers": [{ "name": "main" }, { "name": "reloader" }, { "name": "metrics" }] },
        "status": {
            "phase": "Running", "podIP": format!("10.0.0.{ordinal}"),
            "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [container("main"), container("reloader"), container("metrics")],
        },
    }))
    .unwrap()
}

fn claim(name: &str) -> PersistentVolumeClaim {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "storageClassName": "standard", "volumeName": "pvc-1", "resources": { "requests": { "storage": "10Gi" } } },
        "status": { "phase": "Bound", "capacity": { "storage": "10Gi" } },
    }))
    .unwrap()
}

fn server(service: &str, ordinal: usize) -> Server {
    let name = |ordinal: usize| format!("isbsvc-{service}-js-{ordinal}");
    let leads = ordinal == 1;
    let others = || {
        let peer = |ordinal| Peer { name: name(ordinal), current: true, offline: false, active: 250_000_000, lag: 0 };
        if leads { vec![peer(0), peer(2)] } else { Vec::new() }
    };
    Server {
        name: name(ordinal),
        version: "2.12.7".to_owned(),
        connections: 4 + ordinal as u64,
        memory: 60 << 20,
        cpu: 3.0,
        routes: (0..3).filter(|other| *other != ordinal).map(name).collect(),
        healthz: Healthz { ok: true, error: None },
        jetstream: Some(JetStream {
            storage: 3 << 30,
            max_storage: 10 << 30,
            streams: 1,
            consumers: 1,
            messages: 1200,
            meta: Some(Meta { leader: Some(name(1)), size: 3, pending: 0, peers: others() }),
            stream_details: vec![Stream {
                name: "work-clicks-map-0".to_owned(),
                leader: Some(name(1)),
                replicas: 3,
                peers: others(),
                messages: 1200,
                bytes: 5 << 20,
                consumers: vec![Consumer {
                    name: "work-clicks-map-0".to_owned(),
                    leader: Some(name(1)),
                    pending: 7,
                    ack_pending: 2,
                    redelivered: 1,
                }],
            }],
            ..JetStream::default()
        }),
        ..Server::default()
    }
}

fn events(service: &str) -> Vec<Event> {
    let event = |kind: &str, name: String, type_: &str, reason: &str, message: &str, at: &str| {
        json!({
            "metadata": {}, "involvedObject": { "kind": kind, "name": name }, "type": type_, "reason": reason, "message": message, "count": 1, "lastTimestamp": at,
        })
    };
    let all = [
        event("InterStepBufferService", service.to_owned(), "Normal", "Healthy", "JetStream cluster is healthy", "2026-11-23T11:58:00Z"),
        event("Pod", format!("isbsvc-{service}-js-1"), "Warning", "Unhealthy", "Startup probe failed: HTTP 503", "2026-11-23T11:57:00Z"),
        event("Pod", "isbsvc-somebody-elses-js-1".to_owned(), "Warning", "Unhealthy", "not ours", "2026-11-23T11:59:00Z"),
        event("InterStepBufferService", "another".to_owned(), "Warning", "Bad", "not ours", "2026-11-23T11:59:00Z"),
    ];
    all.into_iter().map(|event| serde_json::from_value(event).unwrap()).collect()
}
