use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What one NATS server says of itself on its monitoring port (`/varz`, `/jsz`, `/healthz`, `/routez`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// `server_name`, which is the pod's name.
    pub name: String,
    /// `version`, such as `2.12.7`.
    pub version: String,
    /// Client connections.
    pub connections: u64,
    /// Resident memory, bytes.
    pub memory: u64,
    /// CPU, percent of one core.
    pub cpu: f64,
    /// Clients that were cut off because they read too slowly, since the start.
    pub slow_consumers: u64,
    /// When the configuration was loaded last, as the server writes it (RFC 3339).
    pub config_load_time: Option<String>,
    /// Digest of the loaded configuration; from NATS 2.11. It covers what the environment puts in, so no two servers have the same.
    pub config_digest: Option<String>,
    /// Largest message that is taken, bytes; `None` where the server does not say.
    pub max_payload: Option<i64>,
    /// When the certificate that it shows clients ends; from NATS 2.11.12 and 2.12.4, and only with TLS.
    pub certificate_ends: Option<jiff::Timestamp>,
    /// When the certificate that it shows other servers ends; as above.
    pub cluster_certificate_ends: Option<jiff::Timestamp>,
    /// Names of the servers that this one has a route to, each once.
    pub routes: BTreeSet<String>,
    /// The full health check.
    pub healthz: Healthz,
    /// `None` where the server runs without `JetStream`.
    pub jetstream: Option<JetStream>,
}

/// Answer of `/healthz`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthz {
    /// Whether it is `ok`.
    pub ok: bool,
    /// The server's own words where it is not.
    pub error: Option<String>,
}

/// `JetStream` on one server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JetStream {
    /// Whether the server turned it off by itself, for instance because its disk was full.
    pub disabled: bool,
    /// Memory store in use, bytes.
    pub memory: u64,
    /// Memory store at most, bytes.
    pub max_memory: i64,
    /// File store in use, bytes.
    pub storage: u64,
    /// File store at most, bytes.
    pub max_storage: i64,
    /// Streams on this server.
    pub streams: u64,
    /// Consumers on this server.
    pub consumers: u64,
    /// Messages on this server.
    pub messages: u64,
    /// API requests since the start.
    pub api_total: u64,
    /// API requests that failed since the start.
    pub api_errors: u64,
    /// Raft groups on this server.
    pub ha_assets: u64,
    /// The cluster of servers; `None` for a single server.
    pub meta: Option<Meta>,
    /// Streams with their replicas, as far as this server knows them; only where they were asked for.
    pub stream_details: Vec<Stream>,
}

/// The meta layer as one server sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// Server name of the meta leader; `None` while there is none.
    pub leader: Option<String>,
    /// Servers that count.
    pub size: u64,
    /// Entries that this server has still to apply.
    pub pending: u64,
    /// The other servers; only the leader knows them.
    pub peers: Vec<Peer>,
}

/// A member of a raft group, as its leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Server name.
    pub name: String,
    /// Whether it has everything.
    pub current: bool,
    /// Whether the leader thinks that it is gone.
    pub offline: bool,
    /// Nanoseconds since it was heard last.
    pub active: u64,
    /// Entries that it has still to receive.
    pub lag: u64,
}

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Name.
    pub name: String,
    /// Server name of its leader; `None` while there is none.
    pub leader: Option<String>,
    /// Replicas asked for.
    pub replicas: u64,
    /// The other replicas; only the leader knows them.
    pub peers: Vec<Peer>,
    /// Messages in it.
    pub messages: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Its consumers.
    pub consumers: Vec<Consumer>,
}

/// A consumer of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Consumer {
    /// Name.
    pub name: String,
    /// Server name of its leader; `None` while there is none.
    pub leader: Option<String>,
    /// Messages not delivered yet.
    pub pending: u64,
    /// Messages delivered and not acknowledged yet.
    pub ack_pending: u64,
    /// Messages delivered more than once.
    pub redelivered: u64,
}
