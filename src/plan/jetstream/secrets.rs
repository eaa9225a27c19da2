use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::{Subject, metadata};
use crate::api::names::{self, server_secret_key as key};
use crate::plan::deletion::seen;
use crate::plan::material::CertificatePair;
use crate::plan::{Action, ChildKind, Material, Need, Place, compare};

/// User and password for clients. No `Debug`: it holds secrets.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::plan) struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// From the Secret that clients read, or from the accounts in the servers' Secret.
    pub(in crate::plan) fn found(server: Option<&Secret>, client: Option<&Secret>) -> Option<Self> {
        let from_client =
            || Some(Self { user: text(client?, names::CLIENT_USER_KEY)?, password: text(client?, names::CLIENT_PASSWORD_KEY)? });
        let from_server = || Self::in_accounts(&text(server?, key::AUTH)?);
        from_client().or_else(from_server)
    }

    /// The first user of the accounts' text, which is that of account `js`.
    fn in_accounts(accounts: &str) -> Option<Self> {
        let line = accounts.lines().map(str::trim).find(|line| line.starts_with("{\"user\""))?;
        let fields: Value = serde_json::from_str(line.trim_end_matches(',')).ok()?;
        Some(Self { user: fields.get("user")?.as_str()?.to_owned(), password: fields.get("pass")?.as_str()?.to_owned() })
    }
}

/// Whether a key holds anything. What it holds may be no text: it is there all the same, and is never written over.
pub(in crate::plan) fn present(secret: Option<&Secret>, key: &str) -> bool {
    secret.and_then(|secret| secret.data.as_ref()?.get(key)).is_some_and(|bytes| !bytes.0.is_empty())
}

/// Value of a key, where it is text and not empty.
fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = &secret.data.as_ref()?.get(key)?.0;
    String::from_utf8(bytes.clone()).ok().filter(|text| !text.is_empty())
}

/// Whether there is an encryption key that NATS reads as something else than a text, so that no server starts with it.
pub(in crate::plan) fn key_is_no_text(server: Option<&Secret>) -> bool {
    server.and_then(|server| text(server, key::ENCRYPTION)).is_some_and(|key| reads_otherwise(key.trim()))
}

/// Whether NATS reads the value of a variable as anything but a text (nats-server v2.12.7 `conf/lex.go`, `lexValue` and what it calls): a number, also
/// one with a suffix, a date, a truth, another variable, a list, a map. Text in quotes is text.
/// Digits, a suffix and further letters (`12kx`) are a text from 2.9 on, and so here; 2.8 does not start with them either.
fn reads_otherwise(value: &str) -> bool {
    if ["true", "false", "yes", "no", "on", "off"].iter().any(|word| value.eq_ignore_ascii_case(word))
        || value.starts_with(['-', '.', '$', '[', '{', '('])
    {
        return true;
    }
    let rest = value.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() == value.len() {
        return false;
    }
    let mut after = rest.chars();
    match after.next().map(|c| c.to_ascii_lowercase()) {
        None | Some('-') => true,
        // Two points are an address, which is a text.
        Some('.') => !after.as_str().trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('.'),
        Some('k' | 'm' | 'g' | 't' | 'p' | 'e') => {
            let end = after.as_str().trim_start_matches(['b', 'B', 'i', 'I']);
            end.chars().next().is_none_or(|c| c.is_ascii_digit())
        }
        Some(_) => false,
    }
}

/// Certificate, key and authority for clients.
pub(in crate::plan) const SERVER_PAIR: [&str; 3] = [key::CERT, key::PRIVATE_KEY, key::CA_CERT];
/// Certificate, key and authority for servers.
pub(in crate::plan) const CLUSTER_PAIR: [&str; 3] = [key::CLUSTER_CERT, key::CLUSTER_PRIVATE_KEY, key::CLUSTER_CA_CERT];

