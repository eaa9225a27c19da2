//! What becomes of flags: sent, or refused; none is taken and does nothing.

use super::api_server::{ApiServer, cluster};
use super::{ask, complaint, run, text};

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

#[test]
fn a_flag_that_would_do_nothing_is_a_usage_error() {
    let lines: Vec<_> = [
        "status --interval 5s",
        "status --timeout 5s",
        "status --fail-on never --wait",
        "status --fail-on never --watch",
        "create --timeout 5s",
        "create --wait --dry-run",
        "create --wait --dry-run=server",
        "create --dry-run=client --controller-namespace x",
        "create --controller-config /dev/null --controller-namespace x",
        "render --controller-config /dev/null --controller-namespace x",
        "render -f /dev/null --controller-namespace x",
        "diff --controller-config /dev/null --controller-namespace x",
        "version --client --controller-namespace x",
        "list -A -n x",
        "-n x list -A",
        "--username ann list",
        "--token t list --username ann --password p",
    ]
    .iter()
    .map(|line| {
        let output = run(&[&line.split(' ').collect::<Vec<_>>()[..], &["-s", "https://127.0.0.1:1"]].concat());
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(output.stdout.is_empty(), "{line}: {}", text(&output.stdout));
        assert!(complaint(&output).lines().count() == 1 && !complaint(&output).contains("cannot reach"), "{line}: {}", complaint(&output));
        format!("{line}\n  {}\n", complaint(&output))
    })
    .collect();
    insta::assert_snapshot!("flags_that_do_nothing", lines.concat());
}

/// What scripts write out may be the same as what is left out.
#[test]
fn no_dry_run_is_no_dry_run_also_where_it_is_written_out() {
    let server = ApiServer::start(cluster);
    let output = ask(&server, &["create", "--wait", "--dry-run=none", "--timeout", "1s"]);
    assert_eq!(output.status.code(), Some(124), "{}", text(&output.stderr));
}
