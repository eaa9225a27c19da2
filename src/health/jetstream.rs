use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::{Level, Reason, Verdict};
use crate::api::{InterStepBufferService, JetStreamBufferService, names};
use crate::observed::{Fact, Observed, Server};

/// Waiting reasons that mean that a container will not come up by itself (the nine of Numaflow's contract).
const WAITING: [&str; 9] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
    "RunContainerError",
];
/// File store in use from which a person should look, percent (natscli's own warning level).
const STORE_WARNING: u64 = 75;
/// And from which writes are about to stop, percent (natscli's own critical level).
const STORE_CRITICAL: u64 = 90;

/// Servers that are looked at by name; a spec that asks for more is refused, and must not make us count to two billion.
const NAMED: i32 = 64;

pub(super) fn verdict(service: &InterStepBufferService, observed: &Observed) -> Verdict {
    let wanted = service.spec.jetstream.as_ref().map_or(0, JetStreamBufferService::server_count);
    let mut reasons = Reasons::default();
    let pods: BTreeMap<&str, &Pod> =
        observed.pods.known().into_iter().flatten().filter_map(|pod| Some((pod.metadata.name.as_deref()?, pod))).collect();
    if let Some(why) = observed.pods.unknown() {
        reasons.push("PodsUnknown", Level::Unknown, format!("cannot see the pods: {why}"));
    }
    if observed.stateful_set.known().is_some_and(Option::is_none) {
        reasons.push("NotMade", Level::Critical, "the StatefulSet does not exist".to_owned());
    }
    let names: Vec<String> = (0..wanted.min(NAMED)).map(|ordinal| names::pod(service.name(), ordinal)).collect();
    let pod_ready = |name: &String| pods.get(name.as_str()).is_some_and(|pod| is_ready(pod));
    let ready = names.iter().filter(|name| pod_ready(name)).count();
    let mut pod_failure = None;
    if observed.pods.known().is_some() {
        for name in &names {
            pod_failure = about_pod(name, pods.get(name.as_str()).copied(), &mut reasons).or(pod_failure);
        }
        quorum(ready, wanted, &mut reasons);
    }
    let servers: Vec<&Server> = names.iter().filter_map(|name| observed.servers.get(name).and_then(Fact::known)).collect();
    for name in names.iter().filter(|name| pod_ready(name)) {
        if let Some(why) = observed.servers.get(name).and_then(Fact::unknown) {
            reasons.push("ServerSilent", Level::Warning, why.to_owned());
        }
    }
    if observed.servers.is_empty() && ready > 0 {
        reasons.push("ServersNotAsked", Level::Unknown, "the servers were not asked".to_owned());
    }
    let meta_leader = leader(&servers, wanted, &mut reasons);
    for server in &servers {
        about_server(server, wanted, &mut reasons);
    }
    versions(&servers, &mut reasons);
    let Reasons(mut reasons) = reasons;
    reasons.sort_by_key(|reason| std::cmp::Reverse(badness(reason.level)));
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    Verdict {
        level: reasons.first().map_or(Level::Healthy, |reason| reason.level),
        reasons,
        servers_wanted: wanted,
        pods_ready: number(ready),
        servers_answering: number(servers.len()),
        meta_leader,
        crash_loop: names.iter().any(|name| pods.get(name.as_str()).is_some_and(|pod| crashes(pod))),
        pod_failure,
        rolling: rolling(observed, wanted),
    }
}

/// What is known to be bad comes before what is not known.
fn badness(level: Level) -> u8 {
    match level {
        Level::Healthy => 0,
        Level::Unknown => 1,
        Level::Warning => 2,
        Level::Critical => 3,
    }
}

#[derive(Default)]
struct Reasons(Vec<Reason>);

impl Reasons {
    fn push(&mut self, id: &'static str, level: Level, message: String) {
        self.0.push(Reason { id, level, message });
    }
}

fn rolling(observed: &Observed, wanted: i32) -> bool {
    let status = observed.stateful_set.known().and_then(Option::as_ref).and_then(|set| set.status.as_ref());
    status.is_some_and(|status| {
        status.update_revision.is_some()
            && status.current_revision != status.update_revision
            && status.updated_replicas.unwrap_or(0) < wanted
    })
}

/// Whether the server of a pod crashes again and again.
fn crashes(pod: &Pod) -> bool {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    containers.filter(|container| container.name == "main").any(|container| {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff")
    })
}

fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none() && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Looks at one pod; the name of what the contract counts as a failure, where there is one.
fn about_pod(name: &str, pod: Option<&Pod>, reasons: &mut Reasons) -> Option<String> {
    let Some(pod) = pod else {
        reasons.push("PodMissing", Level::Warning, format!("pod {name} does not exist"));
        return None;
    };
    if pod.metadata.deletion_timestamp.is_some() {
        reasons.push("PodStopping", Level::Warning, format!("pod {name} is being stopped"));
        return None;
    }
    let status = pod.status.as_ref();
    let containers: Vec<&ContainerStatus> = status.iter().flat_map(|status| status.container_statuses.iter().flatten()).collect();
    for container in &containers {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        if let Some(reason) = waiting.and_then(|waiting| waiting.reason.as_deref()).filter(|reason| WAITING.contains(reason)) {
            // How long kubelet still waits is no news, and would make a new status of each attempt.
            let words = waiting.and_then(|waiting| waiting.message.as_deref()).filter(|words| !words.starts_with("back-off "));
            let words = words.map(|words| format!(": {words}")).unwrap_or_default();
            reasons.push("PodFailing", Level::Critical, format!("pod {name}, container {}: {reason}{words}", container.name));
            return Some(reason.to_owned());
        }
    }
    if is_ready(pod) {
        return None;
    }
    let mut conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
    if let Some(condition) = conditions.find(|condition| condition.type_ == "PodScheduled" && condition.status == "False") {
        let words = condition.message.as_deref().or(condition.reason.as_deref()).unwrap_or("no node takes it");
        reasons.push("PodUnschedulable", Level::Warning, format!("pod {name} cannot be scheduled: {words}"));
    } else {
        reasons.push("PodNotReady", Level::Warning, format!("pod {name} is not ready"));
    }
    None
}

