//! The number of servers.

use super::{About, Asked, Example, Level, Rule, Violation, change};
use crate::limits;

const FIELD: &str = "spec.jetstream.replicas";

/// The number can form a quorum.
pub const REPLICAS: Rule = Rule {
    name: "replicas",
    level: Level::Deny,
    about: About::Object,
    summary: "A JetStream service has 1 server, or from 3 to 9: two have no more quorum than one.",
    advice: "NATS decides by majority: of two servers both must be there, so two are worse than one; more than nine make every write wait. Use 3, or 5, or 1 for development.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 2\n"),
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 10\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 1\n"),
    ],
    check: replicas,
};
/// The number is odd.
pub const REPLICAS_EVEN: Rule = Rule {
    name: "replicas-even",
    level: Level::Warn,
    about: About::Object,
    summary: "The number of servers is odd: one more than an odd number tolerates no more losses.",
    advice: "The majority of four is three, so four servers survive the loss of one, as three do, and there is one more that can be lost. Use an odd number.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 4\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
    ],
    check: even,
};
/// There is more than one server.
pub const REPLICAS_SINGLE: Rule = Rule {
    name: "replicas-single",
    level: Level::Audit,
    about: About::Object,
    summary: "There is more than one server: each restart of a single one stops every Pipeline on it.",
    advice: "One server is right for development, where a pause hurts nobody. It cannot become three later without a new service, so decide early. The profile \
             production refuses it.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 1\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
    ],
    check: single,
};
/// Servers are not taken away.
pub const REPLICAS_SHRINK: Rule = Rule {
    name: "replicas-shrink",
    level: Level::Deny,
    about: About::Change,
    summary: "Servers are not taken away from a live service: they still count for the quorum, and what only they hold is lost.",
    advice: "The servers that are taken away still count for the majority of the others, and streams with replicas only on them are lost. Keep the number, or create a second service with fewer servers and move the Pipelines to it. An override is carried out by the StatefulSet, from the highest number down; it moves no stream off the servers that go and does not take them out of the cluster (nats server raft peer-remove does).",
    overridable: true,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 5\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 5\n",
        ),
    ],
    check: shrink,
};
/// A single server never becomes a cluster, or the reverse.
pub const REPLICAS_CLUSTER_SWITCH: Rule = Rule {
    name: "replicas-cluster-switch",
    level: Level::Deny,
    about: About::Change,
    summary: "A single server never becomes a cluster: the cluster deletes the streams that the single server held.",
    advice: "A single server keeps its streams outside of any cluster; the new cluster knows nothing of them and deletes them as orphans, and the reverse way only one server's copies remain. Decide between 1 and 3 or more when the service is created. To change it later, delete the Pipelines that use the service, then the service, and create both anew.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 1\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 5\n",
        ),
    ],
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

fn single(asked: &Asked<'_>) -> Vec<Violation> {
    let single = asked.new.spec.jetstream.as_ref().is_some_and(|jetstream| jetstream.server_count() == 1);
    single.then(|| Violation::new(FIELD, "one server stops every Pipeline when it restarts; use 3")).into_iter().collect()
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
    )
    .overridden_by(to.to_string())]
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
