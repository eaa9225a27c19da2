//! The webhook's certificate and its two configurations. The leader is their only writer; the replicas of the webhook read mounted files.
//!
//! Nothing here is needed for the controller itself to work, and the webhook is never asked about anything that is written here.

mod certificate;
mod configurations;

use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::metrics::Metrics;
use super::shutdown;
use super::watches::follow;
use crate::limits;
use crate::observe::thin;
use configurations::Kind;

/// The webhook that is looked after.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its namespace.
    pub namespace: String,
    /// Its Service.
    pub service: String,
    /// Whether the two configurations are installed and kept.
    pub configurations: bool,
}

/// Looks after it until it is told to stop.
pub async fn keep(client: Client, webhook: Webhook, metrics: Arc<Metrics>, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    let woken = Arc::new(Notify::new());
    let seen = Stores::start(&client, &webhook, &woken, &metrics, &mut tasks);
    let mut keeper = Keeper { client, webhook, metrics, said: String::new() };
    tokio::select! {
        ready = seen.ready() => ready?,
        () = shutdown::requested(&mut stop) => return Ok(()),
    }
    loop {
        let words = keeper.look(&seen, jiff::Timestamp::now()).await.unwrap_or_else(|error| error);
        keeper.say(words);
        tokio::select! {
            () = shutdown::requested(&mut stop) => return Ok(()),
            // The clock of the wall is looked at every minute; a swarm of events is one look.
            _ = timeout(limits::CERTIFICATE_LOOK, woken.notified()) => {}
            _ = tasks.join_next() => anyhow::bail!("a watch ended, which it never should"),
        }
    }
}

/// What the watches keep of it.
struct Stores {
    secrets: Store<Secret>,
    services: Store<Service>,
    endpoints: Store<EndpointSlice>,
    mutating: Store<MutatingWebhookConfiguration>,
    validating: Store<ValidatingWebhookConfiguration>,
    configurations: bool,
}

impl Stores {
    fn start(client: &Client, webhook: &Webhook, woken: &Arc<Notify>, metrics: &Arc<Metrics>, tasks: &mut JoinSet<()>) -> Self {
        macro_rules! watch {
            ($what:literal, $api:expr, $config:expr, $wanted:expr) => {{
                let (store, writer) = reflector::store();
                if $wanted {
                    let woken = Arc::clone(woken);
                    tasks.spawn(follow($what, $api, $config, writer, thin, metrics, move |_| woken.notify_one()));
                }
                store
            }};
        }
        let (client, namespace) = (|| client.clone(), webhook.namespace.as_str());
        let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let of_service = watcher::Config::default().labels(&format!("kubernetes.io/service-name={}", webhook.service));
        let wanted = webhook.configurations;
        Self {
            secrets: watch!("secrets", Api::namespaced(client(), namespace), named(certificate::SECRET), true),
            services: watch!("services", Api::namespaced(client(), namespace), named(&webhook.service), true),
            endpoints: watch!("endpointslices", Api::namespaced(client(), namespace), of_service, wanted),
            mutating: watch!("mutatingwebhookconfigurations", Api::all(client()), named(configurations::NAME), wanted),
            validating: watch!("validatingwebhookconfigurations", Api::all(client()), named(configurations::NAME), wanted),
            configurations: wanted,
        }
    }

    async fn ready(&self) -> anyhow::Result<()> {
        self.secrets.wait_until_ready().await?;
        self.services.wait_until_ready().await?;
        if self.configurations {
            self.endpoints.wait_until_ready().await?;
            self.mutating.wait_until_ready().await?;
            self.validating.wait_until_ready().await?;
        }
        Ok(())
    }

    /// Whether some replica can answer.
    fn replica_ready(&self) -> bool {
        let slices = self.endpoints.state();
        let mut endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
        endpoints.any(|endpoint| endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true)))
    }

    /// What the API servers trust at this moment, PEM.
    fn published(&self) -> Vec<u8> {
        let validating =
            self.validating.state().first().and_then(|one| Some(one.webhooks.as_ref()?.first()?.client_config.ca_bundle.clone()?.0));
        let mutating =
            || self.mutating.state().first().and_then(|one| Some(one.webhooks.as_ref()?.first()?.client_config.ca_bundle.clone()?.0));
        validating.or_else(mutating).unwrap_or_default()
    }
}

struct Keeper {
    client: Client,
    webhook: Webhook,
    metrics: Arc<Metrics>,
    said: String,
}

impl Keeper {
    /// One look: the Secret first, then the configurations. Says how it stands; an error is tried again at the next look.
    async fn look(&mut self, seen: &Stores, now: jiff::Timestamp) -> Result<String, String> {
        if seen.services.is_empty() {
            return Ok(format!("there is no webhook: no Service {}/{}", self.webhook.namespace, self.webhook.service));
        }
        let secret = seen.secrets.state().into_iter().next();
        let kept = certificate::decide(secret.as_deref(), &self.webhook, &seen.published(), now)?;
        let bundle = match kept {
            certificate::Next::Write { data, reason } => {
                certificate::write(&self.client, &self.webhook.namespace, secret.as_deref(), data).await?;
                // The watch brings it, and the next look goes on from what is stored.
                return Ok(format!("the webhook's certificate was made: {reason}"));
            }
            certificate::Next::Keep { bundle, end } => {
                self.metrics.certificate_end(end);
                bundle
            }
        };
        if !seen.configurations {
            return Ok("the webhook has its certificate".to_owned());
        }
        let mutating = seen.mutating.state().first().and_then(|live| serde_json::to_value(live.as_ref()).ok());
        let validating = seen.validating.state().first().and_then(|live| serde_json::to_value(live.as_ref()).ok());
        for (kind, live) in [(Kind::Mutating, mutating), (Kind::Validating, validating)] {
            if live.is_none() && !seen.replica_ready() {
                return Ok("the webhook has its certificate; its configurations are installed once a replica is ready".to_owned());
            }
            let desired = configurations::desired(kind, &self.webhook, &bundle)?;
            if live.as_ref().is_none_or(|live| !crate::plan::differences(&desired, live).is_empty()) {
                configurations::write(&self.client, kind, desired, live.as_ref()).await?;
                tracing::info!("{}/{} configured", kind.plural(), configurations::NAME);
            }
        }
        Ok("the webhook has its certificate and its configurations".to_owned())
    }

    fn say(&mut self, words: String) {
        if self.said != words {
            tracing::info!("{words}");
            self.said = words;
        }
    }
}

#[cfg(test)]
mod tests;
