//! The policy, for whoever edits it: whether the webhook can use it is told where they look, on the `ConfigMap` itself.
//!
//! The webhook reads it from its mount, and nobody else goes by it: the controller judges by the rules' own levels, so no service is looked at anew.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::runtime::{reflector, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::events::{Events, cut};
use super::metrics::Metrics;
use super::queue::Key;
use super::shutdown;
use super::watches::{Seen, follow};
use crate::limits;
use crate::observe::thin;
use crate::plan::{Event, EventType};
use crate::rules::Policy;

/// Looks at the policy of the webhook in this namespace until it is told to stop.
pub async fn keep(
    client: Client,
    namespace: String,
    events: &Events,
    metrics: Arc<Metrics>,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let (store, writer) = reflector::store();
    let (woken, mut tasks) = (Arc::new(Notify::new()), JoinSet::new());
    let waker = Arc::clone(&woken);
    let named = watcher::Config::default().fields(&format!("metadata.name={}", Policy::CONFIG_MAP));
    let react = move |seen: Seen<'_, ConfigMap>| {
        if !matches!(seen, Seen::Failed(_)) {
            waker.notify_one();
        }
    };
    tasks.spawn(follow("configmaps", Api::namespaced(client, &namespace), named, writer, thin, &metrics, react));
    tokio::select! {
        ready = store.wait_until_ready() => ready?,
        () = shutdown::requested(&mut stop) => return Ok(()),
    }
    let key = Key { namespace, name: Policy::CONFIG_MAP.to_owned() };
    let mut reader = Reader::default();
    loop {
        let found = store.state().into_iter().next();
        let told = reader.look(found.as_deref(), Instant::now());
        metrics.policy(reader.is_good());
        if let (Some(event), Some(map)) = (told, found) {
            events.publish(&key, &reference(&map), &event).await;
        }
        let again = async {
            match reader.tell_again() {
                Some(time) => sleep_until(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown::requested(&mut stop) => return Ok(()),
            () = woken.notified() => {}
            () = again => {}
            _ = tasks.join_next() => anyhow::bail!("a watch ended, which it never should"),
        }
    }
}

/// What is known of the policy.
#[derive(Default)]
struct Reader {
    last: Option<Found>,
    looked: bool,
    told: Option<Instant>,
}

/// What was found where there is a `ConfigMap`.
#[derive(PartialEq)]
struct Found {
    uid: Option<String>,
    text: Option<String>,
    problem: Option<String>,
}

impl Reader {
    /// What is to be told of it: that it cannot be used, at once and again and again, and that a new one can. One that was good before we looked first
    /// is nothing new.
    fn look(&mut self, map: Option<&ConfigMap>, now: Instant) -> Option<Event> {
        let found = map.map(|map| {
            let text = text(map);
            let problem =
                text.as_deref().map_or_else(|why| Some(why.clone()), |text| Policy::parse(text).err().map(|error| error.to_string()));
            Found { uid: map.uid(), text: text.ok(), problem }
        });
        let changed = found != self.last;
        let first = !std::mem::replace(&mut self.looked, true);
        let due = self.tell_again().is_some_and(|time| time <= now);
        self.last = found;
        match &self.last {
            None if changed => {
                self.told = None;
                tracing::info!("the policy was taken away");
                None
            }
            Some(Found { problem: Some(problem), .. }) if changed || due => {
                self.told = Some(now);
                tracing::warn!(error = problem, "the policy cannot be used");
                Some(Event { type_: EventType::Warning, reason: "InvalidPolicy", note: refusal(problem) })
            }
            Some(Found { problem: None, .. }) if changed => {
                self.told = None;
                let note = format!("{} can be used; the webhook judges by it within two minutes", Policy::KEY);
                (!first).then_some(Event { type_: EventType::Normal, reason: "PolicyAccepted", note })
            }
            _ => None,
        }
    }

    /// When a policy that cannot be used is told anew.
    fn tell_again(&self) -> Option<Instant> {
        Some(self.told? + limits::POLICY_AGAIN)
    }

    fn is_good(&self) -> bool {
        self.last.as_ref().is_none_or(|found| found.problem.is_none())
    }
}

fn refusal(problem: &str) -> String {
    const MEANS: &str =
        "it is not used: the webhook judges by the last good one, and a replica that starts enforces every rule until this is mended";
    let key = Policy::KEY;
    // A problem may quote somebody's text, and what it means should be whole.
    let problem = cut(problem, limits::EVENT_NOTE - MEANS.len() - key.len() - ": ; ".len());
    format!("{key}: {problem}; {MEANS}")
}

/// What the webhook reads; where there is nothing, why.
fn text(map: &ConfigMap) -> Result<String, String> {
    if let Some(text) = map.data.as_ref().and_then(|data| data.get(Policy::KEY)) {
        return Ok(text.clone());
    }
    match map.binary_data.as_ref().and_then(|data| data.get(Policy::KEY)) {
        Some(bytes) => String::from_utf8(bytes.0.clone()).map_err(|_| "it is not UTF-8 text".to_owned()),
        None => Err("the ConfigMap has no such key".to_owned()),
    }
}

fn reference(map: &ConfigMap) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("ConfigMap".to_owned()),
        name: Some(map.name_any()),
        namespace: map.namespace(),
        uid: map.uid(),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests;
