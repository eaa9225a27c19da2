use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodStatus};

use super::Level;
use super::reasons::{self, Found, few};
use crate::limits;

/// The container that is the server; the others of a pod help it.
const MAIN: &str = "main";
/// Label that the `StatefulSet` controller puts on a pod: the revision that it was made from.
const REVISION_LABEL: &str = "controller-revision-hash";

/// What Numaflow's contract counts as a failure of a pod, the gravest last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// A container was killed and started again.
    RecentRestart,
    /// A container has ended with an error.
    Error,
    /// A container waits for a reason that does not pass.
    Waiting(String),
}

impl Failure {
    /// The contract's word, without the `Pod` before it.
    pub(super) fn word(self) -> String {
        match self {
            Self::RecentRestart => "RecentRestart".to_owned(),
            Self::Error => "Error".to_owned(),
            Self::Waiting(reason) => reason,
        }
    }
}

pub(super) fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

/// Whether the server of a pod crashes again and again.
pub(super) fn crashes(pod: &Pod) -> bool {
    containers(pod.status.as_ref()).filter(|(status, _)| status.name == MAIN).any(|(status, _)| {
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff")
    })
}

/// Containers with whether the pod needs them to begin with: a sidecar that fails leaves the server alone.
fn containers(status: Option<&PodStatus>) -> impl Iterator<Item = (&ContainerStatus, bool)> {
    let own = status.into_iter().flat_map(|status| status.container_statuses.iter().flatten());
    let init = status.into_iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    own.map(|one| (one, one.name == MAIN)).chain(init.map(|one| (one, true)))
}

/// Looks at one pod; the gravest failure that the contract counts, where there is one.
pub(super) fn about(name: &str, pod: Option<&Pod>, now: Timestamp, found: &mut Found) -> Option<Failure> {
    let Some(pod) = pod else {
        found.push(&reasons::POD_MISSING, &format!("pod {name} does not exist"));
        return None;
    };
    if pod.metadata.deletion_timestamp.is_some() {
        found.push(&reasons::POD_STOPPING, &format!("pod {name} is being stopped"));
        return None;
    }
    let failure = containers(pod.status.as_ref()).filter_map(|(status, needed)| failing(name, status, needed, found)).max();
    if failure.is_some() {
        return failure;
    }
    if !is_ready(pod) {
        not_ready(name, pod, found);
    }
    containers(pod.status.as_ref()).filter_map(|(status, needed)| restarted(name, status, needed, now, found)).max()
}

/// A container that will not come up by itself, or has ended with an error.
fn failing(pod: &str, status: &ContainerStatus, needed: bool, found: &mut Found) -> Option<Failure> {
    let level = if needed { Level::Critical } else { Level::Warning };
    let ContainerState { waiting, terminated, .. } = status.state.as_ref()?;
    if let Some(waiting) = waiting
        && let Some(reason) = waiting.reason.as_deref()
        && let Some(kind) = reasons::waiting(reason)
    {
        // How long kubelet still waits is no news, and would make a new status of each attempt.
        let words = waiting.message.as_deref().filter(|words| !words.starts_with("back-off "));
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let last = last.map(|last| format!(", last ended with {}", ending(last))).unwrap_or_default();
        found.push_at(kind, level, &format!("pod {pod}, container {}: {reason}{last}{words}", status.name));
        return Some(Failure::Waiting(reason.to_owned()));
    }
    let terminated = terminated.as_ref().filter(|terminated| terminated.exit_code != 0)?;
    found.push_at(&reasons::POD_ERROR, level, &format!("pod {pod}, container {}: ended with {}", status.name, ending(terminated)));
    Some(Failure::Error)
}

/// A container that was started again a moment ago. The contract counts those that were killed: for memory (137), or by a probe (143).
fn restarted(pod: &str, status: &ContainerStatus, needed: bool, now: Timestamp, found: &mut Found) -> Option<Failure> {
    let last = status.last_state.as_ref()?.terminated.as_ref()?;
    let since = now.duration_since(last.finished_at.as_ref()?.0);
    if since > jiff::SignedDuration::try_from(limits::RECENT_RESTART).ok()? {
        return None;
    }
    let killed = last.exit_code == 137 || (last.exit_code == 143 && last.reason.as_deref() == Some("Error"));
    if needed || killed {
        found.push(
            &reasons::POD_RECENT_RESTART,
            &format!("pod {pod}, container {}: started again a moment ago, after it had ended with {}", status.name, ending(last)),
        );
    }
    killed.then_some(Failure::RecentRestart)
}

