use serde::Serialize;

/// The service in a few lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
// Each is a question of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct Summary {
    /// `jetstream` or `redis`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Version as the spec names it.
    pub version: Option<String>,
    /// Image that the `StatefulSet` names for the server.
    pub image: Option<String>,
    /// `status.phase`.
    pub phase: Option<String>,
    /// `status.message`.
    pub message: Option<String>,
    /// Whether Numaflow lets pipelines use it.
    pub usable: bool,
    /// Servers asked for.
    pub servers: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Generation of the spec.
    pub generation: Option<i64>,
    /// Generation that the controller carried out last.
    pub observed_generation: Option<i64>,
    /// Where clients connect.
    pub url: Option<String>,
    /// How clients find an external Redis: `single`, `sentinel` or `cluster`; `None` of a service that runs here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<&'static str>,
    /// TLS between servers and to clients.
    pub tls: bool,
    /// Encryption at rest.
    pub encryption: bool,
    /// Volumes; `None` where messages live and die with the pods.
    pub volume: Option<Volume>,
    /// Controller instance, where it has a name.
    pub instance: Option<String>,
    /// Whether the controller leaves it alone.
    pub paused: bool,
    /// When it was created.
    pub created_at: Option<jiff::Timestamp>,
    /// When its deletion was asked for.
    pub deleting_since: Option<jiff::Timestamp>,
}

/// Volumes as the spec asks for them, with defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Size of each.
    pub size: String,
    /// Access mode.
    pub access_mode: String,
    /// Storage class; `None` for the cluster's default.
    pub storage_class: Option<String>,
}

/// A condition of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// In words.
    pub message: String,
    /// When it came to be so.
    pub since: jiff::Timestamp,
}

/// Use of a store, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// In use.
    pub used: u64,
    /// At most.
    pub max: i64,
}

/// One server with its pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerRow {
    /// Name of the pod, which is the server's.
    pub pod: String,
    /// `leader` or `follower` of the meta layer, `single`; `None` where it is not known.
    pub role: Option<String>,
    /// What the pod is doing: `Running`, `Pending`, a reason such as `CrashLoopBackOff`, or `Missing`.
    pub state: String,
    /// Whether the pod is ready.
    pub ready: bool,
    /// Containers that are ready.
    pub containers_ready: usize,
    /// Containers.
    pub containers: usize,
    /// Restarts of all containers.
    pub restarts: i32,
    /// Node that it runs on.
    pub node: Option<String>,
    /// Address of the pod.
    pub ip: Option<String>,
    /// Version that the server says it is.
    pub version: Option<String>,
    /// Client connections.
    pub connections: Option<u64>,
    /// Memory in use, bytes.
    pub memory: Option<u64>,
    /// CPU in use, percent of a core.
    pub cpu: Option<f64>,
    /// File store of `JetStream`.
    pub disk: Option<Disk>,
    /// Streams on it.
    pub streams: Option<u64>,
    /// Consumers on it.
    pub consumers: Option<u64>,
    /// Most entries that it has still to receive, of the meta layer and of any stream.
    pub lag: Option<u64>,
    /// Clients cut off because they read too slowly.
    pub slow_consumers: Option<u64>,
    /// What its own health check says where it is not ok.
    pub unhealthy: Option<String>,
    /// Why it could not be asked.
    pub silent: Option<String>,
    /// When the pod was made.
    pub created_at: Option<jiff::Timestamp>,
}

/// The meta layer, which knows where streams are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The leader on which a quorum agrees.
    pub leader: Option<String>,
    /// Servers that count, as the leader says.
    pub size: Option<u64>,
    /// Entries that the leader has still to apply.
    pub pending: Option<u64>,
    /// The other servers, as the leader sees them.
    pub peers: Vec<MetaPeer>,
}

/// A server as the meta leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetaPeer {
    /// Its name.
    pub name: String,
    /// Whether it has everything.
    pub current: bool,
    /// Whether it is thought to be gone.
    pub offline: bool,
    /// Entries that it has still to receive.
    pub lag: u64,
    /// Nanoseconds since it was heard last.
    pub seen_nanoseconds: u64,
}

/// A volume claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Name of the claim.
    pub claim: String,
    /// `Bound`, `Pending` or `Lost`.
    pub status: String,
    /// Size that it has.
    pub capacity: Option<String>,
    /// Size that is asked for.
    pub requested: Option<String>,
    /// Storage class.
    pub storage_class: Option<String>,
    /// Name of the volume.
    pub volume: Option<String>,
    /// Bytes of it that `JetStream` uses, where its server answered.
    pub used: Option<u64>,
}

/// A Pipeline that uses the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// Events about the service and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EventCounts {
    /// That tell of something ordinary.
    pub normal: usize,
    /// That somebody should look at.
    pub warning: usize,
    /// The latest, newest first.
    pub latest: Vec<EventLine>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventLine {
    /// When it happened last.
    pub last: Option<jiff::Timestamp>,
    /// How often.
    pub count: i32,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    pub type_: String,
    /// One word.
    pub reason: String,
    /// `Kind/name` that it is about.
    pub object: String,
    /// In words.
    pub message: String,
}

/// Something that could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// What: `events`, `pods`, the name of a server.
    pub source: String,
    /// Why.
    pub message: String,
}
