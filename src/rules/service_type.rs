//! Which kind of service it is.

use super::{About, Asked, Example, Level, Rule, Violation};

/// Exactly one of `jetstream`, `redis.native`, `redis.external`.
pub const ONE_TYPE: Rule = Rule {
    name: "one-type",
    level: Level::Deny,
    about: About::Object,
    summary: "A service names exactly one type: jetstream, redis.native or redis.external.",
    advice: "Each service runs on one thing. Name jetstream, or redis with either native or external below it, and nothing beside it.",
    overridable: false,
    examples: &[
        Example::bad("spec: {}\n"),
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n  redis:\n    external:\n      url: redis:6379\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
    ],
    check: one_type,
};

/// The type never changes.
pub const TYPE_CHANGE: Rule = Rule {
    name: "type-change",
    level: Level::Deny,
    about: About::Change,
    summary: "The type of a service never changes: its messages would stay behind.",
    advice: "Messages that were written and not yet read are on the servers of the old type. Create a second service with another name and move the Pipelines to it once they have read everything; then delete the first.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  redis:\n    external:\n      url: redis:6379\n",
        ),
        Example::good_change(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    nodeSelector:\n      disk: fast\n",
        ),
    ],
    check: type_change,
};

fn one_type(asked: &Asked<'_>) -> Vec<Violation> {
    let types = asked.new.spec.types();
    match types.as_slice() {
        [_] => Vec::new(),
        [] => vec![Violation::new("spec", "names no type of service; give exactly one of jetstream, redis.native, redis.external")],
        several => {
            let names: Vec<_> = several.iter().map(|one| one.field()).collect();
            vec![Violation::new("spec", format!("names {} at once; keep exactly one", names.join(" and ")))]
        }
    }
}

fn type_change(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(old) = asked.old else { return Vec::new() };
    match (old.spec.types().as_slice(), asked.new.spec.types().as_slice()) {
        // A type that vanishes from a live service is a refused change, never a deletion.
        ([was], [] | [_]) if asked.new.spec.types().first() != Some(was) => vec![Violation::new(
            was.field(),
            "the type of a live service cannot change, because its unread messages would stay behind; create a second service with another name, move the \
             Pipelines to it, then delete this one",
        )],
        _ => Vec::new(),
    }
}
