//! The texts that are merged over the controller configuration's.

use super::{Asked, Level, Rule, Violation, change};
use crate::api::JetStreamBufferService;
use crate::controller_config::{Settings, quantity_bytes, stream_config, stream_config_conflict, stream_property};
use crate::limits;

/// The NATS settings can be used.
pub const SETTINGS: Rule = Rule {
    name: "settings",
    level: Level::Deny,
    summary: "spec.jetstream.settings holds only max_payload, max_memory_store and max_file_store, each a size as NATS reads it.",
    about_change: false,
    check: settings,
};
/// Messages are no larger than NATS was made for.
pub const PAYLOAD_SIZE: Rule = Rule {
    name: "payload-size",
    level: Level::Warn,
    summary: "max_payload is at most 8 MB: up to 64 MB work, but NATS recommends no more than 8 MB.",
    about_change: false,
    check: payload_size,
};
/// The buffer properties can be used.
pub const BUFFER_CONFIG: Rule = Rule {
    name: "buffer-config",
    level: Level::Deny,
    summary: "spec.jetstream.bufferConfig is YAML with known properties of streams, consumers and buckets, and NATS can create what it says.",
    about_change: false,
    check: buffer_config,
};
/// A buffer has room for what vertices put in before they stop.
pub const BUFFER_SIZE: Rule = Rule {
    name: "buffer-size",
    level: Level::Warn,
    summary: "A stream that throws the oldest message away when it is full (retention 0) holds more than vertices write before they wait, 30000 by default.",
    about_change: false,
    check: buffer_size,
};
/// Buffers that exist keep their properties.
pub const BUFFER_CONFIG_CHANGE: Rule = Rule {
    name: "buffer-config-change",
    level: Level::Warn,
    summary: "A change of bufferConfig reaches no buffer that exists, and restarts every pod of every Pipeline on the service.",
    about_change: true,
    check: buffer_config_change,
};
/// Messages never get smaller.
pub const PAYLOAD_SHRINK: Rule = Rule {
    name: "payload-shrink",
    level: Level::Deny,
    summary: "max_payload of a live service never goes down: larger messages that are stored could no longer be delivered.",
    about_change: true,
    check: payload_shrink,
};
/// The stores stay as large as they are.
pub const STORE_CHANGE: Rule = Rule {
    name: "store-change",
    level: Level::Deny,
    summary: "max_memory_store and max_file_store of a live service do not change: running servers refuse it, and this release does not carry it yet.",
    about_change: true,
    check: store_change,
};

const FIELD_OF_SETTINGS: &str = "spec.jetstream.settings";

/// Both sides of a change, each merged over the same controller configuration. Settings that cannot be used are refused by themselves.
fn both(asked: &Asked<'_>) -> Option<(Settings, Settings)> {
    let (old, new) = change::jetstream(asked)?;
    let defaults = &asked.config.jetstream.settings;
    let new = Settings::merged(defaults, new.settings.as_deref()).ok()?;
    Some((Settings::merged_where_usable(defaults, old.settings.as_deref())?, new))
}

/// What NATS itself warns above when it starts (nats-server v2.12.7 `server/const.go`, `MAX_PAYLOAD_MAX_SIZE`).
const PAYLOAD_RECOMMENDED: i64 = 8 << 20;

fn payload_size(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(jetstream) = asked.new.spec.jetstream.as_ref() else { return Vec::new() };
    let settings = Settings::merged_where_usable(&asked.config.jetstream.settings, jetstream.settings.as_deref());
    let Some(large) = settings.map(|settings| settings.max_payload).filter(|size| size.bytes > PAYLOAD_RECOMMENDED) else {
        return Vec::new();
    };
    vec![Violation::new(FIELD_OF_SETTINGS, format!("max_payload {} is above the 8MB that NATS recommends; use 8MB or less", large.text))]
}

