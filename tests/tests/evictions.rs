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

/// What makes us stop.
type Stop = fn(&mut Simulator);

/// A drain must not wait for ever because we wait for something else.
#[test]
fn evictions_are_allowed_again_where_nothing_else_is_written() {
    let held = jiff::SignedDuration::try_from(limits::EVICTIONS_HELD).expect("minutes");
    let stops: [(&str, Stop); 2] = [
        ("it waits for a person", |simulator| {
            let set = (ChildKind::StatefulSet, names::stateful_set("default"));
            simulator.children.get_mut(&set).expect("made")["metadata"]["annotations"][names::ACCEPTED_SPEC_ANNOTATION] = json!("{");
        }),
        ("it waits for Pipelines", |simulator| {
            simulator.pipelines.push(isbsvc::observed::PipelineUse { name: "p".to_owned(), deleting: false });
            simulator.delete();
        }),
    ];
    for (what, stop) in stops {
        let lagging = || {
            let mut simulator = healthy();
            lag(&mut simulator);
            simulator.settle();
            stop(&mut simulator);
            simulator.settle();
            assert_eq!(allowed(&simulator), json!(0), "{what}: not before it has caught up");
            simulator
        };
        let mut simulator = lagging();
        catch_up(&mut simulator);
        simulator.settle();
        assert_eq!(allowed(&simulator), json!(1), "{what}: all of them hold everything");
        let mut simulator = lagging();
        simulator.now += held;
        simulator.settle();
        assert_eq!(allowed(&simulator), json!(1), "{what}: a quarter of an hour is over");
        assert_eq!(simulator.step().actions, [], "{what}");
    }
}

#[test]
fn evictions_of_a_service_that_is_left_alone_are_held_no_longer_than_of_any_other() {
    let paused = |simulator: &Simulator| {
        let (service, observed) = (simulator.service(), simulator.observed());
        let input = isbsvc::plan::Input { service: &service, config: &simulator.config, now: simulator.now };
        let plan = isbsvc::plan::paused(&input, &observed);
        assert!(plan.verdict.is_some() && plan.status.is_none(), "it is watched, and nothing is said for it");
        plan.actions
    };
    let places = |actions: &[isbsvc::plan::Action]| match actions {
        [isbsvc::plan::Action::Patch { kind: ChildKind::PodDisruptionBudget, places, .. }] => {
            places.iter().map(|place| (place.pointer.clone(), place.value.clone())).collect::<Vec<_>>()
        }
        other => unreachable!("one write: {other:?}"),
    };
    let allowed = ("/spec/maxUnavailable".to_owned(), Some(json!(1)));
    let mut simulator = healthy();
    lag(&mut simulator);
    simulator.settle();
    assert_eq!(paused(&simulator), [], "not before it has caught up");
    simulator.now += jiff::SignedDuration::try_from(limits::EVICTIONS_HELD).expect("minutes");
    assert_eq!(places(&paused(&simulator)), std::slice::from_ref(&allowed), "a quarter of an hour is over, and stays over");
    let mut simulator = healthy();
    lag(&mut simulator);
    simulator.settle();
    catch_up(&mut simulator);
    let note = format!("/metadata/annotations/{}", names::NOT_CURRENT_SINCE_ANNOTATION.replace('/', "~1"));
    assert_eq!(places(&paused(&simulator)), [allowed, (note, None)], "the next lag has its own quarter of an hour");
}

#[test]
fn a_replica_of_a_stream_that_lags_holds_evictions_whatever_the_server_says_of_its_health() {
    let mut simulator = healthy();
    let mut leads = server("isbsvc-default-js-0", 3, Some("isbsvc-default-js-0"));
    let peer = |name: &str, current| isbsvc::observed::Peer { name: name.to_owned(), current, ..isbsvc::observed::Peer::default() };
    let stream = isbsvc::observed::Stream {
        name: "pl-simple-cat-0".to_owned(),
        leader: Some(leads.name.clone()),
        replicas: 3,
        peers: vec![peer(LAGGING, false), peer("isbsvc-default-js-2", true)],
        ..isbsvc::observed::Stream::default()
    };
    leads.jetstream.as_mut().expect("it is on").stream_details.push(stream);
    simulator.servers.insert(leads.name.clone(), Fact::Known(leads.clone()));
    simulator.settle();
    assert_eq!(allowed(&simulator), json!(0));
    leads.jetstream.as_mut().expect("it is on").stream_details[0].peers[0].current = true;
    simulator.servers.insert(leads.name.clone(), Fact::Known(leads));
    simulator.settle();
    assert_eq!(allowed(&simulator), json!(1));
}

#[test]
fn a_budget_of_somebody_else_under_our_name_is_left_as_it_is_and_named() {
    let mut simulator = healthy();
    let key = (ChildKind::PodDisruptionBudget, names::stateful_set("default"));
    let theirs = json!({ "metadata": { "name": key.1, "ownerReferences": [{ "apiVersion": "v1", "kind": "Team", "name": "sre", "uid": "u-9" }] },
        "spec": { "maxUnavailable": 0, "selector": { "matchLabels": { "a": "b" } } } });
    simulator.put(ChildKind::PodDisruptionBudget, theirs);
    let before = simulator.children[&key].clone();
    simulator.settle();
    assert_eq!(simulator.children[&key], before);
    let status = simulator.service().status.expect("a status");
    assert!(status.is_healthy() && status.message.expect("words").contains("belongs to Team sre"));
}
