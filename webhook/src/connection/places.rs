use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tokio::time::Instant;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// The handshake is under way.
    Handshake,
    /// No request has begun.
    Idle,
    /// The head of a request is coming.
    Head,
    /// The body of a request is coming.
    Body,
    /// A request that came is served; nobody waits for the client.
    Served,
}

/// What one connection is doing, and since when.
#[derive(Clone, Debug)]
pub(crate) struct Phase(Arc<Mutex<(Doing, Instant)>>);

impl Phase {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Doing::Handshake, Instant::now()))))
    }

    fn lock(&self) -> MutexGuard<'_, (Doing, Instant)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, doing: Doing) {
        *self.lock() = (doing, Instant::now());
    }

    pub(crate) fn get(&self) -> Doing {
        self.lock().0
    }

    /// Since when the client is waited for.
    fn waits_since(&self) -> Option<Instant> {
        let (doing, since) = *self.lock();
        (doing != Doing::Served).then_some(since)
    }
}

/// Places for connections. Where all are taken, a new connection takes the place of the one that has made us wait longest: whoever holds connections
/// without a word, however many, shuts nobody out.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    places: HashMap<u64, (Phase, oneshot::Sender<()>)>,
}

/// One place; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    number: u64,
    pub(crate) phase: Phase,
    /// Whether another connection had to give it up.
    pub(crate) is_taken_over: bool,
    /// Is told where the place is given to another one.
    given_up: oneshot::Receiver<()>,
    is_given_up: bool,
}

impl Place {
    /// Whether it was given to another one; who asks is woken when that happens.
    pub(crate) fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.is_given_up = self.is_given_up || Pin::new(&mut self.given_up).poll(context) == Poll::Ready(Ok(()));
        if self.is_given_up { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Places {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place; none where every one is taken by a request that is served.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut taken = self.lock();
        let is_full = taken.places.len() >= self.most;
        if is_full {
            let waits = |(number, (phase, _)): (&u64, &(Phase, _))| Some((phase.waits_since()?, *number));
            let (_, longest) = taken.places.iter().filter_map(waits).min()?;
            if let Some((_, end)) = taken.places.remove(&longest) {
                // One that ends by itself at this moment hears nothing.
                let _ = end.send(());
            }
        }
        let number = taken.next;
        taken.next += 1;
        let (end, given_up) = oneshot::channel();
        let phase = Phase::new();
        taken.places.insert(number, (phase.clone(), end));
        drop(taken);
        Some(Place { places: Arc::clone(self), number, phase, is_taken_over: is_full, given_up, is_given_up: false })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn is_given_up(place: &mut Place) -> bool {
        place.given_up.try_recv().is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_makes_us_wait_longest_goes_and_one_that_is_served_never() {
        let places = Places::new(3);
        let mut held = Vec::new();
        for doing in [Doing::Served, Doing::Idle, Doing::Body] {
            let place = places.take().unwrap();
            place.phase.set(doing);
            held.push(place);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // A word from it, and it waits anew.
        held[1].phase.set(Doing::Idle);
        let fourth = places.take().unwrap();
        let gone: Vec<_> = held.iter_mut().map(is_given_up).collect();
        assert_eq!(gone, [false, false, true]);
        // Its end comes after its place was given away, and frees no other.
        held.remove(2);
        for place in held.iter().chain([&fourth]) {
            place.phase.set(Doing::Served);
        }
        assert!(places.take().is_none());
        drop(fourth);
        assert!(places.take().is_some());
        assert_eq!(places.lock().places.len(), 2, "the one that was dropped at once is free again");
    }
}
