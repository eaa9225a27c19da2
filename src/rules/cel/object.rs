//! Rules about an object, as policies ask them.

use crate::api::names::SERVER_VARIABLES;
use crate::limits;
use crate::rules::external::{HALF_REFERENCE, NO_ADDRESS, NO_MASTER, NO_SENTINEL, NO_URL, SCHEME};
use crate::rules::persistence::ACCESS_MODES;
use crate::rules::spread::KEYS;
use crate::rules::start_args::{NO_SWITCH, SWITCHES};

use super::{Question, text};

/// What is said where a condition holds.
fn found(condition: &str, message: &str) -> String {
    format!("({condition} ? [{message}] : [])")
}

fn question(expression: String) -> Question {
    Question::Object { found: expression, unsaid: false }
}

fn list(words: &[&str]) -> String {
    format!("[{}]", words.iter().map(|word| text(word)).collect::<Vec<_>>().join(", "))
}

const JETSTREAM: &str = "'spec.jetstream' in variables.types[at]";

pub(super) fn one_type() -> Question {
    let none = found(
        "variables.types[at].size() == 0",
        &text("spec: names no type of service; give exactly one of jetstream, redis.native, redis.external"),
    );
    let several =
        found("variables.types[at].size() > 1", "'spec: names ' + variables.types[at].join(' and ') + ' at once; keep exactly one'");
    question(format!("{none} + {several}"))
}

/// Something about the version of a service of one type that has one.
fn version(condition: &str, message: &str) -> Question {
    let of = |one: &str, version: &str| {
        let condition = format!("variables.types[at] == [{}] && {}", text(one), condition.replace("VERSION", version));
        found(&condition, &text(&format!("{one}.version: {message}")))
    };
    question(format!("{} + {}", of("spec.jetstream", "variables.version[at]"), of("spec.redis.native", "variables.nativeVersion[at]")))
}

pub(super) fn version_required() -> Question {
    version("VERSION.trim() == ''", "is required; name a version of the controller configuration")
}

pub(super) fn version_floating() -> Question {
    version("VERSION == 'latest'", "latest changes with the controller; use a fixed version")
}

pub(super) fn name_length() -> Question {
    let limit = format!(
        "(variables.types[at] == ['spec.jetstream'] ? {} : variables.types[at] == ['spec.redis.native'] ? {} : {})",
        limits::JETSTREAM_NAME,
        limits::REDIS_NAME,
        limits::DNS_LABEL
    );
    let long = found(
        &format!("variables.names[at].size() > {limit}"),
        &format!(
            "'metadata.name: has ' + string(variables.names[at].size()) + ' characters, and at most ' + string({limit}) + ' leave room for the names \
             that are made from it; choose a shorter one'"
        ),
    );
    let label = found(
        "variables.names[at] != '' && !variables.names[at].matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        &text(
            "metadata.name: is not a DNS-1035 label, which the Service made from it needs; use lower-case letters, digits and hyphens, a letter first \
             and no hyphen last",
        ),
    );
    question(format!("{long} + {label}"))
}

/// Something about the number of servers.
fn count(condition: &str, message: &str) -> String {
    let condition = condition.replace("COUNT", "variables.replicas[at]");
    found(
        &format!("{JETSTREAM} && {condition}"),
        &format!("'spec.jetstream.replicas: ' + string(variables.replicas[at]) + {}", text(message)),
    )
}

pub(super) fn replicas() -> Question {
    question(format!(
        "{} + {} + {}",
        count("COUNT < 1", " is no number of servers; use 3, or 1 for development"),
        count("COUNT == 2", " servers have no more quorum than one; use 3, or 1 for development"),
        count(
            &format!("COUNT > {}", limits::SERVERS),
            &format!(" servers make every election slower and no stream safer; use 3 or 5, at most {}", limits::SERVERS)
        ),
    ))
}

pub(super) fn replicas_single() -> Question {
    question(count("COUNT == 1", " server stops every Pipeline when it restarts; use 3"))
}

pub(super) fn replicas_even() -> Question {
    question(count(
        &format!("COUNT >= 4 && COUNT <= {} && COUNT % 2 == 0", limits::SERVERS),
        " servers tolerate no more losses than one less; use an odd number",
    ))
}

