//! One verdict from what was found: level and reasons. Conditions, metrics, `status`, `check` and the gates of a roll all read this one
//! (laws *one-verdict* and *honest-health*).

mod certificates;
mod external;
mod jetstream;
mod pods;
pub mod reasons;
mod servers;
mod streams;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{InterStepBufferService, ServiceType};
use crate::observed::Observed;

pub use reasons::REASONS;

/// How a service is. Of two levels the later one holds: what is not known may be bad, so it is worse than a warning, and what is known to be bad is
/// worse than both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything that was asked answered well.
    Healthy,
    /// It serves, and something should be looked at.
    Warning,
    /// Too little is known to say.
    Unknown,
    /// It does not serve, or a further loss stops it.
    Critical,
}

/// Why the verdict is not better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Stable name in `CamelCase`, such as `NoMetaLeader`; one of [`REASONS`].
    pub id: &'static str,
    /// How bad this one is.
    pub level: Level,
    /// What is wrong and where, in one line; without figures that move all the time, because it is written into the status.
    pub message: String,
}

/// How a service is, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The worst of the reasons, or [`Level::Healthy`].
    pub level: Level,
    /// Worst first.
    pub reasons: Vec<Reason>,
    /// Servers that should run.
    pub servers_wanted: i32,
    /// Pods that are ready.
    pub pods_ready: i32,
    /// Servers that answered.
    pub servers_answering: i32,
    /// The meta leader on which a quorum of servers agrees; a single server is its own.
    pub meta_leader: Option<String>,
    /// What of a pod Numaflow's contract counts as a failure, without the `Pod` before it: one of nine waiting reasons such as `CrashLoopBackOff`,
    /// `Error` or `RecentRestart`.
    pub pod_failure: Option<String>,
    /// Whether the server itself (container `main`) of a pod crashes again and again.
    pub crash_loop: bool,
    /// Whether the `StatefulSet` still rolls out.
    pub rolling: bool,
    /// Whether every server is there and holds everything, so that another one may go: pods ready, JetStream on, each server's own health check (which
    /// asks for the currency of its streams and consumers) well, meta peers current. `None` where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<bool>,
}

impl Verdict {
    /// Whether a quorum of the pods is ready; of a service that has none of ours it is.
    pub fn quorum_ready(&self) -> bool {
        self.servers_wanted == 0 || self.pods_ready > self.servers_wanted / 2
    }
}

/// Judges what was found of a service. `now` is the wall clock, for what is told only for a while (a restart) or for a while before (the end of a
/// certificate).
pub fn verdict(service: &InterStepBufferService, observed: &Observed, now: Timestamp) -> Verdict {
    match (&service.spec.jetstream, service.spec.types().as_slice()) {
        (Some(spec), _) => jetstream::verdict(service, spec, observed, now),
        (None, [ServiceType::RedisExternal]) => external::verdict(observed),
        (None, _) => without_servers(vec![Reason::new(&reasons::NOT_LOOKED_AT, "only the servers of JetStream services are asked")]),
    }
}

/// Of a service that has no servers of ours.
fn without_servers(reasons: Vec<Reason>) -> Verdict {
    Verdict {
        level: reasons.iter().map(|reason| reason.level).max().unwrap_or(Level::Healthy),
        reasons,
        servers_wanted: 0,
        pods_ready: 0,
        servers_answering: 0,
        meta_leader: None,
        pod_failure: None,
        crash_loop: false,
        rolling: false,
        current: None,
    }
}

#[cfg(test)]
mod tests;
