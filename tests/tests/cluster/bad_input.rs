use isbsvc_tests::cluster::Cluster;

/// A wrong name, file or flag ends in one line and exit code 1.
#[test]
fn bad_input_is_one_line() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-bad-input");
    for arguments in [
        ["status", "nobody"].as_slice(),
        &["status", "-o", "nonsense"],
        &["create", "Bad_Name"],
        &["create", "-f", "/nonexistent.yaml"],
        &["list", "--context", "nowhere"],
        &["describe", "nobody"],
    ] {
        let said = namespace.isbsvc(arguments);
        assert_eq!(said.code, 1, "{arguments:?}: {said:?}");
        assert!(said.err.starts_with("error: ") && said.err.lines().count() == 1, "{arguments:?}: {}", said.err);
        assert!(said.out.is_empty(), "{arguments:?}: {}", said.out);
    }
}
