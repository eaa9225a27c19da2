use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::definition::{self, Definition};
use super::metrics::Metrics;
use super::queue::{Key, Queue};
use crate::api::{InterStepBufferService, names};
use crate::limits;
use crate::observe::{Stores, component_selector, in_words, pipeline_resource, thin, thin_child};
use crate::observed::Fact;

/// What a watch saw.
pub(super) enum Seen<'a, K> {
    /// One object, now or as it was when it went.
    Object(&'a K),
    /// The whole of it, at the start and after a gap.
    All,
    /// It cannot be watched for now; it is tried again.
    Failed(&'a kube::Error),
}

/// Watches everything that a look at a service needs; whatever is seen puts the services that it is about into the queue. The tasks end with the set.
pub fn start(client: &Client, scope: Option<&str>, queue: &Arc<Queue>, metrics: &Arc<Metrics>) -> (Stores, Definition, JoinSet<()>) {
    let starter = Starter { client, scope, queue, metrics };
    let mut tasks = JoinSet::new();

    let resource = ApiResource::erase::<InterStepBufferService>(&());
    let (services, writer) = dynamic(&resource);
    let (own, woken) = (services.clone(), Arc::clone(queue));
    let api = starter.dynamic(&resource);
    tasks.spawn(follow(names::PLURAL, api, watcher::Config::default(), writer, thin, metrics, move |seen| match seen {
        Seen::Object(service) => wake(&woken, [key(service)]),
        Seen::All => wake(&woken, all(&own, None)),
        Seen::Failed(error) if not_installed(error) => {
            tracing::error!("the type InterStepBufferService is not installed; apply manifests/crd");
        }
        Seen::Failed(_) => {}
    }));

    let stateful_sets = starter.children("statefulsets", &services, thin_child, &mut tasks);
    let headless = starter.children("services", &services, thin_child, &mut tasks);
    let config_maps = starter.children("configmaps", &services, thin_child, &mut tasks);
    let secrets = starter.children("secrets", &services, thin, &mut tasks);
    let pods = starter.children("pods", &services, thin, &mut tasks);
    let claims = starter.children("persistentvolumeclaims", &services, thin, &mut tasks);

    // Any budget of the namespace may select the pods, so all of them are kept, and one that changes concerns every service of its namespace.
    let (budgets, writer) = reflector::store();
    let (own, woken) = (services.clone(), Arc::clone(queue));
    let api = starter.typed();
    tasks.spawn(follow("poddisruptionbudgets", api, watcher::Config::default(), writer, thin_child, metrics, move |seen| match seen {
        Seen::Object(budget) => {
            let budget: &k8s_openapi::api::policy::v1::PodDisruptionBudget = budget;
            wake(&woken, all(&own, budget.namespace().as_deref()));
        }
        Seen::All => wake(&woken, all(&own, None)),
        Seen::Failed(_) => {}
    }));

    let resource = pipeline_resource();
    let (pipelines, writer) = dynamic(&resource);
    let pipelines_known = Arc::new(Mutex::new(Fact::Unknown("the Pipelines have not been seen yet".to_owned())));
    let (own, woken, known) = (services.clone(), Arc::clone(queue), Arc::clone(&pipelines_known));
    let learn = move |fact| *known.lock().unwrap_or_else(PoisonError::into_inner) = fact;
    tasks.spawn(follow("pipelines", starter.dynamic(&resource), watcher::Config::default(), writer, thin_pipeline, metrics, move |seen| {
        match seen {
            Seen::Object(pipeline) => wake(&woken, all(&own, pipeline.namespace().as_deref())),
            Seen::All => {
                learn(Fact::Known(()));
                wake(&woken, all(&own, None));
            }
            // Numaflow itself need not be installed; then there are none.
            Seen::Failed(error) if not_installed(error) => learn(Fact::Known(())),
            Seen::Failed(error) => learn(Fact::Unknown(format!("the Pipelines cannot be read: {}", in_words(error)))),
        }
    }));

    let definition = Definition::default();
    starter.definition(&definition, &services, &mut tasks);

    let stores = Stores { services, stateful_sets, headless, config_maps, secrets, budgets, pods, claims, pipelines, pipelines_known };
    (stores, definition, tasks)
}

/// Waits until every store holds what the cluster holds; the Pipelines say for themselves whether they are known.
pub async fn ready(stores: &Stores, definition: &Definition) -> anyhow::Result<()> {
    definition.looked_at().await;
    stores.services.wait_until_ready().await?;
    stores.stateful_sets.wait_until_ready().await?;
    stores.headless.wait_until_ready().await?;
    stores.config_maps.wait_until_ready().await?;
    stores.secrets.wait_until_ready().await?;
    stores.budgets.wait_until_ready().await?;
    stores.pods.wait_until_ready().await?;
    stores.claims.wait_until_ready().await?;
    Ok(())
}

/// Puts services into the queue, to be looked at now.
pub fn wake(queue: &Queue, keys: impl IntoIterator<Item = Key>) {
    let now = Instant::now();
    for key in keys {
        queue.add(key, now);
    }
}

/// Every service, or every one of a namespace.
pub fn all(services: &Store<DynamicObject>, namespace: Option<&str>) -> Vec<Key> {
    let services = services.state();
    services.iter().map(|service| key(service)).filter(|key| namespace.is_none_or(|namespace| key.namespace == namespace)).collect()
}

/// Every service whose spec, or whose last accepted one, is such.
pub fn concerned(stores: &Stores, is: impl Fn(&Value) -> bool) -> Vec<Key> {
    let services = stores.services.state();
    let by_accepted = |key: &Key| {
        let reference = ObjectRef::new(&names::stateful_set(&key.name)).within(&key.namespace);
        let set = stores.stateful_sets.get(&reference)?;
        let spec = serde_json::from_str(set.annotations().get(names::ACCEPTED_SPEC_ANNOTATION)?).ok()?;
        Some(is(&spec))
    };
    let concerned = services.iter().filter(|service| is(&service.data["spec"]) || by_accepted(&key(service)) == Some(true));
    concerned.map(|service| key(service)).collect()
}

struct Starter<'a> {
    client: &'a Client,
    scope: Option<&'a str>,
    queue: &'a Arc<Queue>,
    metrics: &'a Arc<Metrics>,
}

