//! The rules as one table: what is asked, and which rules answer at which level. The same rules speak through webhook, controller and plugin.

mod edges;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::api::{BufferServiceConfig, InterStepBufferService, InterStepBufferServiceStatus, decode};
use crate::controller_config::ControllerConfig;
use crate::observed::{Fact, PipelineUse};
use crate::rules::{self, Finding, Level, Levels, Request};

fn service(spec: &Value) -> InterStepBufferService {
    decode(&json!({ "metadata": { "name": "default", "namespace": "ns" }, "spec": spec })).expect("a service")
}

fn create(spec: &Value) -> Vec<Finding> {
    rules::check(Request::create(&service(spec)), &ControllerConfig::built_in(), &Levels::default())
}

fn change(from: &Value, to: &Value) -> Vec<Finding> {
    rules::check(Request::update(Some(&service(from)), &service(to)), &ControllerConfig::built_in(), &Levels::default())
}

fn denied(findings: &[Finding]) -> Vec<&'static str> {
    rules::denials(findings).map(|finding| finding.rule).collect()
}

fn jetstream(more: &Value) -> Value {
    let mut spec = json!({ "version": "2.12.7", "replicas": 3 });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({ "jetstream": spec })
}

fn external(fields: &Value) -> Value {
    json!({ "redis": { "external": fields } })
}

#[test]
fn creating() {
    for (spec, expected) in [
        (jetstream(&json!({})), vec![]),
        (json!({}), vec!["one-type"]),
        (json!({ "jetstream": { "version": "2.12.7" }, "redis": { "external": {} } }), vec!["one-type"]),
        (json!({ "jetstream": {} }), vec!["version-required"]),
        (json!({ "redis": { "native": {} } }), vec!["version-required"]),
        (json!({ "redis": { "native": { "version": "7.0.15" } } }), vec![]),
        (jetstream(&json!({ "version": "9.9.9" })), vec!["version-known"]),
        (jetstream(&json!({ "replicas": 1 })), vec![]),
        (jetstream(&json!({ "replicas": 2 })), vec!["replicas"]),
        (jetstream(&json!({ "replicas": 0 })), vec!["replicas"]),
        (jetstream(&json!({ "replicas": 99 })), vec!["replicas"]),
        (jetstream(&json!({ "settings": "max_payload: 1MB" })), vec![]),
        (jetstream(&json!({ "settings": "store_dir: /tmp" })), vec!["settings-key"]),
        (jetstream(&json!({ "bufferConfig": "stream:\n  maxMsgs: 1\n" })), vec![]),
        (jetstream(&json!({ "bufferConfig": "stream:\n  maxMessages: 1\n" })), vec!["buffer-config"]),
        (jetstream(&json!({ "bufferConfig": "stream:\n  replicas: 5\n" })), vec!["buffer-replicas"]),
        (jetstream(&json!({ "bufferConfig": "otBucket:\n  replicas: 5\n", "replicas": 5 })), vec![]),
        (jetstream(&json!({ "bufferConfig": "stream:\n  duplicates: 73h\n" })), vec!["buffer-config"]),
        (jetstream(&json!({ "persistence": {} })), vec![]),
        (jetstream(&json!({ "persistence": { "volumeSize": "lots", "accessMode": "Any" } })), vec!["volume-size", "access-mode"]),
        (jetstream(&json!({ "persistence": { "volumeSize": 0 } })), vec!["volume-size"]),
        (jetstream(&json!({ "persistence": { "volumeSize": " 20Gi" } })), vec!["volume-size"]),
        (jetstream(&json!({ "persistence": { "volumeSize": "1e3Gi" } })), vec!["volume-size"]),
        (jetstream(&json!({ "persistence": { "volumeSize": "20m" } })), vec!["volume-size"]),
        (jetstream(&json!({ "persistence": { "volumeSize": "15Mi" } })), vec!["volume-size"]),
        (jetstream(&json!({ "persistence": { "volumeSize": "16Mi" } })), vec![]),
        (
            jetstream(&json!({ "startArgs": ["-D", "--debug", "-V", "--trace=true", "-VV", "-DV", "-DVV", "-T=false", "--logtime"] })),
            vec![],
        ),
        (jetstream(&json!({ "startArgs": ["--store_dir", "/tmp"] })), vec!["start-args", "start-args"]),
        (jetstream(&json!({ "startArgs": ["-sd=/tmp"] })), vec!["start-args"]),
        (jetstream(&json!({ "startArgs": ["-c=/x"] })), vec!["start-args"]),
        (jetstream(&json!({ "startArgs": ["-m=1", "-p=1", "-js=false", "--cluster_name=x", "---D", "-D=x", "D"] })), vec!["start-args"; 7]),
        (jetstream(&json!({ "containerTemplate": { "env": [{ "name": "JS_KEY", "value": "x" }] } })), vec!["container-env"]),
        (jetstream(&json!({ "containerTemplate": { "env": [{ "name": "GOMEMLIMIT", "value": "1GiB" }] } })), vec![]),
        (jetstream(&json!({ "containerTemplate": { "readinessProbe": { "successThreshold": 2 } } })), vec![]),
        (jetstream(&json!({ "containerTemplate": { "livenessProbe": { "successThreshold": 1 } } })), vec![]),
        (jetstream(&json!({ "containerTemplate": { "livenessProbe": { "successThreshold": 2 } } })), vec!["container-probe"]),
        (jetstream(&json!({ "containerTemplate": { "startupProbe": { "successThreshold": 0 } } })), vec!["container-probe"]),
    ] {
        assert_eq!(denied(&create(&spec)), expected, "{spec}");
    }
}

