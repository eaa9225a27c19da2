//! What the policies ask about, each name once. No expression may fail, because one that does is a refusal: under a definition that keeps unknown fields
//! everything may be missing, null, or of another type, and then it counts as left out.

use crate::api::names::{GROUP, INSTANCE_ANNOTATION, OVERRIDE_ANNOTATION, PLURAL};
use crate::api::{DEFAULT_ACCESS_MODE, DEFAULT_REPLICAS, DEFAULT_VOLUME_SIZE};
use crate::rules::overrides::VERB;

use super::text;

/// The names and their expressions, each after those that it is made of. All but the last two are pairs: of the object as it would be, and as it is.
pub(super) fn variables() -> Vec<(&'static str, String)> {
    let is = |value: &str, kind: &str| format!("has({value}) && type({value}) == {kind}");
    // A field of each of a pair of maps, or something else where there is none of that type.
    let field = |of: &str, name: &str, kind: &str, otherwise: &str| {
        let value = format!("it.{name}");
        format!("variables.{of}.map(it, {} ? {value} : {otherwise})", is(&value, kind))
    };
    // Texts compare as lists, so that what is missing differs from what is empty.
    let optional = |of: &str, name: &str| {
        let value = format!("it.{name}");
        format!("variables.{of}.map(it, {} ? [string({value})] : [])", is(&value, "string"))
    };
    let named = |of: &str, path: &str| format!("({} ? [{}] : [])", is(of, "map"), text(path));
    let types = format!(
        "variables.specs.map(it, {} + (has(it.redis) && type(it.redis) == map ? {} + {} : []))",
        named("it.jetstream", "spec.jetstream"),
        named("it.redis.native", "spec.redis.native"),
        named("it.redis.external", "spec.redis.external"),
    );
    let variables = |of: &str| {
        format!(
            "variables.{of}.map(it, {} ? it.env.filter(one, type(one) == map && {}).map(one, string(one.name)) : [])",
            is("it.env", "list"),
            is("one.name", "string")
        )
    };
    let size = format!(
        "variables.persistence.map(it, has(it.volumeSize) && (type(it.volumeSize) == string || type(it.volumeSize) == int) ? string(it.volumeSize) : {})",
        text(DEFAULT_VOLUME_SIZE)
    );
    let written = format!("{} && it.replicas.matches('^[0-9]{{1,9}}$')", is("it.replicas", "string"));
    let switch = |name: &str| format!("variables.jetstream.map(it, has(it.{name}) && (it.{name} == true || it.{name} == 'true'))");
    let mut all = vec![
        ("specs", format!("[object, oldObject].map(it, it != null && {} ? it.spec : {{}})", is("it.spec", "map"))),
        ("types", types),
        ("jetstream", field("specs", "jetstream", "map", "{}")),
        ("redis", field("specs", "redis", "map", "{}")),
        ("native", field("redis", "native", "map", "{}")),
        ("external", field("redis", "external", "map", "{}")),
        ("version", field("jetstream", "version", "string", "''")),
        ("nativeVersion", field("native", "version", "string", "''")),
        ("release", RELEASE.to_owned()),
        // A number or a switch that is written as a text says the same as in its right form, which an object may be given.
        (
            "replicas",
            format!(
                "variables.jetstream.map(it, {} ? it.replicas : {written} ? int(it.replicas) : {DEFAULT_REPLICAS})",
                is("it.replicas", "int")
            ),
        ),
        // Two count as three, as Numaflow has it.
        ("servers", "variables.replicas.map(it, it == 2 ? 3 : it)".to_owned()),
        ("encryption", switch("encryption")),
        ("tls", switch("tls")),
        ("persistent", format!("variables.jetstream.map(it, {})", is("it.persistence", "map"))),
        ("persistence", field("jetstream", "persistence", "map", "{}")),
        ("storageClass", optional("persistence", "storageClassName")),
        ("accessMode", field("persistence", "accessMode", "string", &text(DEFAULT_ACCESS_MODE))),
        ("volumeSize", size),
        ("startArgs", START_ARGS.to_owned()),
        // All of them, where one may be the value of the one before it: then the order counts. Once for all, because policies have a limit of cost.
        ("argumentOrder", "variables.startArgs.map(it, it.exists(one, !one.startsWith('-')) ? '\\n' + it.join('\\n') : '')".to_owned()),
        ("container", field("jetstream", "containerTemplate", "map", "{}")),
        ("reloader", field("jetstream", "reloaderContainerTemplate", "map", "{}")),
        ("metrics", field("jetstream", "metricsContainerTemplate", "map", "{}")),
        ("containerEnv", variables("container")),
        ("reloaderEnv", variables("reloader")),
        ("metricsEnv", variables("metrics")),
        ("resources", field("container", "resources", "map", "{}")),
        ("limits", field("resources", "limits", "map", "{}")),
        ("requests", field("resources", "requests", "map", "{}")),
        ("livenessProbe", field("container", "livenessProbe", "map", "{}")),
        ("startupProbe", field("container", "startupProbe", "map", "{}")),
    ];
    all.extend(affinity());
    all.extend(metadata());
    all
}

