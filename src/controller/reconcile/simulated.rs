//! A namespace for tests, whose API server stores what is written; and the stores of the controller, which show what carries our labels.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use kube::api::{ApiResource, DynamicObject};
use kube::runtime::reflector::{self, store::Writer};
use kube::runtime::watcher::Event as Seen;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::*;
use crate::api::names;
use crate::observe::scripted::{Asked, Log, api_server, failure};

/// Objects by resource and name.
type Objects = Arc<Mutex<BTreeMap<(String, String), Value>>>;

/// What the API server says to requests that are refused: part of `METHOD path`, code, and reason.
type Refusals = Arc<Mutex<Vec<(&'static str, u16)>>>;

/// The namespace `pl`, and a controller that looks after the service `default` in it.
pub(crate) struct Namespace {
    pub objects: Objects,
    pub log: Log,
    pub refusals: Refusals,
    pub reconciler: Reconciler,
    pub key: Key,
    writers: Writers,
}

struct Writers {
    services: Writer<DynamicObject>,
    stateful_sets: Writer<k8s_openapi::api::apps::v1::StatefulSet>,
    headless: Writer<k8s_openapi::api::core::v1::Service>,
    config_maps: Writer<k8s_openapi::api::core::v1::ConfigMap>,
    secrets: Writer<k8s_openapi::api::core::v1::Secret>,
    budgets: Writer<k8s_openapi::api::policy::v1::PodDisruptionBudget>,
    pods: Writer<Pod>,
    claims: Writer<k8s_openapi::api::core::v1::PersistentVolumeClaim>,
    pipelines: Writer<DynamicObject>,
}

impl Namespace {
    /// With a service of this spec.
    pub fn with(spec: &Value) -> Self {
        let (objects, refusals) = (Objects::default(), Refusals::default());
        let (held, no) = (Arc::clone(&objects), Arc::clone(&refusals));
        let (client, log) = api_server(move |asked| answer(&held, &no, asked));
        let isbsvc = ApiResource::erase::<InterStepBufferService>(&());
        let writers = Writers {
            services: Writer::new(isbsvc),
            stateful_sets: reflector::store().1,
            headless: reflector::store().1,
            config_maps: reflector::store().1,
            secrets: reflector::store().1,
            budgets: reflector::store().1,
            pods: reflector::store().1,
            claims: reflector::store().1,
            pipelines: Writer::new(crate::observe::pipeline_resource()),
        };
        let stores = Stores {
            services: writers.services.as_reader(),
            stateful_sets: writers.stateful_sets.as_reader(),
            headless: writers.headless.as_reader(),
            config_maps: writers.config_maps.as_reader(),
            secrets: writers.secrets.as_reader(),
            budgets: writers.budgets.as_reader(),
            pods: writers.pods.as_reader(),
            claims: writers.claims.as_reader(),
            pipelines: writers.pipelines.as_reader(),
            pipelines_known: Arc::new(Mutex::new(Fact::Known(()))),
        };
        let metrics = Arc::new(Metrics::default());
        let reconciler = Reconciler {
            events: Arc::new(Events::new(client.clone(), "host_1".to_owned(), Arc::clone(&metrics))),
            client,
            permit: Permit::alone(),
            stores,
            definition: Definition::default(),
            config: watch::channel(Arc::new(ControllerConfig::built_in())).1,
            instance: String::new(),
            reach: Reach::PodIp,
            external_redis: Arc::new([]),
            endpoints: Semaphore::new(limits::ENDPOINTS_AT_ONCE),
            metrics,
            memory: Mutex::new(HashMap::new()),
        };
        let key = Key { namespace: "pl".to_owned(), name: "default".to_owned() };
        let namespace = Self { objects, log, refusals, reconciler, key, writers };
        namespace.put(
            names::PLURAL,
            &json!({ "apiVersion": names::API_VERSION, "kind": names::KIND,
                "metadata": { "name": "default", "namespace": "pl", "uid": "u-1", "generation": 1, "resourceVersion": "1" }, "spec": spec }),
        );
        namespace
    }

    /// Puts an object there, as somebody else would.
    pub fn put(&self, plural: &str, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.objects.lock().unwrap().insert((plural.to_owned(), name), object.clone());
    }

    /// An object.
    pub fn get(&self, plural: &str, name: &str) -> Option<Value> {
        self.objects.lock().unwrap().get(&(plural.to_owned(), name.to_owned())).cloned()
    }

    /// Edits an object, as somebody else would.
    pub fn edit(&self, plural: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        edit(self.objects.lock().unwrap().get_mut(&(plural.to_owned(), name.to_owned())).unwrap());
    }

    /// The service.
    pub fn service(&self) -> Value {
        self.get(names::PLURAL, "default").unwrap()
    }

    /// Message of the service's status.
    pub fn message(&self) -> String {
        self.service()["status"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// One look, with what the watches show by now.
    pub async fn look(&mut self) -> Ended {
        let of = |plural: &str, labelled: bool| -> Vec<Value> {
            let all = self.objects.lock().unwrap();
            let label = |object: &Value| object["metadata"]["labels"][names::COMPONENT_LABEL] == names::COMPONENT;
            all.iter().filter(|((of, _), object)| of == plural && (!labelled || label(object))).map(|(_, object)| object.clone()).collect()
        };
        show(&mut self.writers.services, of(names::PLURAL, false));
        show(&mut self.writers.stateful_sets, of("statefulsets", true));
        show(&mut self.writers.headless, of("services", true));
        show(&mut self.writers.config_maps, of("configmaps", true));
        show(&mut self.writers.secrets, of("secrets", true));
        show(&mut self.writers.budgets, of("poddisruptionbudgets", false));
        show(&mut self.writers.pods, of("pods", true));
        show(&mut self.writers.claims, of("persistentvolumeclaims", true));
        show(&mut self.writers.pipelines, of("pipelines", false));
        Box::pin(self.reconciler.reconcile(&self.key)).await
    }

    /// Looks until nothing is written any more.
    pub async fn settle(&mut self) -> Ended {
        for _ in 0..20 {
            let before = self.writes().len();
            let ended = self.look().await;
            if self.writes().len() == before {
                return ended;
            }
        }
        unreachable!("still writing after 20 looks: {:?}", self.writes());
    }

    /// What was asked to be written so far, events excepted, as `METHOD resource/name`.
    pub fn writes(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        let words = |asked: &Asked| {
            let path = Path::of(&asked.path);
            let name = path.name.or_else(|| asked.body["metadata"]["name"].as_str().map(str::to_owned)).unwrap_or_default();
            (path.plural != "events")
                .then(|| format!("{} {}/{name}{}", asked.method, path.plural, if path.status { "/status" } else { "" }))
        };
        log.iter().filter(|asked| asked.method != "GET").filter_map(words).collect()
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// Reasons and notes of the events so far.
    pub fn events(&self) -> Vec<(String, String)> {
        let all = self.objects.lock().unwrap();
        let mut events: Vec<_> = all.iter().filter(|((plural, _), _)| plural == "events").map(|(_, event)| event.clone()).collect();
        events.sort_by_key(|event| event["metadata"]["resourceVersion"].as_str().and_then(|version| version.parse::<u64>().ok()));
        let word = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        events.iter().map(|event| (word(event, "reason"), word(event, "note"))).collect()
    }
}

fn show<K>(writer: &mut Writer<K>, objects: Vec<Value>)
where
    K: kube::runtime::reflector::Lookup + Clone + DeserializeOwned + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    writer.apply_watcher_event(&Seen::Init);
    for object in objects {
        writer.apply_watcher_event(&Seen::InitApply(serde_json::from_value(object).unwrap()));
    }
    writer.apply_watcher_event(&Seen::InitDone);
}

/// What a path is about.
struct Path {
    plural: String,
    name: Option<String>,
    status: bool,
    /// The one name that a list asks for.
    only: Option<String>,
}

impl Path {
    fn of(path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut parts = path.split("/namespaces/pl/").nth(1).unwrap_or_default().split('/').map(str::to_owned);
        let plural = parts.next().unwrap_or_default();
        let only = query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector=metadata.name%3D")).map(str::to_owned);
        Self { plural, name: parts.next(), status: parts.next().is_some(), only }
    }
}

fn answer(objects: &Objects, refusals: &Refusals, asked: &Asked) -> (u16, Value) {
    let request = format!("{} {}", asked.method, asked.path);
    if let Some((_, code)) = refusals.lock().unwrap().iter().find(|(part, _)| request.contains(part)) {
        return failure(*code, "Refused", "the test refuses it");
    }
    let path = Path::of(&asked.path);
    let mut objects = objects.lock().unwrap();
    let version =
        objects.values().filter_map(|object| object["metadata"]["resourceVersion"].as_str()?.parse::<u64>().ok()).max().unwrap_or(0) + 1;
    let stored = |mut object: Value, name: &str| {
        object["metadata"]["namespace"] = json!("pl");
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{}-{name}-{version}", path.plural));
        }
        object
    };
    let Some(name) = path.name.clone().or_else(|| asked.body["metadata"]["name"].as_str().map(str::to_owned)) else {
        let one = |key: &(String, String)| key.0 == path.plural && path.only.as_ref().is_none_or(|only| *only == key.1);
        let items: Vec<_> = objects.iter().filter(|(key, _)| one(key)).map(|(_, object)| object.clone()).collect();
        return (200, json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": items }));
    };
    let at = (path.plural.clone(), name.clone());
    let live = objects.get(&at).cloned();
    let new = match (asked.method.as_str(), live) {
        ("POST", Some(_)) => return failure(409, "AlreadyExists", "already exists"),
        ("POST", None) => stored(asked.body.clone(), &name),
        ("DELETE", Some(live)) => {
            objects.remove(&at);
            return (200, live);
        }
        ("PATCH", Some(mut live)) => {
            let seen = &asked.body["metadata"]["uid"];
            if !seen.is_null() && *seen != live["metadata"]["uid"] {
                return failure(409, "Conflict", "another uid");
            }
            match &asked.body {
                Value::Array(operations) if !patch(&mut live, operations) => return failure(422, "Invalid", "a test failed"),
                Value::Array(_) => {}
                body if path.status => live["status"] = body["status"].clone(),
                body => merge(&mut live, body),
            }
            stored(live, &name)
        }
        ("PATCH", None) if asked.body.is_object() && !path.status => stored(asked.body.clone(), &name),
        _ => return failure(404, "NotFound", "not found"),
    };
    let freed = new["metadata"]["deletionTimestamp"].is_string() && new["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
    if freed {
        objects.remove(&at)
    } else {
        objects.insert(at, new.clone())
    };
    (200, new)
}

fn merge(live: &mut Value, applied: &Value) {
    match (live, applied) {
        (Value::Object(live), Value::Object(applied)) => {
            for (key, value) in applied {
                merge(live.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (live, applied) => *live = applied.clone(),
    }
}

/// Whether all of a JSON patch holds.
fn patch(live: &mut Value, operations: &[Value]) -> bool {
    for operation in operations {
        let pointer = operation["path"].as_str().unwrap();
        if operation["op"] == "test" {
            if live.pointer(pointer) != Some(&operation["value"]) {
                return false;
            }
            continue;
        }
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/");
        let Some(Value::Object(fields)) = live.pointer_mut(parent) else { return false };
        match operation["op"].as_str() {
            Some("add") => drop(fields.insert(key, operation["value"].clone())),
            _ => drop(fields.remove(&key)),
        }
    }
    true
}
