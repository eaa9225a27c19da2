//! Passwords, keys and certificates: which are missing. Whoever calls the planner draws exactly those (`crate::apply::material`), tests pass fixed
//! ones, and `render` and `diff` pass [`Material::placeholders`].

use crate::observed::Observed;

use super::Input;

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
        let pair = || Some(CertificatePair { certificate: PLACEHOLDER.to_owned(), key: PLACEHOLDER.to_owned(), authority: PLACEHOLDER.to_owned() });
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