impl Starter<'_> {
    fn typed<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        match self.scope {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn dynamic(&self, resource: &ApiResource) -> Api<DynamicObject> {
        match self.scope {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// Objects that are made for services, each of which names its service in a label.
    fn children<K>(&self, what: &'static str, services: &Store<DynamicObject>, thin: fn(&mut K), tasks: &mut JoinSet<()>) -> Store<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let (store, writer) = reflector::store();
        let (services, queue) = (services.clone(), Arc::clone(self.queue));
        let config = watcher::Config::default().labels(&component_selector());
        tasks.spawn(follow(what, self.typed::<K>(), config, writer, thin, self.metrics, move |seen| match seen {
            Seen::Object(object) => wake(&queue, owner(object)),
            Seen::All => wake(&queue, all(&services, None)),
            Seen::Failed(_) => {}
        }));
        store
    }

    /// The one definition of the services: what it drops from them concerns all of them.
    fn definition(&self, definition: &Definition, services: &Store<DynamicObject>, tasks: &mut JoinSet<()>) {
        let resource = definition::resource();
        let (store, writer) = dynamic(&resource);
        let (services, queue, metrics) = (services.clone(), Arc::clone(self.queue), Arc::clone(self.metrics));
        let definition = definition.clone();
        let learn = move |fact: Fact<Value>| {
            if definition.learn(fact) {
                let redis = definition.has_redis();
                metrics.definition(redis);
                if redis == Some(false) {
                    tracing::warn!(
                        "the installed definition (CRD) has no spec.redis: services of Redis are left as they are; apply manifests/crd"
                    );
                }
                wake(&queue, all(&services, None));
            }
        };
        let config = watcher::Config::default().fields(&format!("metadata.name={}", definition::name()));
        let api = Api::all_with(self.client.clone(), &resource);
        let react = move |seen: Seen<'_, DynamicObject>| match seen {
            Seen::Object(_) | Seen::All => learn(match store.state().first() {
                Some(definition) => Fact::Known(definition::schema(definition)),
                None => Fact::Unknown("it is not installed".to_owned()),
            }),
            Seen::Failed(error) => learn(Fact::Unknown(in_words(error))),
        };
        // A controller of one namespace is not meant to read what belongs to the cluster, so its first no is the last word.
        let enough = if self.scope.is_some() { forbidden } else { never };
        let events = move || watcher(api.clone(), config.clone()).modify(definition::thin);
        tasks.spawn(followed(enough, "customresourcedefinitions", events, writer, Arc::clone(self.metrics), react));
    }
}

/// Which failures end the following of a kind.
type Enough = fn(&kube::Error) -> bool;

/// None: what fails is tried again.
fn never(_: &kube::Error) -> bool {
    false
}

/// That it may not be read.
fn forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Follows one kind for ever: keeps the store as the cluster is, and says what was seen. What fails is tried again with
/// growing pauses of our own: kube's backoff starts anew with each list that is begun, so that a type that is not installed would be asked for every
/// second.
pub(super) fn follow<K>(
    what: &'static str,
    api: Api<K>,
    config: watcher::Config,
    writer: Writer<K>,
    thin: fn(&mut K),
    metrics: &Arc<Metrics>,
    react: impl Fn(Seen<'_, K>) + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Eq + std::hash::Hash + Send + Sync,
{
    followed(never, what, move || watcher(api.clone(), config.clone()).modify(thin), writer, Arc::clone(metrics), react)
}

/// Follows until a failure that is enough; then nothing is asked any more. `events` begins anew with all objects of the kind.
async fn followed<K, S>(
    enough: Enough,
    what: &'static str,
    events: impl Fn() -> S + Send,
    mut writer: Writer<K>,
    metrics: Arc<Metrics>,
    react: impl Fn(Seen<'_, K>) + Send,
) where
    K: Resource + Clone,
    K::DynamicType: Clone + Eq + std::hash::Hash,
    S: Stream<Item = watcher::Result<Event<K>>> + Send,
{
    let mut stream = Box::pin(events());
    let mut pause = limits::WATCH_RETRY_FIRST;
    let mut said = String::new();
    while let Some(event) = stream.next().await {
        if let Ok(event) = &event {
            writer.apply_watcher_event(event);
        }
        match event {
            Ok(Event::Apply(object) | Event::Delete(object)) => react(Seen::Object(&object)),
            Ok(Event::InitDone) => {
                pause = limits::WATCH_RETRY_FIRST;
                said.clear();
                react(Seen::All);
            }
            // The store takes them over at once when the last one came.
            Ok(Event::Init | Event::InitApply(_)) => {}
            Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) if enough(&error) => {
                tracing::info!(what, why = in_words(&error), "not watched");
                react(Seen::Failed(&error));
                // A task that ended would be a watch that ended, which ends the process.
                return std::future::pending().await;
            }
            Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)) => {
                metrics.watch_failed(what);
                let why = in_words(&error);
                // What stays wrong is said once, and an API server that is not reached once for all kinds.
                if not_installed(&error) {
                    tracing::debug!(what, "not installed");
                } else if said != why && (matches!(error, kube::Error::Api(_)) || what == names::PLURAL) {
                    tracing::warn!(what, why, "cannot be watched; trying again");
                } else {
                    tracing::debug!(what, why, "cannot be watched; trying again");
                }
                said = why;
                react(Seen::Failed(&error));
                sleep(pause).await;
                pause = (pause * 2).min(limits::WATCH_RETRY_MOST);
                // All is read anew: a watch that goes on from where it was gives no sign that it does, and what is not known would stay so.
                stream = Box::pin(events());
            }
            // A watch that ends, such as by an expired resourceVersion, is begun anew.
            Err(error) => {
                tracing::debug!(what, %error, "a watch ended");
                sleep(limits::WATCH_RETRY_FIRST).await;
            }
        }
    }
}

fn dynamic(resource: &ApiResource) -> (Store<DynamicObject>, Writer<DynamicObject>) {
    let writer = Writer::new(resource.clone());
    (writer.as_reader(), writer)
}

fn thin_pipeline(pipeline: &mut DynamicObject) {
    let service = pipeline.data["spec"]["interStepBufferServiceName"].take();
    pipeline.data = json!({ "spec": { "interStepBufferServiceName": service } });
    pipeline.metadata.managed_fields = None;
    pipeline.metadata.annotations = None;
    pipeline.metadata.labels = None;
}

fn not_installed(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn key(service: &DynamicObject) -> Key {
    Key { namespace: service.namespace().unwrap_or_default(), name: service.name_any() }
}

fn owner<K: Resource>(object: &K) -> Option<Key> {
    let meta = object.meta();
    let name = meta.labels.as_ref()?.get(names::NAME_LABEL)?.clone();
    Some(Key { namespace: meta.namespace.clone()?, name })
}

#[cfg(test)]
mod tests;
