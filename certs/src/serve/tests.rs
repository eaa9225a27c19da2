use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::issue::{Authority, LeafRequest, Usage, authority};

const DAY: Duration = Duration::from_hours(24);

fn now() -> Timestamp {
    "2026-08-01T12:00:00Z".parse().unwrap()
}

fn issuer() -> Authority {
    authority("ca", now(), 3650 * DAY).unwrap()
}

/// A directory as kubelet fills it: the files are links into `..data`, which is a link to the directory of the day.
struct Mount {
    directory: tempfile::TempDir,
    generation: u32,
}

impl Mount {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for file in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(file), directory.path().join(file)).unwrap();
        }
        Self { directory, generation: 0 }
    }

    /// Writes a new directory and renames the link onto it, as kubelet's atomic writer does; gives the certificate's serial.
    fn swap(&mut self, certificate: &str, key: &str) {
        self.generation += 1;
        let name = format!("..{}", self.generation);
        let path = self.directory.path();
        fs::create_dir(path.join(&name)).unwrap();
        fs::write(path.join(&name).join("tls.crt"), certificate).unwrap();
        fs::write(path.join(&name).join("tls.key"), key).unwrap();
        symlink(&name, path.join("..data_tmp")).unwrap();
        fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
        if self.generation > 1 {
            fs::remove_dir_all(path.join(format!("..{}", self.generation - 1))).unwrap();
        }
    }

    fn swap_to_leaf_of(&mut self, authority: &Authority, lifetime: Duration) -> String {
        let request = LeafRequest { common_name: "leaf", dns_names: &["localhost".to_owned()], usages: &[Usage::Server], lifetime };
        let leaf = authority.leaf(&request, now()).unwrap();
        self.swap(&leaf.certificate_pem, &leaf.key_pem);
        Facts::read(leaf.certificate_pem.as_bytes()).unwrap().serial
    }

    fn reloader(&self) -> CertificateReloader {
        CertificateReloader::new(self.directory.path().join("tls.crt"), self.directory.path().join("tls.key"))
    }
}

fn serial(reloader: &CertificateReloader) -> String {
    reloader.facts().unwrap().serial
}

#[test]
fn two_swaps_one_after_the_other_are_both_seen() {
    let (mut mount, issuer) = (Mount::new(), issuer());
    let reloader = mount.reloader();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let expected = mount.swap_to_leaf_of(&issuer, 90 * DAY);
        assert!(matches!(reloader.reload(now()), Reload::Loaded(_)));
        assert_eq!(serial(&reloader), expected);
        assert_eq!(reloader.reload(now()), Reload::Unchanged);
        seen.push(expected);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[test]
fn files_that_come_later_are_waited_for() {
    let mut mount = Mount::new();
    let reloader = mount.reloader();
    assert!(matches!(reloader.reload(now()), Reload::Failed { error: LoadError::Absent(_), repeated: false }));
    assert!(matches!(reloader.reload(now()), Reload::Failed { error: LoadError::Absent(_), repeated: true }));
    assert!(!reloader.is_ready(now()) && reloader.facts().is_none());
    mount.swap_to_leaf_of(&issuer(), 90 * DAY);
    assert!(matches!(reloader.reload(now()), Reload::Loaded(_)));
    assert!(reloader.is_ready(now()));
}

#[test]
fn what_cannot_be_used_leaves_the_old_pair_in_place() {
    let (mut mount, issuer) = (Mount::new(), issuer());
    let good = mount.swap_to_leaf_of(&issuer, 90 * DAY);
    let reloader = mount.reloader();
    reloader.reload(now());

    let request = LeafRequest { common_name: "leaf", dns_names: &[], usages: &[Usage::Server], lifetime: DAY };
    let (one, two) = (issuer.leaf(&request, now()).unwrap(), issuer.leaf(&request, now()).unwrap());
    let old = issuer.leaf(&request, now() - 2 * DAY).unwrap();
    let cases = [
        (one.certificate_pem.as_str(), two.key_pem.as_str(), "are not a pair"),
        ("", &one.key_pem, "holds no PEM block CERTIFICATE"),
        (&one.certificate_pem, "", "holds no private key"),
        (&one.certificate_pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no private key"),
        (&old.certificate_pem, &old.key_pem, "is valid from"),
    ];
    for (certificate, key, words) in cases {
        mount.swap(certificate, key);
        let Reload::Failed { error, .. } = reloader.reload(now()) else { panic!("{words}: loaded") };
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains("AAAA"));
        assert_eq!(serial(&reloader), good);
    }
    mount.swap_to_leaf_of(&issuer, 90 * DAY);
    assert!(matches!(reloader.reload(now()), Reload::Loaded(_)));
    assert_ne!(serial(&reloader), good);
}

#[test]
fn a_pair_that_has_ended_is_served_on_and_is_not_ready() {
    let mut mount = Mount::new();
    mount.swap_to_leaf_of(&issuer(), DAY);
    let reloader = mount.reloader();
    reloader.reload(now());
    assert!(reloader.is_ready(now()) && !reloader.is_ready(now() + DAY));
    assert_eq!(reloader.reload(now() + DAY), Reload::Unchanged);
    assert_eq!(reloader.facts().unwrap().days_left(now()), 1);
}

#[test]
fn a_pair_from_the_future_is_taken_once_its_time_has_come() {
    let mut mount = Mount::new();
    mount.swap_to_leaf_of(&issuer(), 90 * DAY);
    let reloader = mount.reloader();
    let Reload::Failed { error, .. } = reloader.reload(now() - 3 * DAY) else { panic!("loaded") };
    assert!(error.may_pass(), "{error}");
    assert!(matches!(reloader.reload(now()), Reload::Loaded(_)));
}
