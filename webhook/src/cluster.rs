//! What the webhook asks of the API server, where it runs with `--cluster`: Namespaces and Pipelines are followed by watches, so that a review asks
//! nothing for them; and whether somebody may override a rule is asked when, and only when, somebody tries.

mod permission;
#[cfg(test)]
pub(crate) mod scripted;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use isbsvc::api::Pipeline;
use isbsvc::limits;
use isbsvc::observed::{self, Fact};
use isbsvc::rules::Surroundings;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, Config};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::admission::{Access, Nearby, Permission};
use crate::metrics::{Kind, Metrics};
use store::{Absent, Followed};

/// The way to the API server, and what is kept of it.
pub struct Cluster {
    client: Client,
    started: Instant,
    namespaces: Arc<Followed<PartialObjectMeta<Namespace>>>,
    pipelines: Arc<Followed<Pipeline>>,
    asking: Semaphore,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

/// Connects as the pod's service account, or by the kubeconfig that the environment names.
///
/// # Errors
/// Where there is neither.
pub async fn connect() -> anyhow::Result<Client> {
    // kube's connection takes the process's own provider of cryptography; a second start in one process (tests) keeps the first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = Config::infer().await.context(
        "--cluster needs the pod's service account (automountServiceAccountToken) or a kubeconfig named by the variable KUBECONFIG",
    )?;
    Ok(Client::try_from(bounded(config, limits::API_SILENCE))?)
}

/// An API server that stands still, or a network that swallows what is sent, ends no connection: so silence does.
fn bounded(mut config: Config, silence: Duration) -> Config {
    config.read_timeout = Some(silence);
    config.reset_reader_on_write = true;
    // What fails is tried again here, with pauses of our own.
    config.default_retry = false;
    config
}

impl Cluster {
    /// Follows Namespaces and Pipelines from now on, for as long as the runtime lives.
    pub fn follow(client: Client, metrics: &Arc<Metrics>) -> Self {
        let paged = || watcher::Config::default().page_size(limits::STORE_PAGE).timeout(limits::STORE_WATCH);
        // As metadata, so that nothing else of them is ever sent.
        let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
        let pipelines: Api<Pipeline> = Api::all(client.clone());
        Self {
            started: Instant::now(),
            namespaces: Followed::start(Kind::Namespaces, Absent::Mistake, metrics, only_labels, move || {
                watcher(namespaces.clone(), paged())
            }),
            // Numaflow itself need not be installed; then there are none.
            pipelines: Followed::start(Kind::Pipelines, Absent::Empty, metrics, |_| {}, move || watcher(pipelines.clone(), paged())),
            asking: Semaphore::new(limits::ACCESS_REVIEWS_AT_ONCE),
            client,
        }
    }

    /// Why a review should not be sent here yet. Who cannot read the cluster is ready after a while all the same.
    pub fn not_ready(&self) -> Option<&'static str> {
        let asked = self.namespaces.is_answered() && self.pipelines.is_answered();
        (!asked && self.started.elapsed() < limits::STORES_WAIT).then_some("the namespaces and Pipelines have not been read yet")
    }

    /// Whether somebody may override a rule. No answer is no permission.
    pub async fn may_override(&self, access: &Access) -> Permission {
        match self.asking.try_acquire() {
            Ok(_place) => permission::ask(&self.client, access).await,
            Err(_) => Permission::Unknown("too many such questions at this moment; try again".to_owned()),
        }
    }
}

/// Of a namespace the labels are kept, and whether it is being deleted.
fn only_labels(namespace: &mut PartialObjectMeta<Namespace>) {
    let all = std::mem::take(&mut namespace.metadata);
    namespace.metadata.name = all.name;
    namespace.metadata.labels = all.labels;
    namespace.metadata.deletion_timestamp = all.deletion_timestamp;
    namespace.metadata.resource_version = all.resource_version;
    namespace.types = None;
}

impl Nearby for Cluster {
    fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        let namespaces = self.namespaces.known().ok()?;
        let namespace = namespaces.get(&ObjectRef::new(namespace))?;
        Some(namespace.metadata.labels.clone().unwrap_or_default())
    }

    fn surroundings(&self, namespace: &str, service: &str) -> Surroundings {
        let unknown = |why: String| Surroundings { pipelines: Fact::Unknown(why), namespace_ends: false };
        // A namespace that is being deleted must never be held, so that without knowing that, nothing is refused.
        let namespaces = match self.namespaces.known() {
            Ok(namespaces) => namespaces,
            Err(why) => return unknown(format!("the namespaces {why}")),
        };
        let pipelines = match self.pipelines.known() {
            Ok(pipelines) => pipelines.state(),
            Err(why) => return unknown(format!("the Pipelines {why}")),
        };
        let live = namespaces.get(&ObjectRef::new(namespace));
        let here = pipelines.iter().filter(|pipeline| pipeline.metadata.namespace.as_deref() == Some(namespace));
        let uses = observed::uses(here.map(|pipeline| (&pipeline.metadata, pipeline.service())), service);
        Surroundings { pipelines: Fact::Known(uses), namespace_ends: live.is_some_and(|live| live.metadata.deletion_timestamp.is_some()) }
    }
}
