use std::time::Duration;

/// What a leaf may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Answers connections.
    Server,
    /// Opens connections.
    Client,
}

/// The leaf that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct LeafRequest<'a> {
    /// Common name, 1 to 64 characters; clients read the DNS names, people read this.
    pub common_name: &'a str,
    /// DNS names that the server is reached by; `*` may stand for the first label.
    pub dns_names: &'a [String],
    /// At least one.
    pub usages: &'a [Usage],
    /// How long it is valid; never longer than its authority.
    pub lifetime: Duration,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate, PEM.
    pub certificate_pem: String,
    /// The key, PKCS#8 PEM. Secret.
    pub key_pem: String,
}

/// Shows what may be shown, which is not the key.
impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}
