//! The Lease that says who may write: one controller at a time, or one person with the plugin.
//!
//! Every write of it carries the resourceVersion that was seen, so two cannot take it at once; a holder that cannot renew it stops by itself
//! ([`limits::LEASE_DEADLINE`]) before another one may take it ([`limits::LEASE_TERM`]). Who waits judges a foreign holder by when its record was
//! last seen to change, never by comparing two clocks. Each write to a service asks the [`Permit`] once more, so that a process that was stopped and
//! goes on long after begins none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};

use super::error::category;
use crate::limits;
use crate::observe::in_words;

/// Name of the Lease of a controller instance.
pub fn name(instance: &str) -> String {
    if instance.is_empty() { "isbsvc-controller-lock".to_owned() } else { format!("isbsvc-controller-lock-{instance}") }
}

/// The Lease could not be taken, or was lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else holds it.
    #[error("Lease {lease} is held by {holder}, renewed {ago} s ago")]
    HeldBy {
        /// Namespace and name.
        lease: String,
        /// Who holds it.
        holder: String,
        /// Seconds since it was renewed, by our clock.
        ago: i64,
    },
    /// It was ours.
    #[error("Lease {lease} was lost: {why}")]
    Lost {
        /// Namespace and name.
        lease: String,
        /// Why.
        why: String,
    },
    /// The API server did not take the request.
    #[error("{attempted}: {why}")]
    Api {
        /// What was attempted.
        attempted: String,
        /// Why it failed.
        why: String,
        /// Whether somebody else was faster.
        conflict: bool,
    },
}

/// A Lease, and who we are.
#[derive(Clone)]
pub struct Lease {
    api: Api<LeaseObject>,
    namespace: String,
    name: String,
    identity: String,
}

/// A Lease that is ours.
pub struct Held {
    lease: Lease,
    record: LeaseObject,
    /// The last renewal.
    begun: Begun,
    permit: Permit,
}

/// Whether a write may be begun: for [`limits::LEASE_DEADLINE`] after the last renewal was begun.
#[derive(Clone, Debug)]
pub struct Permit(Option<Arc<Mutex<Begun>>>);

/// When a renewal was begun, by the two clocks that are there: the monotonic one stands still while the machine sleeps, the wall clock may be set.
#[derive(Clone, Copy, Debug)]
struct Begun {
    monotonic: Instant,
    wall: Timestamp,
}

impl Begun {
    fn now() -> Self {
        Self { monotonic: Instant::now(), wall: Timestamp::now() }
    }

    fn lapsed(self) -> bool {
        let deadline = limits::LEASE_DEADLINE;
        self.monotonic.elapsed() >= deadline
            || Timestamp::now().duration_since(self.wall) >= deadline.try_into().unwrap_or(SignedDuration::MAX)
    }
}

impl Permit {
    /// Of one that writes without a Lease, because it was told that it is alone (`--leader-elect=false`).
    pub fn alone() -> Self {
        Self(None)
    }

    /// Whether a write may be begun now.
    pub fn holds(&self) -> bool {
        self.0.as_ref().is_none_or(|begun| !begun.lock().unwrap_or_else(PoisonError::into_inner).lapsed())
    }

    fn renewed(&self, begun: Begun) {
        if let Some(stands) = &self.0 {
            *stands.lock().unwrap_or_else(PoisonError::into_inner) = begun;
        }
    }

    /// The end of it: the Lease was lost or freed.
    fn ends(&self) {
        if let Some(stands) = &self.0 {
            stands.lock().unwrap_or_else(PoisonError::into_inner).wall = Timestamp::MIN;
        }
    }
}

