//! The properties of buffers, a text that is merged over the controller configuration's.

use super::settings::too_long;
use super::{About, Asked, Example, Level, Rule, Violation, change};
use crate::api::JetStreamBufferService;
use crate::controller_config::{ValueError, stream_config, stream_config_conflict, stream_property};

/// The buffer properties can be used.
pub const BUFFER_CONFIG: Rule = Rule {
    name: "buffer-config",
    level: Level::Deny,
    about: About::Object,
    summary: "spec.jetstream.bufferConfig is YAML with known properties of streams, consumers and buckets, and NATS can create what it says.",
    advice: "The data plane reads these properties when it creates the buffers of a Pipeline; with one that is not known or not possible, it would fail there, or be ignored. Take the names and forms from Numaflow's manual.",
    overridable: false,
    examples: &[
        Example::bad(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    bufferConfig: |\n      stream:\n        maxMessages: 1\n",
        ),
        Example::bad(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    bufferConfig: |\n      stream:\n        duplicates: 73h\n",
        ),
        Example::good(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    bufferConfig: |\n      stream:\n        maxMsgs: 50000\n",
        ),
    ],
    check: buffer_config,
};
/// There are as many servers as a buffer has replicas.
pub const BUFFER_REPLICAS: Rule = Rule {
    name: "buffer-replicas",
    level: Level::Deny,
    about: About::Object,
    summary: "A stream or bucket has no more replicas than the service has servers.",
    advice: "NATS creates no such stream, so no Pipeline could start on the service. Lower replicas in spec.jetstream.bufferConfig, or raise \
             spec.jetstream.replicas; 3 of each is right for almost everybody. A service with one server gets one replica whatever is asked for.",
    overridable: false,
    examples: &[
        Example::bad(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    bufferConfig: |\n      stream:\n        replicas: 5\n",
        ),
        Example::good(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 5\n    bufferConfig: |\n      stream:\n        replicas: 5\n",
        ),
    ],
    check: buffer_replicas,
};
/// A buffer has room for what vertices put in before they stop.
pub const BUFFER_SIZE: Rule = Rule {
    name: "buffer-size",
    level: Level::Warn,
    about: About::Object,
    summary: "A stream that throws the oldest message away when it is full (retention 0) holds more than vertices write before they wait, 30000 by default.",
    advice: "A full stream with retention 0 (limits) throws the oldest message away, read or not, and a vertex stops writing only at its own bufferMaxLength. Set maxMsgs well above the bufferMaxLength of the Pipelines, or retention 1 or 2.",
    overridable: false,
    examples: &[
        Example::bad(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    bufferConfig: |\n      stream:\n        maxMsgs: 10000\n",
        ),
        Example::good(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    bufferConfig: |\n      stream:\n        maxMsgs: 50000\n",
        ),
    ],
    check: buffer_size,
};
/// Buffers that exist keep their properties.
pub const BUFFER_CONFIG_CHANGE: Rule = Rule {
    name: "buffer-config-change",
    level: Level::Warn,
    about: About::Change,
    summary: "A change of bufferConfig reaches no buffer that exists, and restarts every pod of every Pipeline on the service.",
    advice: "Buffers are created once, so only Pipelines that are created later get the new properties; and as the text is handed to every vertex, all their pods restart. Make the change at a quiet time, and recreate the Pipelines that should have it.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    bufferConfig: |\n      stream:\n        maxMsgs: 50000\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    bufferConfig: |\n      stream:\n        maxMsgs: 100000\n",
        ),
    ],
    check: buffer_config_change,
};
/// What a vertex writes before it waits (numaflow `pkg/apis/numaflow/v1alpha1/const.go`, `DefaultBufferLength`).
const BUFFER_LENGTH: i64 = 30_000;
const FIELD: &str = "spec.jetstream.bufferConfig";

fn buffer_size(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(jetstream) = asked.new.spec.jetstream.as_ref() else { return Vec::new() };
    // A default of the controller configuration drops messages as one's own does.
    let own = jetstream.buffer_config.as_deref().unwrap_or_default();
    let number =
        |key: &str| stream_property(&asked.config.jetstream.buffer_config, own, "stream", key).and_then(|value| value.parse::<i64>().ok());
    let Some(most) = number("maxmsgs").filter(|most| (1..BUFFER_LENGTH).contains(most) && number("retention") == Some(0)) else {
        return Vec::new();
    };
    vec![Violation::new(FIELD, format!("maxMsgs {most} drops unread messages when full; set {BUFFER_LENGTH} or more"))]
}

fn buffer_config_change(asked: &Asked<'_>) -> Vec<Violation> {
    let Some((old, new)) = change::jetstream(asked) else { return Vec::new() };
    let text = |one: &JetStreamBufferService| {
        stream_config(&asked.config.jetstream.buffer_config, one.buffer_config.as_deref(), one.server_count()).ok()
    };
    match (text(old), text(new)) {
        (Some(was), Some(wanted)) if was != wanted => {
            vec![Violation::new(FIELD, "existing buffers keep theirs, and every Pipeline pod restarts")]
        }
        _ => Vec::new(),
    }
}

/// Whether a fault is about the number of replicas, which is a rule of its own.
fn is_of_replicas(error: &ValueError) -> bool {
    error.key.ends_with(".replicas")
}

fn conflict(asked: &Asked<'_>) -> Option<ValueError> {
    let jetstream = asked.new.spec.jetstream.as_ref()?;
    let text = jetstream.buffer_config.as_deref().filter(|text| too_long(text).is_none())?;
    stream_config_conflict(&asked.config.jetstream.buffer_config, text, jetstream.server_count())
}

fn buffer_replicas(asked: &Asked<'_>) -> Vec<Violation> {
    conflict(asked).filter(is_of_replicas).map(|error| Violation::new(FIELD, error.to_string())).into_iter().collect()
}

fn buffer_config(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(jetstream) = asked.new.spec.jetstream.as_ref() else { return Vec::new() };
    let Some(text) = jetstream.buffer_config.as_deref() else { return Vec::new() };
    if let Some(message) = too_long(text) {
        return vec![Violation::new(FIELD, message)];
    }
    let unreadable = stream_config(&asked.config.jetstream.buffer_config, Some(text), jetstream.server_count()).err();
    let fault = unreadable.or_else(|| conflict(asked).filter(|error| !is_of_replicas(error)));
    fault.map(|error| Violation::new(FIELD, error.to_string())).into_iter().collect()
}
