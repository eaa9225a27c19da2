//! Every reason that a verdict can give, each with a name that never changes and one sentence on what it means. `docs/commands.md` lists them.

use super::{Level, Reason};
use crate::limits;

/// A kind of reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Stable name in `CamelCase`, such as `NoMetaLeader`. Those that begin with `Pod` and are part of Numaflow's contract are the names that its
    /// conditions bear as well.
    pub id: &'static str,
    /// How bad it is; the summary says where that depends.
    pub level: Level,
    /// What it means and what to look at, in one sentence.
    pub summary: &'static str,
}

/// Declares the reasons, and the list of them in the order in which they are documented.
macro_rules! reasons {
    ($($name:ident = $id:literal, $level:ident, $summary:literal;)*) => {
        $(#[doc = $summary] pub const $name: Kind = Kind { id: $id, level: Level::$level, summary: $summary };)*

        /// Every reason.
        pub const REASONS: &[&Kind] = &[$(&$name),*];
    };
}

/// What only an answer about each stream and consumer shows.
pub const OF_STREAMS: &[&Kind] = &[&STREAM_WITHOUT_LEADER, &STREAM_REPLICAS_MISSING, &STREAM_REPLICA_LAGGING, &CONSUMER_WITHOUT_LEADER];

reasons! {
    NOT_USABLE = "NotUsable", Critical, "the controller's conditions keep pipelines from using the service; its message says why";
    NOT_CARRIED_OUT = "NotCarriedOut", Warning, "the last change of the spec is not carried out, yet or because it was refused";
    CONTROLLER_SAYS = "ControllerSays", Warning, "what the controller says of an external Redis, which it asks and the plugin does not";
    NOT_LOOKED_AT = "NotLookedAt", Unknown, "the service is of a type whose servers this release does not ask";
    NOT_MADE = "NotMade", Critical, "there is no StatefulSet: no controller has made the servers, or somebody deleted it";
    PODS_UNKNOWN = "PodsUnknown", Unknown, "the pods could not be listed; a permission or the network is missing";
    QUORUM_LOST = "QuorumLost", Critical, "fewer pods are ready than a majority: nothing can be written";
    SERVERS_MISSING = "ServersMissing", Warning, "a majority of the pods is ready, but not all: a further loss may stop the service";

    POD_MISSING = "PodMissing", Warning, "a pod does not exist; see the events of the StatefulSet";
    POD_STOPPING = "PodStopping", Warning, "a pod is being stopped, for a restart, a roll or a node that is drained";
    POD_UNSCHEDULABLE = "PodUnschedulable", Warning, "no node takes a pod; the scheduler's words say what is missing";
    POD_PENDING = "PodPending", Warning, "a pod has its node, and its volume, image or containers are not there yet";
    POD_NOT_READY = "PodNotReady", Warning, "a pod runs and does not pass its readiness probe, or has ended";
    // From here to `PodError`: a warning where it is a sidecar, which the server does without.
    POD_CRASH_LOOP = "PodCrashLoopBackOff", Critical, "a container ends again and again; see its previous log";
    POD_IMAGE_PULL_BACK_OFF = "PodImagePullBackOff", Critical, "an image cannot be pulled, and the kubelet waits before it tries again";
    POD_ERR_IMAGE_PULL = "PodErrImagePull", Critical, "an image cannot be pulled; check its name and the pull secret";
    POD_CONTAINER_CONFIG = "PodCreateContainerConfigError", Critical, "a container names a Secret, ConfigMap or key that does not exist";
    POD_CONTAINER = "PodCreateContainerError", Critical, "the container runtime refuses to make a container";
    POD_IMAGE_NAME = "PodInvalidImageName", Critical, "the name of an image is not one";
    POD_IMAGE_NEVER_PULL = "PodErrImageNeverPull", Critical, "an image is not on the node, and its pull policy is Never";
    POD_REGISTRY = "PodRegistryUnavailable", Critical, "the registry of an image does not answer";
    POD_RUN = "PodRunContainerError", Critical, "the container runtime cannot start a container";
    POD_ERROR = "PodError", Critical, "a container has ended with an error and was not started again yet";
    POD_RECENT_RESTART = "PodRecentRestart", Warning, "a container was started again within the last two minutes";
    ROLL_UNFINISHED = "RollUnfinished", Warning, "the last change of the StatefulSet has not reached every pod";
    IMAGE_NOT_WANTED = "ImageNotWanted", Warning, "a pod runs the server from another image than the StatefulSet names";

    SERVERS_NOT_ASKED = "ServersNotAsked", Unknown, "nobody asked the servers (--via none): pods alone do not tell whether streams can be written";
    NO_SERVER_ANSWERS = "NoServerAnswers", Unknown, "pods are ready, and no server answers on its monitoring port: it is not known how they are";
    SERVER_SILENT = "ServerSilent", Warning, "one server with a ready pod does not answer on its monitoring port";
    NO_META_LEADER = "NoMetaLeader", Critical, "no majority of the servers knows the same meta leader: no stream can be made or moved";
    META_LEADER_UNKNOWN = "MetaLeaderUnknown", Unknown, "too few servers answered to tell whether a majority agrees on a meta leader";
    META_SIZE = "MetaSize", Warning, "the meta group counts another number of servers than the service has; a removed one may still count";
    PEER_OFFLINE = "PeerOffline", Warning, "the meta leader has lost a server";
    PEER_LAGGING = "PeerLagging", Warning, "a server has not yet received all that the meta leader has";
    JETSTREAM_OFF = "JetStreamOff", Critical, "a server runs without JetStream";
    JETSTREAM_DISABLED = "JetStreamDisabled", Critical, "a server turned JetStream off by itself, usually because its disk was full; it needs a restart";
    SERVER_UNWELL = "ServerUnwell", Warning, "a server's own full health check fails, in its own words";
    ROUTES_MISSING = "RoutesMissing", Warning, "a server has no route to another one that is ready; look at the network and at cluster TLS";
    VERSIONS_DIFFER = "VersionsDiffer", Warning, "servers run different versions of NATS; this is meant to be so only during an upgrade";
    CONFIG_NOT_LOADED = "ConfigNotLoaded", Warning, "a server runs with other values than its ConfigMap holds: not reloaded yet, or it takes a restart";

    CERTIFICATE_EXPIRED = "CertificateExpired", Critical, "a certificate has expired: new connections fail";
    CERTIFICATE_EXPIRING = "CertificateExpiring", Warning, "a certificate expires within 30 days; critical within 7";

    STREAM_WITHOUT_LEADER = "StreamWithoutLeader", Critical, "no server leads a stream: it can be neither written nor read";
    STREAM_REPLICAS_MISSING = "StreamReplicasMissing", Warning, "a stream has fewer replicas than it asks for";
    STREAM_REPLICA_LAGGING = "StreamReplicaLagging", Warning, "a replica of a stream is offline or has not yet received everything";
    CONSUMER_WITHOUT_LEADER = "ConsumerWithoutLeader", Critical, "no server leads a consumer: its stream is written and never read";

    STORE_FULL = "StoreFull", Warning, "a server uses more than 75 % of its file store; critical beyond 90 %";
    VOLUME_FULL = "VolumeFull", Warning, "a server's messages take more than 75 % of its volume; critical beyond 90 %";
    VOLUME_LOST = "VolumeLost", Critical, "the volume of a claim is gone, and what was on it";

    REDIS_NOT_ASKED = "RedisNotAsked", Unknown, "the controller does not ask an external Redis, and so does not know how it is; its condition says why";
    REDIS_NO_SECRET = "RedisNoSecret", Warning, "the Secret of an external Redis, or its key, is not there";
    REDIS_WRONG_PASSWORD = "RedisWrongPassword", Warning, "an external Redis refuses user and password, or the lack of them";
    REDIS_UNREACHABLE = "RedisUnreachable", Warning, "no address of an external Redis answers the controller";
    REDIS_NO_CLUSTER = "RedisNoCluster", Warning, "an external Redis is given as a cluster and is none";
    REDIS_IS_CLUSTER = "RedisIsCluster", Warning, "an external Redis is a cluster and is not given as one";
    REDIS_CLUSTER_DOWN = "RedisClusterDown", Warning, "an external Redis Cluster says that it serves no requests";
    REDIS_NO_MASTER = "RedisNoMaster", Warning, "the Sentinels of an external Redis know no master of the given name";
}

/// The nine waiting reasons of Numaflow's contract: a container with one of them will not come up by itself.
const WAITING: [&Kind; 9] = [
    &POD_CRASH_LOOP,
    &POD_IMAGE_PULL_BACK_OFF,
    &POD_ERR_IMAGE_PULL,
    &POD_CONTAINER_CONFIG,
    &POD_CONTAINER,
    &POD_IMAGE_NAME,
    &POD_IMAGE_NEVER_PULL,
    &POD_REGISTRY,
    &POD_RUN,
];

/// The reason that a kubelet's waiting reason stands for; `None` for one that passes, such as `ContainerCreating`.
pub(super) fn waiting(reason: &str) -> Option<&'static Kind> {
    WAITING.into_iter().find(|kind| kind.id.strip_prefix("Pod") == Some(reason))
}

