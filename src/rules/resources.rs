//! Memory and processor of the servers.

use super::{About, Asked, Example, Level, Rule, Violation};

/// The servers have a memory request and a limit.
pub const RESOURCES: Rule = Rule {
    name: "resources",
    level: Level::Warn,
    about: About::Object,
    summary: "The servers' container has requests for cpu and memory and a limit for memory: without them its pods are the first to be evicted.",
    advice: "A pod without requests is of the class BestEffort: a node that runs short of memory evicts it first, and the scheduler puts any number of servers \
             on one node. A memory limit also bounds the server's own heap (GOMEMLIMIT follows it). Set spec.jetstream.containerTemplate.resources.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence: {}\n"),
        Example::good(
            "spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    persistence: {}\n    containerTemplate:\n      resources:\n        requests:\n          cpu: 200m\n          memory: 512Mi\n        limits:\n          memory: 1Gi\n",
        ),
    ],
    check: resources,
};

fn resources(asked: &Asked<'_>) -> Vec<Violation> {
    let Some(jetstream) = &asked.new.spec.jetstream else { return Vec::new() };
    let resources = jetstream.container_template.as_ref().and_then(|template| template.resources.as_ref());
    let limits = resources.and_then(|resources| resources.limits.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    let limited = |name: &str| limits.is_some_and(|limits| limits.contains_key(name));
    // Kubernetes takes a limit for the request where only the limit is given.
    let requested = |name: &str| limited(name) || requests.is_some_and(|requests| requests.contains_key(name));
    let missing: Vec<_> =
        [("requests.cpu", requested("cpu")), ("requests.memory", requested("memory")), ("limits.memory", limited("memory"))]
            .into_iter()
            .filter_map(|(name, given)| (!given).then_some(name))
            .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    vec![Violation::new("spec.jetstream.containerTemplate.resources", format!("set {}", missing.join(", ")))]
}
