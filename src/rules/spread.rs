//! Where the servers stand.

use super::{About, Asked, Example, Level, Rule, Violation};

/// The servers stand on different nodes.
pub const NO_SPREAD: Rule = Rule {
    name: "no-spread",
    level: Level::Warn,
    about: About::Object,
    summary: "An affinity of one's own keeps the servers on different nodes: with two of three on one node, the loss of that node stops the service.",
    advice: "Where spec.jetstream.affinity is left out, the controller spreads the servers over nodes and zones. An affinity of your own takes the place of \
             that, so give it a podAntiAffinity with the topology key kubernetes.io/hostname or topology.kubernetes.io/zone, required or preferred. Where \
             Numaflow's own controller reconciles (guard mode), nothing is spread unless you say so.",
    overridable: false,
    examples: &[
        Example::bad(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    affinity:\n      nodeAffinity:\n        requiredDuringSchedulingIgnoredDuringExecution:\n          nodeSelectorTerms:\n            - matchExpressions:\n                - key: disk\n                  operator: In\n                  values: [fast]\n",
        ),
        Example::good(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    affinity:\n      podAntiAffinity:\n        preferredDuringSchedulingIgnoredDuringExecution:\n          - weight: 100\n            podAffinityTerm:\n              topologyKey: kubernetes.io/hostname\n              labelSelector:\n                matchLabels:\n                  app.kubernetes.io/component: isbsvc\n                  numaflow.numaproj.io/isbsvc-name: default\n",
        ),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n"),
    ],
    check: no_spread,
};

/// What tells nodes apart, or groups of nodes.
pub(super) const KEYS: [&str; 2] = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"];

fn no_spread(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(jetstream) = &asked.new.spec.jetstream else { return Vec::new() };
    let Some(affinity) = jetstream.pod.affinity.as_ref().filter(|_| jetstream.server_count() > 1) else { return Vec::new() };
    let anti = affinity.pod_anti_affinity.as_ref();
    let required = anti.and_then(|anti| anti.required_during_scheduling_ignored_during_execution.as_ref());
    let preferred = anti.and_then(|anti| anti.preferred_during_scheduling_ignored_during_execution.as_ref());
    let mut keys = required
        .into_iter()
        .flatten()
        .map(|term| &term.topology_key)
        .chain(preferred.into_iter().flatten().map(|term| &term.pod_affinity_term.topology_key));
    if keys.any(|key| KEYS.contains(&key.as_str())) {
        return Vec::new();
    }
    vec![Violation::new("spec.jetstream.affinity", "may put all servers on one node; add a podAntiAffinity by hostname")]
}
