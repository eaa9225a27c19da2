use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use tokio::time::Instant;

use super::Memory;
use crate::{limits, servers};

/// What of a pod makes its server worth asking anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    uid: String,
    ready: bool,
    restarts: i32,
}

/// The pods that can be asked.
pub(super) fn askable(pods: &[Pod]) -> BTreeMap<String, Standing> {
    let askable = pods.iter().filter(|pod| servers::can_answer(pod));
    askable
        .map(|pod| {
            let status = pod.status.as_ref();
            let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
            let containers = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
            let standing = Standing {
                uid: pod.metadata.uid.clone().unwrap_or_default(),
                ready: conditions.clone().any(|condition| condition.type_ == "Ready" && condition.status == "True"),
                restarts: containers.map(|container| container.restart_count).sum(),
            };
            (pod.name_any(), standing)
        })
        .collect()
}

/// The servers are asked when their time has come (soon, for a service that is not well) or their pods stand otherwise. Any other event, such as the
/// one of our own status, is looked at with what they said last: numbers that always move would otherwise keep us writing.
pub(super) fn must_ask(memory: &Memory, askable: &BTreeMap<String, Standing>, now: Instant) -> bool {
    memory.asked != *askable || (!askable.is_empty() && memory.ask_at.is_none_or(|at| now >= at))
}

/// Whether each stream and consumer is asked after as well, which costs a server with thousands of them more: as long as something is not well, so that
/// a replica that has yet to catch up is seen until it has; and otherwise every [`limits::LOOK_AT_STREAMS`].
pub(super) fn ask_streams(memory: &Memory, now: Instant) -> bool {
    !memory.well || memory.streams_asked_at.is_none_or(|at| now >= at + limits::LOOK_AT_STREAMS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pods(pods: &[(&str, &str, bool)]) -> BTreeMap<String, Standing> {
        pods.iter()
            .map(|(name, uid, ready)| ((*name).to_owned(), Standing { uid: (*uid).to_owned(), ready: *ready, restarts: 0 }))
            .collect()
    }

    #[test]
    fn servers_are_asked_when_their_time_has_come() {
        let now = Instant::now();
        let one = pods(&[("p-0", "u-1", true)]);
        let asked = Memory { asked: one.clone(), asked_at: Some(now), ask_at: Some(now + Duration::from_secs(30)), ..Memory::default() };
        assert!(!must_ask(&asked, &one, now + Duration::from_secs(29)), "an event alone is no reason");
        assert!(must_ask(&asked, &one, now + Duration::from_secs(30)));
    }

    #[test]
    fn pods_that_stand_otherwise_are_asked_at_once() {
        let now = Instant::now();
        let one = pods(&[("p-0", "u-1", true)]);
        let asked = Memory { asked: one, asked_at: Some(now), ask_at: Some(now + Duration::from_secs(30)), ..Memory::default() };
        assert!(must_ask(&asked, &pods(&[("p-0", "u-2", true)]), now), "another pod of the same name");
        assert!(must_ask(&asked, &pods(&[("p-0", "u-1", false)]), now), "no longer ready");
        assert!(must_ask(&asked, &pods(&[]), now), "what a pod said that is gone is forgotten");
    }

    #[test]
    fn who_was_never_asked_is_asked_and_nobody_is_not() {
        let now = Instant::now();
        assert!(must_ask(&Memory::default(), &pods(&[("p-0", "u-1", false)]), now));
        assert!(!must_ask(&Memory::default(), &pods(&[]), now));
    }

    #[test]
    fn streams_are_asked_after_while_something_is_not_well_and_else_now_and_then() {
        let now = Instant::now();
        assert!(ask_streams(&Memory::default(), now), "nothing is known yet");
        let well = Memory { well: true, streams_asked_at: Some(now), ..Memory::default() };
        assert!(!ask_streams(&well, now + Duration::from_secs(30)));
        assert!(ask_streams(&well, now + limits::LOOK_AT_STREAMS));
        assert!(ask_streams(&Memory { well: false, ..well }, now), "until all of it is well");
    }

    #[test]
    fn a_pod_that_runs_is_askable_and_its_standing_is_read() {
        let pod = |value: serde_json::Value| serde_json::from_value::<Pod>(value).unwrap();
        let running = pod(serde_json::json!({
            "metadata": { "name": "p-0", "uid": "u-1" },
            "status": { "phase": "Running", "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": "True" }],
                "containerStatuses": [{ "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 2 }] },
        }));
        let pending = pod(serde_json::json!({ "metadata": { "name": "p-1" }, "status": { "phase": "Pending" } }));
        let found = askable(&[running, pending]);
        assert_eq!(found, BTreeMap::from([("p-0".to_owned(), Standing { uid: "u-1".to_owned(), ready: true, restarts: 2 })]));
    }
}