fn affinity() -> [(&'static str, String); 2] {
    let list = |name: &str| {
        let value = format!("it.affinity.podAntiAffinity.{name}DuringSchedulingIgnoredDuringExecution");
        format!("(has({value}) && type({value}) == list ? {value} : [])")
    };
    let key = |of: &str| format!("has({of}.topologyKey) && type({of}.topologyKey) == string");
    let keys = format!(
        "variables.jetstream.map(it, has(it.affinity) && type(it.affinity) == map && has(it.affinity.podAntiAffinity) \
         && type(it.affinity.podAntiAffinity) == map ? {}.filter(one, type(one) == map && {}).map(one, string(one.topologyKey)) + \
         {}.filter(one, type(one) == map && has(one.podAffinityTerm) && type(one.podAffinityTerm) == map && {}).map(one, \
         string(one.podAffinityTerm.topologyKey)) : [])",
        list("required"),
        key("one"),
        list("preferred"),
        key("one.podAffinityTerm"),
    );
    [("ownAffinity", "variables.jetstream.map(it, has(it.affinity) && type(it.affinity) == map)".to_owned()), ("topologyKeys", keys)]
}

fn metadata() -> [(&'static str, String); 4] {
    let annotation = |of: &str, name: &str| {
        let name = text(name);
        format!(
            "{of} != null && has({of}.metadata.annotations) && {name} in {of}.metadata.annotations ? string({of}.metadata.annotations[{name}]) : ''"
        )
    };
    [
        ("names", "[object, oldObject].map(it, it != null && has(it.metadata.name) ? string(it.metadata.name) : '')".to_owned()),
        ("instance", format!("[object, oldObject].map(it, {})", annotation("it", INSTANCE_ANNOTATION))),
        // `rule=target`, several of them with commas between.
        ("overrides", format!("({}).split(',').map(it, it.replace(' ', ''))", annotation("object", OVERRIDE_ANNOTATION))),
        // Asked only once an override is named: it is a question to whatever grants rights in the cluster.
        (
            "mayOverride",
            format!(
                "authorizer.group({}).resource({}).namespace(request.namespace).name(request.name).check({}).allowed()",
                text(GROUP),
                text(PLURAL),
                text(VERB)
            ),
        ),
    ]
}

/// Switches without those that are no text; what else there may be, no server takes.
const START_ARGS: &str = "variables.jetstream.map(it, has(it.startArgs) && type(it.startArgs) == list ? it.startArgs.filter(one, type(one) == string).map(one, string(one)) : [])";

/// Major, minor and patch as one number; -1 for a word.
const RELEASE: &str = "variables.version.map(it, it.matches('^v?[0-9]{1,5}[.][0-9]{1,5}[.][0-9]{1,5}([-+].*)?$') \
                       ? [it.find('[0-9]+[.][0-9]+[.][0-9]+').split('.').map(part, int(part))].map(part, \
                       part[0] * 10000000000 + part[1] * 100000 + part[2])[0] : -1)";
