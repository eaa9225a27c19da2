use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use isbsvc::limits;
use kube::Resource;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{Error, Event, Result as Watched};
use tokio::time::{Instant, sleep};

use crate::metrics::{Kind, Metrics};

/// What it means that the API server does not know the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// There are none.
    Empty,
    /// Something is wrong.
    Mistake,
}

/// How well the cluster is followed.
#[derive(Clone, Debug, Default, PartialEq)]
enum Standing {
    /// Nothing was answered yet.
    #[default]
    Waiting,
    /// As the cluster is, but for what is on its way.
    Current,
    /// It cannot be followed. `read` says whether all of it was read before.
    Lost { read: bool, since: Instant, why: String },
}

/// All objects of one kind, kept as the cluster has them.
pub(super) struct Followed<K: Resource<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    standing: Mutex<Standing>,
}

impl<K> Followed<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    /// Follows from now on. `events` begins anew with all objects of the kind.
    pub(super) fn start<S: Stream<Item = Watched<Event<K>>> + Send + 'static>(
        kind: Kind,
        absent: Absent,
        metrics: &Arc<Metrics>,
        thin: fn(&mut K),
        events: impl Fn() -> S + Send + 'static,
    ) -> Arc<Self> {
        let writer = Writer::new(());
        let followed = Arc::new(Self { store: writer.as_reader(), standing: Mutex::default() });
        metrics.followed(kind, false);
        let task = Follower { kind, absent, metrics: Arc::clone(metrics), writer, followed: Arc::clone(&followed), said: String::new() };
        tokio::spawn(task.run(move || events().modify(thin)));
        followed
    }

    /// The objects; or why they are not known, as a part of a sentence. What was read goes on counting for a moment while it cannot be followed.
    pub(super) fn known(&self) -> Result<&Store<K>, String> {
        match &*self.standing.lock().unwrap_or_else(PoisonError::into_inner) {
            Standing::Current => Ok(&self.store),
            Standing::Lost { read: true, since, .. } if since.elapsed() < limits::STORE_STALE => Ok(&self.store),
            Standing::Waiting => Err("have not been read yet".to_owned()),
            Standing::Lost { why, .. } => Err(format!("cannot be read: {why}")),
        }
    }

    /// Whether the API server answered at all.
    pub(super) fn is_answered(&self) -> bool {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) != Standing::Waiting
    }
}

struct Follower<K: Resource<DynamicType = ()> + Clone + 'static> {
    kind: Kind,
    absent: Absent,
    metrics: Arc<Metrics>,
    writer: Writer<K>,
    followed: Arc<Followed<K>>,
    said: String,
}

impl<K> Follower<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    /// For ever. After each failure all is read anew: a watch that goes on from where it was gives no sign that it does.
    async fn run<S: Stream<Item = Watched<Event<K>>> + Send>(mut self, events: impl Fn() -> S + Send) {
        let mut pause = limits::WATCH_RETRY_FIRST;
        loop {
            let mut stream = pin!(events());
            while let Some(event) = stream.next().await {
                match event {
                    Ok(event) => {
                        let all = matches!(event, Event::InitDone);
                        self.writer.apply_watcher_event(&event);
                        if all {
                            pause = limits::WATCH_RETRY_FIRST;
                            if !std::mem::take(&mut self.said).is_empty() {
                                tracing::info!(what = self.kind.word(), "read, and followed from now on");
                            }
                            self.stands(Standing::Current);
                        }
                    }
                    Err(error) => {
                        pause = self.failed(&error, pause);
                        break;
                    }
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(limits::WATCH_RETRY_MOST);
        }
    }

    /// Notes a failure; how long to wait after it.
    fn failed(&mut self, error: &Error, pause: Duration) -> Duration {
        let cause = match error {
            Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => error,
            // Such as an expired resourceVersion, which is nothing out of the ordinary.
            other => {
                tracing::debug!(what = self.kind.word(), %other, "a watch ended");
                return pause;
            }
        };
        let code = if let kube::Error::Api(status) = cause { Some(status.code) } else { None };
        if code == Some(404) && self.absent == Absent::Empty {
            self.say("the type is not installed");
            for event in [Event::Init, Event::InitDone] {
                self.writer.apply_watcher_event(&event);
            }
            self.stands(Standing::Current);
            return limits::WATCH_RETRY_MOST;
        }
        let why = in_words(cause);
        self.say(&why);
        let (read, since) = match &*self.followed.standing.lock().unwrap_or_else(PoisonError::into_inner) {
            Standing::Current => (true, Instant::now()),
            Standing::Lost { read, since, .. } => (*read, *since),
            // A way to the API server that is not there yet, as in a pod that has just been started, is no answer.
            Standing::Waiting if code.is_none() => return pause,
            Standing::Waiting => (false, Instant::now()),
        };
        self.stands(Standing::Lost { read, since, why });
        pause
    }

    fn stands(&self, standing: Standing) {
        self.metrics.followed(self.kind, standing == Standing::Current);
        *self.followed.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// What stays wrong is said once.
    fn say(&mut self, why: &str) {
        if self.said != why {
            tracing::warn!(what = self.kind.word(), why, "cannot be followed; trying again");
            why.clone_into(&mut self.said);
        }
    }
}

/// An error of the Kubernetes client in one line. The body of an answer is never repeated.
pub(super) fn in_words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("the API server answered {}", status.code),
        kube::Error::SerdeError(_) => "the API server's answer could not be read".to_owned(),
        other => {
            let mut cause: &(dyn std::error::Error + 'static) = other;
            while let Some(next) = cause.source() {
                cause = next;
            }
            format!("the API server is not reached: {cause}")
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Namespace;
    use tokio::time::advance;

    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_api_server_or_by_its_code() {
        let refused = |words: &str| in_words(&kube::Error::Api(Box::new(kube::core::Status::failure(words, "Forbidden").with_code(403))));
        assert_eq!(refused("no"), "no");
        assert_eq!(refused(""), "the API server answered 403");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_counts_until_it_is_stale_and_no_longer() {
        let lost = |read| {
            let standing = Standing::Lost { read, since: Instant::now(), why: "gone".to_owned() };
            Followed::<Namespace> { store: Writer::new(()).as_reader(), standing: Mutex::new(standing) }
        };
        let (read, unread) = (lost(true), lost(false));
        assert!(read.known().is_ok() && unread.known().is_err());
        advance(limits::STORE_STALE.saturating_sub(Duration::from_millis(1))).await;
        assert!(read.known().is_ok());
        advance(Duration::from_millis(1)).await;
        assert_eq!(read.known().err().as_deref(), Some("cannot be read: gone"));
    }
}