impl Reason {
    /// A reason of this kind, at its own level.
    pub fn new(kind: &Kind, message: &str) -> Self {
        Self { id: kind.id, level: kind.level, message: bounded(message) }
    }
}

/// Reasons as they are found.
#[derive(Default)]
pub(super) struct Found(Vec<Reason>);

impl Found {
    pub(super) fn push(&mut self, kind: &Kind, message: &str) {
        self.0.push(Reason::new(kind, message));
    }

    pub(super) fn push_at(&mut self, kind: &Kind, level: Level, message: &str) {
        self.0.push(Reason { level, ..Reason::new(kind, message) });
    }

    /// Worst first; within a level, in the order in which they were found.
    pub(super) fn sorted(mut self) -> Vec<Reason> {
        self.0.sort_by_key(|reason| std::cmp::Reverse(reason.level));
        self.0.truncate(limits::REASONS);
        self.0
    }
}

/// One line of at most [`limits::REASON`] bytes.
fn bounded(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > limits::REASON {
        let mut end = limits::REASON - '…'.len_utf8();
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Names in a line, a few of them: how many there are moves, and the status would be written with each move.
pub(super) fn few<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<_> = names.by_ref().take(limits::REASON_NAMES).collect();
    format!("{}{}", shown.join(", "), if names.next().is_some() { " and others" } else { "" })
}
