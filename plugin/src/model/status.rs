//! How a service is: the model behind every output of `status`.

use std::collections::BTreeMap;

use isbsvc::api::{BufferServiceConfig, InterStepBufferService, names};
use isbsvc::health::{self, Level, Verdict, reasons};
use isbsvc::observed::{Fact, Observed, Server};
use k8s_openapi::api::core::v1::{ContainerStatus, Event, PersistentVolumeClaim, Pod};
use serde::Serialize;

use super::{
    API_VERSION, Condition, Disk, EventCounts, EventLine, Gap, Meta, MetaPeer, Pipeline, ServerRow, Storage, Streams, Subject, Summary,
    Volume, streams,
};

/// Events in one report.
const LATEST_EVENTS: usize = 5;
/// State of a server whose pod does not exist.
pub const MISSING: &str = "Missing";

/// The verdict, worst reason first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// The worst of the reasons.
    pub level: Level,
    /// Why it is not better.
    pub reasons: Vec<health::Reason>,
    /// Servers that answered.
    pub servers_answering: i32,
}

/// How a service is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Version of this form.
    pub api_version: &'static str,
    /// `ServiceStatus`.
    pub kind: &'static str,
    /// Which service.
    pub metadata: Subject,
    /// What to think of it.
    pub verdict: Judgement,
    /// The service in a few lines.
    pub summary: Summary,
    /// What its controller says.
    pub conditions: Vec<Condition>,
    /// Its servers, those that are missing included.
    pub servers: Vec<ServerRow>,
    /// The meta layer; `None` where no server answered.
    pub meta: Option<Meta>,
    /// Its volume claims.
    pub storage: Vec<Storage>,
    /// Its streams; `None` where no server answered.
    pub streams: Option<Streams>,
    /// Pipelines that use it; `None` where they could not be read.
    pub pipelines: Option<Vec<Pipeline>>,
    /// Events about it; `None` where they could not be read.
    pub events: Option<EventCounts>,
    /// What could not be looked at.
    pub errors: Vec<Gap>,
}

impl ServiceStatus {
    /// Puts together what was found. `events` are those of the namespace; the ones about other things are left out.
    pub fn new(
        service: &InterStepBufferService,
        observed: &Observed,
        verdict: &Verdict,
        events: &Fact<Vec<Event>>,
        now: jiff::Timestamp,
    ) -> Self {
        let summary = summary(service, observed, verdict);
        let conditions = conditions(service);
        let judgement = judge(&summary, &conditions, verdict);
        Self {
            api_version: API_VERSION,
            kind: "ServiceStatus",
            metadata: Subject { name: service.name().to_owned(), namespace: service.namespace_or_empty().to_owned(), observed_at: now },
            verdict: judgement,
            summary,
            conditions,
            servers: servers(service, observed, verdict),
            meta: meta(observed, verdict),
            storage: storage(observed),
            streams: Streams::roll_up(observed),
            pipelines: observed.pipelines.known().map(|pipelines| {
                pipelines.iter().map(|pipeline| Pipeline { name: pipeline.name.clone(), deleting: pipeline.deleting }).collect()
            }),
            events: events.known().map(|events| event_counts(service.name(), events)),
            errors: gaps(observed, events),
        }
    }

    /// Whether pipelines may use the service and its servers say so too: what `--wait` waits for.
    pub fn is_healthy(&self) -> bool {
        let carried_out = self.summary.observed_generation.is_some() && self.summary.observed_generation == self.summary.generation;
        // How an external Redis is, nobody may be able to tell.
        let well = self.verdict.level == Level::Healthy || (self.summary.external.is_some() && self.verdict.level < Level::Critical);
        self.summary.usable && carried_out && well
    }

    /// One line on what is still missing, for progress.
    pub fn progress(&self) -> String {
        let why = self.verdict.reasons.first().map_or("healthy", |reason| reason.message.as_str());
        format!("{}/{} servers ready: {}", self.summary.ready, self.summary.servers, crate::terminal::clean(why))
    }
}