#[test]
fn latest_is_a_warning_that_names_a_fixed_version() {
    let findings = create(&jetstream(&json!({ "version": "latest" })));
    assert_eq!((warned(&findings), denied(&findings)), (vec!["version-floating"], vec![]));
    assert!(findings[0].message.contains("2.12.7"));
}

/// The rules that warn, but for those that the shortest of services breaks as well; they have a test of their own.
fn warned(findings: &[Finding]) -> Vec<&'static str> {
    rules::warnings(findings).map(|finding| finding.rule).filter(|rule| !["no-persistence", "resources"].contains(rule)).collect()
}

#[test]
fn what_is_admitted_with_a_warning() {
    let buffers = |text: &str| jetstream(&json!({ "bufferConfig": text }));
    let payload = |size: &str| jetstream(&json!({ "settings": format!("max_payload: {size}\n") }));
    for (spec, expected) in [
        (jetstream(&json!({})), vec![]),
        (jetstream(&json!({ "tls": true })), vec!["tls-clients"]),
        (payload("8MB"), vec![]),
        (payload("8388609"), vec!["payload-size"]),
        (payload("64MB"), vec!["payload-size"]),
        (buffers("stream:\n  maxMsgs: 30000\n"), vec![]),
        (buffers("stream:\n  maxMsgs: 29999\n"), vec!["buffer-size"]),
        (buffers("stream:\n  maxMsgs: -1\n"), vec![]),
        (buffers("stream:\n  maxMsgs: 10\n  retention: 2\n"), vec![]),
        (buffers("consumer:\n  ackWait: 10s\n"), vec![]),
    ] {
        let findings = create(&spec);
        assert_eq!((warned(&findings), denied(&findings)), (expected, vec![]), "{spec}");
    }
    for (from, to, expected) in [
        (jetstream(&json!({})), buffers("stream:\n  maxMsgs: 100000\n"), vec![]),
        (jetstream(&json!({})), buffers("stream:\n  maxMsgs: 50000\n"), vec!["buffer-config-change"]),
        (buffers("stream: {maxMsgs: 50000}"), jetstream(&json!({})), vec!["buffer-config-change"]),
        (jetstream(&json!({})), jetstream(&json!({ "replicas": 5 })), vec![]),
    ] {
        let findings = change(&from, &to);
        assert_eq!((warned(&findings), denied(&findings)), (expected, vec![]), "{from} -> {to}");
    }
    // A terminal shows a warning whole where it has 120 characters (law bounded: limits::WARNING).
    for spec in [jetstream(&json!({ "tls": true })), buffers("stream:\n  maxMsgs: 29999\n"), payload("67108864")] {
        for finding in create(&spec) {
            assert!(finding.to_string().chars().count() <= crate::limits::WARNING, "{finding}");
        }
    }
    for finding in change(&jetstream(&json!({})), &buffers("stream:\n  maxMsgs: 50000\n")) {
        assert!(finding.to_string().chars().count() <= crate::limits::WARNING, "{finding}");
    }
}

