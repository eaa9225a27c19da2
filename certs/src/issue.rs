//! Making certificates: an authority, and the leaves that it signs.
//!
//! Keys are ECDSA P-256: made in microseconds, and a handshake costs a third of an RSA one (rustls performance report 2026-03-07).

mod authority;
mod leaf;

use std::time::Duration;

use jiff::Timestamp;
use rcgen::CertificateParams;

pub use authority::{Authority, authority, authority_from_key};
pub use leaf::{Leaf, LeafRequest, Usage};

/// How far two clocks may be apart without any harm: each a day off, in opposite directions. Nobody notices a wrong date for longer.
pub const CLOCKS_APART: Duration = Duration::from_hours(2 * 24);
/// How far a certificate is dated back, so that a client whose clock is behind takes it at once, and another rotator whose clock is behind does not take
/// it for one that nobody can use yet.
pub const DATED_BACK: Duration = CLOCKS_APART.saturating_add(Duration::from_hours(1));
/// Longest common name, characters (RFC 5280, `ub-common-name`).
pub const COMMON_NAME: usize = 64;

/// Why a certificate could not be made or loaded. It never holds key material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The common name is empty or too long.
    #[error("common name \"{0}\" must have 1 to {COMMON_NAME} characters")]
    CommonName(String),
    /// Not a name that a certificate can carry.
    #[error("\"{0}\" is no DNS name; use ASCII letters, digits, dots and hyphens")]
    DnsName(String),
    /// A leaf without a use serves nobody.
    #[error("the leaf \"{0}\" names no usage; ask for server, client or both")]
    NoUsage(String),
    /// The moment cannot be written into a certificate.
    #[error("{0} is outside of the time that a certificate can carry")]
    Time(Timestamp),
    /// The authority's certificate cannot be read.
    #[error("the authority's certificate {0}")]
    Certificate(#[from] crate::ReadError),
    /// The certificate is not one of an authority.
    #[error("the certificate is not one of an authority (basic constraints say no CA)")]
    NoAuthority,
    /// The key cannot be read.
    #[error("the key is no private key in PEM (PKCS#8)")]
    Key,
    /// Key and certificate are not a pair.
    #[error("the key does not belong to the certificate")]
    Mismatch,
    /// The authority has ended, so nothing that it signs would be taken.
    #[error("the authority ended at {0}; make a new one")]
    Ended(Timestamp),
    /// The cryptographic library refused.
    #[error("making the certificate failed: {0}")]
    Library(String),
}

impl From<rcgen::Error> for IssueError {
    fn from(error: rcgen::Error) -> Self {
        Self::Library(error.to_string())
    }
}

/// What authority and leaf have in common: name and validity. The library's types of time end here.
fn parameters(common_name: &str, not_before: Timestamp, not_after: Timestamp) -> Result<CertificateParams, IssueError> {
    if common_name.is_empty() || common_name.chars().count() > COMMON_NAME {
        return Err(IssueError::CommonName(common_name.to_owned()));
    }
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let moment = |at: Timestamp| {
        // The years that X.509 itself can carry; beyond them the library's sum would panic.
        let seconds = u64::try_from(at.as_second()).ok().filter(|seconds| *seconds < 253_402_300_800).ok_or(IssueError::Time(at))?;
        Ok::<_, IssueError>(epoch + Duration::from_secs(seconds))
    };
    let mut parameters = CertificateParams::default();
    parameters.not_before = moment(not_before)?;
    parameters.not_after = moment(not_after)?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

/// Moves a moment; stops at the ends of time: a lifetime without end is one until the year 9999 (RFC 5280, 4.1.2.5).
fn shift(at: Timestamp, by: Duration, later: bool) -> Timestamp {
    let moved = if later { at.checked_add(by) } else { at.checked_sub(by) };
    moved.unwrap_or(if later { Timestamp::MAX } else { Timestamp::MIN })
}
