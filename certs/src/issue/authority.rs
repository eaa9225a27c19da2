use std::time::Duration;

use jiff::Timestamp;
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{DATED_BACK, IssueError, Leaf, LeafRequest, Usage, parameters, shift};
use crate::Facts;
use crate::facts::{ReadError, certificates};

/// An authority: a self-signed certificate and the key that signs leaves with it.
pub struct Authority {
    certificate_pem: String,
    facts: Facts,
    issuer: Issuer<'static, KeyPair>,
}

/// Shows what may be shown, which is not the key.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// Makes an authority with a new key, valid for `lifetime` from now.
pub fn authority(common_name: &str, now: Timestamp, lifetime: Duration) -> Result<Authority, IssueError> {
    sign_itself(common_name, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?, now, lifetime)
}

/// Makes an authority's certificate anew for a key that is still there (PKCS#8 PEM). With the same common name, what the key has signed before
/// verifies with it.
pub fn authority_from_key(common_name: &str, key_pem: &str, now: Timestamp, lifetime: Duration) -> Result<Authority, IssueError> {
    sign_itself(common_name, KeyPair::from_pem(key_pem).map_err(|_| IssueError::Key)?, now, lifetime)
}

fn sign_itself(common_name: &str, key: KeyPair, now: Timestamp, lifetime: Duration) -> Result<Authority, IssueError> {
    let mut parameters = parameters(common_name, shift(now, DATED_BACK, false), shift(now, lifetime, true))?;
    // It signs leaves and nothing else: no authority below it.
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = parameters.self_signed(&key)?;
    let facts = Facts::read_der(certificate.der())?;
    Ok(Authority { certificate_pem: certificate.pem(), facts, issuer: Issuer::new(parameters, key) })
}

