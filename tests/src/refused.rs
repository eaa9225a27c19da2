//! Specs and changes that one rule refuses: law *one-verdict* asks webhook, controller and plugin for their words on each.

use serde_json::{Value, json};

fn jetstream(field: &str, value: Value) -> Value {
    let mut spec = before();
    spec["jetstream"][field] = value;
    spec
}

/// A service that nothing is wrong with.
pub fn before() -> Value {
    json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } })
}

/// Specs of new services, with the rule that refuses each.
pub fn new_services() -> Vec<(Value, &'static str)> {
    vec![
        (json!({}), "one-type"),
        (json!({ "jetstream": {} }), "version-required"),
        (jetstream("version", json!("9.9.9")), "version-known"),
        (jetstream("replicas", json!(2)), "replicas"),
        (jetstream("settings", json!("store_dir: /tmp")), "settings-key"),
        (jetstream("bufferConfig", json!("stream:\n  maxMessages: 1\n")), "buffer-config"),
        (jetstream("persistence", json!({ "volumeSize": "lots" })), "volume-size"),
        (jetstream("startArgs", json!(["--config=/tmp/x"])), "start-args"),
        (jetstream("containerTemplate", json!({ "env": [{ "name": "JS_KEY", "value": "x" }] })), "container-env"),
        (jetstream("containerTemplate", json!({ "livenessProbe": { "successThreshold": 2 } })), "container-probe"),
    ]
}

/// Changes of [`before`] (JSON pointer below `spec`, value), with the rule that refuses each.
pub fn changes() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("/jetstream/encryption", json!(true), "encryption-toggle"),
        ("/jetstream/tls", json!(true), "tls-toggle"),
        ("/jetstream/replicas", json!(1), "replicas-cluster-switch"),
        ("/jetstream/persistence", json!({}), "persistence-change"),
        ("/jetstream/version", json!("2.10.29"), "version-downgrade"),
    ]
}
