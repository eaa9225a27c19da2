//! Every service in a line.

use std::collections::BTreeMap;

use isbsvc::api::InterStepBufferService;
use isbsvc::health::Level;
use serde::Serialize;

use super::API_VERSION;

/// Services, one a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceList {
    /// Version of this form.
    pub api_version: &'static str,
    /// `ServiceList`.
    pub kind: &'static str,
    /// When it was looked at.
    pub observed_at: jiff::Timestamp,
    /// The services, by namespace and name.
    pub items: Vec<ServiceRow>,
    /// What could not be looked at.
    pub errors: Vec<super::Gap>,
}

/// A service in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRow {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `jetstream` or `redis`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Version as the spec names it.
    pub version: Option<String>,
    /// Pods that are ready; `None` where that could not be read.
    pub ready: Option<i32>,
    /// Servers asked for.
    pub servers: i32,
    /// What the controller's conditions and the ready pods say; servers are not asked (see `status`).
    pub health: Level,
    /// `status.phase`.
    pub phase: Option<String>,
    /// `status.message`.
    pub message: Option<String>,
    /// Pipelines that use it; `None` where they could not be read.
    pub pipelines: Option<usize>,
    /// TLS between servers and to clients.
    pub tls: bool,
    /// Encryption at rest.
    pub encryption: bool,
    /// Size of each volume; `None` where messages live and die with the pods.
    pub volume: Option<String>,
    /// Controller instance, where it has a name.
    pub instance: Option<String>,
    /// When it was created.
    pub created_at: Option<jiff::Timestamp>,
}

/// What is known besides the services, by (namespace, service): ready pods, and Pipelines. A `None` map could not be read.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// `status.readyReplicas` of each `StatefulSet`.
    pub ready: Option<BTreeMap<(String, String), i32>>,
    /// Pipelines of each service.
    pub pipelines: Option<BTreeMap<(String, String), usize>>,
}

impl ServiceList {
    /// Puts the rows together.
    pub fn new(services: &[InterStepBufferService], beside: &Beside, errors: Vec<super::Gap>, now: jiff::Timestamp) -> Self {
        let mut items: Vec<_> = services.iter().map(|service| row(service, beside)).collect();
        items.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Self { api_version: API_VERSION, kind: "ServiceList", observed_at: now, items, errors }
    }
}

fn row(service: &InterStepBufferService, beside: &Beside) -> ServiceRow {
    let key = (service.namespace_or_empty().to_owned(), service.name().to_owned());
    let jetstream = service.spec.jetstream.as_ref();
    let status = service.status.clone().unwrap_or_default();
    let ready = beside.ready.as_ref().map(|ready| ready.get(&key).copied().unwrap_or_default());
    let servers = jetstream.map_or_else(
        || {
            service
                .spec
                .redis
                .as_ref()
                .and_then(|redis| redis.native.as_ref())
                .map_or(0, |native| native.replicas.unwrap_or(isbsvc::api::DEFAULT_REPLICAS).max(3))
        },
        isbsvc::api::JetStreamBufferService::server_count,
    );
    ServiceRow {
        type_: service.spec.types().first().map_or_else(|| "none".to_owned(), |type_| type_.as_str().to_owned()),
        version: service.spec.version().map(str::to_owned),
        ready,
        servers,
        health: health(service, ready, servers),
        phase: status.phase.map(|phase| phase.as_str().to_owned()).filter(|phase| !phase.is_empty()),
        message: status.message.filter(|message| !message.trim().is_empty()),
        pipelines: beside.pipelines.as_ref().map(|pipelines| pipelines.get(&key).copied().unwrap_or_default()),
        tls: jetstream.is_some_and(isbsvc::api::JetStreamBufferService::tls_enabled),
        encryption: jetstream.is_some_and(isbsvc::api::JetStreamBufferService::encrypted),
        volume: jetstream.and_then(|jetstream| jetstream.persistence.as_ref()).map(isbsvc::api::Persistence::volume_size),
        instance: Some(service.instance().to_owned()).filter(|instance| !instance.is_empty()),
        created_at: service.metadata.creation_timestamp.as_ref().map(|time| time.0),
        namespace: key.0,
        name: key.1,
    }
}

/// Never better than what the controller, which asks the servers, says; and worse where pods are missing since.
fn health(service: &InterStepBufferService, ready: Option<i32>, servers: i32) -> Level {
    let Some(status) = service.status.as_ref().filter(|status| !status.conditions.is_empty()) else { return Level::Unknown };
    if !status.is_healthy() {
        return Level::Critical;
    }
    let behind = status.observed_generation != service.metadata.generation;
    // The controller leaves the message of a service empty where there is nothing to say.
    let told = status.message.as_ref().is_some_and(|message| !message.trim().is_empty());
    match ready {
        Some(ready) if servers > 0 && ready <= servers / 2 => Level::Critical,
        Some(ready) if ready < servers => Level::Warning,
        _ if behind || told => Level::Warning,
        Some(_) => Level::Healthy,
        None => Level::Unknown,
    }
}
