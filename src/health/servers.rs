use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::Level;
use super::reasons::{self, Found, few};
use crate::api::names;
use crate::controller_config::{NatsSize, quantity_bytes};
use crate::observed::{Fact, JetStream, Meta, Observed, Server};

/// Part of a store in use from which a person should look, percent (natscli's own warning level).
const STORE_WARNING: u64 = 75;
/// And from which writes are about to stop, percent (natscli's own critical level).
const STORE_CRITICAL: u64 = 90;

/// Servers whose pods are ready, and that do not say anything.
pub(super) fn silent(ready: &[&String], observed: &Observed, found: &mut Found) {
    if ready.is_empty() {
        return;
    }
    if observed.servers.is_empty() {
        found.push(&reasons::SERVERS_NOT_ASKED, "the servers were not asked");
        return;
    }
    let answer = |name: &String| observed.servers.get(name);
    if observed.servers.values().all(|server| server.known().is_none()) {
        found.push(&reasons::NO_SERVER_ANSWERS, "no server answers on its monitoring port; how they are is not known");
    }
    for name in ready {
        match answer(name) {
            Some(Fact::Known(_)) => {}
            Some(Fact::Unknown(why)) => found.push(&reasons::SERVER_SILENT, why),
            None => found.push(&reasons::SERVER_SILENT, &format!("pod {name} is ready and could not be asked: it has no address yet")),
        }
    }
}

/// The leader on which a quorum of the servers agrees, by each server's own words. `silent` servers have a ready pod and said nothing: they may agree.
pub(super) fn leader(servers: &[&Server], wanted: i32, silent: usize, found: &mut Found) -> Option<String> {
    let mut enabled = servers.iter().filter(|server| server.jetstream.as_ref().is_some_and(|jetstream| !jetstream.disabled));
    if wanted == 1 {
        return enabled.next().map(|server| server.name.clone());
    }
    let mut votes: BTreeMap<&str, i32> = BTreeMap::new();
    for server in enabled {
        if let Some(leader) = server.jetstream.as_ref().and_then(|jetstream| jetstream.meta.as_ref()?.leader.as_deref()) {
            *votes.entry(leader).or_default() += 1;
        }
    }
    let agreed = votes.iter().find(|(_, votes)| **votes > wanted / 2).map(|(leader, _)| (*leader).to_owned());
    if agreed.is_none() && !servers.is_empty() {
        let seen: Vec<_> = votes.iter().map(|(leader, votes)| format!("{leader} by {votes}")).collect();
        let words = if seen.is_empty() { "no server that answered knows one".to_owned() } else { few(seen.iter().map(String::as_str)) };
        let most = votes.values().copied().max().unwrap_or(0);
        let words = format!("{words}; {} of {wanted} answered", servers.len());
        if i32::try_from(silent).is_ok_and(|silent| most + silent > wanted / 2) {
            found.push(&reasons::META_LEADER_UNKNOWN, &format!("whether the servers agree on a meta leader is not known: {words}"));
        } else {
            found.push(&reasons::NO_META_LEADER, &format!("the servers agree on no meta leader: {words}"));
        }
    }
    agreed
}

/// What one server says. `ready` are the servers whose pods are ready: that the others are not there is told of their pods.
pub(super) fn about(server: &Server, wanted: i32, ready: &[&String], found: &mut Found) {
    let name = &server.name;
    let Some(jetstream) = &server.jetstream else {
        found.push(&reasons::JETSTREAM_OFF, &format!("server {name} runs without JetStream"));
        return;
    };
    if jetstream.disabled {
        found.push(&reasons::JETSTREAM_DISABLED, &format!("server {name} turned JetStream off, usually because its disk was full"));
    }
    if let (false, Some(error)) = (server.healthz.ok, &server.healthz.error) {
        found.push(&reasons::SERVER_UNWELL, &format!("server {name}: {error}"));
    }
    let missing: Vec<_> =
        ready.iter().map(|other| other.as_str()).filter(|other| *other != name && !server.routes.contains(*other)).collect();
    if wanted > 1 && !missing.is_empty() {
        found.push(&reasons::ROUTES_MISSING, &format!("server {name} has no route to {}", few(missing)));
    }
    if let Some(meta) = &jetstream.meta {
        about_meta(name, meta, wanted, found);
    }
}

