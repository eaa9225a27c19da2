//! Volumes.

use super::{Asked, Level, Rule, Violation, change};
use crate::api::Persistence;
use crate::controller_config::quantity_bytes;
use crate::limits;

/// The volumes can be made.
pub const PERSISTENCE: Rule = Rule {
    name: "persistence",
    level: Level::Deny,
    summary: "The size of a volume is a quantity of at least 16Mi, and its access mode is one that Kubernetes knows and that can be written to.",
    about_change: false,
    check: valid,
};
/// The volumes do not change.
pub const PERSISTENCE_CHANGE: Rule = Rule {
    name: "persistence-change",
    level: Level::Deny,
    summary: "Volumes of a live service do not change: new ones would be empty.",
    about_change: true,
    check: unchanged,
};

const ACCESS_MODES: [&str; 4] = ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"];

fn valid(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(persistence) = asked.new.spec.jetstream.as_ref().and_then(|jetstream| jetstream.persistence.as_ref()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let size = persistence.volume_size();
    let fault = match quantity_bytes(&size) {
        None => Some(format!("{size:?} is not a size; write a quantity such as 20Gi")),
        Some(bytes) if bytes < limits::VOLUME => {
            Some(format!("{size:?} is {bytes} bytes, and NATS needs 16Mi for two blocks of a single stream; write a quantity such as 20Gi"))
        }
        Some(_) => None,
    };
    found.extend(fault.map(|message| Violation::new("spec.jetstream.persistence.volumeSize", message)));
    let mode = persistence.access_mode();
    if !ACCESS_MODES.contains(&mode) {
        found.push(Violation::new("spec.jetstream.persistence.accessMode", format!("{mode:?} is not known; use ReadWriteOnce")));
    } else if mode == "ReadOnlyMany" {
        found.push(Violation::new("spec.jetstream.persistence.accessMode", "ReadOnlyMany cannot be written to; use ReadWriteOnce"));
    }
    found
}

fn unchanged(asked: &Asked<'_>) -> Vec<Violation> {
    let Some((old, new)) = change::jetstream(asked) else { return Vec::new() };
    let (old, new) = match (&old.persistence, &new.persistence) {
        (None, None) => return Vec::new(),
        (Some(old), Some(new)) => (old, new),
        (None, Some(_)) => {
            return vec![Violation::new(
                "spec.jetstream.persistence",
                format!("volumes cannot be added to a live service, because they would be empty; {}", change::RECREATE),
            )];
        }
        (Some(_), None) => {
            return vec![Violation::new(
                "spec.jetstream.persistence",
                format!("volumes cannot be taken from a live service, because its messages are on them; {}", change::RECREATE),
            )];
        }
    };
    let mut found = Vec::new();
    let mut refuse = |field: &str, was: &str, wanted: &str| {
        found.push(Violation::new(
            format!("spec.jetstream.persistence.{field}"),
            format!("{was} to {wanted} would need new volumes, which are empty; keep {was}, or {}", change::RECREATE),
        ));
    };
    let class = |persistence: &Persistence| persistence.storage_class_name.clone().unwrap_or_else(|| "the default class".to_owned());
    if old.storage_class_name != new.storage_class_name {
        refuse("storageClassName", &class(old), &class(new));
    }
    if old.access_mode() != new.access_mode() {
        refuse("accessMode", old.access_mode(), new.access_mode());
    }
    let (was, wanted) = (old.volume_size(), new.volume_size());
    // Quantities compare by value: 20Gi = 20480Mi.
    if was != wanted && quantity_bytes(&was) != quantity_bytes(&wanted) {
        if quantity_bytes(&wanted) > quantity_bytes(&was) {
            found.push(Violation::new(
                "spec.jetstream.persistence.volumeSize",
                format!("{was} to {wanted}: this release does not grow volumes yet; keep {was}, or {}", change::RECREATE),
            ));
        } else {
            refuse("volumeSize", &was, &wanted);
        }
    }
    found
}
