use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::apply::lease::record::Record;
use crate::limits;
use crate::observe::scripted::{failure, slow_api_server};

/// How one replica reaches the API server.
#[derive(Clone, Default)]
struct Way {
    /// Milliseconds for an answer.
    slow: Arc<AtomicU64>,
    /// Whether every request fails.
    broken: Arc<AtomicU64>,
}

impl Way {
    fn set(&self, slow: Duration, broken: bool) {
        self.slow.store(u64::try_from(slow.as_millis()).unwrap(), Ordering::Relaxed);
        self.broken.store(u64::from(broken), Ordering::Relaxed);
    }

    fn lease(&self, record: &Record, identity: &str) -> Lease {
        let (way, slow, record) = (self.clone(), Arc::clone(&self.slow), record.clone());
        let time = move || Duration::from_millis(slow.load(Ordering::Relaxed));
        let (client, _) = slow_api_server(time, move |asked| {
            if way.broken.load(Ordering::Relaxed) == 1 { failure(500, "InternalError", "broken") } else { record.answer(asked) }
        });
        Lease::new(client, "numaflow-system", "", identity)
    }
}

/// A write: by whom, and when.
type Writes = Arc<Mutex<Vec<(usize, Instant)>>>;

/// A replica, from start to start, as Kubernetes would run it: it waits for the Lease, and writes as long as it has it.
async fn replica(number: usize, way: Way, record: Record, writes: Writes) {
    for life in 0.. {
        let held = way.lease(&record, &format!("replica-{number}_{life}")).wait().await;
        let work = async {
            loop {
                writes.lock().unwrap().push((number, Instant::now()));
                sleep(Duration::from_millis(50)).await;
            }
        };
        let ended = lead(Some(held), &Metrics::default(), work).await;
        assert!(ended.is_err(), "it ends because it lost the Lease");
    }
}

/// Writes stop before the Lease expires: of several replicas no two ever write, whatever becomes of their ways to the API server.
#[tokio::test(start_paused = true)]
async fn writes_stop_before_the_lease_expires() {
    const REPLICAS: usize = 3;
    let (record, writes) = (Record::default(), Writes::default());
    let ways: Vec<Way> = (0..REPLICAS).map(|_| Way::default()).collect();
    for (number, way) in ways.iter().enumerate() {
        tokio::spawn(replica(number, way.clone(), record.clone(), Arc::clone(&writes)));
    }
    let holder = || writes.lock().unwrap().last().map(|(number, _)| *number);
    sleep(Duration::from_secs(5)).await;
    let hour = Duration::from_hours(1);
    let failures = [
        (hour, false),
        (Duration::ZERO, true),
        (Duration::from_secs(3), true),
        (Duration::from_millis(3900), false),
        (Duration::from_millis(4100), false),
        (Duration::from_secs(9), false),
        (Duration::from_secs(11), false),
    ];
    for (slow, broken) in failures {
        for lead in [0, 1700, 3900] {
            sleep(Duration::from_millis(lead)).await;
            let cut_off = holder().expect("somebody writes");
            let cut_at = Instant::now();
            ways[cut_off].set(slow, broken);
            // A renewal may arrive late, and count for a whole term from then on.
            sleep(limits::LEASE_TERM * 3).await;
            let last = writes.lock().unwrap().iter().rev().find(|(number, _)| *number == cut_off).map(|(_, at)| *at);
            // One whose answers are merely slow keeps it.
            if holder() == Some(cut_off) {
                assert!(slow < limits::LEASE_RENEW && !broken, "{slow:?} {broken}");
            } else {
                assert!(last.expect("it wrote") <= cut_at + limits::LEASE_DEADLINE, "{slow:?} {broken}");
            }
            ways[cut_off].set(Duration::ZERO, false);
            sleep(Duration::from_secs(20)).await;
            assert!(
                holder().is_some_and(|_| writes.lock().unwrap().last().unwrap().1.elapsed() < Duration::from_secs(1)),
                "somebody writes again"
            );
        }
    }
    // Between the last write of one and the first of the next there is a pause, and nobody comes back in between.
    let writes = writes.lock().unwrap();
    let changes: Vec<_> = writes.windows(2).filter(|pair| pair[0].0 != pair[1].0).map(|pair| pair[1].1 - pair[0].1).collect();
    assert!(changes.len() >= 12, "{changes:?}");
    let spare = limits::LEASE_TERM.saturating_sub(limits::LEASE_DEADLINE);
    assert!(changes.iter().all(|pause| *pause >= spare), "at least {spare:?}: {changes:?}");
}

/// Looks that are under way end with the Lease: their requests are given up, and none is begun.
#[tokio::test(start_paused = true)]
async fn looks_that_are_under_way_end_with_the_lease() {
    let (record, way) = (Record::default(), Way::default());
    let held = way.lease(&record, "one").wait().await;
    let mut namespace = reconcile::simulated::Namespace::with(&serde_json::json!({ "jetstream": { "version": "2.12.7" } }));
    namespace.look().await;
    let log = Arc::clone(&namespace.log);
    let queue = Arc::new(Queue::default());
    queue.add(namespace.key.clone(), Instant::now());
    // Its stores no longer follow what it writes, so that it tries again and again.
    let reconciler = Arc::new(namespace.reconciler);
    let (_go_on, stop) = watch::channel(false);
    let work = async {
        workers::work(reconciler, queue, stop).await;
        Ok(())
    };
    way.set(Duration::from_hours(1), false);
    let (begun, before) = (Instant::now(), log.lock().unwrap().len());
    let ended = Box::pin(lead(Some(held), &Metrics::default(), work)).await;
    assert!(ended.is_err() && begun.elapsed() <= limits::LEASE_DEADLINE, "{:?}", begun.elapsed());
    let last = log.lock().unwrap().len();
    assert!(last > before, "it was at work");
    sleep(Duration::from_mins(10)).await;
    assert_eq!(log.lock().unwrap().len(), last);
}

/// One that ends of itself frees the Lease, so that the next one need not wait for its term.
#[tokio::test(start_paused = true)]
async fn who_ends_in_peace_frees_the_lease() {
    let (record, way) = (Record::default(), Way::default());
    let held = way.lease(&record, "one").wait().await;
    lead(Some(held), &Metrics::default(), async { Ok(()) }).await.unwrap();
    let begun = Instant::now();
    timeout(limits::LEASE_TERM, way.lease(&record, "two").wait()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(record.holder(), "two");
}