/// Vertices lose messages by a default as well as by a value of the service's own.
#[test]
fn a_default_of_the_controller_configuration_is_warned_of_as_well() {
    let mut config = ControllerConfig::built_in();
    config.jetstream.buffer_config = config.jetstream.buffer_config.replace("maxMsgs: 100000", "maxMsgs: 10000");
    config.jetstream.settings = config.jetstream.settings.replace("max_payload: 1048576", "max_payload: 16MB");
    for (more, expected) in [
        (json!({}), vec!["payload-size", "buffer-size"]),
        (json!({ "bufferConfig": "consumer:\n  ackWait: 10s\n", "settings": "max_payload: 1MB\n" }), vec!["buffer-size"]),
        (json!({ "bufferConfig": "stream:\n  maxMsgs: 30000\n" }), vec!["payload-size"]),
    ] {
        let new = service(&jetstream(&more));
        let findings = rules::check(Request::create(&new), &config, &Levels::default());
        assert_eq!((warned(&findings), denied(&findings)), (expected, vec![]), "{more}");
    }
}

#[test]
fn what_latest_is_can_be_told_of_an_image_that_is_pinned() {
    let mut config = ControllerConfig::built_in();
    for entry in config.jetstream.versions.iter_mut().filter(|entry| entry.version == "latest") {
        entry.nats_image = "nats:2.12.7@sha256:0123".to_owned();
    }
    let (old, new) = (service(&jetstream(&json!({ "version": "latest" }))), service(&jetstream(&json!({ "version": "2.10.29" }))));
    assert_eq!(denied(&rules::check(Request::update(Some(&old), &new), &config, &Levels::default())), ["version-downgrade"]);
}

#[test]
fn an_external_redis_has_addresses_and_whole_references() {
    for (spec, expected) in [
        (json!({}), vec!["redis-url"]),
        (json!({ "url": "" }), vec!["redis-url"]),
        (json!({ "url": "redis.example.com" }), vec!["redis-url"]),
        (json!({ "url": "<external redis>" }), vec!["redis-url"]),
        (json!({ "url": "redis://a:6379" }), vec!["redis-url"]),
        (json!({ "url": "rediss://a:6379" }), vec!["redis-url"]),
        (json!({ "url": "user:password@a:6379" }), vec!["redis-url"]),
        (json!({ "url": "a:0" }), vec!["redis-url"]),
        (json!({ "url": "a:65536" }), vec!["redis-url"]),
        (json!({ "url": "a:+1" }), vec!["redis-url"]),
        (json!({ "url": "a:1," }), vec!["redis-url"]),
        (json!({ "url": "a:1, a:2" }), vec!["redis-url"]),
        (json!({ "url": "[::1:6379" }), vec!["redis-url"]),
        (json!({ "url": "[]:1" }), vec!["redis-url"]),
        (json!({ "url": "[name]:1" }), vec!["redis-url"]),
        (json!({ "url": "a..b:1" }), vec!["redis-url"]),
        (json!({ "url": "a:1" }), vec![]),
        (json!({ "url": "a:1,a:1" }), vec![]),
        (json!({ "url": "10.0.0.1:6379,[fd00::1]:6379,a_b.c-d.:65535" }), vec![]),
        (json!({ "sentinelUrl": "a:1" }), vec!["redis-auth"]),
        (json!({ "masterName": "m" }), vec!["redis-auth"]),
        (json!({ "sentinelUrl": "a", "masterName": "m" }), vec!["redis-url"]),
        (json!({ "sentinelUrl": "a:1,b:1", "masterName": "m" }), vec![]),
        (json!({ "url": "a:1", "user": "b" }), vec![]),
        (json!({ "url": "a:1", "password": { "name": "s", "key": "" } }), vec!["redis-auth"]),
        (
            json!({ "url": "a:1", "password": { "name": "s", "key": "k" }, "sentinelPassword": { "name": "", "key": "k" } }),
            vec!["redis-auth"],
        ),
        (json!({ "url": "a:1", "password": { "name": "s", "key": "k" } }), vec![]),
    ] {
        let findings = create(&external(&spec));
        assert_eq!(denied(&findings), expected, "{spec}");
        assert!(!findings.iter().any(|finding| finding.message.contains("password@")), "{spec}");
    }
}

