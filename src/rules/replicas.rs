//! The number of servers.

use super::{Asked, Level, Rule, Violation, change};
use crate::limits;

const FIELD: &str = "spec.jetstream.replicas";

/// The number can form a quorum.
pub const REPLICAS: Rule = Rule {
    name: "replicas",
    level: Level::Deny,
    summary: "A JetStream service has 1 server, or from 3 to 9: two have no more quorum than one.",
    about_change: false,
    check: replicas,
};
/// The number is odd.
pub const REPLICAS_EVEN: Rule = Rule {
    name: "replicas-even",
    level: Level::Warn,
    summary: "The number of servers is odd: one more than an odd number tolerates no more losses.",
    about_change: false,
    check: even,
};
/// Servers are not taken away.
pub const REPLICAS_SHRINK: Rule = Rule {
    name: "replicas-shrink",
    level: Level::Deny,
    summary: "Servers are not taken away from a live service: they still count for the quorum, and what only they hold is lost.",
    about_change: true,
    check: shrink,
};
/// A single server never becomes a cluster, or the reverse.
pub const REPLICAS_CLUSTER_SWITCH: Rule = Rule {
    name: "replicas-cluster-switch",
    level: Level::Deny,
    summary: "A single server never becomes a cluster: the cluster deletes the streams that the single server held.",
    about_change: true,
    check: cluster_switch,
};

fn replicas(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(count) = asked.new.spec.jetstream.as_ref().and_then(|jetstream| jetstream.replicas) else { return Vec::new() };
    match count {
        ..=0 => vec![Violation::new(FIELD, format!("{count} is no number of servers; use 3, or 1 for development"))],
        2 => vec![Violation::new(FIELD, "2 servers have no more quorum than one; use 3, or 1 for development")],
        count if count > limits::SERVERS => {
            vec![Violation::new(
                FIELD,
                format!("{count} servers make every election slower and no stream safer; use 3 or 5, at most {}", limits::SERVERS),
            )]
        }
        _ => Vec::new(),
    }
}

fn even(asked: &Asked<'_>) -> Vec<Violation> {
    match asked.new.spec.jetstream.as_ref().and_then(|jetstream| jetstream.replicas) {
        Some(count) if (4..=limits::SERVERS).contains(&count) && count % 2 == 0 => {
            let less = count - 1;
            vec![Violation::new(
                FIELD,
                format!("{count} servers tolerate no more losses than {less}; use an odd number, such as {}", count + 1),
            )]
        }
        _ => Vec::new(),
    }
}

fn shrink(asked: &Asked<'_>) -> Vec<Violation> {
    let Some((old, new)) = change::jetstream(asked) else { return Vec::new() };
    let (from, to) = (old.server_count(), new.server_count());
    if to >= from || to < 3 {
        return Vec::new();
    }
    vec![Violation::new(
        FIELD,
        format!(
            "{from} to {to} would lose what only the removed servers hold, and the removed ones would still count for the quorum; keep {from}, or create a \
             second service with {to} and move the Pipelines"
        ),
    )]
}

fn cluster_switch(asked: &Asked<'_>) -> Vec<Violation> {
    let Some((old, new)) = change::jetstream(asked) else { return Vec::new() };
    let (from, to) = (old.server_count(), new.server_count());
    // A number that is none is refused by itself.
    if to < 1 || (from < 3) == (to < 3) {
        return Vec::new();
    }
    vec![Violation::new(
        FIELD,
        format!(
            "{from} to {to} switches between a single server and a cluster, and either loses the streams of the other; {}",
            change::RECREATE
        ),
    )]
}