/// The servers' verdict, and beside it what the controller's own words mean for pipelines: a service whose servers are well and that no pipeline may use
/// is not healthy.
fn judge(summary: &Summary, conditions: &[Condition], verdict: &Verdict) -> Judgement {
    let mut all = verdict.reasons.clone();
    if !summary.usable {
        let silent = if summary.observed_generation.is_none() { "no controller has looked at it yet" } else { "a condition is not True" };
        let said = summary.message.as_deref().unwrap_or(silent);
        all.push(health::Reason::new(&reasons::NOT_USABLE, &format!("pipelines may not use it: {said}")));
    } else if summary.generation.is_some() && summary.generation != summary.observed_generation {
        let said = summary.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        all.push(health::Reason::new(&reasons::NOT_CARRIED_OUT, &format!("the last change of the spec is not carried out{said}")));
    }
    // Only the controller can ask what is not reached from here.
    let said = summary.message.as_deref().and_then(|message| message.split_once("Warning: ")).filter(|_| summary.external.is_some());
    if let Some((_, said)) = said {
        all.push(health::Reason::new(&reasons::CONTROLLER_SAYS, said));
    }
    let not_asked = conditions.iter().find_map(|condition| condition.message.split_once("nothing is made for it; "));
    if let Some((_, said)) = not_asked.filter(|_| summary.external.is_some()) {
        all.push(health::Reason::new(&reasons::REDIS_NOT_ASKED, said));
    }
    // Within a level, the servers' own words come first.
    all.sort_by_key(|reason| std::cmp::Reverse(reason.level));
    Judgement {
        level: all.first().map_or(Level::Healthy, |reason| reason.level),
        reasons: all,
        servers_answering: verdict.servers_answering,
    }
}

/// The service in a few lines.
pub(super) fn summary(service: &InterStepBufferService, observed: &Observed, verdict: &Verdict) -> Summary {
    let status = service.status.clone().unwrap_or_default();
    let jetstream = service.spec.jetstream.as_ref();
    let image = observed.stateful_set.known().and_then(Option::as_ref).and_then(|set| {
        let containers = &set.spec.as_ref()?.template.spec.as_ref()?.containers;
        containers.iter().find(|container| container.name == "main")?.image.clone()
    });
    Summary {
        type_: service.spec.types().first().map_or_else(|| "none".to_owned(), |type_| type_.as_str().to_owned()),
        version: service.spec.version().map(str::to_owned),
        image,
        phase: status.phase.map(|phase| phase.as_str().to_owned()).filter(|phase| !phase.is_empty()),
        message: status.message.clone().filter(|message| !message.trim().is_empty()),
        usable: status.is_healthy(),
        servers: verdict.servers_wanted,
        ready: verdict.pods_ready,
        generation: service.metadata.generation,
        observed_generation: status.observed_generation,
        url: status.config.as_ref().and_then(url),
        external: service.spec.redis.as_ref().and_then(|redis| redis.external.as_ref()).map(|external| external.mode().word()),
        tls: jetstream.is_some_and(isbsvc::api::JetStreamBufferService::tls_enabled),
        encryption: jetstream.is_some_and(isbsvc::api::JetStreamBufferService::encrypted),
        volume: jetstream.and_then(|jetstream| jetstream.persistence.as_ref()).map(|persistence| Volume {
            size: persistence.volume_size(),
            access_mode: persistence.access_mode().to_owned(),
            storage_class: persistence.storage_class_name.clone(),
        }),
        instance: Some(service.instance().to_owned()).filter(|instance| !instance.is_empty()),
        paused: service.is_paused(),
        created_at: service.metadata.creation_timestamp.as_ref().map(|time| time.0),
        deleting_since: service.metadata.deletion_timestamp.as_ref().map(|time| time.0),
    }
}

/// Where clients connect: of Redis with Sentinels, they are asked first.
fn url(config: &BufferServiceConfig) -> Option<String> {
    let redis = config.redis.as_ref();
    let jetstream = config.jetstream.as_ref().and_then(|jetstream| jetstream.url.clone());
    jetstream.or_else(|| redis?.sentinel_url.clone()).or_else(|| redis?.url.clone())
}

/// What the controller says of the service.
pub(super) fn conditions(service: &InterStepBufferService) -> Vec<Condition> {
    let all = service.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    all.iter()
        .map(|condition| Condition {
            type_: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.trim_end().to_owned(),
            since: condition.last_transition_time.0,
        })
        .collect()
}

fn servers(service: &InterStepBufferService, observed: &Observed, verdict: &Verdict) -> Vec<ServerRow> {
    let lags = lags(observed);
    let mut rows: Vec<ServerRow> = Vec::new();
    let pods = observed.pods.known().map(Vec::as_slice).unwrap_or_default();
    for pod in pods {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let mut row = pod_row(pod);
        match observed.servers.get(&name) {
            Some(Fact::Known(server)) => tell(&mut row, server, verdict),
            Some(Fact::Unknown(why)) => row.silent = Some(why.clone()),
            None => {}
        }
        row.lag = row.version.as_ref().map(|_| lags.get(name.as_str()).copied().unwrap_or_default());
        rows.push(row);
    }
    if observed.pods.known().is_some() && service.spec.jetstream.is_some() {
        for ordinal in 0..verdict.servers_wanted.clamp(0, isbsvc::limits::SERVERS) {
            let name = names::pod(service.name(), ordinal);
            if !rows.iter().any(|row| row.pod == name) {
                rows.push(ServerRow { pod: name, state: MISSING.to_owned(), ..ServerRow::default() });
            }
        }
    }
    // By ordinal: pod 10 after pod 9.
    rows.sort_by_key(|row| (row.pod.len(), row.pod.clone()));
    rows
}

