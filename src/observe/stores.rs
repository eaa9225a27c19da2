use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DynamicObject;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt as _};

use super::direct::split;
use super::pipelines::uses;
use crate::api::names;
use crate::observed::{Fact, Observed};
use crate::plan::forget_own_fields;

/// What the watches keep of a cluster, so that a look at a service asks the API server nothing.
#[derive(Clone)]
pub struct Stores {
    /// The services, as the API server holds them: one that cannot be read breaks no watch.
    pub services: Store<DynamicObject>,
    /// `StatefulSets` of services.
    pub stateful_sets: Store<StatefulSet>,
    /// Headless Services of services.
    pub headless: Store<Service>,
    /// `ConfigMaps` of services.
    pub config_maps: Store<ConfigMap>,
    /// Secrets of services.
    pub secrets: Store<Secret>,
    /// Every disruption budget.
    pub budgets: Store<PodDisruptionBudget>,
    /// Pods of services.
    pub pods: Store<Pod>,
    /// Volume claims of services.
    pub claims: Store<PersistentVolumeClaim>,
    /// Pipelines, each only with the name of its service.
    pub pipelines: Store<DynamicObject>,
    /// Whether the Pipelines are known; where the type is not installed they are, and there is none.
    pub pipelines_known: Arc<Mutex<Fact<()>>>,
}

impl Stores {
    /// What is known of one service; everything but the servers.
    pub fn observe(&self, namespace: &str, service: &str) -> Observed {
        let own = names::stateful_set(service);
        let budgets = self.budgets.state();
        let budgets = budgets
            .iter()
            .filter(|budget| budget.namespace().as_deref() == Some(namespace))
            .map(|budget| budget.as_ref().clone())
            .collect();
        let (budget, other_budgets) = split(Fact::Known(budgets), &own);
        Observed {
            stateful_set: one(&self.stateful_sets, namespace, &own),
            service: one(&self.headless, namespace, &names::service(service)),
            config_map: one(&self.config_maps, namespace, &names::config_map(service)),
            server_secret: one(&self.secrets, namespace, &names::server_secret(service)),
            client_secret: one(&self.secrets, namespace, &names::client_secret(service)),
            budget,
            other_budgets,
            pods: labelled(&self.pods, namespace, service),
            claims: labelled(&self.claims, namespace, service),
            pipelines: self.pipelines(namespace, service),
            servers: BTreeMap::new(),
            endpoint: Fact::default(),
        }
    }

    fn pipelines(&self, namespace: &str, service: &str) -> Fact<Vec<crate::observed::PipelineUse>> {
        match &*self.pipelines_known.lock().unwrap_or_else(PoisonError::into_inner) {
            Fact::Unknown(why) => Fact::Unknown(why.clone()),
            Fact::Known(()) => {
                let all = self.pipelines.state();
                let here = all.iter().filter(|pipeline| pipeline.namespace().as_deref() == Some(namespace));
                Fact::Known(uses(here.map(AsRef::as_ref), service))
            }
        }
    }
}

/// Throws away what nobody reads of an object that is kept for long: which fields each writer wrote, but not who wrote.
pub fn thin<K: Resource>(object: &mut K) {
    for entry in object.meta_mut().managed_fields.iter_mut().flatten() {
        entry.fields_v1 = None;
    }
}

/// The same for an object that is made for services: what others wrote of it is kept, because what they added to it goes again.
pub fn thin_child<K: Resource>(object: &mut K) {
    forget_own_fields(object.meta_mut());
}

fn one<K>(store: &Store<K>, namespace: &str, name: &str) -> Fact<Option<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + 'static,
{
    Fact::Known(store.get(&ObjectRef::new(name).within(namespace)).map(|object| object.as_ref().clone()))
}

fn labelled<K>(store: &Store<K>, namespace: &str, service: &str) -> Fact<Vec<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + 'static,
{
    let mut found: Vec<K> = store
        .state()
        .iter()
        .filter(|object| {
            let labels = object.meta().labels.as_ref();
            object.meta().namespace.as_deref() == Some(namespace)
                && labels.and_then(|labels| labels.get(names::NAME_LABEL)).is_some_and(|name| name == service)
        })
        .map(|object| object.as_ref().clone())
        .collect();
    found.sort_by(|one, other| one.meta().name.cmp(&other.meta().name));
    Fact::Known(found)
}
