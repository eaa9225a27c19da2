use std::time::Duration;

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::Facts;
use crate::facts::certificates;

/// Keys of the Secret.
pub mod key {
    /// Certificate of the authority that signs.
    pub const AUTHORITY: &str = "ca.crt";
    /// Key of that authority. Nobody but the writer of the Secret reads it.
    pub const AUTHORITY_KEY: &str = "ca.key";
    /// Certificates of authorities that are still trusted; absent where there are none.
    pub const PREVIOUS: &str = "previous-ca.crt";
    /// Certificate that servers show (the key of a Secret of type `kubernetes.io/tls`).
    pub const LEAF: &str = "tls.crt";
    /// Its key.
    pub const LEAF_KEY: &str = "tls.key";
}

/// What there is now. Empty stands for absent: a Secret that was made again empty and one that never was are the same to us.
#[derive(Clone, Copy, Default)]
pub struct Held<'a> {
    /// Content of [`key::AUTHORITY`].
    pub authority: &'a [u8],
    /// Content of [`key::AUTHORITY_KEY`].
    pub authority_key: &'a [u8],
    /// Content of [`key::PREVIOUS`].
    pub previous: &'a [u8],
    /// Content of [`key::LEAF`].
    pub leaf: &'a [u8],
    /// Content of [`key::LEAF_KEY`].
    pub leaf_key: &'a [u8],
    /// What clients trust at this moment (the `caBundle` of the webhook configurations, PEM); read only where an authority has to be made.
    pub published: &'a [u8],
}

/// Shows what is there, and nothing of it.
impl std::fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("authority", &!self.authority.is_empty()).field("leaf", &!self.leaf.is_empty()).finish_non_exhaustive()
    }
}

impl<'a> Held<'a> {
    /// Takes it from a Secret's data, asked key by key, and from what is published.
    pub fn read(get: impl Fn(&str) -> Option<&'a [u8]>, published: &'a [u8]) -> Self {
        let get = |key| get(key).unwrap_or_default();
        Self {
            authority: get(key::AUTHORITY),
            authority_key: get(key::AUTHORITY_KEY),
            previous: get(key::PREVIOUS),
            leaf: get(key::LEAF),
            leaf_key: get(key::LEAF_KEY),
            published,
        }
    }
}

/// A certificate that clients trust.
pub(super) struct Trusted {
    /// Its own PEM block, with a newline at the end.
    pub(super) pem: String,
    /// Its binary form.
    pub(super) der: Vec<u8>,
}

impl Trusted {
    /// Whether it has signed this leaf (PEM).
    pub(super) fn has_signed(&self, leaf: &[u8]) -> bool {
        let Some(leaf) = certificates(leaf).next() else { return false };
        let (Ok((_, root)), Ok((_, leaf))) = (X509Certificate::from_der(&self.der), X509Certificate::from_der(&leaf.contents)) else {
            return false;
        };
        leaf.issuer() == root.subject() && leaf.verify_signature(Some(root.public_key())).is_ok()
    }
}

/// The authorities in a PEM text that have not ended. What cannot be read is left out: it could not make a client trust anything.
pub(super) fn trusted(pem: &[u8], now: Timestamp) -> Vec<Trusted> {
    blocks(text(pem))
        .into_iter()
        .filter_map(|pem| {
            let der = certificates(pem.as_bytes()).next()?.contents;
            let (_, certificate) = X509Certificate::from_der(&der).ok()?;
            let ended = Facts::of(&certificate).ok()?.not_after <= now;
            (certificate.is_ca() && !ended).then(|| Trusted { pem, der: der.clone() })
        })
        .collect()
}

/// Cuts a PEM text into its certificates, each as it stands.
fn blocks(text: &str) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let Some((body, after)) = after.split_once(END) else { break };
        blocks.push(format!("{BEGIN}{body}{END}\n"));
        rest = after;
    }
    blocks
}

/// PEM is ASCII; anything else is as good as nothing.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

pub(super) fn ending_in_newline(pem: &str) -> String {
    format!("{}\n", pem.trim_end())
}

pub(super) fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}