fn payload_shrink(asked: &Asked<'_>) -> Vec<Violation> {
    let Some((old, new)) = both(asked) else { return Vec::new() };
    let (was, wanted) = (&old.max_payload, &new.max_payload);
    if wanted.bytes >= was.bytes {
        return Vec::new();
    }
    vec![Violation::new(
        FIELD_OF_SETTINGS,
        format!(
            "max_payload {} to {} would keep larger messages that are stored from ever being delivered; keep {}, or {}",
            was.text,
            wanted.text,
            was.text,
            change::RECREATE
        ),
    )]
}

fn store_change(asked: &Asked<'_>) -> Vec<Violation> {
    let (Some((old, new)), Some((was, _))) = (both(asked), change::jetstream(asked)) else { return Vec::new() };
    // A change of the volumes is a rule of its own.
    let volume = was.persistence.as_ref().and_then(|persistence| quantity_bytes(&persistence.volume_size()));
    let stores = [
        ("max_memory_store", old.max_memory_store.bytes, new.max_memory_store.bytes),
        ("max_file_store", old.file_store_bytes(volume), new.file_store_bytes(volume)),
    ];
    stores
        .into_iter()
        .filter(|(_, was, wanted)| was != wanted)
        .map(|(key, was, wanted)| {
            Violation::new(
                FIELD_OF_SETTINGS,
                format!(
                    "{key} {was} to {wanted} bytes needs a restart of every server, which this release does not carry yet; keep the line as it was, or {}",
                    change::RECREATE
                ),
            )
        })
        .collect()
}

/// What a vertex writes before it waits (numaflow `pkg/apis/numaflow/v1alpha1/const.go`, `DefaultBufferLength`).
const BUFFER_LENGTH: i64 = 30_000;
const FIELD_OF_BUFFERS: &str = "spec.jetstream.bufferConfig";

fn buffer_size(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(jetstream) = asked.new.spec.jetstream.as_ref() else { return Vec::new() };
    // A default of the controller configuration drops messages as one's own does.
    let own = jetstream.buffer_config.as_deref().unwrap_or_default();
    let number =
        |key: &str| stream_property(&asked.config.jetstream.buffer_config, own, "stream", key).and_then(|value| value.parse::<i64>().ok());
    let Some(most) = number("maxmsgs").filter(|most| (1..BUFFER_LENGTH).contains(most) && number("retention") == Some(0)) else {
        return Vec::new();
    };
    vec![Violation::new(FIELD_OF_BUFFERS, format!("maxMsgs {most} drops unread messages when full; set {BUFFER_LENGTH} or more"))]
}

fn buffer_config_change(asked: &Asked<'_>) -> Vec<Violation> {
    let Some((old, new)) = change::jetstream(asked) else { return Vec::new() };
    let text = |one: &JetStreamBufferService| {
        stream_config(&asked.config.jetstream.buffer_config, one.buffer_config.as_deref(), one.server_count()).ok()
    };
    match (text(old), text(new)) {
        (Some(was), Some(wanted)) if was != wanted => {
            vec![Violation::new(FIELD_OF_BUFFERS, "existing buffers keep theirs, and every Pipeline pod restarts")]
        }
        _ => Vec::new(),
    }
}

fn too_long(field: &str, text: &str) -> Option<Violation> {
    (text.len() > limits::EMBEDDED_TEXT)
        .then(|| Violation::new(field, format!("has {} bytes, and at most {} are taken; shorten it", text.len(), limits::EMBEDDED_TEXT)))
}

fn settings(asked: &Asked<'_>) -> Vec<Violation> {
    const FIELD: &str = FIELD_OF_SETTINGS;
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
    const FIELD: &str = FIELD_OF_BUFFERS;
    let Some(jetstream) = asked.new.spec.jetstream.as_ref() else { return Vec::new() };
    let Some(text) = jetstream.buffer_config.as_deref() else { return Vec::new() };
    if let Some(violation) = too_long(FIELD, text) {
        return vec![violation];
    }
    let (defaults, servers) = (&asked.config.jetstream.buffer_config, jetstream.server_count());
    let fault = stream_config(defaults, Some(text), servers).err().or_else(|| stream_config_conflict(defaults, text, servers));
    fault.map(|error| Violation::new(FIELD, error.to_string())).into_iter().collect()
}