/// The most that each server is behind, as leaders tell it.
fn lags(observed: &Observed) -> BTreeMap<&str, u64> {
    let mut lags: BTreeMap<&str, u64> = BTreeMap::new();
    let mut add = |name, lag: u64| {
        let most = lags.entry(name).or_default();
        *most = (*most).max(lag);
    };
    for server in observed.servers.values().filter_map(Fact::known) {
        for peer in server.jetstream.iter().filter_map(|jetstream| jetstream.meta.as_ref()).flat_map(|meta| &meta.peers) {
            add(peer.name.as_str(), peer.lag);
        }
    }
    for peer in streams::each(observed).values().flat_map(|stream| &stream.peers) {
        add(peer.name.as_str(), peer.lag);
    }
    lags
}

fn pod_row(pod: &Pod) -> ServerRow {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    ServerRow {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        state: state(pod, containers),
        ready: status
            .and_then(|status| status.conditions.as_ref())
            .is_some_and(|conditions| conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")),
        containers_ready: containers.iter().filter(|container| container.ready).count(),
        containers: pod.spec.as_ref().map_or(containers.len(), |spec| spec.containers.len()),
        restarts: containers.iter().map(|container| container.restart_count).sum(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        ip: status.and_then(|status| status.pod_ip.clone()),
        created_at: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        ..ServerRow::default()
    }
}

/// What kubectl shows as STATUS, for what can happen to a server.
fn state(pod: &Pod, containers: &[ContainerStatus]) -> String {
    if pod.metadata.deletion_timestamp.is_some() {
        return "Terminating".to_owned();
    }
    let waiting = containers.iter().find_map(|container| {
        let state = container.state.as_ref()?;
        let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
        waiting.or_else(|| Some(state.terminated.as_ref()?.reason.clone().unwrap_or_else(|| "Terminated".to_owned())))
    });
    let status = pod.status.as_ref();
    let unschedulable = status
        .and_then(|status| status.conditions.as_ref())
        .is_some_and(|conditions| conditions.iter().any(|condition| condition.reason.as_deref() == Some("Unschedulable")));
    waiting
        .or_else(|| unschedulable.then(|| "Unschedulable".to_owned()))
        .or_else(|| status?.reason.clone())
        .or_else(|| status?.phase.clone())
        .unwrap_or_else(|| "Unknown".to_owned())
}

fn tell(row: &mut ServerRow, server: &Server, verdict: &Verdict) {
    row.version = Some(server.version.clone());
    row.connections = Some(server.connections);
    row.memory = Some(server.memory);
    row.cpu = Some(server.cpu);
    row.slow_consumers = Some(server.slow_consumers);
    if !server.healthz.ok {
        row.unhealthy = Some(server.healthz.error.clone().unwrap_or_else(|| "not ok".to_owned()));
    }
    let Some(jetstream) = &server.jetstream else { return };
    if !jetstream.disabled {
        row.disk = Some(Disk { used: jetstream.storage, max: jetstream.max_storage });
        row.streams = Some(jetstream.streams);
        row.consumers = Some(jetstream.consumers);
    }
    row.role = match (&jetstream.meta, &verdict.meta_leader) {
        (None, _) => Some("single".to_owned()),
        (Some(_), Some(leader)) if *leader == server.name => Some("leader".to_owned()),
        (Some(_), Some(_)) => Some("follower".to_owned()),
        // Nobody leads; what one server alone thinks is no role.
        (Some(_), None) => None,
    };
}

fn meta(observed: &Observed, verdict: &Verdict) -> Option<Meta> {
    let known: Vec<_> = observed
        .servers
        .values()
        .filter_map(Fact::known)
        .filter_map(|server| Some((server, server.jetstream.as_ref()?.meta.as_ref()?)))
        .collect();
    if known.is_empty() {
        return None;
    }
    let told = verdict.meta_leader.as_ref().and_then(|leader| known.iter().find(|(server, _)| server.name == *leader));
    Some(Meta {
        leader: verdict.meta_leader.clone(),
        size: told.map(|(_, meta)| meta.size),
        pending: told.map(|(_, meta)| meta.pending),
        peers: told
            .map(|(_, meta)| {
                let peer = |peer: &isbsvc::observed::Peer| MetaPeer {
                    name: peer.name.clone(),
                    current: peer.current,
                    offline: peer.offline,
                    lag: peer.lag,
                    seen_nanoseconds: peer.active,
                };
                meta.peers.iter().map(peer).collect()
            })
            .unwrap_or_default(),
    })
}

fn storage(observed: &Observed) -> Vec<Storage> {
    let claims = observed.claims.known().map(Vec::as_slice).unwrap_or_default();
    let mut rows: Vec<_> = claims.iter().map(|claim| claim_row(claim, observed)).collect();
    rows.sort_by_key(|row| (row.claim.len(), row.claim.clone()));
    rows
}

fn claim_row(claim: &PersistentVolumeClaim, observed: &Observed) -> Storage {
    let name = claim.metadata.name.clone().unwrap_or_default();
    let size = |sizes: &BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>| Some(sizes.get("storage")?.0.clone());
    let spec = claim.spec.as_ref();
    let status = claim.status.as_ref();
    // The claim's name ends with its pod's.
    let server = observed.servers.iter().find(|(pod, _)| name.ends_with(&format!("-{pod}"))).and_then(|(_, fact)| fact.known());
    Storage {
        status: status.and_then(|status| status.phase.clone()).unwrap_or_else(|| "Unknown".to_owned()),
        capacity: status.and_then(|status| size(status.capacity.as_ref()?)),
        requested: spec.and_then(|spec| size(spec.resources.as_ref()?.requests.as_ref()?)),
        storage_class: spec.and_then(|spec| spec.storage_class_name.clone()),
        volume: spec.and_then(|spec| spec.volume_name.clone()),
        used: server.and_then(|server| Some(server.jetstream.as_ref()?.storage)),
        claim: name,
    }
}

/// Events about the service and its parts, newest first.
pub(super) fn event_lines(service: &str, events: &[Event]) -> Vec<EventLine> {
    let part = format!("isbsvc-{service}-js");
    let concerns = |event: &Event| {
        let name = event.involved_object.name.as_deref().unwrap_or_default();
        let rest = |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        let is_service = event.involved_object.kind.as_deref() == Some(names::KIND) && name == service;
        is_service || (event.involved_object.kind.as_deref() != Some(names::KIND) && rest(&part))
    };
    let mut lines: Vec<_> = events
        .iter()
        .filter(|event| concerns(event))
        .map(|event| {
            let last = event.series.as_ref().and_then(|series| Some(series.last_observed_time.as_ref()?.0));
            let last = last.or_else(|| Some(event.last_timestamp.as_ref()?.0)).or_else(|| Some(event.event_time.as_ref()?.0));
            let count = event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1);
            let object = &event.involved_object;
            EventLine {
                last: last.or_else(|| Some(event.metadata.creation_timestamp.as_ref()?.0)),
                count,
                type_: event.type_.clone().unwrap_or_else(|| "Normal".to_owned()),
                reason: event.reason.clone().unwrap_or_default(),
                object: format!("{}/{}", object.kind.as_deref().unwrap_or_default(), object.name.as_deref().unwrap_or_default()),
                message: event.message.clone().unwrap_or_default().trim_end().to_owned(),
            }
        })
        .collect();
    lines.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| a.message.cmp(&b.message)));
    lines
}

