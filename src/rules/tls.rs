//! TLS.

use super::{Asked, Level, Rule, Violation, change};

/// TLS is not toggled.
pub const TLS_TOGGLE: Rule = Rule {
    name: "tls-toggle",
    level: Level::Deny,
    summary: "TLS is never toggled on a live service: servers and clients would all have to move at the same moment.",
    about_change: true,
    check: toggle,
};

fn toggle(asked: &Asked<'_>) -> Vec<Violation> {
    let Some((old, new)) = change::jetstream(asked) else { return Vec::new() };
    let (was, wanted) = (old.tls_enabled(), new.tls_enabled());
    if was == wanted {
        return Vec::new();
    }
    vec![Violation::new(
        "spec.jetstream.tls",
        format!(
            "changing {was} to {wanted} on a live service stops it: a restarted server cannot talk to the others, nor clients to it; {}",
            change::RECREATE
        ),
    )]
}
