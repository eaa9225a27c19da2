use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::observe::scripted::{Asked, Log, api_server, failure};

/// The record of an API server that compares resourceVersions.
#[derive(Clone, Default)]
struct Store(Arc<Mutex<Option<Value>>>);

impl Store {
    fn answer(&self, asked: &Asked) -> (u16, Value) {
        let mut stored = self.0.lock().unwrap();
        let version = |value: &Value| value["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        if asked.method == "GET" {
            return stored.clone().map_or_else(|| failure(404, "NotFound", "not found"), |value| (200, value));
        }
        let current = stored.as_ref().map_or(0, version);
        if version(&asked.body) != current {
            return failure(409, "Conflict", "the object has been modified");
        }
        let mut new = asked.body.clone();
        new["metadata"]["resourceVersion"] = json!((current + 1).to_string());
        *stored = Some(new.clone());
        (200, new)
    }

    fn server(&self) -> (Client, Log) {
        let store = self.clone();
        api_server(move |asked| store.answer(asked))
    }

    fn lease(&self, identity: &str) -> Lease {
        Lease::new(self.server().0, "numaflow-system", "", identity)
    }

    fn holder(&self) -> String {
        self.0.lock().unwrap().as_ref().unwrap()["spec"]["holderIdentity"].as_str().unwrap().to_owned()
    }
}

#[test]
fn an_instance_has_a_lease_of_its_own() {
    assert_eq!((name(""), name("blue")), ("isbsvc-controller-lock".to_owned(), "isbsvc-controller-lock-blue".to_owned()));
}

#[tokio::test]
async fn only_one_takes_it_and_the_other_hears_who() {
    let store = Store::default();
    let _one = store.lease("one").take().await.unwrap();
    let Err(error) = store.lease("two").take().await else { unreachable!("two hold it") };
    assert_eq!(error.to_string(), "Lease numaflow-system/isbsvc-controller-lock is held by one, renewed 0 s ago");
}

#[tokio::test]
async fn one_that_was_released_is_free_at_once() {
    let store = Store::default();
    store.lease("one").take().await.unwrap().release().await.unwrap();
    assert_eq!(store.holder(), "");
    store.lease("two").take().await.unwrap();
    assert_eq!(store.holder(), "two");
}

#[tokio::test(start_paused = true)]
async fn who_waits_takes_it_a_term_after_the_holder_fell_silent() {
    let store = Store::default();
    let mut one = store.lease("one").take().await.unwrap();
    let begun = Instant::now();
    // One renews for a while, and then is gone.
    let _ = timeout(Duration::from_secs(9), one.keep()).await;
    drop(one);
    store.lease("two").wait().await;
    assert_eq!(store.holder(), "two");
    assert!(begun.elapsed() >= limits::LEASE_TERM, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_holder_stops_when_it_was_taken_from_it() {
    let store = Store::default();
    let mut one = store.lease("one").take().await.unwrap();
    let two = store.lease("two");
    let begun = Instant::now();
    let (lost, _held) = tokio::join!(one.keep(), two.take_over());
    assert_eq!(lost.to_string(), "Lease numaflow-system/isbsvc-controller-lock was lost: two took it");
    assert!(begun.elapsed() >= limits::LEASE_TERM, "the other one has a whole term to notice");
    assert_eq!(store.holder(), "two");
}

#[tokio::test(start_paused = true)]
async fn the_holder_stops_before_its_term_ends_when_the_api_server_is_gone() {
    let store = Store::default();
    let gone = Arc::new(Mutex::new(false));
    let (kept, off) = (store.clone(), Arc::clone(&gone));
    let (client, _) =
        api_server(move |asked| if *off.lock().unwrap() { failure(500, "InternalError", "gone") } else { kept.answer(asked) });
    let mut held = Lease::new(client, "numaflow-system", "", "one").take().await.unwrap();
    let begun = Instant::now();
    *gone.lock().unwrap() = true;
    let lost = held.keep().await;
    assert!(matches!(lost, LeaseError::Lost { .. }), "{lost}");
    assert!(begun.elapsed() < limits::LEASE_TERM, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_takes_nothing_away_is_renewed_over() {
    let store = Store::default();
    let mut held = store.lease("one").take().await.unwrap();
    store.0.lock().unwrap().as_mut().unwrap()["metadata"]["resourceVersion"] = json!("7");
    let lost = timeout(Duration::from_secs(30), held.keep()).await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(store.holder(), "one");
}