impl Lease {
    /// The Lease of the controller instance; `identity` is what others see, and must be ours alone.
    pub fn new(client: Client, namespace: &str, instance: &str, identity: impl Into<String>) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned(), name: name(instance), identity: identity.into() }
    }

    /// Takes it if nobody holds it, or its holder let it lapse; otherwise [`LeaseError::HeldBy`]. For a person who waits: a holder whose renewal is recent
    /// by our clock is told at once. One that seems silent is watched for its whole term, because our clock may be ahead of its.
    pub async fn take(&self) -> Result<Held, LeaseError> {
        let found = self.read().await?;
        let Some(holder) = found.as_ref().and_then(|record| self.holder(record)) else { return self.acquire(found).await };
        let ago = holder.renewed.map_or(0, |renewed| Timestamp::now().duration_since(renewed).as_secs());
        let held = |holder: Holder, ago| LeaseError::HeldBy { lease: self.title(), holder: holder.identity, ago };
        if ago <= holder.term.as_secs().cast_signed() {
            return Err(held(holder, ago));
        }
        let watched = Instant::now();
        while watched.elapsed() <= holder.term {
            sleep(limits::LEASE_RETRY).await;
            let now = self.read().await?;
            if now.as_ref().map(|record| &record.metadata.resource_version)
                != found.as_ref().map(|record| &record.metadata.resource_version)
            {
                return match now.as_ref().and_then(|record| self.holder(record)) {
                    Some(holder) => Err(held(holder, 0)),
                    None => self.acquire(now).await,
                };
            }
        }
        self.acquire(found).await
    }

    /// Takes it from whoever holds it, and waits one term, in which the other one notices and stops.
    pub async fn take_over(&self) -> Result<Held, LeaseError> {
        let found = self.read().await?;
        let other = found.as_ref().and_then(|record| self.holder(record)).map(|holder| holder.term);
        let mut held = self.acquire(found).await?;
        if let Some(term) = other {
            match timeout(term, held.keep()).await {
                Err(_) => {}
                Ok(lost) => return Err(lost),
            }
        }
        Ok(held)
    }

    /// Waits until it is ours. A failure to reach the API server is logged and tried again.
    pub async fn wait(&self) -> Held {
        let mut seen: Option<(Option<String>, Instant)> = None;
        let mut told = false;
        loop {
            match self.attempt(&mut seen).await {
                Ok(Some(held)) => return held,
                Ok(None) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::info!(lease = self.title(), "somebody else holds the Lease; waiting");
                    }
                }
                Err(LeaseError::Api { conflict: true, .. }) => {}
                Err(error) => tracing::warn!(%error, "the Lease could not be taken; trying again"),
            }
            sleep(limits::LEASE_RETRY).await;
        }
    }

    /// One attempt of [`Self::wait`]: a foreign holder whose record did not change for its whole term is gone.
    async fn attempt(&self, seen: &mut Option<(Option<String>, Instant)>) -> Result<Option<Held>, LeaseError> {
        let found = self.read().await?;
        if let Some(record) = &found
            && let Some(holder) = self.holder(record)
        {
            let version = record.metadata.resource_version.clone();
            match seen {
                Some((before, since)) if *before == version => {
                    if since.elapsed() <= holder.term {
                        return Ok(None);
                    }
                }
                _ => {
                    *seen = Some((version, Instant::now()));
                    return Ok(None);
                }
            }
        }
        self.acquire(found).await.map(Some)
    }

    async fn read(&self) -> Result<Option<LeaseObject>, LeaseError> {
        self.bounded("read", self.api.get_opt(&self.name)).await
    }

    /// Writes our name into the record as it was found.
    async fn acquire(&self, found: Option<LeaseObject>) -> Result<Held, LeaseError> {
        let (record, begun) = self.write(found, false).await?;
        Ok(Held { lease: self.clone(), record, begun, permit: Permit(Some(Arc::new(Mutex::new(begun)))) })
    }

    /// Writes our name, or on release nobody's, into the record as it was found: the record as it stands then, and when the write was begun.
    async fn write(&self, found: Option<LeaseObject>, release: bool) -> Result<(LeaseObject, Begun), LeaseError> {
        let begun = Begun::now();
        let new = self.record(found.as_ref(), release, begun.wall);
        let params = PostParams::default();
        let record = match found {
            None => self.bounded("create", self.api.create(&params, &new)).await?,
            Some(_) => self.bounded("update", self.api.replace(&self.name, &params, &new)).await?,
        };
        Ok((record, begun))
    }

    /// The record as it is to be written. It carries the resourceVersion that was found.
    fn record(&self, found: Option<&LeaseObject>, release: bool, now: Timestamp) -> LeaseObject {
        let before = found.and_then(|record| record.spec.clone()).unwrap_or_default();
        let ours = before.holder_identity.as_deref() == Some(&self.identity);
        let transitions = before.lease_transitions.unwrap_or(0) + i32::from(found.is_some() && !ours);
        LeaseObject {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                managed_fields: None,
                ..found.map(|record| record.metadata.clone()).unwrap_or_default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(if release { String::new() } else { self.identity.clone() }),
                lease_duration_seconds: i32::try_from(limits::LEASE_TERM.as_secs()).ok(),
                acquire_time: if ours { before.acquire_time } else { Some(MicroTime(now)) },
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(transitions),
                ..before
            }),
        }
    }

    /// Who holds it, other than we.
    fn holder(&self, record: &LeaseObject) -> Option<Holder> {
        let spec = record.spec.as_ref()?;
        let identity = spec.holder_identity.clone().filter(|identity| !identity.is_empty() && *identity != self.identity)?;
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(limits::LEASE_TERM.as_secs());
        Some(Holder { identity, renewed: spec.renew_time.as_ref().map(|time| time.0), term: Duration::from_secs(seconds) })
    }

    fn title(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    async fn bounded<T>(&self, verb: &str, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, LeaseError> {
        let attempted = format!("{verb} Lease {}", self.title());
        match timeout(limits::LEASE_RENEW, request).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let conflict = category(&error) == super::Category::Conflict;
                Err(LeaseError::Api { attempted, why: in_words(&error), conflict })
            }
            Err(_) => Err(LeaseError::Api {
                attempted,
                why: format!("no answer of the API server within {} s", limits::LEASE_RENEW.as_secs()),
                conflict: false,
            }),
        }
    }
}

