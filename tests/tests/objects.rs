//! Every object of a service, whole, as it is committed in `snapshots/`: a value that changes is seen, whoever changed it. What differs from the objects of
//! Numaflow's controller, and why, is in `golden.rs`.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use isbsvc::api::names;
use isbsvc::controller_config::ControllerConfig;
use isbsvc::observed::Observed;
use isbsvc::plan::{Input, Material, plan};
use isbsvc_tests::fixtures;
use serde_json::{Map, Value, json};

/// The objects in the order of making, as YAML. What stands in other fields already, or is a digest of them, is left
/// out, and Secrets are text.
fn objects(more: &Value) -> String {
    let mut spec = json!({ "version": "2.12.7", "replicas": 3 });
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    let service = fixtures::service(&json!({ "jetstream": spec }));
    let config = ControllerConfig::built_in();
    let input = Input { service: &service, config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    let plan = plan(&input, &Observed::nothing(), &Material::placeholders());
    assert!(plan.held.is_none(), "{:?}", plan.held);
    let mut text = String::new();
    for mut desired in plan.desired {
        if let Some(annotations) = desired.object["metadata"]["annotations"].as_object_mut() {
            for derived in [
                names::HASH_ANNOTATION,
                names::DESIRED_HASH_ANNOTATION,
                names::ACCEPTED_SPEC_ANNOTATION,
                names::ACCEPTED_INSTANCE_ANNOTATION,
                names::BASELINE_ANNOTATION,
            ] {
                annotations.remove(derived);
            }
            assert!(annotations.is_empty(), "{annotations:?}");
        }
        desired.object["metadata"].as_object_mut().map(|metadata| metadata.remove("annotations"));
        if desired.object["kind"] == "Secret" {
            for text in desired.object["data"].as_object_mut().into_iter().flat_map(Map::values_mut) {
                let bytes = STANDARD.decode(text.as_str().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}"));
                *text = json!(String::from_utf8_lossy(&bytes));
            }
        }
        let yaml = serde_saphyr::to_string(&desired.object).unwrap_or_else(|error| panic!("{error}"));
        writeln!(text, "---\n{}", yaml.trim_end()).unwrap_or_else(|error| panic!("{error}"));
    }
    text
}

#[test]
fn with_tls() {
    insta::assert_snapshot!("tls", objects(&json!({ "tls": true })));
}

#[test]
fn with_encryption() {
    insta::assert_snapshot!("encryption", objects(&json!({ "encryption": true })));
}

#[test]
fn with_five_servers() {
    insta::assert_snapshot!("five_servers", objects(&json!({ "replicas": 5 })));
}

#[test]
fn with_volumes() {
    let persistence = json!({ "storageClassName": "fast", "accessMode": "ReadWriteOncePod", "volumeSize": "10Gi" });
    insta::assert_snapshot!("persistence", objects(&json!({ "persistence": persistence })));
}

#[test]
fn with_every_field_of_pods_and_containers() {
    let container = |own: &str| {
        json!({
            "resources": { "limits": { "cpu": "1", "memory": "1Gi" }, "requests": { "cpu": "100m", "memory": "512Mi" } },
            "imagePullPolicy": "Always",
            "securityContext": { "readOnlyRootFilesystem": true },
            "env": [{ "name": "OWN", "value": own }],
            "envFrom": [{ "configMapRef": { "name": own } }],
            "readinessProbe": { "initialDelaySeconds": 1, "timeoutSeconds": 2, "periodSeconds": 3, "successThreshold": 4, "failureThreshold": 5 },
            "livenessProbe": { "initialDelaySeconds": 6, "timeoutSeconds": 7, "periodSeconds": 8, "failureThreshold": 9 },
            "startupProbe": { "initialDelaySeconds": 10, "timeoutSeconds": 11, "periodSeconds": 12, "failureThreshold": 13 },
        })
    };
    let mut spec = fixtures::pod_fields();
    let more = json!({
        "metadata": { "labels": { "team": "blue" }, "annotations": { "note": "x" } },
        "startArgs": ["-D"],
        "containerTemplate": container("main"),
        "reloaderContainerTemplate": container("reloader"),
        "metricsContainerTemplate": container("metrics"),
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    insta::assert_snapshot!("every_field", objects(&spec));
}
