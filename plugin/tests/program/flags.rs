//! What becomes of flags: sent, or refused; none is taken and does nothing.

use super::api_server::{ApiServer, cluster};
use super::{ask, text};

#[test]
fn a_login_by_flags_and_whom_it_acts_as_are_sent() {
    let server = ApiServer::start(cluster);
    let acting = ["--as", "carl", "--as-uid", "7", "--as-group", "ops", "--as-user-extra", "a/b=c=d", "--as-user-extra", "a/b=e"];
    let output = ask(&server, &[&["describe", "--username", "ann", "--password", "geheim"], &acting[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let log = server.log();
    assert!(!log.is_empty());
    for asked in log {
        for wanted in [
            "authorization: Basic YW5uOmdlaGVpbQ==",
            "impersonate-user: carl",
            "impersonate-uid: 7",
            "impersonate-group: ops",
            "impersonate-extra-a%2fb: c=d",
            "impersonate-extra-a%2fb: e",
        ] {
            assert!(asked.headers.iter().any(|header| header == wanted), "{wanted} is not in {:?}", asked.headers);
        }
        assert!(
            !asked.headers.iter().any(|header| header.starts_with("accept-encoding")),
            "docs/commands.md says that nothing is compressed"
        );
    }
}
