use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::reasons::{self, Found};
use super::{Level, Verdict, certificates, pods, servers, streams};
use crate::api::{InterStepBufferService, JetStreamBufferService, names};
use crate::observed::{Fact, Observed, Server};

/// Servers that are looked at by name; a spec that asks for more is refused, and must not make us count to two billion.
const NAMED: i32 = 64;

pub(super) fn verdict(service: &InterStepBufferService, spec: &JetStreamBufferService, observed: &Observed, now: Timestamp) -> Verdict {
    let wanted = spec.server_count();
    let mut found = Found::default();
    let pods: BTreeMap<&str, &Pod> =
        observed.pods.known().into_iter().flatten().filter_map(|pod| Some((pod.metadata.name.as_deref()?, pod))).collect();
    if let Some(why) = observed.pods.unknown() {
        found.push(&reasons::PODS_UNKNOWN, &format!("cannot see the pods: {why}"));
    }
    if observed.stateful_set.known().is_some_and(Option::is_none) {
        found.push(&reasons::NOT_MADE, "the StatefulSet does not exist");
    }
    let names: Vec<String> = (0..wanted.min(NAMED)).map(|ordinal| names::pod(service.name(), ordinal)).collect();
    let ready: Vec<&String> = names.iter().filter(|name| pods.get(name.as_str()).is_some_and(|pod| pods::is_ready(pod))).collect();
    let mut failure = None;
    if observed.pods.known().is_some() {
        for name in &names {
            failure = pods::about(name, pods.get(name.as_str()).copied(), now, &mut found).max(failure);
        }
        quorum(ready.len(), wanted, &mut found);
    }
    if let Some(Some(set)) = observed.stateful_set.known() {
        pods::about_revisions(set, &pods, &mut found);
    }
    let answers: Vec<&Server> = names.iter().filter_map(|name| observed.servers.get(name).and_then(Fact::known)).collect();
    let said_nothing = ready.iter().filter(|name| observed.servers.get(**name).and_then(Fact::known).is_none()).count();
    servers::silent(&ready, observed, &mut found);
    let meta_leader = servers::leader(&answers, wanted, said_nothing, &mut found);
    // A server in lame duck mode has turned JetStream off and says so; its pod says why.
    let stopping = |server: &&&Server| pods.get(server.name.as_str()).is_some_and(|pod| pod.metadata.deletion_timestamp.is_some());
    for server in answers.iter().filter(|server| !stopping(server)) {
        servers::about(server, wanted, &ready, &mut found);
    }
    servers::versions(&answers, &mut found);
    servers::config(&answers, observed, &mut found);
    servers::stores(service.name(), &answers, observed, &mut found);
    streams::about(&answers, &mut found);
    if spec.tls_enabled() {
        certificates::about(service.name(), observed, &answers, now, &mut found);
    }
    let reasons = found.sorted();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    Verdict {
        level: reasons.first().map_or(Level::Healthy, |reason| reason.level),
        reasons,
        servers_wanted: wanted,
        pods_ready: number(ready.len()),
        servers_answering: number(answers.len()),
        meta_leader,
        crash_loop: names.iter().any(|name| pods.get(name.as_str()).is_some_and(|pod| pods::crashes(pod))),
        pod_failure: failure.map(pods::Failure::word),
        rolling: rolling(observed, wanted),
        current: current(ready.len(), wanted, &answers),
    }
}

/// Whether all servers are there and hold everything.
fn current(ready: usize, wanted: i32, answers: &[&Server]) -> Option<bool> {
    let wanted = usize::try_from(wanted).unwrap_or(0);
    if ready < wanted || answers.iter().any(|server| !servers::is_current(server)) {
        return Some(false);
    }
    (answers.len() == wanted).then_some(true)
}

fn rolling(observed: &Observed, wanted: i32) -> bool {
    let status = observed.stateful_set.known().and_then(Option::as_ref).and_then(|set| set.status.as_ref());
    status.is_some_and(|status| {
        status.update_revision.is_some()
            && status.current_revision != status.update_revision
            && status.updated_replicas.unwrap_or(0) < wanted
    })
}

fn quorum(ready: usize, wanted: i32, found: &mut Found) {
    let wanted = usize::try_from(wanted).unwrap_or(0);
    if ready >= wanted {
        return;
    }
    let missing = wanted - ready;
    if ready > wanted / 2 {
        found.push(&reasons::SERVERS_MISSING, &format!("{ready} of {wanted} servers are ready; a further loss may stop the service"));
    } else {
        let pods = if missing == 1 { "pod" } else { "pods" };
        found.push(
            &reasons::QUORUM_LOST,
            &format!("waiting for {missing} {pods} to be ready ({ready} of {wanted}; a quorum is {})", wanted / 2 + 1),
        );
    }
}