pub(super) fn volume_size() -> Question {
    let size = "variables.volumeSize[at]";
    let quoted = format!("'spec.jetstream.persistence.volumeSize: \"' + {size} + '\"'");
    let none = found(
        &format!("{JETSTREAM} && !isQuantity({size})"),
        &format!("{quoted} + {}", text(" is not a size; write a quantity such as 20Gi")),
    );
    let small = found(
        &format!("{JETSTREAM} && isQuantity({size}) && quantity({size}).isLessThan(quantity('{}'))", limits::VOLUME),
        &format!(
            "{quoted} + {}",
            text(" is less than 16Mi, which NATS needs for two blocks of a single stream; write a quantity such as 20Gi")
        ),
    );
    question(format!("{none} + {small}"))
}

pub(super) fn access_mode() -> Question {
    let mode = "variables.accessMode[at]";
    let unknown = found(
        &format!("{JETSTREAM} && !({mode} in {})", list(&ACCESS_MODES)),
        &format!("'spec.jetstream.persistence.accessMode: \"' + {mode} + {}", text("\" is not known; use ReadWriteOnce")),
    );
    let read_only = found(
        &format!("{JETSTREAM} && {mode} == 'ReadOnlyMany'"),
        &text("spec.jetstream.persistence.accessMode: ReadOnlyMany cannot be written to; use ReadWriteOnce"),
    );
    question(format!("{unknown} + {read_only}"))
}

pub(super) fn no_persistence() -> Question {
    question(found(
        &format!("{JETSTREAM} && !variables.persistent[at]"),
        &text("spec.jetstream: messages are lost with the pods; add persistence now, it cannot be added later"),
    ))
}

pub(super) fn no_spread() -> Question {
    question(found(
        &format!(
            "variables.servers[at] > 1 && variables.ownAffinity[at] && !variables.topologyKeys[at].exists(key, key in {})",
            list(&KEYS)
        ),
        &text("spec.jetstream.affinity: may put all servers on one node; add a podAntiAffinity by hostname"),
    ))
}

pub(super) fn start_args() -> Question {
    let found = format!(
        "variables.startArgs[at].filter(one, !one.matches('^--?({})(=true|=false)?$')).map(one, 'spec.jetstream.startArgs: ' + \
         (one.startsWith('-') ? '\"' + one.split('=')[0].split('\\n')[0] + '\"' : {}) + {} + '\\n' + one + \
         variables.argumentOrder[at])",
        SWITCHES.join("|"),
        text(NO_SWITCH),
        text(
            " would hold instead of what the configuration says, and could move the store off its volume or stop the server; remove it \
             (taken are -D, --debug, -V, --trace, -VV, -DV, -DVV, -T, --logtime; sizes belong in spec.jetstream.settings)"
        )
    );
    Question::Object { found, unsaid: true }
}

/// What `container-env` leaves out.
pub(super) const LONG_ENV: &str = "but of a list of more than 100 variables it does not ask whether one is named twice";

pub(super) fn container_env() -> Question {
    let own = format!(
        "variables.containerEnv[at].filter(one, one in {}).map(one, 'spec.jetstream.containerTemplate.env: ' + one + {})",
        list(&SERVER_VARIABLES),
        text(" is set by the service itself; remove the entry")
    );
    let twice = [
        ("containerEnv", "containerTemplate"),
        ("reloaderEnv", "reloaderContainerTemplate"),
        ("metricsEnv", "metricsContainerTemplate"),
    ]
    .map(|(names, field)| {
        let names = format!("variables.{names}[at]");
        format!(
            "({names}.size() > {} ? [] : {names}.filter(one, {names}.indexOf(one) != {names}.lastIndexOf(one)).map(one, {} + one + {}))",
            limits::POLICY_LIST,
            text(&format!("spec.jetstream.{field}.env: ")),
            text(" is named twice; keep one entry")
        )
    });
    question(format!("{own} + {}", twice.join(" + ")))
}

