//! Encryption at rest.

use super::{Asked, Level, Rule, Violation, change};

/// Encryption is not toggled.
pub const ENCRYPTION_TOGGLE: Rule = Rule {
    name: "encryption-toggle",
    level: Level::Deny,
    summary: "Encryption is never toggled on a live service: servers could no longer read the messages that they stored.",
    about_change: true,
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
