use std::collections::{BTreeMap, BTreeSet};

use isbsvc_tests::cluster::{Cluster, Controller, MINUTE, Messages, Outcome, Pods, eventually, service, service_of};
use serde_json::json;

/// Law step-by-step: a change of the pods goes one server at a time, whatever happens to the controller meanwhile, and loses no message.
#[test]
fn law_step_by_step_a_change_rolls_one_server_at_a_time() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-step-by-step");
    let scope = ["--namespace-scope", namespace.name.as_str()];
    let mut controller = Controller::start(&namespace, "before", &scope);
    let spec = |annotation: &str| {
        let metadata = json!({ "annotations": { "rolled": annotation } });
        service_of(&namespace.name, "default", &json!({ "persistence": { "volumeSize": "1Gi" }, "metadata": metadata }))
    };
    namespace.apply(&spec("before")).ok();
    namespace.healthy("default");
    let messages = Messages::open(&namespace, "default", 3);
    let mut pods = Pods::watch(&namespace, "default", 3);
    let old = all_ready(&pods, &BTreeMap::new());
    let load = messages.load(0);

    namespace.apply(&spec("after")).ok();
    eventually("the first server is replaced", 3 * MINUTE, || {
        let now = pods.ready();
        if now.iter().any(|(name, uid)| old.get(name) != Some(uid)) { Ok(()) } else { Err(format!("{now:?}")) }
    });
    controller.kill();
    let _controller = Controller::start(&namespace, "after", &scope);
    all_ready(&pods, &old);
    namespace.healthy("default");
    none_lost("a roll with a restart of the controller", &messages, &messages.end(load));
    let (most, story) = pods.most_away();
    assert_eq!(most, 1, "never more than one server away:\n{story}");
    println!("{story}");
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=180s"]).ok();
}

/// What the first server has to catch up with: 240 MB, in a store of 1 GiB.
const BULK_MESSAGES: u32 = 15_000;
const BULK_BYTES: usize = 16 * 1024;

/// Three drains in a row, as `kubectl drain` makes them, under load: the disruption budget keeps the second from beginning before the first is over,
/// which is when its server holds everything again and not when its pod is ready.
#[test]
fn drains_in_a_row_lose_no_message() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-drains");
    namespace.apply(&service("default", &json!({ "persistence": { "volumeSize": "1Gi" } }))).ok();
    namespace.healthy("default");
    let messages = Messages::open(&namespace, "default", 3);
    let mut pods = Pods::watch(&namespace, "default", 3);
    let old = all_ready(&pods, &BTreeMap::new());
    let load = messages.load(0);
    let mut refused = 0;
    // Refused although every pod is ready; and how often the one that came back did not hold everything at that moment, by the stream's own leader.
    let (mut held, mut behind) = (0, 0);
    let mut bulk = None;
    for ordinal in 0..3 {
        let pod = format!("isbsvc-default-js-{ordinal}");
        let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod, "namespace": namespace.name } });
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", namespace.name);
        let mut first = true;
        eventually(&format!("{pod} may be evicted"), 2 * MINUTE, || {
            let ready = pods.ready().len();
            let lags = messages.behind() == Some(true);
            let said = namespace.kubectl_stdin(&["create", "--raw", &path, "-f", "-"], &eviction.to_string());
            if said.code == 0 {
                return Ok(());
            }
            assert!(said.err.contains("TooManyRequests"), "{said:?}");
            let all_ready = ready == 3 && pods.ready().len() == 3;
            held += u32::from(all_ready);
            behind += u32::from(all_ready && lags);
            refused += u32::from(std::mem::take(&mut first) && ordinal > 0);
            Err(said.err)
        });
        if ordinal == 0 {
            // So much to catch up with that it takes longer than to be ready.
            bulk = Some(messages.bulk(BULK_MESSAGES, BULK_BYTES));
        }
    }
    assert_eq!(refused, 2, "the second and the third eviction are refused at first (429)");
    // One or two may fall between a change of the budget and its being counted.
    assert!(held > 2, "evictions are refused while the pod before is ready and does not hold everything yet: {held}");
    let stored = bulk.map(|bulk| messages.wait(bulk)).unwrap_or_default();
    // Those that an election refused are not sent again.
    assert!(stored > BULK_MESSAGES as usize / 4, "{stored} messages to catch up with");
    println!(
        "{held} evictions refused while every pod was ready, {behind} of them while a replica lagged; {stored} messages of {BULK_BYTES} bytes stored"
    );
    all_ready(&pods, &old);
    none_lost("three drains in a row", &messages, &messages.end(load));
    let (most, story) = pods.most_away();
    assert_eq!(most, 1, "never more than one server away:\n{story}");
    println!("{story}");
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=180s"]).ok();
}

/// Waits until three servers are ready, none of which is one of those; their uids.
#[track_caller]
fn all_ready(pods: &Pods, old: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut now = BTreeMap::new();
    eventually("all servers are ready and new", 5 * MINUTE, || {
        now = pods.ready();
        let new = now.iter().filter(|(name, uid)| old.get(*name) != Some(uid)).count();
        if new == 3 { Ok(()) } else { Err(format!("{now:?}")) }
    });
    now
}

#[track_caller]
fn none_lost(what: &str, messages: &Messages, outcome: &Outcome) {
    let held = messages.read();
    let lost: BTreeSet<_> = outcome.acknowledged.difference(&held).collect();
    assert!(lost.is_empty(), "{what}: acknowledged and lost: {lost:?}");
    assert!(!outcome.acknowledged.is_empty() && outcome.given_up == 0, "{what}: {} given up", outcome.given_up);
    let (count, gap) = (outcome.acknowledged.len(), outcome.longest_gap.as_secs_f64());
    println!("{what}: {count} messages acknowledged, none lost, longest gap {gap:.1} s");
}