#[test]
fn a_release_that_cannot_be_told_is_no_way_down() {
    let mut config = ControllerConfig::built_in();
    for entry in config.jetstream.versions.iter_mut().filter(|entry| entry.version == "latest") {
        entry.nats_image = "nats@sha256:0123".to_owned();
    }
    let version = |version: &str| service(&jetstream(&json!({ "version": version })));
    for (from, to, expected) in [
        ("latest", "2.12.7", vec!["version-downgrade"]),
        ("2.12.7", "latest", vec!["version-downgrade"]),
        ("latest", "latest", vec![]),
        ("ltest", "2.12.7", vec![]),
        ("ltest", "latest", vec![]),
        ("", "2.12.7", vec![]),
        ("latest", "ltest", vec!["version-known"]),
    ] {
        let findings = rules::check(Request::update(Some(&version(from)), &version(to)), &config, &Levels::default());
        assert_eq!(denied(&findings), expected, "{from} -> {to}");
        // A word that is listed no more may be what runs.
        let mut ran = version(from);
        ran.status = Some(InterStepBufferServiceStatus { config: Some(BufferServiceConfig::default()), ..Default::default() });
        let again = denied(&rules::check(Request::update(Some(&ran), &version(to)), &config, &Levels::default()));
        let told = if from == to || again.contains(&"version-known") { expected.clone() } else { vec!["version-downgrade"] };
        assert_eq!(again, told, "{from} -> {to}, of one that ran");
        let targets = rules::denials(&findings).filter_map(|finding| finding.target.as_deref());
        assert!(
            expected.iter().filter(|rule| **rule == "version-downgrade").map(|_| to).eq(targets),
            "it may be overridden: {from} -> {to}"
        );
    }
}

