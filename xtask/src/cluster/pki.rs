//! Keys and certificates of a cluster: one authority, a leaf for each program, the service account key pair.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    date_time_ymd,
};

use super::addresses::{Addresses, node_name};

/// Writes `ca`, `apiserver`, `admin`, `kcm`, `scheduler`, `proxy`, one pair a node (`.crt`, `.key`), and `sa.key`, `sa.pub` into `folder`.
pub fn write(folder: &Path, addresses: Addresses, nodes: u8) -> Result<()> {
    fs::create_dir_all(folder)?;
    let authority_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut authority = parameters("isbsvc local cluster", None, Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = authority.self_signed(&authority_key)?;
    write_pair(folder, "ca", &certificate.pem(), &authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let leaf = |file: &str, common_name: &str, organization: Option<&str>, names: Vec<String>| -> Result<()> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut leaf = parameters(common_name, organization, names)?;
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        write_pair(folder, file, &leaf.signed_by(&key, &issuer)?.pem(), &key)
    };
    let api =
        ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost", "127.0.0.1"];
    let mut api: Vec<String> = api.map(str::to_owned).into();
    api.extend([addresses.kubernetes_service().to_string(), addresses.control_plane().to_string()]);
    leaf("apiserver", "kube-apiserver", Some("kube"), api)?;
    leaf("admin", "admin", Some("system:masters"), Vec::new())?;
    leaf("kcm", "system:kube-controller-manager", None, Vec::new())?;
    leaf("scheduler", "system:kube-scheduler", None, Vec::new())?;
    leaf("proxy", "system:kube-proxy", None, Vec::new())?;
    for node in 1..=nodes {
        let name = node_name(node);
        let names = vec![name.clone(), addresses.node(node).to_string()];
        leaf(&name, &format!("system:node:{name}"), Some("system:nodes"), names)?;
    }

    let service_accounts = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    fs::write(folder.join("sa.pub"), service_accounts.public_key_pem())?;
    write_private(&folder.join("sa.key"), service_accounts.serialize_pem().as_bytes())
}

/// Writes a file that only its owner may read, whatever was there before.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let _ = fs::remove_file(path);
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content)).with_context(|| format!("cannot write {}", path.display()))
}

fn parameters(common_name: &str, organization: Option<&str>, names: Vec<String>) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        parameters.distinguished_name.push(DnType::OrganizationName, organization);
    }
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2045, 1, 1);
    Ok(parameters)
}

fn write_pair(folder: &Path, file: &str, certificate: &str, key: &KeyPair) -> Result<()> {
    fs::write(folder.join(format!("{file}.crt")), certificate)?;
    write_private(&folder.join(format!("{file}.key")), key.serialize_pem().as_bytes())
}
