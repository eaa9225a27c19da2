//! What was found, as plain data. Nothing here judges; that is the business of [`crate::health`], [`crate::rules`] and [`crate::plan`].

mod endpoint;
mod server;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{InterStepBufferServiceSpec, names};

pub use endpoint::Endpoint;
pub use server::{Consumer, Healthz, JetStream, Meta, Peer, Server, Stream};

/// A fact, or why it is not known. What is not known is never taken for absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// It was looked at.
    Known(T),
    /// It could not be looked at, or was not; why, in words without any secret.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The reason, where it is not known.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(why) => Some(why),
        }
    }
}

impl<T> Default for Fact<T> {
    fn default() -> Self {
        Self::Unknown("not looked at".to_owned())
    }
}

/// Everything that was found of one service. An object that is known to be absent is `Known(None)`.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The `StatefulSet` by the name that it should have.
    pub stateful_set: Fact<Option<StatefulSet>>,
    /// The headless Service.
    pub service: Fact<Option<Service>>,
    /// The server's configuration.
    pub config_map: Fact<Option<ConfigMap>>,
    /// Keys, certificates and accounts; `Unknown` wherever Secrets are not read.
    pub server_secret: Fact<Option<Secret>>,
    /// User and password for clients; `Unknown` wherever Secrets are not read.
    pub client_secret: Fact<Option<Secret>>,
    /// Our own disruption budget.
    pub budget: Fact<Option<PodDisruptionBudget>>,
    /// Every other disruption budget of the namespace; two that select one pod would block every eviction.
    pub other_budgets: Fact<Vec<PodDisruptionBudget>>,
    /// Every pod with the service's labels, by name.
    pub pods: Fact<Vec<Pod>>,
    /// Every volume claim with the service's labels, by name.
    pub claims: Fact<Vec<PersistentVolumeClaim>>,
    /// Pipelines of the namespace that use the service.
    pub pipelines: Fact<Vec<PipelineUse>>,
    /// What each server says of itself, by pod name. A pod that was not asked has no entry.
    pub servers: BTreeMap<String, Fact<Server>>,
    /// What an external Redis answered.
    pub endpoint: Fact<Endpoint>,
}

impl Observed {
    /// What is found of a service that does not exist yet: nothing at all, for certain.
    pub fn nothing() -> Self {
        Self {
            stateful_set: Fact::Known(None),
            service: Fact::Known(None),
            config_map: Fact::Known(None),
            server_secret: Fact::Known(None),
            client_secret: Fact::Known(None),
            budget: Fact::Known(None),
            other_budgets: Fact::Known(Vec::new()),
            pods: Fact::Known(Vec::new()),
            claims: Fact::Known(Vec::new()),
            pipelines: Fact::Known(Vec::new()),
            servers: BTreeMap::new(),
            endpoint: Fact::default(),
        }
    }

    /// The spec that a controller of ours accepted last, which is the one that runs; `None` where there is none, or it cannot be read.
    pub fn accepted_spec(&self) -> Option<InterStepBufferServiceSpec> {
        let text = self.recorded(names::ACCEPTED_SPEC_ANNOTATION)?;
        serde_json::from_str(text).ok().filter(|spec: &InterStepBufferServiceSpec| !spec.types().is_empty())
    }

    /// What our controller wrote down of an accepted spec under this annotation: on the `StatefulSet`, or where that is gone, on one of the objects that
    /// keep it for that case.
    pub fn recorded(&self, annotation: &str) -> Option<&str> {
        fn read<'a, K: kube::Resource>(object: &'a Fact<Option<K>>, annotation: &str) -> Option<&'a str> {
            object.known()?.as_ref()?.meta().annotations.as_ref()?.get(annotation).map(String::as_str)
        }
        read(&self.stateful_set, annotation)
            .or_else(|| read(&self.config_map, annotation))
            .or_else(|| read(&self.server_secret, annotation))
    }
}

/// A Pipeline that uses the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineUse {
    /// Its name.
    pub name: String,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// Those of the Pipelines, each with what it names as its service, that use this one; by name.
pub fn uses<'a>(pipelines: impl IntoIterator<Item = (&'a ObjectMeta, &'a str)>, service: &str) -> Vec<PipelineUse> {
    let of_service = pipelines.into_iter().filter(|(_, used)| *used == service);
    let mut uses: Vec<_> = of_service
        .map(|(metadata, _)| PipelineUse {
            name: metadata.name.clone().unwrap_or_default(),
            deleting: metadata.deletion_timestamp.is_some(),
        })
        .collect();
    uses.sort_by(|one, other| one.name.cmp(&other.name));
    uses
}
