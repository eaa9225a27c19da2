use std::time::Duration;

use serde_json::json;
use tokio::time::advance;

use super::*;
use crate::observe::scripted::{Log, api_server, failure};
use crate::plan::{Place, Precondition};

fn key() -> Key {
    Key { namespace: "pl".to_owned(), name: "default".to_owned() }
}

fn about() -> ObjectReference {
    ObjectReference { namespace: Some("pl".to_owned()), name: Some("default".to_owned()), ..ObjectReference::default() }
}

fn event(note: &str) -> Event {
    Event { type_: EventType::Warning, reason: "SpecRefused", note: note.to_owned() }
}

fn stored() -> (Events, Log, Arc<Metrics>) {
    let (client, log) = api_server(|asked| {
        let metadata = json!({ "name": "e" });
        (
            if asked.method == "POST" { 201 } else { 200 },
            json!({ "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": metadata, "eventTime": null }),
        )
    });
    let metrics = Arc::new(Metrics::default());
    (Events::new(client, "host_1".to_owned(), Arc::clone(&metrics)), log, metrics)
}

fn methods(log: &Log) -> Vec<String> {
    log.lock().unwrap().iter().map(|asked| asked.method.clone()).collect()
}

#[test]
fn a_note_is_cut_at_a_whole_character() {
    assert_eq!(cut("abc", 3), "abc");
    assert_eq!(cut("abcd", 3), "abc");
    assert_eq!(cut("aä", 2), "a");
    assert_eq!(cut("ää", 3), "ä");
}

#[tokio::test(start_paused = true)]
async fn the_same_words_again_are_one_event_and_at_most_one_write_a_minute() {
    let (events, log, metrics) = stored();
    for _ in 0..100 {
        events.publish(&key(), &about(), &event("no")).await;
        advance(Duration::from_millis(500)).await;
    }
    assert_eq!(methods(&log), ["POST"]);
    advance(limits::EVENT_AGAIN).await;
    events.publish(&key(), &about(), &event("no")).await;
    assert_eq!(methods(&log), ["POST", "PATCH"]);
    assert_eq!(log.lock().unwrap()[1].body["series"]["count"], 101);
    assert!(metrics.text().contains("isbsvc_controller_events_total{result=\"held_back\"} 99\n"), "{}", metrics.text());
}

#[tokio::test(start_paused = true)]
async fn other_words_of_the_same_reason_are_an_event_of_their_own() {
    let (events, log, _) = stored();
    events.publish(&key(), &about(), &event("encryption")).await;
    events.publish(&key(), &about(), &event("tls")).await;
    let notes: Vec<_> = log.lock().unwrap().iter().map(|asked| asked.body["note"].clone()).collect();
    assert_eq!(notes, ["encryption", "tls"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_has_only_so_many_in_a_while() {
    let (events, log, _) = stored();
    for number in 0..1000 {
        events.publish(&key(), &about(), &event(&number.to_string())).await;
        advance(Duration::from_millis(100)).await;
    }
    assert_eq!(log.lock().unwrap().len(), limits::EVENTS_PER_SERVICE);
    advance(limits::EVENT_WINDOW).await;
    events.publish(&key(), &about(), &event("later")).await;
    assert_eq!(log.lock().unwrap().len(), limits::EVENTS_PER_SERVICE + 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_the_api_server_forgot_is_made_again() {
    let (client, log) = api_server(|asked| match asked.method.as_str() {
        "PATCH" => failure(404, "NotFound", "not found"),
        _ => (201, json!({ "metadata": { "name": "e" }, "eventTime": null })),
    });
    let events = Events::new(client, "host_1".to_owned(), Arc::default());
    events.publish(&key(), &about(), &event("no")).await;
    advance(limits::EVENT_AGAIN).await;
    events.publish(&key(), &about(), &event("no")).await;
    assert_eq!(methods(&log), ["POST", "PATCH", "POST"]);
}

#[tokio::test(start_paused = true)]
async fn a_note_is_bounded_and_one_that_is_lost_is_counted() {
    let (client, log) = api_server(|_| failure(403, "Forbidden", "no"));
    let metrics = Arc::new(Metrics::default());
    let events = Events::new(client, "host_1".to_owned(), Arc::clone(&metrics));
    events.publish(&key(), &about(), &event(&"ä".repeat(2000))).await;
    assert!(log.lock().unwrap()[0].body["note"].as_str().unwrap().len() <= limits::EVENT_NOTE);
    assert!(metrics.text().contains("isbsvc_controller_events_total{result=\"lost\"} 1\n"));
}

fn carried(verb: Verb) -> Carried {
    Carried { kind: "statefulset".to_owned(), name: "isbsvc-default-js".to_owned(), verb }
}

fn apply(kind: ChildKind, changed: &[&str]) -> Action {
    Action::Apply {
        kind,
        name: "isbsvc-default-js".to_owned(),
        object: json!({}),
        precondition: Precondition::default(),
        changed: changed.iter().map(|pointer| (*pointer).to_owned()).collect(),
    }
}

#[test]
fn writes_are_told_with_numaflows_reasons() {
    let told = |action: &Action, verb| of_write(action, &carried(verb)).map(|event| (event.reason, event.note));
    let name = "isbsvc-default-js";
    for (kind, verb, reason, words) in [
        (ChildKind::ConfigMap, Verb::Created, "JetStreamConfigMap", format!("ConfigMap {name} created")),
        (ChildKind::Service, Verb::Created, "JetStreamServiceSuccess", format!("Service {name} created")),
        (ChildKind::StatefulSet, Verb::Created, "JetStreamStatefulSetSuccess", format!("StatefulSet {name} created")),
        (ChildKind::StatefulSet, Verb::Configured, "JetStreamStatefulSet", format!("StatefulSet {name} written: /spec/replicas")),
    ] {
        assert_eq!(told(&apply(kind, &["/spec/replicas"]), verb), Some((reason, words)));
    }
    let many = ["/a", "/b", "/c", "/d", "/e", "/f", "/g"];
    assert!(told(&apply(ChildKind::StatefulSet, &many), Verb::Configured).unwrap().1.ends_with("/d, /e and 2 more"));
    let note = apply(ChildKind::StatefulSet, &["/metadata/annotations/numaflow.numaproj.io~1first-healthy"]);
    assert_eq!(told(&note, Verb::Configured), None, "what we note for ourselves is nothing that happened");
    let patch = Action::Patch {
        kind: ChildKind::Secret,
        name: name.to_owned(),
        places: vec![Place { pointer: "/data/auth".to_owned(), value: Some(json!("eA==")) }],
        precondition: Precondition::default(),
    };
    assert_eq!(told(&patch, Verb::Configured), None);
}
