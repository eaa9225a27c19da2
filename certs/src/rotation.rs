//! When the certificate of a server of ours is made anew, and what clients trust meanwhile: the decision alone, which whoever writes the Secret
//! carries out.
//!
//! One Secret holds it all ([`Held`]). A new authority comes in three looks, each of which survives a crash before the next, because where it
//! stands is read from the certificates' own dates:
//!
//! 1. The new authority is made; the leaf of the old one goes on serving; clients trust both.
//! 2. After [`SETTLE`] the leaf moves to the new authority; clients trust both.
//! 3. After [`MOVED`] the old authority is dropped.
//!
//! So there is no moment in which a server shows a leaf that a client does not trust, in whatever order Secret and `caBundle` are written.

mod held;
mod leaf;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::Facts;
use crate::issue::{self, Authority, CLOCKS_APART, DATED_BACK, IssueError, LeafRequest, Usage};
pub use held::{Held, key};
use held::{Trusted, trusted};

/// Ten years. A shorter life would protect nothing (who can read the old key in the Secret can read the new one), and each change opens a new pool
/// of connections in every API server.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);
/// A year before its end an authority is renewed: four times the life of a leaf, so that no leaf is ever cut short by it.
pub const AUTHORITY_RENEW_BEFORE: Duration = Duration::from_hours(365 * 24);
/// Ninety days, renewed after sixty: a controller that is away for a month does no harm.
pub const LEAF_LIFETIME: Duration = Duration::from_hours(90 * 24);
/// How long a new authority is trusted before it signs: an hour, within which every API server has long seen the new `caBundle`, also where whoever looks
/// next has another clock.
pub const SETTLE: Duration = CLOCKS_APART.saturating_add(Duration::from_hours(1));
/// How long an old authority is trusted after the last leaf moved: a day, because kubelet brings a Secret to a running pod in about two minutes, to one on a
/// node that was away for a day in a day; by whatever clock.
pub const MOVED: Duration = CLOCKS_APART.saturating_add(Duration::from_hours(24));
/// Most old authorities that are kept; more are never needed, and a bundle of strangers shall not grow.
pub const PREVIOUS: usize = 4;

/// What the server shall be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Common name of the authority.
    pub authority_name: &'a str,
    /// Common name of the leaf.
    pub leaf_name: &'a str,
    /// DNS names by which clients reach the server, such as `isbsvc-webhook.numaflow-system.svc`.
    pub dns_names: &'a [String],
}

/// What follows from what the Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing has to be written into the Secret.
    Keep {
        /// What clients shall trust: PEM, the authority first.
        ca_bundle: String,
        /// Nothing changes before this moment of the wall clock. Compare with the clock at least every minute: a timer stands still while a machine
        /// is suspended.
        look_again_at: Timestamp,
    },
    /// The Secret's data shall be exactly this; then decide again from it.
    Write {
        /// All keys of the Secret ([`key`]). Holds secrets.
        data: BTreeMap<String, Vec<u8>>,
        /// What clients shall trust: PEM, the authority first. May be written before or after the Secret.
        ca_bundle: String,
        /// Why, for a person.
        reason: String,
    },
}