struct Holder {
    identity: String,
    renewed: Option<Timestamp>,
    term: Duration,
}

impl Held {
    /// What each write asks before it is begun.
    pub fn permit(&self) -> Permit {
        self.permit.clone()
    }

    /// Renews it until it is lost, and says why it was. Dropping this stops the renewals and loses nothing.
    pub async fn keep(&mut self) -> LeaseError {
        self.keep_telling(|_| {}).await
    }

    /// The same; each attempt is told by whether it renewed it. It ends no later than [`limits::LEASE_DEADLINE`] after the last renewal was begun.
    pub async fn keep_telling(&mut self, tell: impl FnMut(bool)) -> LeaseError {
        let lost = self.renew_until_lost(tell).await;
        self.permit.ends();
        lost
    }

    async fn renew_until_lost(&mut self, mut tell: impl FnMut(bool)) -> LeaseError {
        let mut pause = limits::LEASE_RENEW;
        loop {
            let left = |renewed: Instant| limits::LEASE_DEADLINE.saturating_sub(renewed.elapsed());
            sleep(pause.min(left(self.begun.monotonic))).await;
            let outcome = timeout(left(self.begun.monotonic), self.renew()).await;
            tell(matches!(outcome, Ok(Ok(()))));
            let lost = |why: String, lease: &Lease| LeaseError::Lost { lease: lease.title(), why };
            match outcome {
                // Counted from when it was begun, so that a slow API server does not make it late.
                Ok(Ok(())) => pause = limits::LEASE_RENEW.saturating_sub(self.begun.monotonic.elapsed()),
                Ok(Err(LeaseError::HeldBy { holder, .. })) => return lost(format!("{holder} took it"), &self.lease),
                Ok(Err(error)) if left(self.begun.monotonic).is_zero() => return lost(error.to_string(), &self.lease),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the Lease could not be renewed; trying again");
                    pause = limits::LEASE_RETRY;
                }
                Err(_) => return lost(format!("not renewed for {} s", limits::LEASE_DEADLINE.as_secs()), &self.lease),
            }
        }
    }

    /// Frees it, so that the next one need not wait for the term to end.
    pub async fn release(self) -> Result<(), LeaseError> {
        self.permit.ends();
        self.lease.write(Some(self.record), true).await.map(drop)
    }

    async fn renew(&mut self) -> Result<(), LeaseError> {
        match self.lease.write(Some(self.record.clone()), false).await {
            Ok((record, begun)) => {
                self.record = record;
                self.begun = begun;
                self.permit.renewed(begun);
                Ok(())
            }
            // Somebody wrote it, or our last answer was lost on the way: the record says which.
            Err(LeaseError::Api { conflict: true, attempted, .. }) => {
                let found = self.lease.read().await?;
                if let Some(holder) = found.as_ref().and_then(|record| self.lease.holder(record)) {
                    return Err(LeaseError::HeldBy { lease: self.lease.title(), holder: holder.identity, ago: 0 });
                }
                if let Some(record) = found {
                    self.record = record;
                }
                Err(LeaseError::Api { attempted, why: "it was changed by somebody who did not take it".to_owned(), conflict: true })
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
pub(crate) mod record;
#[cfg(test)]
mod tests;
