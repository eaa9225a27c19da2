//! The version.

use super::{About, Asked, Example, Level, Rule, Violation, change};
use crate::api::{InterStepBufferService, ServiceType};
use crate::controller_config::{JetStreamVersion, newest_fixed};

const FIELD: &str = "spec.jetstream.version";
const REDIS_FIELD: &str = "spec.redis.native.version";

/// A version is given.
pub const VERSION_REQUIRED: Rule = Rule {
    name: "version-required",
    level: Level::Deny,
    about: About::Object,
    summary: "A JetStream or native Redis service names its version.",
    advice: "Without a version nobody can say which image runs. Name one of the versions in the controller configuration (kubectl isbsvc versions lists them).",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    replicas: 3\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
    ],
    check: required,
};
/// The version is one of the controller configuration.
pub const VERSION_KNOWN: Rule = Rule {
    name: "version-known",
    level: Level::Deny,
    about: About::Object,
    summary: "The version is one of those in the controller configuration.",
    advice: "Images, start command and reloader of each version stand in the controller configuration (ConfigMap numaflow-controller-config). Choose one that is listed there, or have it added.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 1.2.3\n    replicas: 3\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
    ],
    check: known,
};
/// The version is a fixed one.
pub const VERSION_FLOATING: Rule = Rule {
    name: "version-floating",
    level: Level::Warn,
    about: About::Object,
    summary: "The version is a fixed one: latest changes its image with the controller.",
    advice: "What latest means is decided by the controller configuration, so an upgrade of the controller would also upgrade the servers. Use a fixed version, and change it when you want to.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: latest\n    replicas: 3\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
    ],
    check: floating,
};
/// The version never goes down.
pub const VERSION_DOWNGRADE: Rule = Rule {
    name: "version-downgrade",
    level: Level::Deny,
    about: About::Change,
    summary: "The version of a live service never goes down: an older server may not read what a newer one wrote.",
    advice: "Newer servers write streams and their metadata in forms that older ones misread or refuse. Keep the version, or create a second service with the older one and move the Pipelines to it. An override is carried out, one server at a time, and nothing checks that the older server reads what it finds.",
    overridable: true,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.10.29\n    replicas: 3\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.10.29\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
        ),
    ],
    check: downgrade,
};

fn field(asked: &Asked<'_>) -> Option<&'static str> {
    match asked.new.spec.types().as_slice() {
        [ServiceType::JetStream] => Some(FIELD),
        [ServiceType::RedisNative] => Some(REDIS_FIELD),
        _ => None,
    }
}

fn required(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(field) = field(asked) else { return Vec::new() };
    if asked.new.spec.version().is_some_and(|version| !version.trim().is_empty()) {
        return Vec::new();
    }
    let example =
        newest_fixed(asked.config).filter(|_| field == FIELD).map(|entry| format!(", for example {}", entry.version)).unwrap_or_default();
    vec![Violation::new(field, format!("is required; name a version of the controller configuration{example}"))]
}

fn known(asked: &Asked<'_>) -> Vec<Violation> {
    let (Some(FIELD), Some(version)) = (field(asked), asked.new.spec.version()) else { return Vec::new() };
    if version.trim().is_empty() || asked.config.jetstream_version(version).is_some() {
        return Vec::new();
    }
    let versions: Vec<_> = asked.config.jetstream.versions.iter().map(|entry| entry.version.as_str()).collect();
    vec![Violation::new(FIELD, format!("{version:?} is not in the controller configuration; choose one of {}", versions.join(", ")))]
}

fn floating(asked: &Asked<'_>) -> Vec<Violation> {
    let (Some(field), Some(version)) = (field(asked), asked.new.spec.version()) else { return Vec::new() };
    if version != "latest" {
        return Vec::new();
    }
    let fixed =
        newest_fixed(asked.config).filter(|_| field == FIELD).map(|entry| format!(", such as {}", entry.version)).unwrap_or_default();
    vec![Violation::new(field, format!("latest changes with the controller; use a fixed version{fixed}"))]
}

/// Whether a controller has carried it out once: only then are clients told how to connect.
fn has_run(service: &InterStepBufferService) -> bool {
    service.status.as_ref().is_some_and(|status| status.config.is_some())
}

fn downgrade(asked: &Asked<'_>) -> Vec<Violation> {
    let Some((old, new)) = change::jetstream(asked) else { return Vec::new() };
    let release = |version: &str| {
        asked.config.jetstream_version(version).map_or_else(|| crate::controller_config::parse_version(version), JetStreamVersion::release)
    };
    let (was, wanted) = (old.version.as_deref().unwrap_or_default(), new.version.as_deref().unwrap_or_default());
    match (release(was), release(wanted)) {
        (Some(from), Some(to)) if to >= from => return Vec::new(),
        (Some(_), Some(_)) => {}
        _ if was == wanted => return Vec::new(),
        // A word that nobody lists, of a service that never ran, is a mistake that can be mended; one that was listed once runs on.
        (None, _) if asked.config.jetstream_version(was).is_none() && !asked.old.is_some_and(has_run) => return Vec::new(),
        (_, None) if asked.config.jetstream_version(wanted).is_none() => return Vec::new(),
        (from, _) => {
            let untold = if from.is_none() { was } else { wanted };
            return vec![
                Violation::new(
                    FIELD,
                    format!(
                        "which release {untold} is cannot be told from the controller configuration, so that {wanted} could be older than {was} and misread \
                         what it stored; name the release in the tag of its image there, or keep {was}"
                    ),
                )
                .overridden_by(wanted),
            ];
        }
    }
    vec![Violation::new(
        FIELD,
        format!(
            "{wanted} is older than {was}, and may not read what {was} stored; keep {was}, or create a second service with {wanted} and move the Pipelines"
        ),
    )
    .overridden_by(wanted)]
}
