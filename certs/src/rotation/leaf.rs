use std::collections::BTreeSet;

use jiff::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::held::{Held, Trusted, text};
use crate::Facts;
use crate::facts::certificates;

/// Whether the leaf goes on serving.
pub(super) enum Verdict {
    Keep { facts: Facts, look_again_at: Timestamp },
    Replace { reason: String },
}

/// When a leaf is renewed: after two thirds of its life, as cert-manager does.
pub(super) fn due(facts: &Facts) -> Timestamp {
    let life = facts.not_after.duration_since(facts.not_before).unsigned_abs();
    super::held::earlier(facts.not_after, life / 3)
}

/// Judges the leaf that is held. `settled_at` is the moment from which the authority may sign.
pub(super) fn judge(
    held: &Held<'_>,
    dns_names: &[String],
    own: &[Trusted],
    previous: &[Trusted],
    settled_at: Timestamp,
    now: Timestamp,
) -> Verdict {
    let facts = match sound(held, dns_names, now) {
        Ok(facts) => facts,
        Err(reason) => return Verdict::Replace { reason },
    };
    let signed = |trusted: &[Trusted]| trusted.iter().any(|one| one.has_signed(held.leaf));
    if signed(own) {
        let due = due(&facts);
        return if due <= now {
            Verdict::Replace { reason: format!("two thirds of the certificate's life have passed (it ends at {})", facts.not_after) }
        } else {
            Verdict::Keep { facts, look_again_at: due }
        };
    }
    if !signed(previous) {
        return Verdict::Replace { reason: "the certificate was signed by nobody who is trusted".to_owned() };
    }
    // It moves once every client has had time to learn of the new authority, unless it would end before.
    if settled_at <= now || facts.not_after <= settled_at {
        return Verdict::Replace { reason: "the certificate moves to the new authority".to_owned() };
    }
    Verdict::Keep { facts, look_again_at: settled_at }
}

/// Reads the leaf, or says what is wrong with it.
fn sound(held: &Held<'_>, dns_names: &[String], now: Timestamp) -> Result<Facts, String> {
    if held.leaf.is_empty() && held.leaf_key.is_empty() {
        return Err("there was no certificate".to_owned());
    }
    let unreadable = |what: &dyn std::fmt::Display| format!("the certificate {what}");
    let block = certificates(held.leaf).next().ok_or_else(|| unreadable(&crate::ReadError::NoCertificate))?;
    let (_, certificate) = X509Certificate::from_der(&block.contents).map_err(|_| unreadable(&crate::ReadError::Malformed))?;
    let facts = Facts::of(&certificate).map_err(|error| unreadable(&error))?;
    let key = KeyPair::from_pem(text(held.leaf_key)).map_err(|_| "the certificate's key is no private key in PEM".to_owned())?;
    if certificate.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
        return Err("the certificate and its key are not a pair".to_owned());
    }
    if !facts.is_valid(now) {
        return Err(format!("the certificate is valid from {} to {} only", facts.not_before, facts.not_after));
    }
    let (has, wants): (BTreeSet<_>, BTreeSet<_>) = (facts.dns_names.iter().collect(), dns_names.iter().collect());
    if has != wants {
        let names = facts.dns_names.join(", ");
        return Err(format!("the certificate stands for other names ({names})"));
    }
    if !certificate.extended_key_usage().is_ok_and(|usage| usage.is_some_and(|usage| usage.value.server_auth)) {
        return Err("the certificate is not one of a server".to_owned());
    }
    Ok(facts)
}
