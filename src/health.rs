//! One verdict from what was found: level and reasons. Conditions, metrics, `status`, `check` and the gates of a roll all read this one
//! (laws *one-verdict* and *honest-health*).

mod jetstream;

use serde::Serialize;

use crate::api::InterStepBufferService;
use crate::observed::Observed;

/// How a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything that was asked answered well.
    Healthy,
    /// It serves, and something should be looked at.
    Warning,
    /// It does not serve, or a further loss stops it.
    Critical,
    /// Too little is known to say.
    Unknown,
}

/// Why the verdict is not better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Stable name in `CamelCase`, such as `NoMetaLeader`.
    pub id: &'static str,
    /// How bad this one is.
    pub level: Level,
    /// What is wrong and where; without figures that move all the time, because it is written into the status.
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
    /// A pod's waiting reason or crash that Numaflow's contract counts, such as `CrashLoopBackOff`.
    pub pod_failure: Option<String>,
    /// Whether the server itself (container `main`) of a pod crashes again and again.
    pub crash_loop: bool,
    /// Whether the `StatefulSet` still rolls out.
    pub rolling: bool,
}

impl Verdict {
    /// Whether a quorum of the pods is ready.
    pub fn quorum_ready(&self) -> bool {
        self.pods_ready > self.servers_wanted / 2
    }
}

/// Judges what was found of a service.
pub fn verdict(service: &InterStepBufferService, observed: &Observed) -> Verdict {
    jetstream::verdict(service, observed)
}
