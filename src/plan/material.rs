//! Passwords, keys and certificates: which are missing. Whoever calls the planner draws exactly those (`crate::apply::material`), tests pass fixed
//! ones, and `render` and `diff` pass [`Material::placeholders`].

use crate::observed::{Fact, Observed};

use super::{Input, jetstream};

/// Something that must be drawn at random or issued before the plan can make a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// User for clients: 8 characters.
    ClientUser,
    /// Password for clients: 16 characters.
    ClientPassword,
    /// Password of the system account's user: 24 characters.
    SystemPassword,
    /// Encryption key: 12 characters, the first one a letter (NATS reads digits with a size suffix as a number).
    EncryptionKey,
    /// Certificate, key and authority for clients: DNS names of the Service.
    ServerCertificate,
    /// Certificate, key and authority for servers: wildcard DNS names below the Service, server and client usage.
    ClusterCertificate,
}

/// What is missing and may be drawn. Empty for a service that is being deleted, is not of `JetStream`, or whose Secrets were not read; and where
/// something was lost that a new one cannot take the place of.
pub fn needs(input: &Input<'_>, observed: &Observed) -> Vec<Need> {
    let (Fact::Known(server), Fact::Known(client)) = (&observed.server_secret, &observed.client_secret) else { return Vec::new() };
    let deleting = input.service.metadata.deletion_timestamp.is_some();
    if deleting || super::reconcile::effective_jetstream(input, observed).is_none() || lost(input, observed).is_some() {
        return Vec::new();
    }
    jetstream::needs(server.as_ref(), client.as_ref())
}

/// What was lost that a new one cannot take the place of, or is there and of no use, in words that say what to do; `None` where nothing was.
pub(super) fn lost(input: &Input<'_>, observed: &Observed) -> Option<String> {
    let spec = super::reconcile::effective_jetstream(input, observed)?;
    let (Fact::Known(server), Fact::Known(client)) = (&observed.server_secret, &observed.client_secret) else { return None };
    let (server, client) = (server.as_ref(), client.as_ref());
    let name = crate::api::names::server_secret(input.service.name());
    if jetstream::unreadable_users(server, client) {
        return Some(format!("the users in Secret {name} (key auth) cannot be read; put the Secret back from a backup"));
    }
    // Where it is not known whether something is stored, something may be.
    let stored =
        observed.stateful_set.known().is_none_or(Option::is_some) || observed.claims.known().is_none_or(|claims| !claims.is_empty());
    let key = crate::api::names::server_secret_key::ENCRYPTION;
    if stored && spec.encrypted() && !jetstream::present(server, key) {
        return Some(format!(
            "the encryption key (Secret {name}, key {key}) is gone while stored messages may need it; put the Secret back from a backup, or delete the \
             service to give the messages up"
        ));
    }
    if spec.encrypted() && jetstream::key_is_no_text(server) {
        return Some(format!(
            "the encryption key (Secret {name}, key {key}) is a number to NATS, or another word of its own, and no server starts with it; write it in \
             double quotes there"
        ));
    }
    // New certificates come from a new authority, which the servers that run would not trust.
    let running = observed.stateful_set.known().is_none_or(Option::is_some);
    let whole = jetstream::SERVER_PAIR.iter().chain(&jetstream::CLUSTER_PAIR).all(|key| jetstream::present(server, key));
    if running && spec.tls_enabled() && !whole {
        return Some(format!("a certificate in Secret {name} is gone while servers run with it; put the Secret back from a backup"));
    }
    None
}

/// A certificate with its key and authority, each PEM.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CertificatePair {
    /// Certificate.
    pub certificate: String,
    /// PKCS#8 key.
    pub key: String,
    /// Certificate of the authority.
    pub authority: String,
}

/// What was drawn. No `Debug`: it holds secrets (law *secret-silence*).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Material {
    /// For [`Need::ClientUser`].
    pub client_user: Option<String>,
    /// For [`Need::ClientPassword`].
    pub client_password: Option<String>,
    /// For [`Need::SystemPassword`].
    pub system_password: Option<String>,
    /// For [`Need::EncryptionKey`].
    pub encryption_key: Option<String>,
    /// For [`Need::ServerCertificate`].
    pub server_certificate: Option<CertificatePair>,
    /// For [`Need::ClusterCertificate`].
    pub cluster_certificate: Option<CertificatePair>,
}

/// What stands in the place of a secret that would be drawn.
pub const PLACEHOLDER: &str = "<generated>";

impl Material {
    /// Words instead of secrets, for `render`, `diff` and `--dry-run`.
    pub fn placeholders() -> Self {
        let word = || Some(PLACEHOLDER.to_owned());
        let pair = || {
            Some(CertificatePair { certificate: PLACEHOLDER.to_owned(), key: PLACEHOLDER.to_owned(), authority: PLACEHOLDER.to_owned() })
        };
        Self {
            client_user: word(),
            client_password: word(),
            system_password: word(),
            encryption_key: word(),
            server_certificate: pair(),
            cluster_certificate: pair(),
        }
    }
}
