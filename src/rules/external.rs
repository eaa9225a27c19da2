//! A Redis that exists already.

use super::{About, Asked, Example, Level, Rule, Violation, change};
use crate::api::{ExternalRedis, RedisMode, ServiceType};

/// An external Redis has an address that Numaflow's client can connect to.
pub const REDIS_URL: Rule = Rule {
    name: "redis-url",
    level: Level::Deny,
    about: About::Object,
    summary: "An external Redis has an address: url or sentinelUrl, each host:port, several with commas between.",
    advice: "Numaflow's client takes host:port and no scheme, so it knows neither redis:// nor rediss:// (TLS). Two or more addresses in url mean cluster mode; for a cluster \
             behind one address write it twice.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  redis:\n    external:\n      user: numaflow\n"),
        Example::bad("spec:\n  redis:\n    external:\n      url: rediss://redis.example.com:6380\n"),
        Example::bad("spec:\n  redis:\n    external:\n      url: redis\n"),
        Example::good("spec:\n  redis:\n    external:\n      url: redis:6379\n"),
        Example::good("spec:\n  redis:\n    external:\n      url: redis-0.redis:6379,redis-1.redis:6379\n"),
    ],
    check: url,
};

/// What belongs together is given together.
pub const REDIS_AUTH: Rule = Rule {
    name: "redis-auth",
    level: Level::Deny,
    about: About::Object,
    summary: "sentinelUrl and masterName of an external Redis are given together, and each password names a Secret and a key of it.",
    advice: "Sentinels are asked for a master by its name, so neither is of use without the other. Passwords are read from Secrets of the service's namespace.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  redis:\n    external:\n      sentinelUrl: sentinel:26379\n"),
        Example::bad("spec:\n  redis:\n    external:\n      url: redis:6379\n      masterName: mymaster\n"),
        Example::bad("spec:\n  redis:\n    external:\n      url: redis:6379\n      password:\n        name: redis\n        key: \"\"\n"),
        Example::good("spec:\n  redis:\n    external:\n      sentinelUrl: sentinel:26379\n      masterName: mymaster\n"),
        Example::good("spec:\n  redis:\n    external:\n      url: redis:6379\n      user: numaflow\n"),
    ],
    check: auth,
};

/// What is said of a text that is no address.
pub(super) const NO_ADDRESS: &str = " is no address; write host:port, several with commas between";
/// What is said of an address with a scheme.
pub(super) const SCHEME: &str =
    " begins with a scheme, which Numaflow's client does not take (rediss:// neither: it speaks no TLS); write host:port";
/// What is said of an external Redis without an address.
pub(super) const NO_URL: &str = "is required; write the address of the Redis as host:port, or sentinelUrl and masterName";
/// What is said of Sentinels without the name of a master.
pub(super) const NO_MASTER: &str = "is required beside sentinelUrl; write the name that the Sentinels know the master by";
/// What is said of the name of a master without Sentinels.
pub(super) const NO_SENTINEL: &str = "is required beside masterName; write the addresses of the Sentinels, or leave masterName out";
/// What is said of half a reference to a Secret.
pub(super) const HALF_REFERENCE: &str = "names no Secret, or no key of it; give both";

/// Of a service that names nothing beside it.
fn external<'a>(asked: &Asked<'a>) -> Option<&'a ExternalRedis> {
    let alone = asked.new.spec.types().as_slice() == [ServiceType::RedisExternal];
    asked.new.spec.redis.as_ref()?.external.as_ref().filter(|_| alone)
}

fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}

fn url(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(external) = external(asked) else { return Vec::new() };
    let (url, sentinel) = (given(external.url.as_ref()), given(external.sentinel_url.as_ref()));
    // Of the name of a master alone, REDIS_AUTH says what is missing.
    if url.is_none() && sentinel.is_none() && given(external.master_name.as_ref()).is_none() {
        return vec![Violation::new("spec.redis.external.url", NO_URL)];
    }
    let wrong = |(field, text): (&str, Option<&str>)| {
        let why = match text? {
            text if text.contains("://") => SCHEME,
            text if text.split(',').all(is_address) => return None,
            _ => NO_ADDRESS,
        };
        Some(Violation::new(format!("spec.redis.external.{field}"), format!("{:?}{why}", shown(text?))))
    };
    [("url", url), ("sentinelUrl", sentinel)].into_iter().filter_map(wrong).collect()
}

/// Whether it looks like `host:port`, a host being a name, an IPv4 address, or an IPv6 address in brackets.
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = if let Some(inner) = inner {
        // Whether it is an address is for whoever connects; a parser of them would reach out of the pure core.
        !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
    } else {
        let letters = |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        // A name may end with a dot, after which nothing is appended to it.
        host.len() <= 253 && host.strip_suffix('.').unwrap_or(host).split('.').all(|label| !label.is_empty() && letters(label))
    };
    is_host && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn auth(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(external) = external(asked) else { return Vec::new() };
    let mut found = Vec::new();
    match (given(external.sentinel_url.as_ref()), given(external.master_name.as_ref())) {
        (Some(_), None) => found.push(Violation::new("spec.redis.external.masterName", NO_MASTER)),
        (None, Some(_)) => found.push(Violation::new("spec.redis.external.sentinelUrl", NO_SENTINEL)),
        _ => {}
    }
    for (field, reference) in [("password", &external.password), ("sentinelPassword", &external.sentinel_password)] {
        if reference.as_ref().is_some_and(|reference| reference.name.is_empty() || reference.key.is_empty()) {
            found.push(Violation::new(format!("spec.redis.external.{field}"), HALF_REFERENCE));
        }
    }
    found
}

/// Without what may stand before an `@`: a user and a password (law secret-silence).
pub fn shown(text: &str) -> &str {
    text.rsplit('@').next().unwrap_or_default()
}

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

/// Whether a client can have connected with these addresses at all: else there is nothing to leave behind, and they can be mended.
fn is_reachable(external: &ExternalRedis) -> bool {
    let addresses = if external.mode() == RedisMode::Sentinel { &external.sentinel_url } else { &external.url };
    given(addresses.as_ref()).is_some_and(|addresses| addresses.split(',').all(is_address))
}

fn endpoint_change(asked: &Asked<'_>) -> Vec<Violation> {
    let external = |service: &crate::api::InterStepBufferService| service.spec.redis.as_ref().and_then(|redis| redis.external.clone());
    let (Some(old), Some(new)) = (asked.old.and_then(external), external(asked.new)) else { return Vec::new() };
    if !is_reachable(&old) {
        return Vec::new();
    }
    let fields =
        [("url", old.url, new.url), ("sentinelUrl", old.sentinel_url, new.sentinel_url), ("masterName", old.master_name, new.master_name)];
    let changed = fields.into_iter().filter(|(_, was, wanted)| was.as_deref().unwrap_or_default() != wanted.as_deref().unwrap_or_default());
    changed
        .map(|(field, was, wanted)| {
            let shown = |value: Option<String>| given(value.as_ref()).map_or_else(|| "none".to_owned(), |value| shown(value).to_owned());
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
