use std::collections::BTreeMap;

use isbsvc::observed::{Observed, Stream};
use serde::Serialize;

/// All streams of a service in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Streams {
    /// How many there are, buckets included.
    pub total: u64,
    /// Messages in them.
    pub messages: u64,
    /// Bytes in them, one replica of each.
    pub bytes: u64,
    /// Names of those without a leader.
    pub without_leader: Vec<String>,
    /// Names of those with a replica that has not everything.
    pub behind: Vec<String>,
    /// Consumers of them.
    pub consumers: u64,
    /// Messages not delivered yet.
    pub pending: u64,
    /// Messages delivered and not acknowledged yet.
    pub ack_pending: u64,
    /// Messages delivered more than once.
    pub redelivered: u64,
}

/// Every stream once, as its leader tells it; where no leader told, as anybody did.
pub(super) fn each(observed: &Observed) -> BTreeMap<&str, &Stream> {
    let mut streams = BTreeMap::new();
    for (server, fact) in &observed.servers {
        let Some(jetstream) = fact.known().and_then(|server| server.jetstream.as_ref()) else { continue };
        for stream in &jetstream.stream_details {
            let is_leader = stream.leader.as_deref() == Some(server.as_str());
            let known = streams.entry(stream.name.as_str()).or_insert(stream);
            if is_leader {
                *known = stream;
            }
        }
    }
    streams
}

impl Streams {
    /// The roll-up; `None` where no server answered.
    pub fn roll_up(observed: &Observed) -> Option<Self> {
        let answered = observed.servers.values().any(|fact| fact.known().is_some_and(|server| server.jetstream.is_some()));
        if !answered {
            return None;
        }
        let mut sum = Self::default();
        for (name, stream) in each(observed) {
            sum.total += 1;
            sum.messages += stream.messages;
            sum.bytes += stream.bytes;
            if stream.leader.is_none() {
                sum.without_leader.push(name.to_owned());
            }
            if stream.peers.iter().any(|peer| !peer.current || peer.offline) {
                sum.behind.push(name.to_owned());
            }
            for consumer in &stream.consumers {
                sum.consumers += 1;
                sum.pending += consumer.pending;
                sum.ack_pending += consumer.ack_pending;
                sum.redelivered += consumer.redelivered;
            }
        }
        Some(sum)
    }
}
