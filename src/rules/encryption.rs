//! Encryption at rest.

use super::{About, Asked, Example, Level, Rule, Violation, change};

/// Encryption is not toggled.
pub const ENCRYPTION_TOGGLE: Rule = Rule {
    name: "encryption-toggle",
    level: Level::Deny,
    about: About::Change,
    summary: "Encryption is never toggled on a live service: servers could no longer read the messages that they stored.",
    advice: "NATS refuses the new setting while a server runs and takes it when that server happens to restart; from then on it cannot read what it \
             stored before. Decide on encryption when the service is created. To change it later, delete the Pipelines that use the service, then the \
             service, and create both anew.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    encryption: true\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    encryption: false\n",
        ),
    ],
    check: toggle,
};

fn toggle(asked: &Asked<'_>) -> Vec<Violation> {
    let Some((old, new)) = change::jetstream(asked) else { return Vec::new() };
    let (was, wanted) = (old.encrypted(), new.encrypted());
    if was == wanted {
        return Vec::new();
    }
    vec![Violation::new(
        "spec.jetstream.encryption",
        format!(
            "changing {was} to {wanted} on a live service loses data: a server that restarts cannot read what it stored before; {}",
            change::RECREATE
        ),
    )]
}
