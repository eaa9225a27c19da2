//! The long-running controller: watches, queue, leader lease, metrics, events, the webhook's certificate and a look at its policy.
//!
//! What is to be done for a service is [`crate::plan`]'s business; here it is asked at the right moments and carried out by the one that may.

mod arguments;
mod configuration;
mod connection;
mod definition;
mod endpoints;
mod events;
mod logging;
mod metrics;
mod policy;
mod queue;
mod reconcile;
mod shutdown;
mod watches;
mod webhook;
mod workers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use kube::Client;
use tokio::sync::{Semaphore, watch};

pub use arguments::{Arguments, LogFormat, Way};

use crate::apply::lease::{Held, Lease, Permit};
use crate::controller_config::ControllerConfig;
use crate::limits;
use crate::observe::Stores;
use configuration::{Source, concerned};
use endpoints::Ready;
use events::Events;
use metrics::Metrics;
use queue::Queue;
use reconcile::Reconciler;
use webhook::Webhook;

/// Runs until it is told to stop, or until the Lease is lost, which is an error.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    logging::start(arguments.log_format);
    let mut stop = shutdown::on_signal().context("signals")?;
    let (source, config) = Source::open(arguments.controller_config.as_deref())?;
    let metrics_listener = endpoints::bind("--metrics-listen", arguments.metrics_listen).await?;
    let health_listener = endpoints::bind("--health-listen", arguments.health_listen).await?;
    let kube = connection::config(&arguments).await?;
    let client = Client::try_from(kube.clone()).context("API server")?;
    let reach = connection::reach(&kube, &client, arguments.servers_via.unwrap_or_else(Way::here))?;
    let identity = identity();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), identity, server = %kube.cluster_url, "isbsvc-controller");

    let (ready, metrics, queue) = (Ready::default(), Arc::new(Metrics::default()), Arc::new(Queue::default()));
    let depth = {
        let (metrics, queue) = (Arc::clone(&metrics), Arc::clone(&queue));
        move || metrics.queue(&queue.depth())
    };
    endpoints::spawn(metrics_listener, endpoints::metrics(Arc::clone(&metrics), depth));
    endpoints::spawn(health_listener, endpoints::health(ready.clone()));
    tokio::spawn(source.follow(Arc::clone(&metrics)));

    let events = Arc::new(Events::new(client.clone(), identity.clone(), Arc::clone(&metrics)));
    let instance = arguments.instance.clone().unwrap_or_else(|| config.borrow().instance.clone());
    let mut watched = None;
    if arguments.certificates_only {
        ready.set(true);
    } else {
        let (stores, definition, tasks) = watches::start(&client, arguments.namespace_scope.as_deref(), &queue, &metrics);
        let until_ready = watches::ready(&stores, &definition);
        tokio::select! {
            result = until_ready => result.context("watches")?,
            () = shutdown::requested(&mut stop) => return Ok(()),
        }
        ready.set(true);
        let named = arguments.instance.is_some();
        tokio::spawn(follow_configuration(config.clone(), stores.clone(), Arc::clone(&queue), Arc::clone(&metrics), named));
        watched = Some((stores, definition, tasks));
    }

    let mut held = None;
    if arguments.leader_elect {
        let lease = Lease::new(client.clone(), &arguments.lease_namespace, &instance, identity);
        tokio::select! {
            lease = lease.wait() => held = Some(lease),
            () = shutdown::requested(&mut stop) => return Ok(()),
        }
        tracing::info!("holds the Lease");
    }
    metrics.leader(true);
    let permit = held.as_ref().map_or_else(Permit::alone, Held::permit);

    let webhook = Webhook {
        namespace: arguments.webhook_namespace.clone(),
        service: arguments.webhook_service.clone(),
        configurations: arguments.webhook_configurations,
    };
    let policy = policy::keep(client.clone(), webhook.namespace.clone(), &events, Arc::clone(&metrics), stop.clone());
    let certificate = webhook::keep(client.clone(), webhook, Arc::clone(&metrics), stop.clone());
    let services = async {
        let Some((stores, definition, mut tasks)) = watched else { return Ok(()) };
        let reconciler = Reconciler {
            client: client.clone(),
            permit,
            stores,
            definition,
            config,
            instance,
            reach,
            external_redis: arguments.external_redis_allow.clone().into(),
            endpoints: Semaphore::new(limits::ENDPOINTS_AT_ONCE),
            events: Arc::clone(&events),
            metrics: Arc::clone(&metrics),
            memory: Mutex::new(HashMap::new()),
        };
        tokio::select! {
            () = workers::work(Arc::new(reconciler), queue, stop.clone()) => Ok(()),
            _ = tasks.join_next() => Err(anyhow::anyhow!("a watch ended, which it never should")),
        }
    };
    let work = async { tokio::try_join!(certificate, policy, services).map(|_| ()) };
    Box::pin(lead(held, &metrics, work)).await
}

/// Works as long as the Lease is ours, and frees it at the end.
async fn lead(held: Option<Held>, metrics: &Metrics, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let Some(mut held) = held else { return work.await };
    tokio::select! {
        result = work => {
            if let Err(error) = held.release().await {
                tracing::warn!(%error, "the Lease could not be freed; the next one waits for its term to end");
            }
            result
        }
        lost = held.keep_telling(|renewed| metrics.renewed(renewed)) => Err(lost.into()),
    }
}

/// Wakes the services that use what changed in the configuration. Another instance needs a restart: the Lease is that of the instance that we were
/// started for, and two controllers would write.
async fn follow_configuration(
    mut config: watch::Receiver<Arc<ControllerConfig>>,
    stores: Stores,
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    instance_named: bool,
) {
    let mut before = Arc::clone(&config.borrow());
    let started_for = before.instance.clone();
    while config.changed().await.is_ok() {
        let after = Arc::clone(&config.borrow_and_update());
        let restart = !instance_named && after.instance != started_for;
        metrics.restart_needed(restart);
        if restart {
            tracing::warn!(
                instance = started_for,
                named = after.instance,
                "the controller configuration names another instance; restart the controller to change over, until then it looks after the old one's services"
            );
        }
        watches::wake(&queue, watches::concerned(&stores, |spec| concerned(spec, &before, &after)));
        before = after;
    }
}

/// Who we are in the Lease and in events: the pod's name, and a word that no other process has.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|host| !host.is_empty()).unwrap_or_else(|| "host".to_owned());
    format!("{host}_{:08x}", rand::random::<u32>())
}

#[cfg(test)]
mod tests;
