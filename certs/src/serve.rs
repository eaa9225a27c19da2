//! Serving a certificate that is replaced while connections run.

mod pair;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::Facts;
pub use pair::LoadError;
use pair::{Content, Pair};

/// Between two looks at the files, as controller-runtime does. A watch on the files is not enough: kubelet swaps the symbolic link `..data` and writes
/// to none of them.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What a look at the files gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The files say what is already served.
    Unchanged,
    /// This pair is served from now on.
    Loaded(Facts),
    /// The files cannot be used; what was served before still is.
    Failed {
        /// Why.
        error: LoadError,
        /// The last look failed in the same way, so it has been said.
        repeated: bool,
    },
}

/// A certificate and its key, read from two files and swapped as a pair. Give it to rustls as the resolver of a server.
pub struct CertificateReloader {
    certificate: PathBuf,
    key: PathBuf,
    served: ArcSwapOption<Pair>,
    last_error: Mutex<Option<LoadError>>,
}

/// Shows the files and what is known of the certificate.
impl std::fmt::Debug for CertificateReloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateReloader").field("certificate", &self.certificate).field("facts", &self.facts()).finish_non_exhaustive()
    }
}

impl CertificateReloader {
    /// Names the files: the certificate with its chain, and the key, both PEM. Nothing is read yet.
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into(), served: ArcSwapOption::empty(), last_error: Mutex::new(None) }
    }

    /// Looks at the files once. Blocks for as long as reading two small files takes.
    pub fn reload(&self, now: Timestamp) -> Reload {
        let outcome = self.load(now);
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(reload) => {
                *last = None;
                reload
            }
            Err(error) => {
                let repeated = last.as_ref() == Some(&error);
                *last = Some(error.clone());
                Reload::Failed { error, repeated }
            }
        }
    }

    fn load(&self, now: Timestamp) -> Result<Reload, LoadError> {
        let content = Content::read(&self.certificate, &self.key)?;
        let hash = content.hash();
        if self.served.load().as_ref().is_some_and(|pair| pair.hash == hash) {
            return Ok(Reload::Unchanged);
        }
        let pair = content.into_pair(hash, now)?;
        let facts = pair.facts.clone();
        self.served.store(Some(Arc::new(pair)));
        Ok(Reload::Loaded(facts))
    }

    /// Looks at the files every [`LOOK_EVERY`] and reports each look, until dropped.
    pub async fn run(self: Arc<Self>, mut report: impl FnMut(Reload)) {
        let mut timer = tokio::time::interval(LOOK_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            let reloader = Arc::clone(&self);
            // A mount can hang; the threads that serve must not hang with it.
            if let Ok(reload) = tokio::task::spawn_blocking(move || reloader.reload(Timestamp::now())).await {
                report(reload);
            }
        }
    }

    /// What is served; nothing before a pair was loaded.
    pub fn facts(&self) -> Option<Facts> {
        self.served.load().as_ref().map(|pair| pair.facts.clone())
    }

    /// Whether a certificate is served that clients take at this moment.
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.served.load().as_ref().is_some_and(|pair| pair.facts.is_valid(now))
    }
}

impl ResolvesServerCert for CertificateReloader {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.served.load().as_ref().map(|pair| Arc::clone(&pair.certified))
    }
}

#[cfg(test)]
#[cfg(feature = "issue")]
mod tests;