fn quorum(ready: usize, wanted: i32, reasons: &mut Reasons) {
    let wanted = usize::try_from(wanted).unwrap_or(0);
    if ready >= wanted {
        return;
    }
    let missing = wanted - ready;
    if ready > wanted / 2 {
        reasons.push(
            "ServersMissing",
            Level::Warning,
            format!("{ready} of {wanted} servers are ready; a further loss may stop the service"),
        );
    } else {
        let pods = if missing == 1 { "pod" } else { "pods" };
        reasons.push(
            "QuorumLost",
            Level::Critical,
            format!("waiting for {missing} {pods} to be ready ({ready} of {wanted}; a quorum is {})", wanted / 2 + 1),
        );
    }
}

/// The leader on which a quorum of the servers agrees, by each server's own words.
fn leader(servers: &[&Server], wanted: i32, reasons: &mut Reasons) -> Option<String> {
    let mut enabled = servers.iter().filter(|server| server.jetstream.as_ref().is_some_and(|jetstream| !jetstream.disabled));
    if wanted == 1 {
        return enabled.next().map(|server| server.name.clone());
    }
    let mut votes: BTreeMap<&str, i32> = BTreeMap::new();
    for server in enabled {
        if let Some(leader) = server.jetstream.as_ref().and_then(|jetstream| jetstream.meta.as_ref()?.leader.as_deref()) {
            *votes.entry(leader).or_default() += 1;
        }
    }
    let agreed = votes.iter().find(|(_, votes)| **votes > wanted / 2).map(|(leader, _)| (*leader).to_owned());
    if agreed.is_none() && !servers.is_empty() {
        let seen: Vec<_> = votes.iter().map(|(leader, votes)| format!("{leader} by {votes}")).collect();
        let words = if seen.is_empty() { "no server knows one".to_owned() } else { seen.join(", ") };
        reasons.push(
            "NoMetaLeader",
            Level::Critical,
            format!("the servers agree on no meta leader: {words}; {} of {wanted} answered", servers.len()),
        );
    }
    agreed
}

fn about_server(server: &Server, wanted: i32, reasons: &mut Reasons) {
    let name = &server.name;
    let Some(jetstream) = &server.jetstream else {
        reasons.push("JetStreamOff", Level::Critical, format!("server {name} runs without JetStream"));
        return;
    };
    if jetstream.disabled {
        reasons.push(
            "JetStreamDisabled",
            Level::Critical,
            format!("server {name} turned JetStream off, usually because its disk was full"),
        );
    }
    if let (false, Some(error)) = (server.healthz.ok, &server.healthz.error) {
        reasons.push("ServerUnwell", Level::Warning, format!("server {name}: {error}"));
    }
    let routes = i32::try_from(server.routes.len()).unwrap_or(i32::MAX);
    if routes < wanted - 1 {
        reasons.push("RoutesMissing", Level::Warning, format!("server {name} has routes to {routes} of {} others", wanted - 1));
    }
    if let Some(meta) = &jetstream.meta {
        if meta.size != 0 && i32::try_from(meta.size).is_ok_and(|size| size != wanted) {
            reasons.push("MetaSize", Level::Warning, format!("server {name} counts {} servers in the meta group, not {wanted}", meta.size));
        }
        for peer in &meta.peers {
            if peer.offline {
                reasons.push("PeerOffline", Level::Warning, format!("meta peer {} is offline", peer.name));
            } else if !peer.current {
                reasons.push("PeerLagging", Level::Warning, format!("meta peer {} is not current", peer.name));
            }
        }
    }
    about_streams(name, jetstream, reasons);
    if let Ok(limit) = u64::try_from(jetstream.max_storage)
        && limit > 0
    {
        let percent = jetstream.storage.saturating_mul(100) / limit;
        // The bound and not the figure: a status that moves with each message would be written at each look.
        let passed = [(STORE_CRITICAL, Level::Critical), (STORE_WARNING, Level::Warning)].into_iter().find(|(bound, _)| percent >= *bound);
        if let Some((bound, level)) = passed {
            reasons.push("StoreFull", level, format!("server {name} uses more than {bound} % of its file store"));
        }
    }
}

fn about_streams(server: &str, jetstream: &crate::observed::JetStream, reasons: &mut Reasons) {
    for stream in &jetstream.stream_details {
        if stream.leader.is_none() {
            reasons.push("StreamWithoutLeader", Level::Critical, format!("server {server}: stream {} has no leader", stream.name));
        } else if stream.leader.as_deref() == Some(server) {
            for peer in stream.peers.iter().filter(|peer| peer.offline || !peer.current) {
                let words = if peer.offline { "offline" } else { "not current" };
                reasons.push(
                    "StreamReplicaLagging",
                    Level::Warning,
                    format!("stream {}: replica on {} is {words}", stream.name, peer.name),
                );
            }
        }
    }
}

fn versions(servers: &[&Server], reasons: &mut Reasons) {
    let versions: BTreeSet<&str> = servers.iter().map(|server| server.version.as_str()).collect();
    if versions.len() > 1 {
        let versions: Vec<_> = versions.into_iter().collect();
        reasons.push("VersionsDiffer", Level::Warning, format!("servers run different versions: {}", versions.join(", ")));
    }
}
