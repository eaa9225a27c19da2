use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Which services are to be looked at, and when. A service stands in it once, however often it is asked for, so it never holds more than there are
/// services; and none is looked at twice at once.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

/// How full the queue is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Services whose time has come.
    pub ready: usize,
    /// Services that are to be looked at later.
    pub later: usize,
    /// Services that are being looked at.
    pub running: usize,
    /// How long the one has waited whose time came first.
    pub oldest: Duration,
}

#[derive(Default)]
struct State {
    due: HashMap<Key, Instant>,
    running: HashSet<Key>,
}

impl Queue {
    /// A look at the service no later than this.
    pub fn add(&self, key: Key, at: Instant) {
        let mut state = self.lock();
        let due = state.due.entry(key).or_insert(at);
        *due = at.min(*due);
        drop(state);
        self.changed.notify_one();
    }

    /// The next service, as soon as one is due. It belongs to the caller until [`Self::done`].
    pub async fn next(&self) -> Key {
        loop {
            let changed = self.changed.notified();
            let earliest = {
                let mut state = self.lock();
                let waiting = state.due.iter().filter(|(key, _)| !state.running.contains(*key));
                let earliest = waiting.min_by_key(|(_, at)| **at).map(|(key, at)| (key.clone(), *at));
                match earliest {
                    Some((key, at)) if at <= Instant::now() => {
                        state.due.remove(&key);
                        state.running.insert(key.clone());
                        return key;
                    }
                    earliest => earliest.map(|(_, at)| at),
                }
            };
            match earliest {
                None => changed.await,
                Some(at) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(at) => {}
                    }
                }
            }
        }
    }

    /// The look has ended; what was asked for meanwhile comes next.
    pub fn done(&self, key: &Key) {
        self.lock().running.remove(key);
        self.changed.notify_one();
    }

    /// How full it is.
    pub fn depth(&self) -> Depth {
        let (state, now) = (self.lock(), Instant::now());
        let waits = state.due.values().filter(|at| **at <= now).map(|at| now.duration_since(*at));
        let (ready, oldest) = waits.fold((0, Duration::ZERO), |(count, oldest), wait| (count + 1, oldest.max(wait)));
        Depth { ready, later: state.due.len() - ready, running: state.running.len(), oldest }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "pl".to_owned(), name: name.to_owned() }
    }

    async fn nothing(queue: &Queue, within: Duration) -> bool {
        timeout(within, queue.next()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_is_asked_for_twice_comes_once_and_at_the_earlier_time() {
        let (queue, now) = (Queue::default(), Instant::now());
        queue.add(key("a"), now + Duration::from_secs(30));
        queue.add(key("a"), now + Duration::from_secs(1));
        queue.add(key("a"), now + Duration::from_mins(1));
        assert_eq!(queue.next().await, key("a"));
        assert_eq!(Instant::now() - now, Duration::from_secs(1));
        queue.done(&key("a"));
        assert!(nothing(&queue, Duration::from_mins(10)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_looked_at_twice_at_once_and_no_wish_is_lost() {
        let (queue, now) = (Queue::default(), Instant::now());
        queue.add(key("a"), now);
        assert_eq!(queue.next().await, key("a"));
        queue.add(key("a"), now);
        queue.add(key("b"), now + Duration::from_secs(1));
        assert_eq!(queue.next().await, key("b"), "a is still being looked at");
        assert!(nothing(&queue, Duration::from_secs(10)).await);
        queue.done(&key("a"));
        assert_eq!(queue.next().await, key("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_wish_wakes_who_waits_for_a_later_one() {
        let queue = std::sync::Arc::new(Queue::default());
        let now = Instant::now();
        queue.add(key("a"), now + Duration::from_mins(1));
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.add(key("b"), now + Duration::from_secs(2));
        assert_eq!(waiting.await.unwrap(), key("b"));
        assert_eq!(Instant::now() - now, Duration::from_secs(2));
    }
    #[tokio::test(start_paused = true)]
    async fn what_is_ready_is_told_apart_from_what_comes_later() {
        let (queue, now) = (Queue::default(), Instant::now());
        queue.add(key("a"), now);
        queue.add(key("b"), now + Duration::from_secs(1));
        queue.add(key("c"), now + Duration::from_mins(1));
        advance(Duration::from_secs(3)).await;
        assert_eq!(queue.depth(), Depth { ready: 2, later: 1, running: 0, oldest: Duration::from_secs(3) });
        queue.next().await;
        assert_eq!(queue.depth(), Depth { ready: 1, later: 1, running: 1, oldest: Duration::from_secs(2) });
    }
}
