//! A Redis that exists already.

use super::{About, Asked, Example, Level, Rule, Violation, change};

/// The address of an external Redis stays.
pub const EXTERNAL_ENDPOINT_CHANGE: Rule = Rule {
    name: "external-endpoint-change",
    level: Level::Deny,
    about: About::Change,
    summary: "url, sentinelUrl and masterName of an external Redis do not change while Pipelines may use it: their buffers would stay at the old address.",
    advice: "The unread messages are in the Redis behind the old address; Pipelines would go on at the new one as if there had been none. Create a second \
             service with the new address and move the Pipelines to it once they have read everything. User and passwords may change at any time.",
    overridable: false,
    examples: &[
        Example::bad_change(
            "spec:\n  redis:\n    external:\n      url: redis-a:6379\n",
            "spec:\n  redis:\n    external:\n      url: redis-b:6379\n",
        ),
        Example::good_change(
            "spec:\n  redis:\n    external:\n      url: redis-a:6379\n",
            "spec:\n  redis:\n    external:\n      url: redis-a:6379\n      user: numaflow\n",
        ),
    ],
    check: endpoint_change,
};

fn endpoint_change(asked: &Asked<'_>) -> Vec<Violation> {
    let external = |service: &crate::api::InterStepBufferService| service.spec.redis.as_ref().and_then(|redis| redis.external.clone());
    let (Some(old), Some(new)) = (asked.old.and_then(external), external(asked.new)) else { return Vec::new() };
    let fields =
        [("url", old.url, new.url), ("sentinelUrl", old.sentinel_url, new.sentinel_url), ("masterName", old.master_name, new.master_name)];
    let changed = fields.into_iter().filter(|(_, was, wanted)| was.as_deref().unwrap_or_default() != wanted.as_deref().unwrap_or_default());
    changed
        .map(|(field, was, wanted)| {
            // An address may hold a user and a password before its `@` (law secret-silence).
            let shown = |value: Option<String>| {
                let value = value.filter(|value| !value.is_empty()).unwrap_or_else(|| "none".to_owned());
                value.rsplit('@').next().unwrap_or_default().to_owned()
            };
            Violation::new(
                format!("spec.redis.external.{field}"),
                format!(
                    "{} to {} would leave unread messages behind at the old place; create a second service and move the Pipelines to it, or {}",
                    shown(was),
                    shown(wanted),
                    change::RECREATE
                ),
            )
        })
        .collect()
}
