//! Volumes.

use std::cmp::Ordering;

use super::{About, Asked, Example, Level, Rule, Violation, change};
use crate::api::Persistence;
use crate::controller_config::quantity_bytes;
use crate::limits;

/// The size of the volumes can be used.
pub const VOLUME_SIZE: Rule = Rule {
    name: "volume-size",
    level: Level::Deny,
    about: About::Object,
    summary: "The size of a volume is a quantity of at least 16Mi.",
    advice: "Kubernetes would refuse the claim, or NATS could not write its first block, and the servers would never start. Write a quantity such as 20Gi, \
             which is also the default.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      volumeSize: lots\n"),
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      volumeSize: 15Mi\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      volumeSize: 50Gi\n"),
    ],
    check: volume_size,
};
/// The access mode of the volumes can be used.
pub const ACCESS_MODE: Rule = Rule {
    name: "access-mode",
    level: Level::Deny,
    about: About::Object,
    summary: "The access mode of a volume is one that Kubernetes knows and that can be written to.",
    advice: "Each server writes to a volume of its own. Leave the field out, which means ReadWriteOnce, or use ReadWriteOncePod or ReadWriteMany where your \
             storage class wants it.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      accessMode: ReadOnlyMany\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      accessMode: ReadWriteOncePod\n"),
    ],
    check: access_mode,
};
/// There are volumes.
pub const NO_PERSISTENCE: Rule = Rule {
    name: "no-persistence",
    level: Level::Warn,
    about: About::Object,
    summary: "The servers have volumes: without them, a pod that goes takes its copy of every message with it.",
    advice: "With three servers and no volumes, the loss of one pod is mended by the other two, and the loss of two at once, as by a drain of two nodes or a \
             full stop of the cluster, loses everything that was not yet read. Volumes cannot be added later without a new service: give \
             spec.jetstream.persistence, {} is enough, when the service is created.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence: {}\n"),
    ],
    check: no_persistence,
};
/// The volumes do not change.
pub const PERSISTENCE_CHANGE: Rule = Rule {
    name: "persistence-change",
    level: Level::Deny,
    about: About::Change,
    summary: "Volumes of a live service do not change: new ones would be empty.",
    advice: "Kubernetes does not change the volumes of a StatefulSet, and new volumes would be empty. Sizes compare by value, so 20Gi and 20480Mi are the same. To change anything else, delete the Pipelines that use the service, then the service, and create both anew. This release does not grow volumes yet.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence: {}\n",
        ),
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      volumeSize: 20Gi\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      volumeSize: 30Gi\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      volumeSize: 20Gi\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence:\n      volumeSize: 20480Mi\n",
        ),
    ],
    check: unchanged,
};

pub(super) const ACCESS_MODES: [&str; 4] = ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany", "ReadOnlyMany"];

fn persistence<'a>(asked: &Asked<'a>) -> Option<&'a Persistence> {
    asked.new.spec.jetstream.as_ref()?.persistence.as_ref()
}

fn volume_size(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(persistence) = persistence(asked) else { return Vec::new() };
    let size = persistence.volume_size();
    let fault = match quantity_bytes(&size) {
        None => Some(format!("{size:?} is not a size; write a quantity such as 20Gi")),
        Some(bytes) if bytes < limits::VOLUME => {
            Some(format!("{size:?} is {bytes} bytes, and NATS needs 16Mi for two blocks of a single stream; write a quantity such as 20Gi"))
        }
        Some(_) => None,
    };
    fault.map(|message| Violation::new("spec.jetstream.persistence.volumeSize", message)).into_iter().collect()
}

fn access_mode(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(mode) = persistence(asked).map(Persistence::access_mode) else { return Vec::new() };
    let fault = if !ACCESS_MODES.contains(&mode) {
        Some(format!("{mode:?} is not known; use ReadWriteOnce"))
    } else if mode == "ReadOnlyMany" {
        Some("ReadOnlyMany cannot be written to; use ReadWriteOnce".to_owned())
    } else {
        None
    };
    fault.map(|message| Violation::new("spec.jetstream.persistence.accessMode", message)).into_iter().collect()
}

fn no_persistence(asked: &Asked<'_>) -> Vec<Violation> {
    let without = asked.new.spec.jetstream.as_ref().is_some_and(|jetstream| jetstream.persistence.is_none());
    let message = "messages are lost with the pods; add persistence now, it cannot be added later";
    without.then(|| Violation::new("spec.jetstream", message)).into_iter().collect()
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
    match quantity_bytes(&wanted).cmp(&quantity_bytes(&was)) {
        Ordering::Equal => {}
        Ordering::Less => refuse("volumeSize", &was, &wanted),
        Ordering::Greater => found.push(Violation::new(
            "spec.jetstream.persistence.volumeSize",
            format!("{was} to {wanted}: this release does not grow volumes yet; keep {was}, or {}", change::RECREATE),
        )),
    }
    found
}
