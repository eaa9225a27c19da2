use std::collections::{BTreeMap, BTreeSet};

use isbsvc_certs::Facts;
use jiff::{SignedDuration, Timestamp};

use super::Level;
use super::reasons::{self, Found, few};
use crate::api::names::{self, server_secret_key as key};
use crate::limits;
use crate::observed::{Observed, Server};

/// Certificates of the Secret, and whom they stand for. No key is read.
const IN_SECRET: [(&str, &str); 4] = [
    (key::CERT, "the certificate for clients"),
    (key::CA_CERT, "the authority of the certificate for clients"),
    (key::CLUSTER_CERT, "the certificate for servers"),
    (key::CLUSTER_CA_CERT, "the authority of the certificate for servers"),
];

/// Certificates that servers run with (as they say themselves, from NATS 2.11.12 and 2.12.4), and those that they will run with after a restart. One that
/// cannot be read is not judged here: the server that is given it says so.
pub(super) fn about(service: &str, observed: &Observed, servers: &[&Server], now: Timestamp, found: &mut Found) {
    let mut ends: BTreeMap<(Timestamp, &str), BTreeSet<String>> = BTreeMap::new();
    for server in servers {
        let own = [(IN_SECRET[0].1, server.certificate_ends), (IN_SECRET[2].1, server.cluster_certificate_ends)];
        for (what, end) in own.into_iter().filter_map(|(what, end)| Some((what, end?))) {
            ends.entry((end, what)).or_default().insert(server.name.clone());
        }
    }
    let data = observed.server_secret.known().and_then(Option::as_ref).and_then(|secret| secret.data.as_ref());
    for (key, what) in IN_SECRET {
        if let Some(facts) = data.and_then(|data| data.get(key)).and_then(|pem| Facts::read(&pem.0).ok()) {
            ends.entry((facts.not_after, what)).or_default().insert(format!("Secret {}", names::server_secret(service)));
        }
    }
    for ((end, what), places) in ends {
        let places = few(places.iter().map(String::as_str));
        let left = end.duration_since(now);
        let within = |limit| SignedDuration::try_from(limit).is_ok_and(|limit: SignedDuration| left <= limit);
        if left <= SignedDuration::ZERO {
            found.push(&reasons::CERTIFICATE_EXPIRED, &format!("{what} has expired on {end} ({places})"));
        } else if within(limits::CERTIFICATE_CRITICAL) {
            found.push_at(&reasons::CERTIFICATE_EXPIRING, Level::Critical, &format!("{what} expires on {end} ({places})"));
        } else if within(limits::CERTIFICATE_WARNING) {
            found.push(&reasons::CERTIFICATE_EXPIRING, &format!("{what} expires on {end} ({places})"));
        }
    }
}
