use std::collections::BTreeSet;

use isbsvc_tests::cluster::{Cluster, MINUTE, Messages, eventually, service};
use serde_json::json;

/// Ten thousand messages on three replicas, read back; then a pod dies under load, and no acknowledged message is lost.
#[test]
fn messages_live() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-messages");
    namespace.apply(&service("default", &json!({ "persistence": { "volumeSize": "1Gi" } }))).ok();
    namespace.healthy("default");
    let messages = Messages::open(&namespace, "default", 3);
    assert_eq!(messages.publish(0..10_000).len(), 10_000);
    assert_eq!(messages.read(), (0..10_000).collect());

    let load = messages.load(10_000);
    namespace.kubectl(&["delete", "pod", "isbsvc-default-js-0", "--grace-period=1"]).ok();
    namespace.healthy("default");
    eventually("every replica is current again", 2 * MINUTE, || {
        let said = namespace.isbsvc(&["status"]);
        if said.code == 0 && !said.out.contains("Replica") { Ok(()) } else { Err(said.out) }
    });
    let outcome = messages.end(load);
    assert_eq!(outcome.given_up, 0, "the service goes on");
    let held = messages.read();
    let lost: BTreeSet<_> = outcome.acknowledged.difference(&held).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    println!(
        "a pod died: {} messages acknowledged meanwhile, none lost, longest gap {:.1} s",
        outcome.acknowledged.len(),
        outcome.longest_gap.as_secs_f64()
    );
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=180s"]).ok();
    let claims = namespace.kubectl(&["get", "persistentvolumeclaim", "-o", "name"]).ok();
    assert_eq!(claims.trim(), "", "the claims went with the service");
}