/// Decides. Keys are drawn only where one has to be made.
pub fn decide(held: &Held<'_>, wanted: &Wanted<'_>, now: Timestamp) -> Result<Decision, IssueError> {
    let mut reasons = Vec::new();
    let mut previous = trusted(held.previous, now);
    let authority = match authority(held, wanted, now)? {
        Chosen::AsItIs(authority) => authority,
        Chosen::New { authority, reason } => {
            reasons.push(reason);
            // What servers still show was signed by one of these; where the Secret was lost, clients themselves know best whom they trusted.
            previous.extend(trusted(held.authority, now));
            previous.extend(trusted(held.published, now));
            authority
        }
    };
    let own = trusted(authority.certificate_pem().as_bytes(), now);
    let settled_at = at(authority.facts()) + SETTLE;

    let leaf = match leaf::judge(held, wanted.dns_names, &own, &previous, settled_at, now) {
        leaf::Verdict::Keep { facts, look_again_at } => Standing { facts, look_again_at, made: None },
        leaf::Verdict::Replace { reason } => {
            reasons.push(reason);
            let request = LeafRequest {
                common_name: wanted.leaf_name,
                dns_names: wanted.dns_names,
                usages: &[Usage::Server],
                lifetime: LEAF_LIFETIME,
            };
            let made = authority.leaf(&request, now)?;
            let facts = Facts::read(made.certificate_pem.as_bytes())?;
            Standing { look_again_at: leaf::due(&facts), facts, made: Some(made) }
        }
    };

    let shown = leaf.made.as_ref().map_or(held.leaf, |made| made.certificate_pem.as_bytes());
    let moved_at = at(&leaf.facts).max(at(authority.facts())) + MOVED;
    let mut needed: Vec<Trusted> = Vec::new();
    for old in previous {
        let double = own.iter().chain(&needed).any(|one| one.der == old.der);
        if !double && needed.len() < PREVIOUS && (now < moved_at || old.has_signed(shown)) {
            needed.push(old);
        }
    }
    if trusted(held.previous, Timestamp::MIN).iter().map(|one| &one.der).ne(needed.iter().map(|one| &one.der)) && reasons.is_empty() {
        reasons.push("an old authority is no longer needed".to_owned());
    }

    let old: String = needed.iter().map(|one| one.pem.as_str()).collect();
    let ca_bundle = format!("{}{old}", held::ending_in_newline(authority.certificate_pem()));
    if reasons.is_empty() {
        let mut look_again_at = leaf.look_again_at.min(authority_due(authority.facts()));
        if !needed.is_empty() && now < moved_at {
            look_again_at = look_again_at.min(moved_at);
        }
        return Ok(Decision::Keep { ca_bundle, look_again_at });
    }
    let (certificate, leaf_key) = match leaf.made {
        Some(made) => (made.certificate_pem.into_bytes(), made.key_pem.into_bytes()),
        None => (held.leaf.to_vec(), held.leaf_key.to_vec()),
    };
    let mut data = BTreeMap::from([
        (key::AUTHORITY.to_owned(), authority.certificate_pem().as_bytes().to_vec()),
        (key::AUTHORITY_KEY.to_owned(), authority.key_pem().into_bytes()),
        (key::LEAF.to_owned(), certificate),
        (key::LEAF_KEY.to_owned(), leaf_key),
    ]);
    if !old.is_empty() {
        data.insert(key::PREVIOUS.to_owned(), old.into_bytes());
    }
    Ok(Decision::Write { data, ca_bundle, reason: reasons.join("; ") })
}

/// The leaf that will be served.
struct Standing {
    facts: Facts,
    look_again_at: Timestamp,
    made: Option<issue::Leaf>,
}

/// The authority that signs from now on.
enum Chosen {
    AsItIs(Authority),
    New { authority: Authority, reason: String },
}

fn authority(held: &Held<'_>, wanted: &Wanted<'_>, now: Timestamp) -> Result<Chosen, IssueError> {
    let (certificate, key) = (held::text(held.authority), held::text(held.authority_key));
    let name = wanted.authority_name;
    let reason = match Authority::load(certificate, key) {
        Ok(authority) if !authority.facts().is_valid(now) => {
            format!("the authority is valid from {} to {} only", authority.facts().not_before, authority.facts().not_after)
        }
        Ok(authority) if authority_due(authority.facts()) <= now => format!("the authority ends at {}", authority.facts().not_after),
        Ok(authority) => return Ok(Chosen::AsItIs(authority)),
        Err(_) if certificate.is_empty() && key.is_empty() => "there was no authority".to_owned(),
        // A lost half is made again from the other half: whatever the key has signed goes on being trusted.
        Err(IssueError::Certificate(_)) => match issue::authority_from_key(name, key, now, AUTHORITY_LIFETIME) {
            Ok(authority) => {
                let reason = "the authority's certificate was lost and is made again from its key".to_owned();
                return Ok(Chosen::New { authority, reason });
            }
            Err(error) => format!("the authority cannot be used: {error}"),
        },
        Err(error) => format!("the authority cannot be used: {error}"),
    };
    Ok(Chosen::New { authority: issue::authority(name, now, AUTHORITY_LIFETIME)?, reason })
}

/// When an authority is renewed. One with a shorter life than ours (somebody's own) is renewed in its last third.
fn authority_due(facts: &Facts) -> Timestamp {
    let life = facts.not_after.duration_since(facts.not_before).unsigned_abs();
    held::earlier(facts.not_after, AUTHORITY_RENEW_BEFORE.min(life / 3))
}

/// When a certificate of ours was made.
fn at(facts: &Facts) -> Timestamp {
    facts.not_before.checked_add(DATED_BACK).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
