//! What users set on the pods.

use super::{Asked, Level, Rule, Violation};
use crate::api::names;

/// The servers' own variables are not replaced.
pub const CONTAINER_ENV: Rule = Rule {
    name: "container-env",
    level: Level::Deny,
    summary: "A container template names each variable once, and none that the server itself needs.",
    about_change: false,
    check: container_env,
};

/// Kubernetes takes the probes.
pub const CONTAINER_PROBE: Rule = Rule {
    name: "container-probe",
    level: Level::Deny,
    summary: "successThreshold of a liveness or startup probe is 1: Kubernetes takes no other, and would refuse the StatefulSet.",
    about_change: false,
    check: container_probe,
};

fn container_env(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(jetstream) = &asked.new.spec.jetstream else { return Vec::new() };
    let mut found = Vec::new();
    for (template, own, field) in [
        (&jetstream.container_template, names::SERVER_VARIABLES.as_slice(), "containerTemplate"),
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

/// Of the server alone: no other container has a probe whose numbers could be changed.
fn container_probe(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(template) = asked.new.spec.jetstream.as_ref().and_then(|jetstream| jetstream.container_template.as_ref()) else {
        return Vec::new();
    };
    let thresholds = [("livenessProbe", &template.liveness_probe), ("startupProbe", &template.startup_probe)]
        .map(|(field, probe)| (field, probe.as_ref().and_then(|probe| probe.success_threshold)));
    let wrong = thresholds.into_iter().filter(|(_, threshold)| threshold.is_some_and(|threshold| threshold != 1));
    wrong
        .map(|(field, threshold)| {
            Violation::new(
                format!("spec.jetstream.containerTemplate.{field}.successThreshold"),
                format!("{} is refused by Kubernetes, which takes only 1 for this probe; leave it out", threshold.unwrap_or_default()),
            )
        })
        .collect()
}
