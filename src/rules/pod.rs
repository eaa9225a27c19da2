//! What users set on the pods.

use super::{Asked, Level, Rule, Violation};

/// The servers' own variables are not replaced.
pub const CONTAINER_ENV: Rule = Rule {
    name: "container-env",
    level: Level::Deny,
    summary: "A container template names each variable once, and none that the server itself needs.",
    about_change: false,
    check: container_env,
};

/// `GOMEMLIMIT` is not among them: one of the user's own takes the place of ours.
const SERVERS_OWN: [&str; 5] = ["POD_NAME", "SERVER_NAME", "POD_NAMESPACE", "CLUSTER_ADVERTISE", "JS_KEY"];

fn container_env(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(jetstream) = &asked.new.spec.jetstream else { return Vec::new() };
    let mut found = Vec::new();
    for (template, own, field) in [
        (&jetstream.container_template, SERVERS_OWN.as_slice(), "containerTemplate"),
        (&jetstream.reloader_container_template, &[], "reloaderContainerTemplate"),
        (&jetstream.metrics_container_template, &[], "metricsContainerTemplate"),
    ] {
        let mut seen = std::collections::BTreeSet::new();
        for (index, variable) in template.iter().flat_map(|template| template.env.iter().flatten()).enumerate() {
            let at = format!("spec.jetstream.{field}.env[{index}].name");
            if own.contains(&variable.name.as_str()) {
                found.push(Violation::new(at, format!("{} is set by the service itself; remove the entry", variable.name)));
            } else if !seen.insert(variable.name.as_str()) {
                found.push(Violation::new(at, format!("{} is named twice; keep one entry", variable.name)));
            }
        }
    }
    found
}