#[test]
fn the_value_of_an_argument_is_not_repeated_and_another_one_is_another_fault() {
    let arguments = |all: &[&str]| jetstream(&json!({ "startArgs": all }));
    let findings = create(&arguments(&["--pass=secret", "--auth", "hidden", "-V"]));
    let words = rules::denials(&findings).map(ToString::to_string).collect::<String>();
    assert_eq!(denied(&findings), ["start-args"; 3]);
    assert!(words.contains("\"--pass\" would") && words.contains("an argument that is no switch would"), "{words}");
    assert!(!words.contains("secret") && !words.contains("hidden"), "{words}");
    assert_eq!(denied(&change(&arguments(&["--store_dir=/a"]), &arguments(&["-V", "--store_dir=/a"]))), Vec::<&str>::new());
    assert_eq!(denied(&change(&arguments(&["--store_dir=/a"]), &arguments(&["--store_dir=/b"]))), ["start-args"]);
    // What belongs to what is in the order.
    let swapped = change(&arguments(&["-sd", "/data", "-l", "/x"]), &arguments(&["-sd", "/x", "-l", "/data"]));
    assert_eq!(denied(&swapped), ["start-args"; 4]);
    // However many were there before.
    let many: Vec<String> = (0..40).map(|number| format!("-a{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let more = [many.as_slice(), &["-z"]].concat();
    assert_eq!(denied(&change(&arguments(&many), &arguments(&more))), ["start-args"]);
}

#[test]
fn a_password_in_an_address_is_not_repeated() {
    let findings = change(&external(&json!({ "url": "a:1" })), &external(&json!({ "url": "redis://me:secret@b:1" })));
    let words = rules::denials(&findings).map(ToString::to_string).collect::<String>();
    assert!(words.contains("a:1 to b:1") && !words.contains("secret"), "{words}");
}

#[test]
fn good_practice_is_a_warning() {
    let practice = |spec: &Value| {
        let findings = create(spec);
        findings.iter().filter(|finding| finding.level < Level::Deny).map(|finding| finding.rule).collect::<Vec<_>>()
    };
    let resources = json!({ "resources": { "limits": { "cpu": "1", "memory": "1Gi" } } });
    let hostname =
        json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": "kubernetes.io/hostname" }] } });
    let rack = json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": "rack" }] } });
    let good = json!({ "persistence": {}, "containerTemplate": resources });
    let with = |key: &str, value: Value| {
        let mut spec = good.clone();
        spec[key] = value;
        jetstream(&spec)
    };
    for (spec, expected) in [
        (jetstream(&good), vec![]),
        (jetstream(&json!({})), vec!["no-persistence", "resources"]),
        (with("replicas", json!(1)), vec!["replicas-single"]),
        (with("affinity", json!({})), vec!["no-spread"]),
        (with("affinity", rack), vec!["no-spread"]),
        (with("affinity", hostname), vec![]),
        (with("containerTemplate", json!({ "resources": { "requests": { "cpu": "1", "memory": "1Gi" } } })), vec!["resources"]),
        (with("settings", json!("max_file_store: 1TB")), vec!["store-exceeds-volume"]),
        (with("settings", json!("max_file_store: 20GiB")), vec![]),
        (with("settings", json!("max_file_store: -1")), vec![]),
    ] {
        assert_eq!(practice(&spec), expected, "{spec}");
    }
}

#[test]
fn a_deletion_is_refused_while_pipelines_use_the_service() {
    let service = service(&jetstream(&json!({})));
    let uses = |pipelines: &[(&str, bool)]| {
        Fact::Known(pipelines.iter().map(|(name, deleting)| PipelineUse { name: (*name).to_owned(), deleting: *deleting }).collect())
    };
    for (pipelines, namespace_ends, level, words) in [
        (uses(&[]), false, None, ""),
        (uses(&[("a", false)]), false, Some(Level::Deny), "Pipeline a uses this service"),
        (uses(&[("a", true), ("b", false)]), false, Some(Level::Deny), "Pipeline b uses this service"),
        (uses(&[("a", false), ("b", false), ("c", false), ("d", false), ("e", false)]), false, Some(Level::Deny), "a, b, c and 2 more use"),
        (uses(&[("a", true)]), false, Some(Level::Warn), "goes once 1 Pipelines"),
        (uses(&[("a", false)]), true, Some(Level::Warn), "go with the namespace"),
        (Fact::Unknown("no answer".to_owned()), false, Some(Level::Warn), "was not checked: no answer"),
    ] {
        let from = rules::Surroundings { pipelines, namespace_ends };
        let findings = rules::check(Request::delete(&service, &from), &ControllerConfig::built_in(), &Levels::default());
        assert_eq!(findings.first().map(|finding| finding.level), level, "{from:?}");
        assert!(
            findings.len() < 2 && findings.iter().all(|finding| finding.rule == "in-use" && finding.message.contains(words)),
            "{findings:?}"
        );
    }
}

#[test]
fn an_even_number_of_servers_is_a_warning() {
    for count in 4..=9 {
        let findings = create(&jetstream(&json!({ "replicas": count })));
        assert_eq!(
            findings.iter().any(|finding| finding.rule == "replicas-even" && finding.level == Level::Warn),
            count % 2 == 0,
            "{count}"
        );
        assert_eq!(denied(&findings), Vec::<&str>::new());
    }
}

#[test]
fn changing() {
    let settings = |text: &str| jetstream(&json!({ "settings": text }));
    let volumes = |size: &str| jetstream(&json!({ "persistence": { "volumeSize": size } }));
    for (from, to, expected) in [
        (jetstream(&json!({})), jetstream(&json!({ "encryption": false })), vec![]),
        (jetstream(&json!({})), jetstream(&json!({ "encryption": true })), vec!["encryption-toggle"]),
        (jetstream(&json!({ "encryption": true })), jetstream(&json!({})), vec!["encryption-toggle"]),
        (jetstream(&json!({})), jetstream(&json!({ "tls": true })), vec!["tls-toggle"]),
        (jetstream(&json!({})), volumes("20Gi"), vec!["persistence-change"]),
        (volumes("20Gi"), jetstream(&json!({})), vec!["persistence-change"]),
        (volumes("20Gi"), volumes("20480Mi"), vec![]),
        (volumes("20Gi"), jetstream(&json!({ "persistence": {} })), vec![]),
        (volumes("20Gi"), jetstream(&json!({ "persistence": { "volumeSize": 21_474_836_480_i64 } })), vec![]),
        (volumes("20Gi"), volumes("30Gi"), vec!["persistence-change"]),
        (volumes("20Gi"), volumes("10Gi"), vec!["persistence-change"]),
        (volumes("20Gi"), jetstream(&json!({ "persistence": { "storageClassName": "fast" } })), vec!["persistence-change"]),
        (jetstream(&json!({})), jetstream(&json!({ "replicas": 5 })), vec![]),
        (jetstream(&json!({ "replicas": 5 })), jetstream(&json!({})), vec!["replicas-shrink"]),
        (jetstream(&json!({})), jetstream(&json!({ "replicas": 1 })), vec!["replicas-cluster-switch"]),
        (jetstream(&json!({ "replicas": 1 })), jetstream(&json!({})), vec!["replicas-cluster-switch"]),
        (settings(""), settings("max_payload: 2MB"), vec![]),
        (settings("max_payload: 2MB"), settings("max_payload: 2097152"), vec![]),
        (settings("max_payload: 2MB"), settings(""), vec!["payload-shrink"]),
        (settings("max_payload: 2MB\nstore_dir: /tmp"), settings("max_payload: 1MB"), vec!["payload-shrink"]),
        (settings("store_dir: /tmp"), settings(""), vec![]),
        (settings("port: 1\nmax_file_store: 100G"), settings("port: 1\nmax_file_store: 1G"), vec!["store-shrink"]),
        (settings("port: 1\nmax_payload: 2MB"), settings("port: 1"), vec!["payload-shrink"]),
        (settings(""), settings("max_file_store: 1TB"), vec![]),
        (settings(""), settings("max_file_store: 2TB"), vec!["store-grow"]),
        (settings("max_file_store: 20G\nmax_memory_store: 1G"), settings(""), vec!["store-shrink", "store-grow"]),
        (settings(""), settings("max_memory_store: 1G"), vec!["store-shrink"]),
        (volumes("20Gi"), jetstream(&json!({ "persistence": {}, "settings": "max_file_store: 1TB" })), vec!["store-grow"]),
        (jetstream(&json!({ "version": "2.10.29" })), jetstream(&json!({})), vec![]),
        (jetstream(&json!({})), jetstream(&json!({ "version": "2.10.29" })), vec!["version-downgrade"]),
        (jetstream(&json!({ "version": "latest" })), jetstream(&json!({})), vec![]),
        (jetstream(&json!({ "version": "latest" })), jetstream(&json!({ "version": "2.10.29" })), vec!["version-downgrade"]),
        (jetstream(&json!({})), json!({ "redis": { "native": { "version": "7.0.15" } } }), vec!["type-change"]),
        (jetstream(&json!({})), json!({}), vec!["one-type", "type-change"]),
        (json!({ "redis": { "native": { "version": "7" } } }), external(&json!({ "url": "a:1" })), vec!["type-change"]),
        (external(&json!({ "url": "a:1" })), external(&json!({ "url": "a:1", "user": "b" })), vec![]),
        (
            external(&json!({ "url": "a:1" })),
            external(&json!({ "url": "b:1", "sentinelUrl": "s:1", "masterName": "m" })),
            vec!["external-endpoint-change"; 3],
        ),
        (external(&json!({ "url": "a:1", "sentinelUrl": "" })), external(&json!({ "url": "a:1" })), vec![]),
        // What no client can have connected to is mended.
        (external(&json!({ "url": "redis://a:1" })), external(&json!({ "url": "a:1" })), vec![]),
        (external(&json!({})), external(&json!({ "url": "a:1" })), vec![]),
        (external(&json!({ "url": "a:1", "masterName": "m" })), external(&json!({ "url": "a:1" })), vec![]),
        (external(&json!({ "url": "a:1", "sentinelUrl": "s:1" })), external(&json!({ "url": "b:1" })), vec!["external-endpoint-change"; 2]),
    ] {
        assert_eq!(denied(&change(&from, &to)), expected, "{from} -> {to}");
    }
}

#[test]
fn a_fault_that_was_there_and_is_not_touched_never_blocks() {
    let old = jetstream(&json!({ "version": "1.0.0", "replicas": 2 }));
    let mut new = old.clone();
    new["jetstream"]["nodeSelector"] = json!({ "disk": "fast" });
    let findings = change(&old, &new);
    assert_eq!(denied(&findings), Vec::<&str>::new());
    assert_eq!(warned(&findings), ["version-known", "replicas"], "both are still told");
    assert!(findings.iter().all(|finding| finding.rule != "no-persistence" || finding.level == Level::Audit), "advice is not repeated");
    let tolerated: Vec<_> = rules::tolerated(&findings).map(|finding| finding.rule).collect();
    assert_eq!(tolerated, ["version-known", "replicas"], "by what would refuse a new service");
    let new_ones = create(&jetstream(&json!({ "version": "1.0.0", "tls": true })));
    assert_eq!(rules::tolerated(&new_ones).count(), 0, "neither what refuses nor advice is tolerated");
    new["jetstream"]["replicas"] = json!(0);
    assert_eq!(denied(&change(&old, &new)), ["replicas"], "another fault in the same field is new");
}

#[test]
fn the_instance_does_not_change() {
    let old = service(&jetstream(&json!({})));
    let mut new = old.clone();
    new.metadata.annotations = Some([("numaflow.numaproj.io/instance".to_owned(), "blue".to_owned())].into());
    let findings = rules::check(Request::update(Some(&old), &new), &ControllerConfig::built_in(), &Levels::default());
    assert_eq!(denied(&findings), ["instance-change"]);
}

#[test]
fn names_leave_room() {
    for (name, spec, ok) in [
        ("a".repeat(42), jetstream(&json!({})), true),
        ("a".repeat(43), jetstream(&json!({})), false),
        ("a".repeat(37), json!({ "redis": { "native": { "version": "7" } } }), true),
        ("a".repeat(38), json!({ "redis": { "native": { "version": "7" } } }), false),
        ("1a".to_owned(), jetstream(&json!({})), false),
        ("a.b".to_owned(), jetstream(&json!({})), false),
        ("a-".to_owned(), jetstream(&json!({})), false),
    ] {
        let mut service = service(&spec);
        service.metadata.name = Some(name.clone());
        let findings = rules::check(Request::create(&service), &ControllerConfig::built_in(), &Levels::default());
        assert_eq!(denied(&findings).is_empty(), ok, "{name}");
    }
}

#[test]
fn a_refusal_says_what_why_and_what_to_do() {
    let findings = change(&jetstream(&json!({})), &jetstream(&json!({ "encryption": true })));
    let text = rules::denials(&findings).next().expect("a refusal").to_string();
    for part in ["spec.jetstream.encryption", "loses data", "delete the Pipelines", "create it anew", "(encryption-toggle)"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn names_of_rules_are_unique() {
    let names: BTreeSet<_> = rules::ALL.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), rules::ALL.len());
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|v| json!(v)),
        (-5..9_i64).prop_map(|v| json!(v)),
        "\\PC{0,20}".prop_map(|v| json!(v)),
        Just(json!({})),
        Just(json!([]))
    ]
}

