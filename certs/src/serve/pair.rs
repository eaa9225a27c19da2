use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use crate::{Facts, ReadError};

/// Largest file that is read, bytes: a Secret holds no more (API server, `MaxSecretSize`).
const FILE: u64 = 1024 * 1024;
/// Most swaps that are followed within one look.
const SWAPS: usize = 3;

/// Why a pair could not be loaded. It never holds what the files say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The file is not there (yet).
    #[error("{} is not there yet", .0.display())]
    Absent(PathBuf),
    /// The file cannot be read.
    #[error("{} cannot be read: {kind}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        kind: io::ErrorKind,
    },
    /// The file is larger than a Secret can be.
    #[error("{} is larger than 1 MiB, so it is no certificate or key", .0.display())]
    TooLarge(PathBuf),
    /// The file holds no certificate.
    #[error("{} {error}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ReadError,
    },
    /// The file holds no key that we can use.
    #[error("{} holds no private key in PEM (PKCS#8, SEC1 or PKCS#1) that can be used", .0.display())]
    Key(PathBuf),
    /// The two files belong to different pairs.
    #[error("{} and {} are not a pair", certificate.display(), key.display())]
    Mismatch {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// Clients would refuse it at this moment.
    #[error("{} is valid from {from} to {to} only", path.display())]
    NotValid {
        /// The file.
        path: PathBuf,
        /// Begin.
        from: Timestamp,
        /// End.
        to: Timestamp,
    },
}

impl LoadError {
    /// Whether waiting can help: the files come, the clock goes on. Anything else is a mistake of a person or a program.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Absent(_) | Self::NotValid { .. })
    }
}

/// What the two files say.
pub(super) struct Content<'a> {
    certificate_path: &'a Path,
    key_path: &'a Path,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A pair that is served.
pub(super) struct Pair {
    pub(super) hash: [u8; 32],
    pub(super) facts: Facts,
    pub(super) certified: Arc<CertifiedKey>,
}

impl<'a> Content<'a> {
    /// Reads both files. Where the directory is swapped between the two reads, it reads again; a pair that never stands still is found not to match,
    /// and the next look tries anew.
    pub(super) fn read(certificate_path: &'a Path, key_path: &'a Path) -> Result<Self, LoadError> {
        let mut certificate = read(certificate_path)?;
        let mut key = read(key_path)?;
        for _ in 0..SWAPS {
            let again = read(certificate_path)?;
            if again == certificate {
                break;
            }
            (certificate, key) = (again, read(key_path)?);
        }
        Ok(Self { certificate_path, key_path, certificate, key })
    }

    /// Of all bytes: a chain whose middle alone changed is a new pair as well.
    pub(super) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update((self.certificate.len() as u64).to_be_bytes());
        hash.update(&self.certificate);
        hash.update(&self.key);
        hash.finalize().into()
    }

    /// Makes a pair that fits and that clients take at this moment.
    pub(super) fn into_pair(self, hash: [u8; 32], now: Timestamp) -> Result<Pair, LoadError> {
        let wrong = |error| LoadError::Certificate { path: self.certificate_path.to_owned(), error };
        let facts = Facts::read(&self.certificate).map_err(wrong)?;
        let chain =
            CertificateDer::pem_slice_iter(&self.certificate).collect::<Result<Vec<_>, _>>().map_err(|_| wrong(ReadError::Malformed))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| LoadError::Key(self.key_path.to_owned()))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                LoadError::Mismatch { certificate: self.certificate_path.to_owned(), key: self.key_path.to_owned() }
            }
            _ => LoadError::Key(self.key_path.to_owned()),
        })?;
        if !facts.is_valid(now) {
            return Err(LoadError::NotValid { path: self.certificate_path.to_owned(), from: facts.not_before, to: facts.not_after });
        }
        Ok(Pair { hash, facts, certified: Arc::new(certified) })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => LoadError::Absent(path.to_owned()),
        kind => LoadError::Unreadable { path: path.to_owned(), kind },
    };
    let mut content = Vec::new();
    File::open(path).map_err(failed)?.take(FILE + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > FILE {
        return Err(LoadError::TooLarge(path.to_owned()));
    }
    Ok(content)
}
