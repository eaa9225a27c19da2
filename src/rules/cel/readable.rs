//! Fields of the wrong type, which a definition that keeps unknown fields lets in. No rule, because what cannot be read is refused before any rule is
//! asked; under the same name as the webhook's.

use super::text;

/// The name that stands at the end of the message.
pub(super) const NAME: &str = "readable";

/// The fields that rules ask about: variable of the map that they are in, its path, names and type of the fields.
const FIELDS: [(&str, &str, &[&str], &str); 14] = [
    ("specs", "spec", &["jetstream", "redis"], "map"),
    ("redis", "spec.redis", &["native", "external"], "map"),
    ("native", "spec.redis.native", &["version"], "string"),
    ("native", "spec.redis.native", &["replicas"], "int"),
    ("external", "spec.redis.external", &["url", "sentinelUrl", "masterName"], "string"),
    ("jetstream", "spec.jetstream", &["version", "settings", "bufferConfig"], "string"),
    ("jetstream", "spec.jetstream", &["replicas"], "int"),
    ("jetstream", "spec.jetstream", &["encryption", "tls"], "bool"),
    ("jetstream", "spec.jetstream", &["startArgs"], "list"),
    (
        "jetstream",
        "spec.jetstream",
        &["persistence", "affinity", "containerTemplate", "reloaderContainerTemplate", "metricsContainerTemplate"],
        "map",
    ),
    ("persistence", "spec.jetstream.persistence", &["storageClassName", "accessMode"], "string"),
    ("container", "spec.jetstream.containerTemplate", &["env"], "list"),
    ("container", "spec.jetstream.containerTemplate", &["resources", "livenessProbe", "startupProbe"], "map"),
    ("resources", "spec.jetstream.containerTemplate.resources", &["limits", "requests"], "map"),
];

/// What cannot be read of the object `at`, as in [`super::Question::Object`].
pub(super) fn unreadable() -> String {
    let fault = |of: &str, path: &str, name: &str, kind: &str| {
        let value = format!("variables.{of}[at].{name}");
        let word = match kind {
            "int" => "an integer",
            "bool" => "true or false",
            "list" => "a list",
            "map" => "a map",
            _ => "a text",
        };
        format!("(has({value}) && {value} != null && type({value}) != {kind} ? [{}] : [])", text(&format!("{path}.{name}: is not {word}")))
    };
    let size = "variables.persistence[at].volumeSize";
    let mut faults: Vec<_> =
        FIELDS.iter().flat_map(|(of, path, names, kind)| names.iter().map(move |name| fault(of, path, name, kind))).collect();
    faults.push(format!(
        "(has({size}) && {size} != null && type({size}) != int && type({size}) != string ? [{}] : [])",
        text("spec.jetstream.persistence.volumeSize: is not a size; write a quantity such as 20Gi")
    ));
    faults.join(" + ")
}

/// What a rule about a change compares: as in [`FIELDS`], one each. The webhook guards the same (`webhook/src/admission/validate.rs`).
const GUARDED: [(&str, &str, &str, &[&str]); 9] = [
    ("jetstream", "spec.jetstream", "encryption", &["bool"]),
    ("jetstream", "spec.jetstream", "tls", &["bool"]),
    ("jetstream", "spec.jetstream", "persistence", &["map"]),
    ("jetstream", "spec.jetstream", "replicas", &["int"]),
    ("jetstream", "spec.jetstream", "version", &["string"]),
    ("jetstream", "spec.jetstream", "settings", &["string"]),
    ("persistence", "spec.jetstream.persistence", "storageClassName", &["string"]),
    ("persistence", "spec.jetstream.persistence", "accessMode", &["string"]),
    ("persistence", "spec.jetstream.persistence", "volumeSize", &["int", "string"]),
];

/// Where the old value cannot be read, the new one may only say the same: nobody knows what else its change would do to the service that runs. Written in
/// its right form it may be: `"3"` and `3`.
pub(super) fn changed() -> String {
    let fault = |(of, path, name, kinds): &(&str, &str, &str, &[&str])| {
        let [new, old] = [0, 1].map(|at| format!("variables.{of}[{at}].{name}"));
        let unreadable: Vec<_> = kinds.iter().map(|kind| format!("type({old}) != {kind}")).collect();
        let is_word = |value: &str| ["string", "int", "double", "bool"].map(|kind| format!("type({value}) == {kind}")).join(" || ");
        let same = format!("({new} == {old} || ({}) && ({}) && string({new}) == string({old}))", is_word(&new), is_word(&old));
        format!(
            "(has({old}) && {old} != null && {} && !(has({new}) && {same}) ? [{}] : [])",
            unreadable.join(" && "),
            text(&format!(
                "{path}.{name}: the old value cannot be read, so that nobody can tell what its change does to the live service; write what it says in its \
                 right form"
            ))
        )
    };
    GUARDED.iter().map(fault).collect::<Vec<_>>().join(" + ")
}
