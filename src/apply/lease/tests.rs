use std::sync::{Arc, Mutex};

use serde_json::json;

use super::record::Record;
use super::*;
use crate::observe::scripted::{api_server, failure};

#[test]
fn an_instance_has_a_lease_of_its_own() {
    assert_eq!((name(""), name("blue")), ("isbsvc-controller-lock".to_owned(), "isbsvc-controller-lock-blue".to_owned()));
}

#[tokio::test]
async fn only_one_takes_it_and_the_other_hears_who() {
    let record = Record::default();
    let _one = record.lease("one").take().await.unwrap();
    let Err(error) = record.lease("two").take().await else { unreachable!("two hold it") };
    assert_eq!(error.to_string(), "Lease numaflow-system/isbsvc-controller-lock is held by one, renewed 0 s ago");
}

#[tokio::test]
async fn one_that_was_released_is_free_at_once() {
    let record = Record::default();
    record.lease("one").take().await.unwrap().release().await.unwrap();
    assert_eq!(record.holder(), "");
    record.lease("two").take().await.unwrap();
    assert_eq!(record.holder(), "two");
}

/// A Lease whose holder's clock is an hour behind ours.
fn ahead(record: &Record) -> Lease {
    let record = record.clone();
    let (client, _) = api_server(move |asked| {
        let (code, mut answer) = record.answer(asked);
        if asked.method == "GET" {
            answer["spec"]["renewTime"] = json!(MicroTime(Timestamp::now() - SignedDuration::from_hours(1)));
        }
        (code, answer)
    });
    Lease::new(client, "numaflow-system", "", "two")
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_takes_it_from_nobody() {
    let record = Record::default();
    let mut one = record.lease("one").take().await.unwrap();
    let two = ahead(&record);
    tokio::select! {
        lost = one.keep() => unreachable!("{lost}"),
        taken = two.take() => assert!(matches!(taken, Err(LeaseError::HeldBy { .. })), "it is renewed"),
    }
    assert_eq!(record.holder(), "one");
    drop(one);
    let begun = Instant::now();
    two.take().await.unwrap();
    assert!(begun.elapsed() >= limits::LEASE_TERM, "{:?}", begun.elapsed());
    assert_eq!(record.holder(), "two");
}

#[tokio::test(start_paused = true)]
async fn a_write_is_begun_only_while_the_lease_holds() {
    let record = Record::default();
    let mut held = record.lease("one").take().await.unwrap();
    let permit = held.permit();
    let _ = timeout(Duration::from_secs(30), held.keep()).await;
    assert!(permit.holds(), "it was renewed");
    // The process stands still, and goes on when another one may have taken it.
    tokio::time::advance(limits::LEASE_DEADLINE).await;
    assert!(!permit.holds());
    let held = record.lease("one").take().await.unwrap();
    let permit = held.permit();
    held.release().await.unwrap();
    assert!(!permit.holds() && Permit::alone().holds());
}

#[tokio::test(start_paused = true)]
async fn who_waits_takes_it_a_term_after_the_holder_fell_silent() {
    let record = Record::default();
    let mut one = record.lease("one").take().await.unwrap();
    let begun = Instant::now();
    // One renews for a while, and then is gone.
    let _ = timeout(Duration::from_secs(9), one.keep()).await;
    drop(one);
    record.lease("two").wait().await;
    assert_eq!(record.holder(), "two");
    assert!(begun.elapsed() >= limits::LEASE_TERM, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_holder_stops_when_it_was_taken_from_it() {
    let record = Record::default();
    let mut one = record.lease("one").take().await.unwrap();
    let two = record.lease("two");
    let begun = Instant::now();
    let (lost, _held) = tokio::join!(one.keep(), two.take_over());
    assert_eq!(lost.to_string(), "Lease numaflow-system/isbsvc-controller-lock was lost: two took it");
    assert!(begun.elapsed() >= limits::LEASE_TERM, "the other one has a whole term to notice");
    assert_eq!(record.holder(), "two");
}

#[tokio::test(start_paused = true)]
async fn the_holder_stops_before_its_term_ends_when_the_api_server_is_gone() {
    let record = Record::default();
    let gone = Arc::new(Mutex::new(false));
    let (kept, off) = (record.clone(), Arc::clone(&gone));
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
    let record = Record::default();
    let mut held = record.lease("one").take().await.unwrap();
    record.0.lock().unwrap().as_mut().unwrap()["metadata"]["resourceVersion"] = json!("7");
    let lost = timeout(Duration::from_secs(30), held.keep()).await;
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(record.holder(), "one");
}
