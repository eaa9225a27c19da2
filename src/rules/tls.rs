//! TLS.

use super::{About, Asked, Example, Level, Rule, Violation, change};

/// TLS is not toggled.
pub const TLS_TOGGLE: Rule = Rule {
    name: "tls-toggle",
    level: Level::Deny,
    about: About::Change,
    summary: "TLS is never toggled on a live service: servers and clients would all have to move at the same moment.",
    advice: "A server with TLS cannot talk to one without: the first that restarts is cut off from the others, and clients from it. Decide on TLS when the service is created. To change it later, delete the Pipelines that use the service, then the service, and create both anew.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    tls: true\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    tls: false\n",
        ),
    ],
    check: toggle,
};

/// Vertices can connect.
pub const TLS_CLIENTS: Rule = Rule {
    name: "tls-clients",
    level: Level::Warn,
    about: About::Object,
    summary: "Vertices of today's Numaflow (Rust runtime) trust public authorities alone, so they cannot connect to a service with TLS.",
    advice: "The Rust runtime of today's Numaflow trusts public authorities only, and the certificates of the service are its own. Leave tls out until vertices can be given an authority.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    tls: true\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
    ],
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