pub(super) fn container_probe() -> Question {
    let probes = ["livenessProbe", "startupProbe"].map(|probe| {
        let threshold = format!("variables.{probe}[at].successThreshold");
        found(
            &format!("has({threshold}) && type({threshold}) == int && {threshold} != 1"),
            &format!(
                "{} + string({threshold}) + {}",
                text(&format!("spec.jetstream.containerTemplate.{probe}.successThreshold: ")),
                text(" is refused by Kubernetes, which takes only 1 for this probe; leave it out")
            ),
        )
    });
    question(probes.join(" + "))
}

pub(super) fn resources() -> Question {
    let requested = |name: &str| format!("!('{name}' in variables.limits[at]) && !('{name}' in variables.requests[at])");
    let missing = [
        found(&requested("cpu"), "'requests.cpu'"),
        found(&requested("memory"), "'requests.memory'"),
        found("!('memory' in variables.limits[at])", "'limits.memory'"),
    ]
    .join(" + ");
    question(format!(
        "({JETSTREAM} ? {missing} : []).size() == 0 ? [] : ['spec.jetstream.containerTemplate.resources: set ' + ({missing}).join(', ')]"
    ))
}

pub(super) fn tls_clients() -> Question {
    question(found(
        "variables.tls[at]",
        &text("spec.jetstream.tls: today's vertices trust public authorities only and cannot connect; leave tls out"),
    ))
}

const EXTERNAL: &str = "variables.types[at] == ['spec.redis.external']";

/// A text of an external Redis; empty where it is left out.
fn of_external(name: &str) -> String {
    let value = format!("variables.external[at].{name}");
    format!("(has({value}) && type({value}) == string ? string({value}) : '')")
}

/// Whether `one` looks like an address, as [`crate::rules::external::is_address`] has it.
pub(super) const ADDRESS: &str = "one.matches('^([A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*[.]?|[[][0-9A-Fa-f:.]+[]]):[0-9]{1,5}$') && int(one.substring(one.lastIndexOf(':') \
                          + 1)) >= 1 && int(one.substring(one.lastIndexOf(':') + 1)) <= 65535";

/// What `redis-url` leaves out.
pub(super) const PORTS: &str = "which does not ask whether a name is longer than names can be";

pub(super) fn redis_url() -> Question {
    let (url, sentinel, master) = (of_external("url"), of_external("sentinelUrl"), of_external("masterName"));
    let none = found(
        &format!("{EXTERNAL} && {url} == '' && {sentinel} == '' && {master} == ''"),
        &text(&format!("spec.redis.external.url: {NO_URL}")),
    );
    let wrong = [("url", url), ("sentinelUrl", sentinel)].map(|(field, value)| {
        // An address may hold a user and a password before its `@` (law secret-silence).
        let shown = format!("'spec.redis.external.{field}: \"' + {value}.substring({value}.lastIndexOf('@') + 1) + '\"'");
        let scheme = found(&format!("{value}.contains('://')"), &format!("{shown} + {}", text(SCHEME)));
        let address = found(
            &format!("{value} != '' && !{value}.contains('://') && !{value}.split(',').all(one, {ADDRESS})"),
            &format!("{shown} + {}", text(NO_ADDRESS)),
        );
        format!("({EXTERNAL} ? {scheme} + {address} : [])")
    });
    question(format!("{none} + {}", wrong.join(" + ")))
}

pub(super) fn redis_auth() -> Question {
    let (sentinel, master) = (of_external("sentinelUrl"), of_external("masterName"));
    let missing = |given: &str, other: &str, field: &str, says: &str| {
        found(&format!("{EXTERNAL} && {given} != '' && {other} == ''"), &text(&format!("spec.redis.external.{field}: {says}")))
    };
    let half = ["password", "sentinelPassword"].map(|field| {
        let reference = format!("variables.external[at].{field}");
        let lacks = |key: &str| format!("(!has({reference}.{key}) || type({reference}.{key}) != string || {reference}.{key} == '')");
        found(
            &format!("{EXTERNAL} && has({reference}) && type({reference}) == map && ({} || {})", lacks("name"), lacks("key")),
            &text(&format!("spec.redis.external.{field}: {HALF_REFERENCE}")),
        )
    });
    question(format!(
        "{} + {} + {}",
        missing(&sentinel, &master, "masterName", NO_MASTER),
        missing(&master, &sentinel, "sentinelUrl", NO_SENTINEL),
        half.join(" + ")
    ))
}
