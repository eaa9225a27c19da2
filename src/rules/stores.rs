//! How much the servers may store.

use super::settings::{FIELD, both};
use super::{About, Asked, Example, Level, Rule, Violation, change};
use crate::controller_config::{Settings, quantity_bytes};

/// What may be stored fits on the volume.
pub const STORE_EXCEEDS_VOLUME: Rule = Rule {
    name: "store-exceeds-volume",
    level: Level::Warn,
    about: About::Object,
    summary: "max_file_store is no more than the volume holds: a full disk takes the whole of JetStream down on that server until somebody restarts it.",
    advice: "NATS refuses new messages when its own limit is reached, which pipelines survive; when the disk is full it switches itself off, which they do not. \
             Leave max_file_store out, and it follows the volume (nineteen twentieths of it), or set it below the volume's size. This is a warning only, \
             because a claim can be bound to a larger volume than it asks for.",
    overridable: false,
    examples: &[
        Example::bad(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      volumeSize: 20Gi\n    settings: |\n      max_file_store: 1TB\n",
        ),
        Example::good(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      volumeSize: 20Gi\n    settings: |\n      max_file_store: 18G\n",
        ),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence: {}\n"),
    ],
    check: exceeds_volume,
};
/// The stores do not get smaller.
pub const STORE_SHRINK: Rule = Rule {
    name: "store-shrink",
    level: Level::Deny,
    about: About::Change,
    summary: "max_memory_store and max_file_store of a live service do not go down: servers that hold more take no new message.",
    advice: "Running servers refuse the change, and one that restarts with less than it holds refuses every new message. Keep the value, or delete the \
             Pipelines that use the service, then the service, and create both anew.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_memory_store: 2G\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_memory_store: 1G\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_memory_store: 1G\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_memory_store: 1000M\n",
        ),
    ],
    check: shrink,
};
/// The stores do not get larger yet.
pub const STORE_GROW: Rule = Rule {
    name: "store-grow",
    level: Level::Deny,
    about: About::Change,
    summary: "max_memory_store and max_file_store of a live service do not go up either: servers take it with a restart only, which this release does not carry yet.",
    advice: "NATS before 2.12.7 refuses to reload a configuration in which a store changed, and with it everything else in it; a release of ours that restarts the \
             servers one by one for it will take this change. Until then keep the value, or delete the Pipelines that use the service, then the service, \
             and create both anew.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_memory_store: 1G\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_memory_store: 2G\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    settings: |\n      max_file_store: 1TB\n",
        ),
    ],
    check: grow,
};

fn exceeds_volume(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(jetstream) = asked.new.spec.jetstream.as_ref() else { return Vec::new() };
    let volume = jetstream.persistence.as_ref().and_then(|persistence| quantity_bytes(&persistence.volume_size()));
    let settings = Settings::merged_where_usable(&asked.config.jetstream.settings, jetstream.settings.as_deref());
    let (Some(volume), Some(settings)) = (volume, settings) else { return Vec::new() };
    let store = &settings.max_file_store;
    // NATS's own choice is -1, and fits.
    let exceeds = settings.own_max_file_store && u64::try_from(store.bytes).is_ok_and(|bytes| bytes > volume);
    if !exceeds {
        return Vec::new();
    }
    vec![Violation::new(FIELD, format!("max_file_store {} is more than the volume holds; leave it out", store.text))]
}

/// The stores that differ: key, bytes before, bytes after. -1 is NATS's own choice, which is neither more nor less than a number.
fn stores(asked: &Asked<'_>) -> Vec<(&'static str, i64, i64)> {
    let (Some((old, new)), Some((was, _))) = (both(asked), change::jetstream(asked)) else { return Vec::new() };
    // A change of the volumes is a rule of its own.
    let volume = was.persistence.as_ref().and_then(|persistence| quantity_bytes(&persistence.volume_size()));
    let stores = [
        ("max_memory_store", old.max_memory_store.bytes, new.max_memory_store.bytes),
        ("max_file_store", old.file_store_bytes(volume), new.file_store_bytes(volume)),
    ];
    stores.into_iter().filter(|(_, was, wanted)| was != wanted).collect()
}

fn grows((_, was, wanted): &(&str, i64, i64)) -> bool {
    (0..*wanted).contains(was)
}

fn shown(bytes: i64) -> String {
    if bytes < 0 { "NATS's own choice (-1)".to_owned() } else { format!("{bytes} bytes") }
}

fn shrink(asked: &Asked<'_>) -> Vec<Violation> {
    let violation = |(key, was, wanted)| {
        Violation::new(
            FIELD,
            format!(
                "{key} {} to {} may leave servers without room for what they hold, so that they take no new message; keep the line as it was, or {}",
                shown(was),
                shown(wanted),
                change::RECREATE
            ),
        )
    };
    stores(asked).into_iter().filter(|store| !grows(store)).map(violation).collect()
}

fn grow(asked: &Asked<'_>) -> Vec<Violation> {
    let violation = |(key, was, wanted)| {
        Violation::new(
            FIELD,
            format!(
                "{key} {} to {} needs a restart of every server, which this release does not carry yet; keep the line as it was, or {}",
                shown(was),
                shown(wanted),
                change::RECREATE
            ),
        )
    };
    stores(asked).into_iter().filter(grows).map(violation).collect()
}
