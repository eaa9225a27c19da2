use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::queue::{Key, Queue};
use super::reconcile::{Ended, Reconciler};
use crate::limits;

/// Takes services from the queue until it is told to stop, and then lets what is under way end.
pub async fn work(reconciler: Arc<Reconciler>, queue: Arc<Queue>, mut stop: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(limits::RECONCILES_AT_ONCE));
    let mut running = JoinSet::new();
    let mut stopped = std::pin::pin!(async move {
        // A sender that is gone means the same.
        let _ = stop.wait_for(|stop| *stop).await;
    });
    loop {
        let taken = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, queue.next().await)
        };
        tokio::select! {
            biased;
            () = &mut stopped => break,
            Some(_) = running.join_next() => {}
            (permit, key) = taken => {
                let (reconciler, queue) = (Arc::clone(&reconciler), Arc::clone(&queue));
                running.spawn(async move {
                    Box::pin(one(&reconciler, &queue, key)).await;
                    drop(permit);
                });
            }
        }
    }
    let drained = timeout(limits::RECONCILE_DRAIN, async { while running.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!("{} looks did not end in time and are given up", running.len());
    }
}

/// One look; a panic in it is one failed look, counted, and never the end of the process.
async fn one(reconciler: &Reconciler, queue: &Queue, key: Key) {
    let begun = Instant::now();
    let looked = timeout(limits::RECONCILE, AssertUnwindSafe(Box::pin(reconciler.reconcile(&key))).catch_unwind()).await;
    let ended = match looked {
        Ok(Ok(ended)) => ended,
        Ok(Err(_)) => {
            tracing::error!(service = %key, "a look ended in a panic; this is a fault of ours");
            Ended::Failed { result: "panic", retry: reconciler.retry(&key) }
        }
        Err(_) => {
            tracing::error!(service = %key, "a look took longer than {} s and was given up", limits::RECONCILE.as_secs());
            Ended::Failed { result: "timeout", retry: reconciler.retry(&key) }
        }
    };
    let (result, next) = match ended {
        Ended::Done { result, next_look } => (result, next_look),
        Ended::Failed { result, retry } => (result, Some(retry)),
    };
    reconciler.metrics.reconciled(result, begun.elapsed());
    if let Some(next) = next {
        queue.add(key.clone(), Instant::now() + next);
    }
    queue.done(&key);
}
