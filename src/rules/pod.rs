//! What users set on the pods.

use std::collections::BTreeSet;

use super::{About, Asked, Example, Level, Rule, Violation};
use crate::api::names;
use crate::limits;

/// The servers' own variables are not replaced.
pub const CONTAINER_ENV: Rule = Rule {
    name: "container-env",
    level: Level::Deny,
    about: About::Object,
    summary: "A container template names each variable once, and none that the server itself needs.",
    advice: "The servers read their name, their passwords and their key from these variables. Give your own variables other names, each once.",
    overridable: false,
    examples: &[
        Example::bad(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    containerTemplate:\n      env:\n        - name: JS_KEY\n          value: mine\n",
        ),
        Example::good(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    containerTemplate:\n      env:\n        - name: GOMEMLIMIT\n          value: 900MiB\n",
        ),
    ],
    check: container_env,
};

/// Kubernetes takes the probes.
pub const CONTAINER_PROBE: Rule = Rule {
    name: "container-probe",
    level: Level::Deny,
    about: About::Object,
    summary: "successThreshold of a liveness or startup probe is 1: Kubernetes takes no other, and would refuse the StatefulSet.",
    advice: "Kubernetes would refuse the StatefulSet as a whole, and the service would never come up. Leave the field out.",
    overridable: false,
    examples: &[
        Example::bad(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    containerTemplate:\n      livenessProbe:\n        successThreshold: 2\n",
        ),
        Example::good(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    containerTemplate:\n      livenessProbe:\n        failureThreshold: 5\n",
        ),
    ],
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
        // As with startArgs, name and not place: so an entry that was there before is known again where another one before it goes.
        let at = format!("spec.jetstream.{field}.env");
        let (mut seen, mut told) = (BTreeSet::new(), BTreeSet::new());
        for name in template.iter().flat_map(|template| template.env.iter().flatten()).map(|variable| variable.name.as_str()) {
            let is_new = seen.insert(name);
            if (own.contains(&name) || !is_new) && told.len() < limits::FINDINGS && told.insert(name) {
                let why =
                    if own.contains(&name) { "is set by the service itself; remove the entry" } else { "is named twice; keep one entry" };
                found.push(Violation::new(at.as_str(), format!("{name} {why}")));
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
