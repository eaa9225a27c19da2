//! The texts that are merged over the controller configuration's.

use super::{Asked, Level, Rule, Violation};
use crate::controller_config::{Settings, stream_config, stream_config_conflict};
use crate::limits;

/// The NATS settings can be used.
pub const SETTINGS: Rule = Rule {
    name: "settings",
    level: Level::Deny,
    summary: "spec.jetstream.settings holds only max_payload, max_memory_store and max_file_store, each a size as NATS reads it.",
    about_change: false,
    check: settings,
};
/// The buffer properties can be used.
pub const BUFFER_CONFIG: Rule = Rule {
    name: "buffer-config",
    level: Level::Deny,
    summary: "spec.jetstream.bufferConfig is YAML with known properties of streams, consumers and buckets, and NATS can create what it says.",
    about_change: false,
    check: buffer_config,
};

fn too_long(field: &str, text: &str) -> Option<Violation> {
    (text.len() > limits::EMBEDDED_TEXT)
        .then(|| Violation::new(field, format!("has {} bytes, and at most {} are taken; shorten it", text.len(), limits::EMBEDDED_TEXT)))
}

fn settings(asked: &Asked<'_>) -> Vec<Violation> {
    const FIELD: &str = "spec.jetstream.settings";
    let Some(text) = asked.new.spec.jetstream.as_ref().and_then(|jetstream| jetstream.settings.as_deref()) else { return Vec::new() };
    if let Some(violation) = too_long(FIELD, text) {
        return vec![violation];
    }
    match Settings::merged(&asked.config.jetstream.settings, Some(text)) {
        Ok(_) => Vec::new(),
        Err(error) => vec![Violation::new(FIELD, error.to_string())],
    }
}

fn buffer_config(asked: &Asked<'_>) -> Vec<Violation> {
    const FIELD: &str = "spec.jetstream.bufferConfig";
    let Some(jetstream) = asked.new.spec.jetstream.as_ref() else { return Vec::new() };
    let Some(text) = jetstream.buffer_config.as_deref() else { return Vec::new() };
    if let Some(violation) = too_long(FIELD, text) {
        return vec![violation];
    }
    let (defaults, servers) = (&asked.config.jetstream.buffer_config, jetstream.server_count());
    let fault = stream_config(defaults, Some(text), servers).err().or_else(|| stream_config_conflict(defaults, text, servers));
    fault.map(|error| Violation::new(FIELD, error.to_string())).into_iter().collect()
}