impl Authority {
    /// Loads an authority from its certificate and its key, both PEM, and makes sure that they belong together.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, IssueError> {
        let key = KeyPair::from_pem(key_pem).map_err(|_| IssueError::Key)?;
        let block = certificates(certificate_pem.as_bytes()).next().ok_or(ReadError::NoCertificate)?;
        let (_, certificate) = X509Certificate::from_der(&block.contents).map_err(|_| ReadError::Malformed)?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(IssueError::Mismatch);
        }
        if !certificate.is_ca() {
            return Err(IssueError::NoAuthority);
        }
        let facts = Facts::of(&certificate)?;
        let issuer = Issuer::from_ca_cert_der(&block.contents.clone().into(), key)?;
        Ok(Self { certificate_pem: certificate_pem.to_owned(), facts, issuer })
    }

    /// The certificate, PEM. This is what clients trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key, PKCS#8 PEM. Secret.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Since when and until when it is valid.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Makes a leaf with a new key. It ends with the authority at the latest: what outlives its authority is refused anyway.
    pub fn leaf(&self, request: &LeafRequest<'_>, now: Timestamp) -> Result<Leaf, IssueError> {
        if self.facts.not_after <= now {
            return Err(IssueError::Ended(self.facts.not_after));
        }
        if request.usages.is_empty() {
            return Err(IssueError::NoUsage(request.common_name.to_owned()));
        }
        let not_after = shift(now, request.lifetime, true).min(self.facts.not_after);
        let mut parameters = parameters(request.common_name, shift(now, DATED_BACK, false), not_after)?;
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = request
            .usages
            .iter()
            .map(|usage| match usage {
                Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
                Usage::Client => ExtendedKeyUsagePurpose::ClientAuth,
            })
            .collect();
        for name in request.dns_names {
            let text = name.as_str().try_into().map_err(|_| IssueError::DnsName(name.clone()))?;
            parameters.subject_alt_names.push(rcgen::SanType::DnsName(text));
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Leaf { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn now() -> Timestamp {
        "2026-08-01T12:00:00Z".parse().unwrap()
    }

    fn request(names: &[String]) -> LeafRequest<'_> {
        LeafRequest { common_name: "nats", dns_names: names, usages: &[Usage::Server, Usage::Client], lifetime: 90 * DAY }
    }

    #[test]
    fn a_leaf_carries_its_names_its_uses_and_its_time_and_is_signed_by_the_authority() {
        let authority = authority("ca", now(), 3650 * DAY).unwrap();
        let names = vec!["*.svc.ns.svc".to_owned(), "svc.ns.svc".to_owned()];
        let leaf = authority.leaf(&request(&names), now()).unwrap();
        let facts = Facts::read(leaf.certificate_pem.as_bytes()).unwrap();
        assert_eq!(facts.dns_names, names);
        assert_eq!(facts.not_before, now() - DATED_BACK);
        assert_eq!(facts.not_after, now() + 90 * DAY);

        let (root, leaf) = (der(authority.certificate_pem()), der(&leaf.certificate_pem));
        let (_, root) = X509Certificate::from_der(&root).unwrap();
        let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
        leaf.verify_signature(Some(root.public_key())).unwrap();
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && usage.client_auth && !leaf.is_ca() && root.is_ca());
    }

    fn der(pem: &str) -> Vec<u8> {
        certificates(pem.as_bytes()).next().unwrap().contents
    }

    #[test]
    fn an_authority_comes_back_from_its_texts_and_signs_on() {
        let made = authority("ca", now(), 3650 * DAY).unwrap();
        let loaded = Authority::load(made.certificate_pem(), &made.key_pem()).unwrap();
        assert_eq!(loaded.facts(), made.facts());
        let leaf = loaded.leaf(&request(&["a".to_owned()]), now()).unwrap();
        let (root, leaf) = (der(made.certificate_pem()), der(&leaf.certificate_pem));
        let (_, root) = X509Certificate::from_der(&root).unwrap();
        let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
        leaf.verify_signature(Some(root.public_key())).unwrap();
        assert_eq!(leaf.issuer(), root.subject());
    }

    #[test]
    fn a_foreign_key_a_leaf_and_rubbish_are_no_authority() {
        let (one, two) = (authority("ca", now(), DAY).unwrap(), authority("ca", now(), DAY).unwrap());
        let leaf = one.leaf(&request(&[]), now()).unwrap();
        assert_eq!(Authority::load(one.certificate_pem(), &two.key_pem()).unwrap_err(), IssueError::Mismatch);
        assert_eq!(Authority::load(&leaf.certificate_pem, &leaf.key_pem).unwrap_err(), IssueError::NoAuthority);
        assert_eq!(Authority::load("x", &two.key_pem()).unwrap_err(), IssueError::Certificate(ReadError::NoCertificate));
        assert_eq!(Authority::load(one.certificate_pem(), "x").unwrap_err(), IssueError::Key);
    }

    #[test]
    fn a_leaf_never_outlives_its_authority() {
        let authority = authority("ca", now(), 10 * DAY).unwrap();
        let leaf = authority.leaf(&request(&[]), now() + 4 * DAY).unwrap();
        assert_eq!(Facts::read(leaf.certificate_pem.as_bytes()).unwrap().not_after, authority.facts().not_after);
        assert!(matches!(authority.leaf(&request(&[]), now() + 10 * DAY).unwrap_err(), IssueError::Ended(_)));
    }

    #[test]
    fn what_no_certificate_can_carry_is_refused_with_words() {
        let made = authority("ca", now(), 10 * DAY).unwrap();
        assert!(matches!(made.leaf(&request(&["b\u{fc}ffer".to_owned()]), now()).unwrap_err(), IssueError::DnsName(_)));
        let no_use = LeafRequest { usages: &[], ..request(&[]) };
        assert!(matches!(made.leaf(&no_use, now()).unwrap_err(), IssueError::NoUsage(_)));
        assert!(matches!(authority("", now(), DAY).unwrap_err(), IssueError::CommonName(_)));
        assert!(matches!(authority(&"a".repeat(65), now(), DAY).unwrap_err(), IssueError::CommonName(_)));
        assert!(matches!(authority("ca", Timestamp::MIN, DAY).unwrap_err(), IssueError::Time(_)));
    }

    #[test]
    fn no_debug_text_shows_a_key() {
        let authority = authority("ca", now(), DAY).unwrap();
        let leaf = authority.leaf(&request(&[]), now()).unwrap();
        assert!(!format!("{authority:?} {leaf:?}").contains("PRIVATE KEY"));
    }
}
