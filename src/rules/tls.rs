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

/// Vertices can connect.
pub const TLS_CLIENTS: Rule = Rule {
    name: "tls-clients",
    level: Level::Warn,
    summary: "Vertices of today's Numaflow (Rust runtime) trust public authorities alone, so they cannot connect to a service with TLS.",
    about_change: false,
    check: clients,
};

fn clients(asked: &Asked<'_>) -> Vec<Violation> {
    let tls = asked.new.spec.jetstream.as_ref().is_some_and(crate::api::JetStreamBufferService::tls_enabled);
    let message = "today's vertices trust public authorities only and cannot connect; leave tls out";
    tls.then(|| Violation::new("spec.jetstream.tls", message)).into_iter().collect()
}

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
