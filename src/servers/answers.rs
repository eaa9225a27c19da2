use std::collections::BTreeSet;

use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::Questions;
use super::exchange::{Answer, AskError};
use crate::observed::{Consumer, Healthz, JetStream, Meta, Peer, Server, Stream};

/// Puts one server together from its answers. What a release does not write is empty or 0 (fields since NATS 2.8).
pub(super) fn server(
    varz: &Bytes,
    jsz: &Answer,
    routez: &Bytes,
    healthz: &Result<Answer, AskError>,
    questions: Questions,
) -> Result<Server, AskError> {
    let varz: Varz = read("/varz", varz)?;
    let routez: Routez = read("/routez", routez)?;
    let jetstream = match jsz.status {
        // A server that was built or started without it has no such page.
        404 => None,
        200 => Some(jetstream(read::<Jsz>("/jsz", &jsz.body)?, &varz.server_name, questions)),
        status => return Err(AskError::Status { path: "/jsz".to_owned(), status }),
    };
    Ok(Server {
        routes: routez.routes.into_iter().map(|route| route.remote_name).filter(|name| !name.is_empty()).collect::<BTreeSet<_>>(),
        healthz: health(healthz),
        jetstream,
        name: varz.server_name,
        version: varz.version,
        connections: varz.connections,
        memory: varz.mem,
        cpu: varz.cpu,
        slow_consumers: varz.slow_consumers,
        config_load_time: filled(varz.config_load_time),
        config_digest: filled(varz.config_digest),
        max_payload: (varz.max_payload > 0).then_some(varz.max_payload),
        certificate_ends: moment(&varz.tls_cert_not_after),
        cluster_certificate_ends: moment(&varz.cluster.tls_cert_not_after),
    })
}

/// `/healthz` answers 200 with `{"status":"ok"}`, or another status with `status` and `error`; from 2.10 several errors may come as `errors`.
fn health(answer: &Result<Answer, AskError>) -> Healthz {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Healthz { ok: false, error: Some(error.to_string()) },
    };
    let page: HealthzPage = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == 200 && (page.status.is_empty() || page.status == "ok") {
        return Healthz { ok: true, error: None };
    }
    let errors = page.errors.into_iter().map(|error| error.error).filter(|error| !error.is_empty());
    let error = filled(page.error)
        .or_else(|| filled(errors.collect::<Vec<_>>().join("; ")))
        .unwrap_or_else(|| format!("answered {}", answer.status));
    Healthz { ok: false, error: Some(error) }
}

fn jetstream(jsz: Jsz, server: &str, questions: Questions) -> JetStream {
    let clustered = jsz.meta_cluster.is_some();
    let stream_details = if questions.streams {
        let details = jsz.account_details.into_iter().flat_map(|account| account.stream_detail);
        details.map(|detail| stream(detail, server, clustered)).collect()
    } else {
        Vec::new()
    };
    JetStream {
        disabled: jsz.disabled,
        memory: jsz.memory,
        max_memory: jsz.config.max_memory,
        storage: jsz.storage,
        max_storage: jsz.config.max_storage,
        streams: jsz.streams,
        consumers: jsz.consumers,
        messages: jsz.messages,
        api_total: jsz.api.total,
        api_errors: jsz.api.errors,
        ha_assets: jsz.ha_assets,
        meta: jsz.meta_cluster.map(|meta| Meta {
            peers: peers(&meta, server),
            leader: filled(meta.leader),
            size: meta.cluster_size,
            pending: meta.pending,
        }),
        stream_details,
    }
}

fn stream(detail: StreamDetail, server: &str, clustered: bool) -> Stream {
    let group = Raft::of(detail.cluster, server, clustered);
    Stream {
        name: detail.name,
        peers: peers(&group, server),
        leader: filled(group.leader),
        replicas: detail.config.num_replicas,
        messages: detail.state.messages,
        bytes: detail.state.bytes,
        consumers: detail.consumer_detail.into_iter().map(|consumer| self::consumer(consumer, server, clustered)).collect(),
    }
}

