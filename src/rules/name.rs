//! The name of the service.

use super::{About, Asked, Example, Level, Rule, Violation};
use crate::api::ServiceType;
use crate::limits;

/// The name leaves room for what is made from it.
pub const NAME_LENGTH: Rule = Rule {
    name: "name-length",
    level: Level::Deny,
    about: About::Object,
    summary: "The name is a DNS-1035 label that leaves room for what is made from it: 42 characters for JetStream, 37 for native Redis.",
    advice: "StatefulSet, Services and their labels are named after the service and have limits of their own; with a longer name the pods would never be made. Names cannot be changed later: choose a shorter one.",
    overridable: false,
    examples: &[
        Example::bad(
            "metadata:\n  name: a-service-whose-name-leaves-no-room-for-what-is-made\nspec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
        ),
        Example::bad("metadata:\n  name: my.service\nspec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
        Example::good(
            "metadata:\n  name: forty-two-letters-are-just-short-enough-ok\nspec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n",
        ),
    ],
    check: name_length,
};

fn name_length(asked: &Asked<'_>) -> Vec<Violation> {
    let name = asked.new.name();
    let limit = match asked.new.spec.types().as_slice() {
        [ServiceType::JetStream] => limits::JETSTREAM_NAME,
        [ServiceType::RedisNative] => limits::REDIS_NAME,
        // Nothing is made for an external Redis, and a service without one type is refused elsewhere.
        _ => limits::DNS_LABEL,
    };
    let mut found = Vec::new();
    if name.len() > limit {
        found.push(Violation::new(
            "metadata.name",
            format!(
                "has {} characters, and at most {limit} leave room for the names that are made from it; choose a shorter one",
                name.len()
            ),
        ));
    }
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    let ends_well = name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let all_well = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    // An object that is to be given its name (`generateName`) has none yet.
    if !(name.is_empty() || starts_well && ends_well && all_well) {
        found.push(Violation::new(
            "metadata.name",
            "is not a DNS-1035 label, which the Service made from it needs; use lower-case letters, digits and hyphens, a letter first and no hyphen last",
        ));
    }
    found
}
