use serde_json::Value;

use crate::api::JetStreamBufferService;
use crate::controller_config::{ControllerConfig, Settings, stream_config};

/// Whether a changed controller configuration changes anything that a service with this spec uses: the entry of its version, or the settings and buffer
/// properties that its own are merged over. Where that cannot be told, it does.
pub fn concerned(spec: &Value, before: &ControllerConfig, after: &ControllerConfig) -> bool {
    if spec["jetstream"].is_null() {
        return before.redis != after.redis;
    }
    let Ok(spec) = serde_json::from_value::<JetStreamBufferService>(spec["jetstream"].clone()) else { return true };
    let entry = |config: &ControllerConfig| config.jetstream_version(spec.version.as_deref().unwrap_or_default()).cloned();
    let settings = |config: &ControllerConfig| Settings::merged(&config.jetstream.settings, spec.settings.as_deref());
    let buffers =
        |config: &ControllerConfig| stream_config(&config.jetstream.buffer_config, spec.buffer_config.as_deref(), spec.server_count());
    entry(before) != entry(after) || settings(before) != settings(after) || buffers(before) != buffers(after)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(text: &str) -> ControllerConfig {
        ControllerConfig::parse(text).unwrap()
    }

    fn jetstream(spec: &Value) -> Value {
        json!({ "jetstream": spec })
    }

    #[test]
    fn an_entry_of_another_version_concerns_nobody_else() {
        let version =
            |version: &str, image: &str| format!("- version: {version}\n      natsImage: {image}\n      startCommand: /nats-server\n");
        let listed = |image: &str| {
            config(&format!(
                "isbsvc:\n  jetstream:\n    versions:\n    {}    {}",
                version("2.12.7", "nats:2.12.7"),
                version("2.10.29", image)
            ))
        };
        let (before, after) = (listed("nats:2.10.29"), listed("mirror/nats:2.10.29"));
        assert!(concerned(&jetstream(&json!({ "version": "2.10.29" })), &before, &after));
        assert!(!concerned(&jetstream(&json!({ "version": "2.12.7" })), &before, &after));
    }

    #[test]
    fn a_default_concerns_who_does_not_say_it_himself() {
        let (before, after) = (
            config(""),
            config(
                "isbsvc:\n  jetstream:\n    settings: |\n      max_payload: 2097152\n      max_memory_store: -1\n      max_file_store: 1TB\n",
            ),
        );
        assert!(concerned(&jetstream(&json!({ "version": "2.12.7" })), &before, &after));
        assert!(!concerned(&jetstream(&json!({ "version": "2.12.7", "settings": "max_payload: 4194304\n" })), &before, &after));
        let buffers = config(
            &crate::controller_config::ControllerConfig::built_in()
                .jetstream
                .buffer_config
                .lines()
                .fold("isbsvc:\n  jetstream:\n    bufferConfig: |\n".to_owned(), |text, line| {
                    format!("{text}      {}\n", line.replace("maxMsgs: 100000", "maxMsgs: 50000"))
                }),
        );
        assert!(concerned(&jetstream(&json!({ "version": "2.12.7" })), &before, &buffers));
        assert!(!concerned(&jetstream(&json!({ "version": "2.12.7", "bufferConfig": "stream:\n  maxMsgs: 7\n" })), &before, &buffers));
    }

    #[test]
    fn the_same_in_other_words_concerns_nobody_and_what_cannot_be_read_is_looked_at() {
        let (before, after) = (config(""), config("# a comment\n"));
        assert!(!concerned(&jetstream(&json!({ "version": "2.12.7" })), &before, &after));
        assert!(concerned(&jetstream(&json!({ "replicas": "three" })), &before, &after));
        assert!(!concerned(&json!({ "redis": { "native": {} } }), &before, &after));
    }
}
