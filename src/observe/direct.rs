use std::fmt::Debug;

use futures::future::BoxFuture;
use futures::{FutureExt as _, join};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::{ListableResource, NamespaceResourceScope};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::pipelines::{self, uses};
use super::{in_words, service_selector};
use crate::api::{InterStepBufferService, names};
use crate::limits;
use crate::observed::{Fact, Observed};
use crate::servers::{self, Questions, Reach};

/// What shall be looked at, besides the objects of the service.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The two Secrets; not read, they are `Unknown`.
    pub secrets: bool,
    /// The way to the servers; `None` asks none.
    pub servers: Option<Reach>,
    /// Every stream and consumer as well.
    pub streams: bool,
    /// The Pipelines that use the service.
    pub pipelines: bool,
}

/// Looks at one service: at most nine requests to the API server, side by side, whatever the number of objects, and then the servers, side by side.
/// What may not be read is a fact that is not known, with the permission that is missing.
pub async fn read(client: &Client, service: &InterStepBufferService, options: &Options) -> Observed {
    let (name, namespace) = (service.name(), service.namespace_or_empty());
    let look = Look { client, namespace, selector: service_selector(name) };
    let budget_name = names::stateful_set(name);
    let everything = ListParams::default();
    let secret = async |secret: String| if options.secrets { look.get::<Secret>(&secret).await } else { Fact::default() };
    let (stateful_set, headless, config_map, server_secret, client_secret, budgets, pods, claims, pipelines) = join!(
        look.get::<StatefulSet>(&budget_name),
        async { look.get::<Service>(&names::service(name)).await },
        async { look.get::<ConfigMap>(&names::config_map(name)).await },
        secret(names::server_secret(name)),
        secret(names::client_secret(name)),
        look.list::<PodDisruptionBudget>(&everything),
        look.labelled::<Pod>(),
        look.labelled::<PersistentVolumeClaim>(),
        async { if options.pipelines { look.pipelines().await } else { Fact::default() } },
    );
    let (budget, other_budgets) = split(budgets, &budget_name);
    let servers = match (&options.servers, pods.known()) {
        (Some(reach), Some(pods)) => servers::ask_all(reach, pods, Questions { streams: options.streams }).boxed().await,
        _ => std::collections::BTreeMap::new(),
    };
    Observed {
        stateful_set,
        service: headless,
        config_map,
        server_secret,
        client_secret,
        budget,
        other_budgets,
        pods,
        claims,
        pipelines: match pipelines {
            Fact::Known(all) => Fact::Known(uses(&all, name)),
            Fact::Unknown(why) => Fact::Unknown(why),
        },
        servers,
        // Where the controller stands, and not where a person does, it is asked.
        endpoint: Fact::default(),
    }
}

/// The service as the API server holds it; `None` where there is none of that name, or the type is not installed.
pub async fn service(client: &Client, namespace: &str, name: &str) -> Result<Option<DynamicObject>, String> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &kube::core::ApiResource::erase::<InterStepBufferService>(&()));
    match timeout(limits::API_REQUEST, api.get_opt(name)).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(why(&error, "get", names::PLURAL, namespace)),
        Err(_) => Err(slow("get", names::PLURAL, namespace)),
    }
}

/// Our own budget, and the others of the namespace.
pub(super) fn split(
    budgets: Fact<Vec<PodDisruptionBudget>>,
    own: &str,
) -> (Fact<Option<PodDisruptionBudget>>, Fact<Vec<PodDisruptionBudget>>) {
    match budgets {
        Fact::Unknown(why) => (Fact::Unknown(why.clone()), Fact::Unknown(why)),
        Fact::Known(mut others) => {
            let position = others.iter().position(|budget| budget.name_any() == own);
            (Fact::Known(position.map(|position| others.remove(position))), Fact::Known(others))
        }
    }
}

struct Look<'a> {
    client: &'a Client,
    namespace: &'a str,
    selector: String,
}

impl Look<'_> {
    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    async fn get<K>(&self, name: &str) -> Fact<Option<K>>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + ListableResource + Clone + Debug + DeserializeOwned + Sync,
    {
        let api = self.api::<K>();
        let get = async { api.get_opt(name).await };
        self.fact(get.boxed(), "get", K::URL_PATH_SEGMENT).await
    }

    async fn list<K>(&self, params: &ListParams) -> Fact<Vec<K>>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + ListableResource + Clone + Debug + DeserializeOwned + Sync,
    {
        let api = self.api::<K>();
        let list = async { api.list(params).await.map(|list| list.items) };
        let mut fact = self.fact(list.boxed(), "list", K::URL_PATH_SEGMENT).await;
        if let Fact::Known(items) = &mut fact {
            items.sort_by(|one, other| one.meta().name.cmp(&other.meta().name));
        }
        fact
    }

    async fn labelled<K>(&self) -> Fact<Vec<K>>
    where
        K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + ListableResource + Clone + Debug + DeserializeOwned + Sync,
    {
        self.list(&ListParams::default().labels(&self.selector)).await
    }

    /// No Pipelines where the type is not installed.
    async fn pipelines(&self) -> Fact<Vec<DynamicObject>> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, &pipelines::resource());
        let list = async {
            match api.list(&ListParams::default()).await {
                Ok(list) => Ok(list.items),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        };
        self.fact(list.boxed(), "list", "pipelines.numaflow.numaproj.io").await
    }

    async fn fact<T>(&self, request: BoxFuture<'_, Result<T, kube::Error>>, verb: &str, resource: &str) -> Fact<T> {
        match timeout(limits::API_REQUEST, request).await {
            Ok(Ok(value)) => Fact::Known(value),
            Ok(Err(error)) => Fact::Unknown(why(&error, verb, resource, self.namespace)),
            Err(_) => Fact::Unknown(slow(verb, resource, self.namespace)),
        }
    }
}

/// Why something could not be read: the permission that is missing, or the error.
fn why(error: &kube::Error, verb: &str, resource: &str, namespace: &str) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => format!("no permission to {verb} {resource} in namespace {namespace}"),
        other => format!("{verb} {resource} in namespace {namespace}: {}", in_words(other)),
    }
}

fn slow(verb: &str, resource: &str, namespace: &str) -> String {
    format!("{verb} {resource} in namespace {namespace}: no answer of the API server within {} s", limits::API_REQUEST.as_secs())
}

#[cfg(test)]
mod tests;