/// How a container ended: `OOMKilled`, or its exit code.
fn ending(terminated: &ContainerStateTerminated) -> String {
    match terminated.reason.as_deref() {
        Some(reason) if !reason.is_empty() && reason != "Error" && reason != "Completed" => reason.to_owned(),
        _ => format!("exit code {}", terminated.exit_code),
    }
}

fn not_ready(name: &str, pod: &Pod, found: &mut Found) {
    let status = pod.status.as_ref();
    if let Some(condition) = condition(pod, "PodScheduled").filter(|condition| condition.status == "False") {
        let words = condition.message.as_deref().or(condition.reason.as_deref()).unwrap_or("no node takes it");
        found.push(&reasons::POD_UNSCHEDULABLE, &format!("pod {name} cannot be scheduled: {}", without_counts(words)));
        return;
    }
    if let Some(ended) = status.filter(|status| matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"))) {
        let words = [ended.reason.as_deref(), ended.message.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
        let words = if words.is_empty() { "no reason is given".to_owned() } else { words };
        found.push(&reasons::POD_NOT_READY, &format!("pod {name} has ended: {words}"));
        return;
    }
    let waits: BTreeSet<String> = containers(status)
        .filter_map(|(status, _)| {
            let reason = status.state.as_ref()?.waiting.as_ref()?.reason.as_deref()?;
            Some(format!("container {} waits: {reason}", status.name))
        })
        .collect();
    if !waits.is_empty() {
        found.push(&reasons::POD_PENDING, &format!("pod {name} is not started yet: {}", few(waits.iter().map(String::as_str))));
    } else if status.and_then(|status| status.phase.as_deref()) == Some("Pending") {
        found.push(&reasons::POD_PENDING, &format!("pod {name} is not started yet"));
    } else {
        let slow = containers(status).filter(|(status, _)| !status.ready).map(|(status, _)| status.name.as_str());
        let slow: Vec<_> = slow.collect();
        let words = if slow.is_empty() { String::new() } else { format!(": container {} does not pass its probe", few(slow)) };
        found.push(&reasons::POD_NOT_READY, &format!("pod {name} is not ready{words}"));
    }
}

/// The scheduler's words without how many nodes each of them is about, which moves whenever a node comes or goes:
/// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}. preemption: ...`.
fn without_counts(words: &str) -> String {
    let words = words.split(" preemption: ").next().unwrap_or(words);
    let words = words.split_once(" nodes are available: ").map_or(words, |(_, causes)| causes);
    let causes: BTreeSet<&str> =
        words.trim_end_matches('.').split(", ").map(|cause| cause.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start()).collect();
    causes.into_iter().collect::<Vec<_>>().join(", ")
}

/// Pods that do not have the last change of the `StatefulSet`, and pods whose server's image somebody changed.
pub(super) fn about_revisions(set: &StatefulSet, pods: &BTreeMap<&str, &Pod>, found: &mut Found) {
    let wanted = set.status.as_ref().and_then(|status| status.update_revision.as_deref());
    let revision = |pod: &'_ Pod| pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL)).cloned();
    let outdated = |pod: &Pod| wanted.zip(revision(pod)).is_some_and(|(wanted, revision)| wanted != revision);
    let behind: Vec<_> = pods.iter().filter(|(_, pod)| outdated(pod)).map(|(name, _)| *name).collect();
    if !behind.is_empty() {
        found.push(&reasons::ROLL_UNFINISHED, &format!("the last change of the StatefulSet has not reached {}", few(behind)));
    }
    let Some(image) = set.spec.as_ref().and_then(|spec| image(spec.template.spec.as_ref()?)) else { return };
    for (name, pod) in pods.iter().filter(|(_, pod)| !outdated(pod)) {
        if let Some(runs) = pod.spec.as_ref().and_then(self::image)
            && differ(runs, image)
        {
            found.push(&reasons::IMAGE_NOT_WANTED, &format!("pod {name} runs image {runs}, the StatefulSet names {image}"));
        }
    }
}

fn image(pod: &k8s_openapi::api::core::v1::PodSpec) -> Option<&str> {
    pod.containers.iter().find(|container| container.name == MAIN)?.image.as_deref()
}

/// Whether two images differ in name or tag. Where they come from may differ: admission webhooks put mirrors before them and digests behind.
fn differ(one: &str, other: &str) -> bool {
    let named = |image: &str| {
        let image = image.split('@').next().unwrap_or(image);
        let last = image.rsplit('/').next().unwrap_or(image);
        last.contains(':').then(|| last.to_owned())
    };
    named(one).zip(named(other)).is_some_and(|(one, other)| one != other)
}