fn consumer(detail: ConsumerDetail, server: &str, clustered: bool) -> Consumer {
    Consumer {
        name: detail.name,
        leader: filled(Raft::of(detail.cluster, server, clustered).leader),
        pending: detail.num_pending,
        ack_pending: detail.num_ack_pending,
        redelivered: detail.num_redelivered,
    }
}

/// The other members as their leader sees them. A follower lists them as well, but says of each that it is not current: that is not known, not bad.
fn peers(group: &Raft, server: &str) -> Vec<Peer> {
    if group.leader != server {
        return Vec::new();
    }
    let peers = group.replicas.iter();
    peers
        .map(|peer| Peer {
            name: peer.name.clone(),
            current: peer.current,
            offline: peer.offline,
            active: u64::try_from(peer.active).unwrap_or(0),
            lag: peer.lag,
        })
        .collect()
}

fn read<T: DeserializeOwned>(path: &str, body: &Bytes) -> Result<T, AskError> {
    let deserializer = &mut serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(deserializer)
        .map_err(|error| AskError::Unreadable { path: path.to_owned(), why: format!("{}: {}", error.path(), error.inner()) })
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A time as Go writes it; its zero time, the first year, means none.
fn moment(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok().filter(|moment: &jiff::Timestamp| moment.as_second() > 0)
}

/// Go writes an empty list or a missing object as `null`.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

// The parts of the pages that we read; names and meanings as in
// https://github.com/nats-io/nats-server/blob/v2.12.7/server/monitor.go.

#[derive(Default, Deserialize)]
#[serde(default)]
struct Varz {
    server_name: String,
    version: String,
    connections: u64,
    mem: u64,
    cpu: f64,
    slow_consumers: u64,
    config_load_time: String,
    config_digest: String,
    max_payload: i64,
    tls_cert_not_after: String,
    #[serde(deserialize_with = "or_default")]
    cluster: VarzCluster,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct VarzCluster {
    tls_cert_not_after: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Routez {
    #[serde(deserialize_with = "or_default")]
    routes: Vec<Route>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Route {
    remote_name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HealthzPage {
    status: String,
    error: String,
    #[serde(deserialize_with = "or_default")]
    errors: Vec<HealthzError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HealthzError {
    error: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Jsz {
    disabled: bool,
    memory: u64,
    storage: u64,
    #[serde(deserialize_with = "or_default")]
    config: JszConfig,
    streams: u64,
    consumers: u64,
    messages: u64,
    ha_assets: u64,
    #[serde(deserialize_with = "or_default")]
    api: JszApi,
    meta_cluster: Option<Raft>,
    #[serde(deserialize_with = "or_default")]
    account_details: Vec<AccountDetail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JszConfig {
    max_memory: i64,
    max_storage: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JszApi {
    total: u64,
    errors: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AccountDetail {
    #[serde(deserialize_with = "or_default")]
    stream_detail: Vec<StreamDetail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StreamDetail {
    name: String,
    cluster: Option<Raft>,
    #[serde(deserialize_with = "or_default")]
    config: StreamConfig,
    #[serde(deserialize_with = "or_default")]
    state: StreamState,
    #[serde(deserialize_with = "or_default")]
    consumer_detail: Vec<ConsumerDetail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StreamConfig {
    num_replicas: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StreamState {
    messages: u64,
    bytes: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConsumerDetail {
    name: String,
    cluster: Option<Raft>,
    num_pending: u64,
    num_ack_pending: u64,
    num_redelivered: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raft {
    leader: String,
    cluster_size: u64,
    pending: u64,
    #[serde(deserialize_with = "or_default")]
    replicas: Vec<RaftPeer>,
}

impl Raft {
    /// A server without a cluster leads all that it has, and says so only in part.
    fn of(group: Option<Self>, server: &str, clustered: bool) -> Self {
        group.unwrap_or_else(|| Self { leader: if clustered { String::new() } else { server.to_owned() }, ..Self::default() })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RaftPeer {
    name: String,
    current: bool,
    offline: bool,
    active: i64,
    lag: u64,
}

#[cfg(test)]
mod tests;