/// Whether the Secrets name users that we cannot read, so that a new one would be known to one side only.
pub(in crate::plan) fn unreadable_users(server: Option<&Secret>, client: Option<&Secret>) -> bool {
    let any = present(server, key::AUTH) || [names::CLIENT_USER_KEY, names::CLIENT_PASSWORD_KEY].iter().all(|key| present(client, key));
    any && Credentials::found(server, client).is_none()
}

/// Everything that must be drawn before [`secrets`] can be made.
pub(in crate::plan) fn needs(server: Option<&Secret>, client: Option<&Secret>) -> Vec<Need> {
    let mut needs = Vec::new();
    if Credentials::found(server, client).is_none() {
        needs.extend([Need::ClientUser, Need::ClientPassword]);
    }
    if !present(server, key::AUTH) {
        needs.push(Need::SystemPassword);
    }
    if !present(server, key::ENCRYPTION) {
        needs.push(Need::EncryptionKey);
    }
    if !SERVER_PAIR.iter().all(|key| present(server, key)) {
        needs.push(Need::ServerCertificate);
    }
    if !CLUSTER_PAIR.iter().all(|key| present(server, key)) {
        needs.push(Need::ClusterCertificate);
    }
    needs
}

/// The writes that complete the two Secrets: each that is not there is made, and one that is gets the keys that it lacks, and nothing else (law
/// *keys-live-once*). The servers' one carries the annotations `accepted`. `None` where something was not drawn that [`needs`] asks for.
pub(in crate::plan) fn secrets(
    subject: Subject<'_>,
    server: Option<&Secret>,
    client: Option<&Secret>,
    material: &Material,
    accepted: &[(&'static str, String)],
) -> Option<Vec<Action>> {
    let credentials = match Credentials::found(server, client) {
        Some(found) => found,
        None => Credentials { user: material.client_user.clone()?, password: material.client_password.clone()? },
    };
    let mut data = Data::new();
    for need in needs(server, client) {
        match need {
            Need::ClientUser | Need::ClientPassword => {}
            Need::SystemPassword => put(&mut data, key::AUTH, &accounts(&credentials, material.system_password.as_deref()?)),
            Need::EncryptionKey => put(&mut data, key::ENCRYPTION, material.encryption_key.as_deref()?),
            // A pair belongs together: where one of the three is gone, the other two are of no use.
            Need::ServerCertificate => put_pair(&mut data, SERVER_PAIR, material.server_certificate.as_ref()?),
            Need::ClusterCertificate => put_pair(&mut data, CLUSTER_PAIR, material.cluster_certificate.as_ref()?),
        }
    }
    let mut actions = Vec::new();
    actions.extend(write(subject, &names::server_secret(subject.name()), server, data, accepted));
    let mut data = Data::new();
    for (key, value) in [(names::CLIENT_USER_KEY, &credentials.user), (names::CLIENT_PASSWORD_KEY, &credentials.password)] {
        if !present(client, key) {
            put(&mut data, key, value);
        }
    }
    actions.extend(write(subject, &names::client_secret(subject.name()), client, data, &[]));
    Some(actions)
}

type Data = serde_json::Map<String, Value>;

/// The write that a Secret needs. Server-side apply would take away the keys that it does not name, so keys are added one by one.
fn write(subject: Subject<'_>, name: &str, live: Option<&Secret>, data: Data, annotations: &[(&'static str, String)]) -> Option<Action> {
    let mut object = metadata::object(subject, ChildKind::Secret, name, json!({ "type": "Opaque", "data": data }));
    metadata::annotate(&mut object, annotations.iter().cloned());
    let Some(live) = live else { return Some(Action::Create { kind: ChildKind::Secret, name: name.to_owned(), object }) };
    let mut places = Vec::new();
    if live.data.is_none() && !data.is_empty() {
        places.push(Place { pointer: "/data".to_owned(), value: Some(json!(data)) });
    } else {
        places.extend(data.into_iter().map(|(key, value)| Place { pointer: format!("/data/{key}"), value: Some(value) }));
    }
    for field in ["labels", "ownerReferences"] {
        let wanted = &object["metadata"][field];
        if !compare::differences(wanted, &json!(live.metadata)[field]).is_empty() {
            places.push(Place { pointer: format!("/metadata/{field}"), value: Some(wanted.clone()) });
        }
    }
    let found = live.metadata.annotations.as_ref();
    let differing = annotations.iter().filter(|(key, value)| found.and_then(|found| found.get(*key)) != Some(value));
    if found.is_none() && !annotations.is_empty() {
        places.push(Place { pointer: "/metadata/annotations".to_owned(), value: Some(object["metadata"]["annotations"].clone()) });
    } else {
        // Those of others stay.
        places.extend(
            differing.map(|(key, value)| Place {
                pointer: format!("/metadata/annotations/{}", compare::segment(key)),
                value: Some(json!(value)),
            }),
        );
    }
    (!places.is_empty()).then(|| Action::Patch {
        kind: ChildKind::Secret,
        name: name.to_owned(),
        places,
        precondition: seen(&live.metadata),
    })
}