fn event_counts(service: &str, events: &[Event]) -> EventCounts {
    let lines = event_lines(service, events);
    let warning = lines.iter().filter(|line| line.type_ == "Warning").count();
    EventCounts { normal: lines.len() - warning, warning, latest: lines.into_iter().take(LATEST_EVENTS).collect() }
}

/// Every fact that is not known, with the reason. Secrets are not looked at on purpose, which is no gap.
pub(super) fn gaps(observed: &Observed, events: &Fact<Vec<Event>>) -> Vec<Gap> {
    let facts = [
        ("statefulset", observed.stateful_set.unknown()),
        ("service", observed.service.unknown()),
        ("configmap", observed.config_map.unknown()),
        ("poddisruptionbudget", observed.budget.unknown()),
        ("pods", observed.pods.unknown()),
        ("persistentvolumeclaims", observed.claims.unknown()),
        ("pipelines", observed.pipelines.unknown()),
        ("events", events.unknown()),
    ];
    let objects = facts.into_iter().filter_map(|(source, why)| Some((source.to_owned(), why?)));
    let servers = observed.servers.iter().filter_map(|(pod, fact)| Some((pod.clone(), fact.unknown()?)));
    objects.chain(servers).map(|(source, why)| Gap { source, message: why.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use isbsvc::health::REASONS;

    #[test]
    fn the_manual_lists_every_reason() {
        let manual = include_str!("../../../docs/commands.md");
        let rows: Vec<_> = REASONS
            .iter()
            .map(|kind| format!("| `{}` | {} | {} |", kind.id, format!("{:?}", kind.level).to_lowercase(), kind.summary))
            .collect();
        let (_, section) = manual.split_once("## Reasons").unwrap();
        let listed: Vec<_> = section.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(listed, rows, "in this order, word for word");
    }
}
