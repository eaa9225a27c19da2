//! Draws the passwords and keys and issues the certificates that [`crate::plan::needs`] names, and no others.

use std::time::Duration;

use isbsvc_certs::issue::{IssueError, LeafRequest, Usage, authority};
use jiff::Timestamp;
use rand::distr::{Alphabetic, Alphanumeric, Distribution};
use rand::rngs::ThreadRng;

use crate::api::names;
use crate::plan::material::{CertificatePair, Material, Need};

/// Lifetime of the certificates of a service: 10 years, as Numaflow issues them (`pkg/reconciler/isbsvc/installer/jetstream.go`). Rotation is a
/// state machine of its own; until a service has it, a short life would be an outage with a date.
const LIFETIME: Duration = Duration::from_hours(24 * 3650);

/// Common name of both authorities.
const AUTHORITY: &str = "io.numaproj isbsvc";

/// Draws what is needed, from the operating system's randomness by way of a generator that is fit for keys.
pub fn draw(needs: &[Need], service: &str, namespace: &str, now: Timestamp) -> Result<Material, IssueError> {
    let random = &mut rand::rng();
    let mut material = Material::default();
    for need in needs {
        match need {
            Need::ClientUser => material.client_user = Some(word(random, 8)),
            Need::ClientPassword => material.client_password = Some(word(random, 16)),
            Need::SystemPassword => material.system_password = Some(word(random, 24)),
            Need::EncryptionKey => material.encryption_key = Some(format!("{}{}", letter(random), word(random, 11))),
            Need::ServerCertificate => {
                material.server_certificate = Some(pair(&server_names(service, namespace), &[Usage::Server], now)?);
            }
            Need::ClusterCertificate => {
                material.cluster_certificate = Some(pair(&cluster_names(service, namespace), &[Usage::Server, Usage::Client], now)?);
            }
        }
    }
    Ok(material)
}

fn word(random: &mut ThreadRng, length: usize) -> String {
    Alphanumeric.sample_iter(random).take(length).map(char::from).collect()
}

/// NATS reads `JS_KEY` as a value of its configuration, where digits with a suffix such as `12k` are a number.
fn letter(random: &mut ThreadRng) -> char {
    char::from(Alphabetic.sample(random))
}

/// Clients reach the Service, and whichever server it or NATS itself sends them to.
fn server_names(service: &str, namespace: &str) -> Vec<String> {
    let host = format!("{}.{namespace}.svc", names::service(service));
    vec![host.clone(), format!("{host}.cluster.local"), format!("*.{host}"), format!("*.{host}.cluster.local")]
}

/// Servers reach one another by the names of their pods.
fn cluster_names(service: &str, namespace: &str) -> Vec<String> {
    let host = format!("{}.{namespace}.svc", names::service(service));
    vec![format!("*.{host}"), format!("*.{host}.cluster.local")]
}

fn pair(dns_names: &[String], usages: &[Usage], now: Timestamp) -> Result<CertificatePair, IssueError> {
    let authority = authority(AUTHORITY, now, LIFETIME)?;
    let leaf = authority.leaf(&LeafRequest { common_name: "isbsvc", dns_names, usages, lifetime: LIFETIME }, now)?;
    Ok(CertificatePair { certificate: leaf.certificate_pem, key: leaf.key_pem, authority: authority.certificate_pem().to_owned() })
}

#[cfg(test)]
mod tests {
    use isbsvc_certs::Facts;

    use super::*;

    const ALL: [Need; 6] = [
        Need::ClientUser,
        Need::ClientPassword,
        Need::SystemPassword,
        Need::EncryptionKey,
        Need::ServerCertificate,
        Need::ClusterCertificate,
    ];

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn exactly_what_is_needed_is_drawn() {
        let material = draw(&[Need::SystemPassword], "default", "pl", now()).unwrap();
        assert!(material == Material { system_password: material.system_password.clone(), ..Material::default() });
        assert_eq!(material.system_password.unwrap().len(), 24);
    }

    #[test]
    fn keys_have_their_lengths_and_never_repeat() {
        for _ in 0..200 {
            let needs = &ALL[..4];
            let (one, other) = (draw(needs, "default", "pl", now()).unwrap(), draw(needs, "default", "pl", now()).unwrap());
            let key = one.encryption_key.clone().unwrap();
            assert_eq!(key.len(), 12);
            assert!(key.starts_with(|first: char| first.is_ascii_alphabetic()));
            assert!(key.chars().all(|one| one.is_ascii_alphanumeric()));
            assert_eq!((one.client_user.clone().unwrap().len(), one.client_password.clone().unwrap().len()), (8, 16));
            assert!(one.encryption_key != other.encryption_key && one.client_password != other.client_password);
        }
    }

    #[test]
    fn certificates_name_the_service_and_its_pods() {
        let material = draw(&ALL, "default", "pl", now()).unwrap();
        let names = |pair: &Option<CertificatePair>| Facts::read(pair.as_ref().unwrap().certificate.as_bytes()).unwrap().dns_names;
        assert_eq!(
            names(&material.server_certificate),
            [
                "isbsvc-default-js-svc.pl.svc",
                "isbsvc-default-js-svc.pl.svc.cluster.local",
                "*.isbsvc-default-js-svc.pl.svc",
                "*.isbsvc-default-js-svc.pl.svc.cluster.local"
            ]
        );
        assert_eq!(
            names(&material.cluster_certificate),
            ["*.isbsvc-default-js-svc.pl.svc", "*.isbsvc-default-js-svc.pl.svc.cluster.local"]
        );
        let (server, cluster) = (material.server_certificate.unwrap(), material.cluster_certificate.unwrap());
        assert!(server.authority != cluster.authority, "clients and servers trust different authorities");
        assert!(Facts::read(server.certificate.as_bytes()).unwrap().days_left(now()) >= 3649);
    }

    #[test]
    fn the_longest_names_are_issued() {
        let (service, namespace) = ("s".repeat(crate::limits::JETSTREAM_NAME), "n".repeat(63));
        assert!(draw(&ALL, &service, &namespace, now()).is_ok());
    }
}
