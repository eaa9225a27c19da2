//! Where a rule begins to find fault, to the byte, and what its words then say.

use super::*;
use crate::limits;

fn message(findings: &[Finding], rule: &str) -> String {
    findings.iter().find(|finding| finding.rule == rule).map(|finding| finding.message.clone()).unwrap_or_default()
}

/// A text that is read again in each review must not be of any length.
#[test]
fn an_embedded_text_of_the_limit_is_taken_and_a_longer_one_is_not_read() {
    for (field, rule) in [("settings", "settings-key"), ("bufferConfig", "buffer-config")] {
        let of = |length: usize| create(&jetstream(&json!({ field: format!("#{}", "x".repeat(length - 1)) })));
        assert_eq!(denied(&of(limits::EMBEDDED_TEXT)), Vec::<&str>::new(), "{field}");
        let findings = of(limits::EMBEDDED_TEXT + 1);
        assert_eq!(denied(&findings), [rule]);
        assert!(message(&findings, rule).contains("at most 65536 are taken"), "{findings:?}");
    }
}

#[test]
fn of_many_faults_in_one_list_some_are_told() {
    let twice: Vec<_> = (0..=limits::FINDINGS).flat_map(|number| [format!("A{number}"), format!("A{number}")]).collect();
    let env: Vec<_> = twice.iter().map(|name| json!({ "name": name, "value": "x" })).collect();
    let findings = create(&jetstream(&json!({ "containerTemplate": { "env": env } })));
    assert_eq!(denied(&findings), vec!["container-env"; limits::FINDINGS]);
    let arguments: Vec<_> = (0..=limits::FINDINGS).map(|number| format!("--a{number}")).collect();
    assert_eq!(denied(&create(&jetstream(&json!({ "startArgs": arguments })))), vec!["start-args"; limits::FINDINGS]);
}

#[test]
fn one_server_need_not_be_spread() {
    for (replicas, expected) in [(1, false), (3, true)] {
        let findings = create(&jetstream(&json!({ "replicas": replicas, "affinity": {} })));
        assert_eq!(findings.iter().any(|finding| finding.rule == "no-spread"), expected, "{replicas}");
    }
}

#[test]
fn a_file_store_of_nothing_fits_every_volume() {
    let of = |settings: &str| create(&jetstream(&json!({ "persistence": { "volumeSize": "20Gi" }, "settings": settings })));
    for (settings, expected) in
        [("max_file_store: 0", false), ("max_file_store: 21474836480", false), ("max_file_store: 21474836481", true)]
    {
        assert_eq!(of(settings).iter().any(|finding| finding.rule == "store-exceeds-volume"), expected, "{settings}");
    }
}

#[test]
fn a_remedy_names_the_numbers_of_this_service() {
    let volume = |size: &str| jetstream(&json!({ "persistence": { "volumeSize": size } }));
    let memory = |size: &str| jetstream(&json!({ "settings": format!("max_memory_store: {size}") }));
    let version = |version: &str| jetstream(&json!({ "version": version }));
    for (findings, rule, words) in [
        (create(&jetstream(&json!({ "replicas": 4 }))), "replicas-even", "tolerate no more losses than 3; use an odd number, such as 5"),
        (create(&json!({ "jetstream": {} })), "version-required", "controller configuration, for example 2.12.7"),
        (change(&volume("20Gi"), &volume("30Gi")), "persistence-change", "20Gi to 30Gi: this release does not grow volumes yet"),
        (change(&volume("20Gi"), &volume("10Gi")), "persistence-change", "20Gi to 10Gi would need new volumes, which are empty"),
        (create(&external(&json!({ "url": "redis://a:1" }))), "redis-url", "begins with a scheme"),
        (create(&external(&json!({ "url": "a" }))), "redis-url", "is no address"),
        (change(&version("2.12.7"), &version("2.10.29")), "version-downgrade", "2.10.29 is older than 2.12.7"),
        (change(&memory("5"), &memory("0")), "store-shrink", "max_memory_store 5 bytes to 0 bytes"),
        (change(&memory("5"), &memory("-1")), "store-shrink", "max_memory_store 5 bytes to NATS's own choice (-1)"),
    ] {
        assert!(message(&findings, rule).contains(words), "{rule}: {findings:?}");
    }
    // The versions of the controller configuration are of JetStream.
    let redis = create(&json!({ "redis": { "native": {} } }));
    assert!(message(&redis, "version-required").ends_with("a version of the controller configuration"), "{redis:?}");
}
