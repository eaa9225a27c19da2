use std::collections::{BTreeMap, BTreeSet};

use super::reasons::{self, Found, few};
use crate::observed::{Server, Stream};

/// What the servers together know of their streams. One server alone may not know a leader, or that of a moment ago: only what none of them knows is
/// not there.
pub(super) fn about(servers: &[&Server], found: &mut Found) {
    let mut led: BTreeMap<&str, bool> = BTreeMap::new();
    let mut consumers: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    let mut short: BTreeSet<&str> = BTreeSet::new();
    let mut behind: BTreeMap<(&str, bool), BTreeSet<&str>> = BTreeMap::new();
    for server in servers {
        let Some(jetstream) = &server.jetstream else { continue };
        for stream in &jetstream.stream_details {
            *led.entry(&stream.name).or_default() |= stream.leader.is_some();
            for consumer in &stream.consumers {
                *consumers.entry((&stream.name, &consumer.name)).or_default() |= consumer.leader.is_some();
            }
            if stream.leader.as_ref() == Some(&server.name) && jetstream.meta.is_some() {
                about_replicas(stream, &mut short, &mut behind);
            }
        }
    }
    let leaderless: Vec<_> = led.iter().filter(|(_, led)| !**led).map(|(name, _)| *name).collect();
    if !leaderless.is_empty() {
        found.push(&reasons::STREAM_WITHOUT_LEADER, &format!("streams without a leader: {}", few(leaderless)));
    }
    // Where a stream has no leader, its consumers have none either, which is no further news.
    let dead: BTreeSet<&str> = consumers
        .iter()
        .filter(|((stream, _), alive)| !**alive && led.get(stream).copied().unwrap_or(false))
        .map(|((stream, _), _)| *stream)
        .collect();
    if !dead.is_empty() {
        found.push(&reasons::CONSUMER_WITHOUT_LEADER, &format!("streams with a consumer without a leader: {}", few(dead)));
    }
    if !short.is_empty() {
        found.push(&reasons::STREAM_REPLICAS_MISSING, &format!("streams with fewer replicas than they ask for: {}", few(short)));
    }
    for ((peer, offline), names) in behind {
        let state = if offline { "offline" } else { "not current" };
        found.push(&reasons::STREAM_REPLICA_LAGGING, &format!("streams whose replica on {peer} is {state}: {}", few(names)));
    }
}

fn about_replicas<'a>(stream: &'a Stream, short: &mut BTreeSet<&'a str>, behind: &mut BTreeMap<(&'a str, bool), BTreeSet<&'a str>>) {
    if (stream.peers.len() as u64) + 1 < stream.replicas {
        short.insert(&stream.name);
    }
    for peer in stream.peers.iter().filter(|peer| peer.offline || !peer.current) {
        behind.entry((&peer.name, peer.offline)).or_default().insert(&stream.name);
    }
}
