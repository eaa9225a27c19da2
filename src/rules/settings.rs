//! The servers' settings, a text that is merged over the controller configuration's.

use super::{About, Asked, Example, Level, Rule, Violation, change};
use crate::controller_config::{Settings, SettingsFault};
use crate::limits;

/// The NATS settings are ones that a service may set.
pub const SETTINGS_KEY: Rule = Rule {
    name: "settings-key",
    level: Level::Deny,
    about: About::Object,
    summary: "spec.jetstream.settings is YAML of the form key: value, and holds only max_payload, max_memory_store and max_file_store.",
    advice: "Everything else in a server's configuration is the controller's business, and a wrong line would keep the server from starting. Remove the key.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      store_dir: /tmp\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_payload: 2MB\n"),
    ],
    check: settings_key,
};
/// The NATS settings can be read.
pub const SETTINGS_VALUE: Rule = Rule {
    name: "settings-value",
    level: Level::Deny,
    about: About::Object,
    summary: "Each value in spec.jetstream.settings is a size as NATS reads it, within what NATS takes.",
    advice: "Write bytes, or a number with K, M, G or T, such as 20G; -1 leaves the size of a store to NATS. max_payload is at most 64MB.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_file_store: lots\n"),
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_payload: 65MB\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_memory_store: 1G\n"),
    ],
    check: settings_value,
};
/// Messages are no larger than NATS was made for.
pub const PAYLOAD_SIZE: Rule = Rule {
    name: "payload-size",
    level: Level::Warn,
    about: About::Object,
    summary: "max_payload is at most 8 MB: up to 64 MB work, but NATS recommends no more than 8 MB.",
    advice: "NATS buffers whole messages in memory, for each client and each replica. Keep messages small; put large things into an object store and send where they are.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_payload: 16MB\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_payload: 8MB\n"),
    ],
    check: payload_size,
};
/// Messages never get smaller.
pub const PAYLOAD_SHRINK: Rule = Rule {
    name: "payload-shrink",
    level: Level::Deny,
    about: About::Change,
    summary: "max_payload of a live service never goes down: larger messages that are stored could no longer be delivered.",
    advice: "Messages that are stored and larger than the new limit could no longer be sent to anybody, and the vertex that waits for one waits for ever. Keep the value, or delete the Pipelines that use the service, then the service, and create both anew.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_payload: 2MB\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_payload: 2MB\n",
        ),
    ],
    check: payload_shrink,
};
pub(super) const FIELD: &str = "spec.jetstream.settings";

/// Both sides of a change, each merged over the same controller configuration. What cannot be used is refused by itself where it is new; where it was there
/// before it is only told, and must not hide what changes beside it.
pub(super) fn both(asked: &Asked<'_>) -> Option<(Settings, Settings)> {
    let (old, new) = change::jetstream(asked)?;
    let defaults = &asked.config.jetstream.settings;
    let usable = |own: Option<&str>| Settings::merged_where_usable(defaults, own);
    Some((usable(old.settings.as_deref())?, usable(new.settings.as_deref())?))
}

/// What NATS itself warns above when it starts (nats-server v2.12.7 `server/const.go`, `MAX_PAYLOAD_MAX_SIZE`).
const PAYLOAD_RECOMMENDED: i64 = 8 << 20;

fn payload_size(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(jetstream) = asked.new.spec.jetstream.as_ref() else { return Vec::new() };
    let settings = Settings::merged_where_usable(&asked.config.jetstream.settings, jetstream.settings.as_deref());
    let Some(large) = settings.map(|settings| settings.max_payload).filter(|size| size.bytes > PAYLOAD_RECOMMENDED) else {
        return Vec::new();
    };
    vec![Violation::new(FIELD, format!("max_payload {} is above the 8MB that NATS recommends; use 8MB or less", large.text))]
}

fn payload_shrink(asked: &Asked<'_>) -> Vec<Violation> {
    let Some((old, new)) = both(asked) else { return Vec::new() };
    let (was, wanted) = (&old.max_payload, &new.max_payload);
    if wanted.bytes >= was.bytes {
        return Vec::new();
    }
    vec![Violation::new(
        FIELD,
        format!(
            "max_payload {} to {} would keep larger messages that are stored from ever being delivered; keep {}, or {}",
            was.text,
            wanted.text,
            was.text,
            change::RECREATE
        ),
    )]
}

fn faults(asked: &Asked<'_>) -> Vec<SettingsFault> {
    let Some(text) = asked.new.spec.jetstream.as_ref().and_then(|jetstream| jetstream.settings.as_deref()) else { return Vec::new() };
    match too_long(text) {
        Some(message) => vec![SettingsFault::Text(message)],
        None => Settings::faults(text),
    }
}

fn settings_key(asked: &Asked<'_>) -> Vec<Violation> {
    let message = |fault| match fault {
        SettingsFault::Text(message) => Some(message),
        SettingsFault::Key(error) => Some(error.to_string()),
        SettingsFault::Value(_) => None,
    };
    faults(asked).into_iter().filter_map(message).map(|message| Violation::new(FIELD, message)).collect()
}

fn settings_value(asked: &Asked<'_>) -> Vec<Violation> {
    let message = |fault| if let SettingsFault::Value(error) = fault { Some(error.to_string()) } else { None };
    faults(asked).into_iter().filter_map(message).map(|message| Violation::new(FIELD, message)).collect()
}

/// Why a text that is embedded in a service is not read at all.
pub(super) fn too_long(text: &str) -> Option<String> {
    (text.len() > limits::EMBEDDED_TEXT)
        .then(|| format!("has {} bytes, and at most {} are taken; shorten it", text.len(), limits::EMBEDDED_TEXT))
}
