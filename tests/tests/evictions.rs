//! The disruption budget: one server may go at a time, and none while another one does not hold everything.

use isbsvc::api::names;
use isbsvc::limits;
use isbsvc::observed::Fact;
use isbsvc::plan::ChildKind;
use isbsvc_tests::simulator::{Simulator, server};
use serde_json::{Value, json};

fn healthy() -> Simulator {
    let mut simulator = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } }));
    simulator.settle();
    assert_eq!(allowed(&simulator), json!(1), "before anything is served there is nothing to protect");
    simulator.start_pods();
    simulator.settle();
    simulator
}

fn budget(simulator: &Simulator) -> &Value {
    &simulator.children[&(ChildKind::PodDisruptionBudget, names::stateful_set("default"))]
}

fn allowed(simulator: &Simulator) -> Value {
    budget(simulator)["spec"]["maxUnavailable"].clone()
}

const LAGGING: &str = "isbsvc-default-js-1";

fn lag(simulator: &mut Simulator) {
    let mut lagging = server(LAGGING, 3, Some("isbsvc-default-js-0"));
    lagging.healthz.ok = false;
    lagging.healthz.error = Some("JetStream stream 'default > x' is not current".to_owned());
    simulator.servers.insert(LAGGING.to_owned(), Fact::Known(lagging));
}

fn catch_up(simulator: &mut Simulator) {
    simulator.pods.insert(LAGGING.to_owned(), true);
    simulator.servers.insert(LAGGING.to_owned(), Fact::Known(server(LAGGING, 3, Some("isbsvc-default-js-0"))));
}

#[test]
fn no_server_may_be_evicted_while_another_one_does_not_hold_everything() {
    let mut simulator = healthy();
    assert_eq!(allowed(&simulator), json!(1));
    // It is away, then ready and behind: between the two there is no moment in which the next one may go.
    simulator.pods.insert(LAGGING.to_owned(), false);
    simulator.settle();
    assert_eq!(allowed(&simulator), json!(0));
    simulator.pods.insert(LAGGING.to_owned(), true);
    lag(&mut simulator);
    simulator.settle();
    assert_eq!(allowed(&simulator), json!(0));
    assert_eq!(simulator.step().actions, [], "law quiet-when-done");
    catch_up(&mut simulator);
    simulator.settle();
    assert_eq!(allowed(&simulator), json!(1));
    assert_eq!(
        budget(&simulator)["metadata"]["annotations"][names::DESIRED_HASH_ANNOTATION],
        budget(&healthy())["metadata"]["annotations"][names::DESIRED_HASH_ANNOTATION]
    );
}

#[test]
fn a_drain_waits_no_longer_than_a_quarter_of_an_hour() {
    let mut simulator = healthy();
    lag(&mut simulator);
    simulator.settle();
    assert_eq!(allowed(&simulator), json!(0));
    let held = jiff::SignedDuration::try_from(limits::EVICTIONS_HELD).expect("minutes");
    let begin = simulator.now;
    simulator.now = begin + held - jiff::SignedDuration::from_secs(1);
    assert_eq!(simulator.settle().events, []);
    assert_eq!(allowed(&simulator), json!(0));
    simulator.now = begin + held;
    let events = simulator.step().events;
    assert!(events.iter().any(|event| event.reason == "EvictionsAllowed"), "{events:?}");
    assert_eq!(simulator.settle().events, [], "once");
    assert_eq!(allowed(&simulator), json!(1));
    // The next lag has its own quarter of an hour.
    catch_up(&mut simulator);
    simulator.settle();
    lag(&mut simulator);
    simulator.settle();
    assert_eq!(allowed(&simulator), json!(0));
}

#[test]
fn what_is_not_known_changes_nothing() {
    let mut simulator = healthy();
    simulator.servers.insert(LAGGING.to_owned(), Fact::Unknown("no answer".to_owned()));
    simulator.settle();
    assert_eq!(allowed(&simulator), json!(1), "whom nobody can ask must not block every drain");
    lag(&mut simulator);
    simulator.settle();
    simulator.servers.insert(LAGGING.to_owned(), Fact::Unknown("no answer".to_owned()));
    simulator.settle();
    assert_eq!(allowed(&simulator), json!(0), "and who lagged a moment ago does so still");
}
