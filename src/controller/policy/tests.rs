use std::time::Duration;

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use tokio::time::{advance, sleep};

use super::*;
use crate::observe::scripted::{Log, api_server};

fn map(data: &Value) -> ConfigMap {
    let metadata = json!({ "name": "isbsvc-policy", "namespace": "numaflow-system", "uid": "u-1", "resourceVersion": "7" });
    serde_json::from_value(json!({ "metadata": metadata, "data": data })).unwrap()
}

fn policy(text: &str) -> ConfigMap {
    map(&json!({ "policy.yaml": text }))
}

const GOOD: &str = "profile: production\n";
const BAD: &str = "rules:\n  encryption-toggle: off\n";

/// What is told of one `ConfigMap` after the other.
fn told(maps: &[Option<ConfigMap>]) -> Vec<Option<&'static str>> {
    let mut reader = Reader::default();
    maps.iter().map(|map| reader.look(map.as_ref(), Instant::now()).map(|event| event.reason)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_bad_policy_is_told_once_and_its_mending_too() {
    let maps =
        [None, Some(policy(GOOD)), Some(policy(BAD)), Some(policy(BAD)), Some(policy(GOOD)), Some(policy(GOOD)), None, Some(policy(GOOD))];
    assert_eq!(
        told(&maps),
        [None, Some("PolicyAccepted"), Some("InvalidPolicy"), None, Some("PolicyAccepted"), None, None, Some("PolicyAccepted")]
    );
    assert_eq!(told(&[Some(policy(GOOD)), Some(policy(GOOD))]), [None, None], "a restart of ours is no news");
    assert_eq!(told(&[Some(policy(BAD)), Some(policy("rules: ["))]), [Some("InvalidPolicy"); 2], "another mistake is news");
}

/// Kubernetes forgets events, and nobody should have to wait for a change to see what is wrong.
#[tokio::test(start_paused = true)]
async fn a_policy_that_stays_bad_is_told_again() {
    let mut reader = Reader::default();
    assert!(reader.look(Some(&policy(BAD)), Instant::now()).is_some() && !reader.is_good());
    advance(limits::POLICY_AGAIN / 2).await;
    assert!(reader.look(Some(&policy(BAD)), Instant::now()).is_none());
    advance(limits::POLICY_AGAIN / 2).await;
    assert!(reader.look(Some(&policy(BAD)), Instant::now()).is_some());
    assert!(reader.look(Some(&policy(BAD)), Instant::now()).is_none());
}

#[test]
fn the_note_is_one_line_with_the_place_however_long_the_policy() {
    let long = format!("rules:\n  {}: warn\n", "x\u{fc}".repeat(400));
    for (map, words) in [
        (policy(BAD), "policy.yaml: rules.encryption-toggle: it guards data"),
        (policy("rules: ["), "policy.yaml: line 1 column"),
        (map(&json!({ "policy.yml": GOOD })), "policy.yaml: the ConfigMap has no such key"),
        (map(&Value::Null), "policy.yaml: the ConfigMap has no such key"),
        (policy(&long), "policy.yaml: rules.x"),
    ] {
        let event = Reader::default().look(Some(&map), Instant::now()).expect(words);
        assert!(event.note.starts_with(words) && event.note.ends_with("until this is mended"), "{}", event.note);
        assert!(!event.note.contains('\n') && event.note.len() <= limits::EVENT_NOTE, "{}", event.note);
    }
    // What the webhook would read from its mount all the same.
    let mut binary = map(&Value::Null);
    binary.binary_data = Some([("policy.yaml".to_owned(), ByteString(GOOD.as_bytes().to_vec()))].into());
    assert!(Reader::default().look(Some(&binary), Instant::now()).is_none());
}

/// An hour with a policy that stays as it is: what was asked, and what the metrics say.
async fn an_hour(text: &str) -> (Log, String) {
    let found = policy(text);
    let (client, log) = api_server(move |asked| match asked.method.as_str() {
        "POST" => (201, asked.body.clone()),
        _ if asked.path.contains("watch=true") => (200, json!({})),
        _ => (200, json!({ "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "9" }, "items": [found] })),
    });
    let metrics = Arc::new(Metrics::default());
    let events = Events::new(client.clone(), "host_1".to_owned(), Arc::clone(&metrics));
    let (_go_on, stop) = watch::channel(false);
    tokio::select! {
        ended = keep(client, "numaflow-system".to_owned(), &events, Arc::clone(&metrics), stop) => panic!("{ended:?}"),
        () = sleep(Duration::from_hours(1)) => {}
    }
    (log, metrics.text())
}

#[tokio::test(start_paused = true)]
async fn only_the_one_config_map_is_watched_and_a_good_one_is_written_about_to_nobody() {
    let (log, metrics) = an_hour(GOOD).await;
    let log = log.lock().unwrap();
    assert!(!log.is_empty() && log.iter().all(|asked| asked.method == "GET"), "{log:?}");
    for asked in log.iter() {
        let path = asked.path.as_str();
        assert!(
            path.starts_with("/api/v1/namespaces/numaflow-system/configmaps?") && path.contains("metadata.name%3Disbsvc-policy"),
            "{path}"
        );
    }
    assert!(metrics.contains("isbsvc_controller_policy_good{} 1\n"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_bad_one_is_told_on_the_config_map() {
    let (log, metrics) = an_hour(BAD).await;
    let log = log.lock().unwrap();
    let written: Vec<_> = log.iter().filter(|asked| asked.method != "GET").collect();
    assert_eq!(written.len(), 2, "at once, and before it is forgotten: {written:?}");
    for asked in written {
        assert_eq!(asked.path.split('?').next(), Some("/apis/events.k8s.io/v1/namespaces/numaflow-system/events"));
        let regarding =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": "isbsvc-policy", "namespace": "numaflow-system", "uid": "u-1" });
        assert_eq!((&asked.body["regarding"], &asked.body["type"]), (&regarding, &json!("Warning")));
    }
    assert!(metrics.contains("isbsvc_controller_policy_good{} 0\n"), "{metrics}");
}
