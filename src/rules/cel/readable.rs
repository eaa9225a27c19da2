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
