//! As whom: the user of the kubeconfig, what flags put in its place, and whom it acts as.

use std::collections::HashMap;

use kube::config::{AuthInfo, Kubeconfig, NamedAuthInfo};
use serde_json::json;

use super::Connection;
use super::kubeconfig::{FROM_FLAGS, list, readable};
use crate::exit::Failure;

/// What flags contradict. clap cannot tell: it judges each level by itself, and these flags may stand on either side of the command.
pub(super) fn check(connection: &Connection) -> Result<(), Failure> {
    let beside_as = !connection.as_group.is_empty() || connection.as_uid.is_some() || !connection.as_user_extra.is_empty();
    let why = if connection.as_user.is_none() && beside_as {
        "--as-group, --as-uid and --as-user-extra need --as; name the user as well"
    } else if connection.username.is_some() != connection.password.is_some() {
        "--username and --password need each other; give both"
    } else if connection.username.is_some() && connection.token.is_some() {
        "--token and --username exclude each other; leave one out"
    } else if connection.insecure_skip_tls_verify && connection.certificate_authority.is_some() {
        "--insecure-skip-tls-verify and --certificate-authority exclude each other; leave one out"
    } else {
        return sendable(connection);
    };
    Err(Failure::no_answer(why))
}

/// Whether what is acted as can stand in a header; the client would only say that a header is wrong, and not which flag.
fn sendable(connection: &Connection) -> Result<(), Failure> {
    let mut given = connection
        .as_user
        .iter()
        .map(|user| ("--as", user))
        .chain(connection.as_group.iter().map(|group| ("--as-group", group)))
        .chain(connection.as_uid.iter().map(|uid| ("--as-uid", uid)))
        .chain(connection.as_user_extra.iter().map(|(_, value)| ("--as-user-extra", value)));
    match given.find(|(_, value)| http::HeaderValue::from_str(value).is_err()) {
        Some((flag, _)) => Err(Failure::no_answer(format!("{flag} holds characters that no header may"))),
        None => Ok(()),
    }
}

/// The user's name, with the flags written into the kubeconfig's entry of it.
pub(super) fn choose(connection: &Connection, kubeconfig: &mut Kubeconfig, context: &str) -> Result<Option<String>, Failure> {
    let of_context = kubeconfig.contexts.iter().find(|named| named.name == context).and_then(|named| named.context.as_ref()?.user.clone());
    let name = match (&connection.user, of_context) {
        (Some(name), _) => {
            if !kubeconfig.auth_infos.iter().any(|user| &user.name == name) {
                let exist = list(kubeconfig.auth_infos.iter().map(|user| user.name.as_str()));
                return Err(Failure::no_answer(format!("there is no user {name:?} in the kubeconfig; there are: {exist}")));
            }
            name.clone()
        }
        (None, Some(name)) => name,
        (None, None) => FROM_FLAGS.to_owned(),
    };
    if !kubeconfig.auth_infos.iter().any(|user| user.name == name) {
        kubeconfig.auth_infos.push(NamedAuthInfo { name: name.clone(), auth_info: Some(AuthInfo::default()), ..NamedAuthInfo::default() });
    }
    let Some(user) = kubeconfig.auth_infos.iter_mut().find(|user| user.name == name) else { return Ok(None) };
    settle(connection, user.auth_info.get_or_insert_default())?;
    Ok(Some(name))
}

/// Writes what the flags say over a login.
pub(super) fn settle(connection: &Connection, auth: &mut AuthInfo) -> Result<(), Failure> {
    let by_hand = match (&connection.token, &connection.username, &connection.password) {
        (Some(token), ..) => Some(json!({ "token": token.0 })),
        (None, Some(username), Some(password)) => Some(json!({ "username": username, "password": password.0 })),
        _ => None,
    };
    if let Some(by_hand) = by_hand {
        // A login given by hand stands for the whole one, as with kubectl, but not for whom it acts as. The type behind the fields is another crate's;
        // serde makes one.
        let by_hand: AuthInfo = serde_json::from_value(by_hand).map_err(|_| Failure::no_answer("the login of the flags cannot be used"))?;
        let before = std::mem::replace(auth, by_hand);
        auth.impersonate = before.impersonate;
        auth.impersonate_uid = before.impersonate_uid;
        auth.impersonate_groups = before.impersonate_groups;
        auth.impersonate_user_extra = before.impersonate_user_extra;
    }
    for (flag, given) in [("--client-certificate", &connection.client_certificate), ("--client-key", &connection.client_key)] {
        if let Some(file) = given {
            readable(file, flag)?;
        }
    }
    if let Some(file) = &connection.client_certificate {
        auth.client_certificate = Some(file.to_string_lossy().into_owned());
        auth.client_certificate_data = None;
    }
    if let Some(file) = &connection.client_key {
        auth.client_key = Some(file.to_string_lossy().into_owned());
        auth.client_key_data = None;
    }
    // The client would complain of the kubeconfig, which did not say it.
    let certificate = auth.client_certificate.is_some() || auth.client_certificate_data.is_some();
    let key = auth.client_key.is_some() || auth.client_key_data.is_some();
    let given = connection.client_certificate.is_some() || connection.client_key.is_some();
    if given && certificate != key {
        return Err(Failure::no_answer("--client-certificate and --client-key need each other; give both"));
    }
    if let Some(as_user) = &connection.as_user {
        let mut extra = HashMap::<_, Vec<_>>::new();
        for (key, value) in &connection.as_user_extra {
            extra.entry(key.clone()).or_default().push(value.clone());
        }
        auth.impersonate = Some(as_user.clone());
        auth.impersonate_uid.clone_from(&connection.as_uid);
        auth.impersonate_groups = (!connection.as_group.is_empty()).then(|| connection.as_group.clone());
        auth.impersonate_user_extra = (!extra.is_empty()).then_some(extra);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Hidden;
    use super::super::kubeconfig::tests::load_with;

    #[test]
    fn who_is_acted_as_is_sent_whole() {
        let auth = load_with(|connection| {
            connection.as_user = Some("carl".into());
            connection.as_group = vec!["ops".into(), "dev".into()];
            connection.as_uid = Some("7".into());
            connection.as_user_extra =
                [("scopes", "view"), ("scopes", "edit"), ("a/b", "")].map(|(key, value)| (key.into(), value.into())).to_vec();
        })
        .unwrap()
        .auth_info;
        assert_eq!((auth.impersonate.as_deref(), auth.impersonate_uid.as_deref()), (Some("carl"), Some("7")));
        assert_eq!(auth.impersonate_groups, Some(vec!["ops".to_owned(), "dev".to_owned()]));
        let extra = auth.impersonate_user_extra.unwrap();
        assert_eq!(extra["scopes"], ["view", "edit"]);
        assert_eq!(extra["a/b"], [""]);
    }

    #[test]
    fn a_login_by_hand_stands_for_that_of_the_kubeconfig() {
        let auth = load_with(|connection| {
            connection.username = Some("ann".into());
            connection.password = Some(Hidden("geheim".into()));
        })
        .unwrap()
        .auth_info;
        assert!(auth.token.is_none() && auth.password.is_some());
        assert_eq!(auth.username.as_deref(), Some("ann"));
        let auth = load_with(|connection| connection.token = Some(Hidden("t".into()))).unwrap().auth_info;
        assert!(auth.token.is_some() && auth.username.is_none());
    }

    #[test]
    fn what_no_header_may_hold_is_told_by_its_flag() {
        let failure = load_with(|connection| connection.as_user = Some("a\nb".into())).err().unwrap();
        assert_eq!(failure.message, "--as holds characters that no header may");
    }
}