proptest! {
    #[test]
    fn no_spec_panics(version in scalar(), replicas in scalar(), settings in scalar(), buffers in scalar(), persistence in scalar(), size in scalar(), redis in scalar()) {
        let spec = json!({
            "jetstream": { "version": version, "replicas": replicas, "settings": settings, "bufferConfig": buffers, "persistence": persistence },
            "redis": redis,
        });
        let sized = json!({ "jetstream": { "version": "2.12.7", "persistence": { "volumeSize": size } } });
        for spec in [spec, sized] {
            let mut object = json!({ "metadata": { "name": "default", "namespace": "x" }, "spec": spec });
            crate::defaults::fill(&mut object);
            prop_assert!(crate::defaults::missing(&object).is_empty());
            if let Ok(service) = crate::api::decode(&object) {
                let _ = rules::check(Request::update(Some(&service), &service), &ControllerConfig::built_in(), &Levels::default());
            }
        }
    }
}

#[test]
fn an_entry_that_was_wrong_before_is_known_again_in_another_place() {
    let names = |names: &[&str]| {
        let env: Vec<_> = names.iter().map(|name| json!({ "name": name, "value": "x" })).collect();
        jetstream(&json!({ "containerTemplate": { "env": env } }))
    };
    let before = names(&["JS_KEY", "A", "POD_NAME", "A"]);
    assert_eq!(denied(&create(&before)).len(), 3);
    assert_eq!(denied(&change(&before, &names(&["A", "POD_NAME", "A"]))), Vec::<&str>::new(), "one of three faults is mended");
    assert_eq!(denied(&change(&names(&["A"]), &before)).len(), 3);
}
