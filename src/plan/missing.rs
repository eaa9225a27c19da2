use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;

use super::status;
use crate::api::names;
use crate::limits;
use crate::observed::{Fact, Observed};

/// What the note about missing pods on a `StatefulSet` should say; `None` where no pod is missing. A new time in it is a write, and a write is what makes
/// Kubernetes try again at once: after each failed attempt to make a pod (the pod of a former `StatefulSet` still stands there, a quota, a webhook) its
/// controller waits twice as long, up to 1,000 s, and nothing tells it that the hindrance went
/// (`DefaultTypedControllerRateLimiter` of client-go, `pkg/controller/statefulset/stateful_set.go`).
pub(super) fn noted(service: &str, live: &StatefulSet, observed: &Observed, now: Timestamp) -> Option<String> {
    let before = live.annotations().get(names::PODS_MISSING_ANNOTATION);
    let Fact::Known(pods) = &observed.pods else { return before.cloned() };
    let wanted = live.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let missing = (0..wanted).map(|ordinal| names::pod(service, ordinal)).any(|name| !pods.iter().any(|pod| pod.name_any() == name));
    if !missing {
        return None;
    }
    let made = live.metadata.creation_timestamp.as_ref().map(|made| made.0);
    let last = before.and_then(|before| before.parse().ok()).or(made)?;
    let due = now.duration_since(last) >= SignedDuration::try_from(limits::PODS_MISSING_AGAIN).unwrap_or(SignedDuration::MAX);
    // A time in the future is somebody's mistake, and must not hold for ever.
    if due || last > now { Some(status::whole_second(now).to_string()) } else { before.cloned() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MADE: &str = "2026-01-01T00:00:00Z";

    fn after(seconds: i64, note: Option<&str>, pods: Fact<&[&str]>) -> Option<String> {
        let annotations = note.map_or(json!({}), |note| json!({ names::PODS_MISSING_ANNOTATION: note }));
        let live = serde_json::from_value(json!({
            "metadata": { "name": "isbsvc-default-js", "creationTimestamp": MADE, "annotations": annotations }, "spec": { "replicas": 3, "selector": {}, "serviceName": "", "template": {} },
        }));
        let pods = match pods {
            Fact::Known(names) => Fact::Known(names.iter().map(|name| pod(name)).collect()),
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        let now = MADE.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds);
        noted("default", &live.unwrap(), &Observed { pods, ..Observed::default() }, now)
    }

    fn pod(name: &str) -> k8s_openapi::api::core::v1::Pod {
        let object: Value = json!({ "metadata": { "name": name } });
        serde_json::from_value(object).unwrap()
    }

    const ALL: &[&str] = &["isbsvc-default-js-0", "isbsvc-default-js-1", "isbsvc-default-js-2"];
    const LESS: &[&str] = &["isbsvc-default-js-0", "isbsvc-default-js-2", "isbsvc-other-js-1"];

    #[test]
    fn kubernetes_is_reminded_of_a_missing_pod_every_ten_seconds() {
        assert_eq!(after(9, None, Fact::Known(LESS)), None, "it has just been told");
        assert_eq!(after(10, None, Fact::Known(LESS)).as_deref(), Some("2026-01-01T00:00:10Z"));
        let note = Some("2026-01-01T00:00:10Z");
        assert_eq!(after(19, note, Fact::Known(LESS)).as_deref(), note);
        assert_eq!(after(20, note, Fact::Known(LESS)).as_deref(), Some("2026-01-01T00:00:20Z"));
    }

    #[test]
    fn the_note_goes_when_no_pod_is_missing_and_stays_while_nobody_knows() {
        let note = Some("2026-01-01T00:00:10Z");
        assert_eq!(after(60, note, Fact::Known(ALL)), None);
        assert_eq!(after(60, note, Fact::Unknown("no right to list pods".to_owned())).as_deref(), note);
    }

    #[test]
    fn a_note_that_nobody_can_read_or_of_the_future_does_not_hold_for_ever() {
        for note in ["soon", "2030-01-01T00:00:00Z"] {
            assert_eq!(after(60, Some(note), Fact::Known(LESS)).as_deref(), Some("2026-01-01T00:01:00Z"), "{note}");
        }
    }
}