fn put(data: &mut Data, key: &str, value: &str) {
    data.insert(key.to_owned(), Value::String(STANDARD.encode(value)));
}

fn put_pair(data: &mut Data, [cert, private_key, authority]: [&str; 3], pair: &CertificatePair) {
    put(data, cert, &pair.certificate);
    put(data, private_key, &pair.key);
    put(data, authority, &pair.authority);
}

/// Accounts of the servers: `js` for clients, `sys` for those who look after the servers. Text as Numaflow writes it.
fn accounts(client: &Credentials, system_password: &str) -> String {
    // JSON strings are NATS strings, and quote whatever a found password may hold.
    let quoted = |text: &str| Value::String(text.to_owned()).to_string();
    format!(
        "system_account: sys\n\naccounts: {{\n  \"js\": {{\n    \"jetstream\": true,\n    \"users\": [\n      {{\"user\": {user}, \"pass\": {password}}}\n    ]\n  }},\n  \
         \"sys\": {{\n    \"users\": [\n      {{\"user\": \"sys\", \"pass\": {system}}}\n    ]\n  }}\n}}\n",
        user = quoted(&client.user),
        password = quoted(&client.password),
        system = quoted(system_password),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;

    use super::*;

    fn secret(entries: &[(&str, &str)]) -> Secret {
        let data: BTreeMap<_, _> = entries.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn the_accounts_have_the_observed_length() {
        let credentials = Credentials { user: "u".repeat(8), password: "p".repeat(16) };
        assert_eq!(accounts(&credentials, &"s".repeat(24)).len(), 243, "reference/observed-default.yaml");
    }

    #[test]
    fn what_nats_reads_as_a_text_is_one() {
        for text in ["abcdefghijkl", "a1", "12ab34", "12mxyz", "1.2.3.4", "\"12\"", "'true'", "truely", "k12", "<generated>"] {
            assert!(!reads_otherwise(text), "{text}");
        }
        for other in [
            "1",
            "-1",
            "-a",
            "12k",
            "12Kib",
            "12m4x",
            "1.5",
            "1.",
            "1.5x",
            ".5",
            "2026-01-01T00:00:00Z",
            "12-a",
            "True",
            "NO",
            "$A",
            "[a]",
            "{a}",
            "(",
        ] {
            assert!(reads_otherwise(other), "{other}");
        }
    }

    #[test]
    fn a_lost_half_is_rebuilt_from_the_other_half() {
        let credentials = Credentials { user: "user0001".to_owned(), password: "p\"wd".to_owned() };
        let server = secret(&[(key::AUTH, &accounts(&credentials, "system"))]);
        assert!(Credentials::found(Some(&server), None) == Some(credentials.clone()));
        let client = secret(&[(names::CLIENT_USER_KEY, "user0001"), (names::CLIENT_PASSWORD_KEY, "p\"wd")]);
        assert!(Credentials::found(None, Some(&client)) == Some(credentials));
        assert!(!needs(None, Some(&client)).contains(&Need::ClientPassword));
        assert!(needs(None, None).len() == 6);
    }
}