/// Whether a server says that it holds everything, and the meta leader that its peers do.
pub(super) fn is_current(server: &Server) -> bool {
    let Some(jetstream) = &server.jetstream else { return false };
    // A server's own health check is well for a moment before it begins to catch up (nats-server issue 4875); who leads a stream knows better.
    let streams = jetstream.stream_details.iter().flat_map(|stream| &stream.peers);
    let mut peers = jetstream.meta.iter().flat_map(|meta| &meta.peers).chain(streams);
    server.healthz.ok && !jetstream.disabled && peers.all(|peer| peer.current && !peer.offline)
}

fn about_meta(server: &str, meta: &Meta, wanted: i32, found: &mut Found) {
    if meta.size != 0 && i32::try_from(meta.size).is_ok_and(|size| size != wanted) {
        found.push(&reasons::META_SIZE, &format!("server {server} counts {} servers in the meta group, not {wanted}", meta.size));
    }
    for peer in &meta.peers {
        if peer.offline {
            found.push(&reasons::PEER_OFFLINE, &format!("meta peer {} is offline", peer.name));
        } else if !peer.current {
            found.push(&reasons::PEER_LAGGING, &format!("meta peer {} is not current", peer.name));
        }
    }
}

pub(super) fn versions(servers: &[&Server], found: &mut Found) {
    let versions: BTreeSet<&str> = servers.iter().map(|server| server.version.as_str()).collect();
    if versions.len() > 1 {
        found.push(&reasons::VERSIONS_DIFFER, &format!("servers run different versions: {}", few(versions)));
    }
}

/// How full the stores are. The bound that was passed is told and not the figure: a status that moves with each message would be written at each look.
pub(super) fn stores(service: &str, servers: &[&Server], observed: &Observed, found: &mut Found) {
    let claims = observed.claims.known().map(Vec::as_slice).unwrap_or_default();
    for claim in claims {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        if claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") {
            found.push(&reasons::VOLUME_LOST, &format!("the volume of claim {name} is gone"));
        }
    }
    for server in servers {
        let Some(jetstream) = &server.jetstream else { continue };
        let (name, limit) = (&server.name, u64::try_from(jetstream.max_storage).ok().filter(|limit| *limit > 0));
        let claim_name = format!("{}-{name}", names::claim_template(service));
        let volume = claims.iter().find(|claim| claim.metadata.name.as_ref() == Some(&claim_name)).and_then(capacity);
        if let Some((bound, level)) = limit.and_then(|limit| passed(jetstream, limit)) {
            found.push_at(&reasons::STORE_FULL, level, &format!("server {name} uses more than {bound} % of its file store"));
        }
        // Below the store's own limit, the volume is what ends first.
        if let Some((bound, level)) =
            volume.filter(|volume| limit.is_none_or(|limit| *volume < limit)).and_then(|volume| passed(jetstream, volume))
        {
            found.push_at(&reasons::VOLUME_FULL, level, &format!("server {name} uses more than {bound} % of its volume"));
        }
    }
}

fn capacity(claim: &PersistentVolumeClaim) -> Option<u64> {
    quantity_bytes(&claim.status.as_ref()?.capacity.as_ref()?.get("storage")?.0)
}

fn passed(jetstream: &JetStream, limit: u64) -> Option<(u64, Level)> {
    let percent = jetstream.storage.saturating_mul(100).checked_div(limit)?;
    [(STORE_CRITICAL, Level::Critical), (STORE_WARNING, Level::Warning)].into_iter().find(|(bound, _)| percent >= *bound)
}

/// Servers that run with other values than the `ConfigMap` holds. Digests cannot be compared: they cover each pod's own name, and passwords.
pub(super) fn config(servers: &[&Server], observed: &Observed, found: &mut Found) {
    let map = observed.config_map.known().and_then(Option::as_ref).and_then(|map| map.data.as_ref());
    let Some(text) = map.and_then(|data| data.get(names::CONFIG_KEY)) else { return };
    for server in servers {
        let store = server.jetstream.as_ref().map(|jetstream| jetstream.max_storage);
        for (setting, runs) in [("max_payload", server.max_payload), ("max_file_store", store)] {
            let Some(held) = NatsSize::configured(text, setting) else { continue };
            // Not positive means "as the server finds fit", and that is what it then says.
            if let Some(runs) = runs.filter(|runs| *runs > 0 && held.bytes > 0 && *runs != held.bytes) {
                let name = &server.name;
                found.push(
                    &reasons::CONFIG_NOT_LOADED,
                    &format!("server {name} runs with {setting} {runs}, its ConfigMap says {}", held.text),
                );
            }
        }
    }
}
