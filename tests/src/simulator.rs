//! A service and its objects in memory: carries plans out as the API server would, so that whole lives of a service run in milliseconds.

use std::collections::BTreeMap;

use isbsvc::api::{self, InterStepBufferService, names};
use isbsvc::controller_config::ControllerConfig;
use isbsvc::observed::{Endpoint, Fact, Healthz, JetStream, Meta, Observed, PipelineUse, Server};
use isbsvc::plan::{Action, CertificatePair, ChildKind, Input, Material, Plan, needs, plan, readable, refused};
use serde_json::{Value, json};

/// One service in a cluster of its own.
pub struct Simulator {
    /// The service as the API server holds it.
    pub object: Value,
    /// What was made for it.
    pub children: BTreeMap<(ChildKind, String), Value>,
    /// Pods by name, and whether they are ready.
    pub pods: BTreeMap<String, bool>,
    /// What each server says.
    pub servers: BTreeMap<String, Fact<Server>>,
    /// Pipelines that use it.
    pub pipelines: Vec<PipelineUse>,
    /// What its external Redis answers.
    pub endpoint: Fact<Endpoint>,
    /// The controller configuration.
    pub config: ControllerConfig,
    /// The wall clock.
    pub now: jiff::Timestamp,
    /// What was applied last, of which server-side apply takes away what is not applied again.
    applied: BTreeMap<(ChildKind, String), Value>,
    version: u64,
    draws: u64,
}

impl Simulator {
    /// A service with this spec, just created.
    pub fn new(spec: &Value) -> Self {
        let object = json!({
            "apiVersion": names::API_VERSION,
            "kind": names::KIND,
            "metadata": { "name": "default", "namespace": "simulated", "uid": "uid-1", "resourceVersion": "1", "generation": 1 },
            "spec": spec,
        });
        Self {
            object,
            children: BTreeMap::new(),
            pods: BTreeMap::new(),
            servers: BTreeMap::new(),
            pipelines: Vec::new(),
            endpoint: Fact::default(),
            config: ControllerConfig::built_in(),
            now: jiff::Timestamp::UNIX_EPOCH,
            applied: BTreeMap::new(),
            version: 1,
            draws: 0,
        }
    }

    /// Edits the spec as a person would.
    pub fn edit_spec(&mut self, pointer: &str, value: Value) {
        let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", pointer));
        if let Some(Value::Object(fields)) = self.object.pointer_mut(&format!("/spec{parent}")) {
            fields.insert(key.to_owned(), value);
        }
        let generation = self.object["metadata"]["generation"].as_i64().unwrap_or(0);
        self.object["metadata"]["generation"] = json!(generation + 1);
    }

    /// Gives the first server a volume, as the `StatefulSet` controller does; its name.
    pub fn claim(&mut self) -> String {
        let name = names::claim(self.service().name(), 0);
        let claim = json!({ "metadata": { "name": name, "uid": "uid-claim" } });
        self.children.insert((ChildKind::PersistentVolumeClaim, name.clone()), claim);
        name
    }

    /// Puts an object in, as somebody else made it.
    pub fn put(&mut self, kind: ChildKind, object: Value) {
        self.version += 1;
        let object = stored(object, self.version);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.children.insert((kind, name), object);
    }

    /// A person edits a place of an object: the API server notes that it is theirs now.
    ///
    /// # Panics
    /// Where the object or the place's parent is not there.
    pub fn edit_child(&mut self, kind: ChildKind, name: &str, pointer: &str, value: &Value) {
        let live = self.children.get_mut(&(kind, name.to_owned())).unwrap_or_else(|| panic!("{kind:?} {name} is not there"));
        let mut fields = json!({});
        let mut at = String::new();
        let mut inner = &mut fields;
        for word in pointer.split('/').skip(1) {
            let item = live.pointer(&at).and_then(Value::as_array).map(|items| match word.parse::<usize>() {
                Ok(index) => items[index]["name"].clone(),
                // The end of a list.
                Err(_) => value["name"].clone(),
            });
            at = format!("{at}/{word}");
            inner =
                &mut inner[item.map_or_else(|| format!("f:{}", word.replace("~1", "/")), |name| format!("k:{}", json!({ "name": name })))];
            *inner = json!({});
        }
        patch(live, pointer, Some(value));
        managed(live, "kubectl-edit", "Update", self.now);
        let entry = live["metadata"]["managedFields"].as_array_mut().and_then(|entries| entries.last_mut());
        entry.unwrap_or_else(|| panic!("just noted"))["fieldsV1"] = fields;
    }

    /// Asks for the service to be deleted.
    pub fn delete(&mut self) {
        self.object["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:00Z");
    }

    /// Whether the service still exists.
    pub fn exists(&self) -> bool {
        let deleting = self.object["metadata"].get("deletionTimestamp").is_some();
        !(deleting && self.finalizers().is_empty())
    }

    /// Finalizers of the service.
    pub fn finalizers(&self) -> Vec<String> {
        self.object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    }

    /// The service as far as it can be read.
    pub fn service(&self) -> InterStepBufferService {
        readable(&typed(&self.object)).unwrap_or_else(|undecodable| undecodable.service)
    }

    /// What would be found.
    pub fn observed(&self) -> Observed {
        let name = self.service().name().to_owned();
        Observed {
            stateful_set: Fact::Known(self.child(ChildKind::StatefulSet, &names::stateful_set(&name))),
            service: Fact::Known(self.child(ChildKind::Service, &names::service(&name))),
            config_map: Fact::Known(self.child(ChildKind::ConfigMap, &names::config_map(&name))),
            server_secret: Fact::Known(self.child(ChildKind::Secret, &names::server_secret(&name))),
            client_secret: Fact::Known(self.child(ChildKind::Secret, &names::client_secret(&name))),
            budget: Fact::Known(self.child(ChildKind::PodDisruptionBudget, &names::stateful_set(&name))),
            other_budgets: Fact::Known(Vec::new()),
            pods: Fact::Known(self.pods.iter().map(|(name, ready)| pod(name, *ready)).collect()),
            claims: Fact::Known(self.of_kind(ChildKind::PersistentVolumeClaim)),
            pipelines: Fact::Known(self.pipelines.clone()),
            servers: self.servers.clone(),
            endpoint: self.endpoint.clone(),
        }
    }

    fn child<K: serde::de::DeserializeOwned>(&self, kind: ChildKind, name: &str) -> Option<K> {
        self.children.get(&(kind, name.to_owned())).map(typed)
    }

    fn of_kind<K: serde::de::DeserializeOwned>(&self, kind: ChildKind) -> Vec<K> {
        self.children.iter().filter(|((of, _), _)| *of == kind).map(|(_, object)| typed(object)).collect()
    }

    /// What would be done, without doing it.
    pub fn plan(&mut self) -> Plan {
        let (service, observed) = (self.service(), self.observed());
        let input = Input { service: &service, config: &self.config, now: self.now };
        let needed = needs(&input, &observed);
        self.draws += needed.len() as u64;
        let material = if needed.is_empty() { Material::default() } else { fixed(self.draws) };
        match readable(&typed(&self.object)) {
            Ok(_) => plan(&input, &observed, &material),
            Err(undecodable) => refused(&input, &undecodable.words(), &observed, &material),
        }
    }

    /// One look and what follows from it.
    pub fn step(&mut self) -> Plan {
        let plan = self.plan();
        for action in &plan.actions {
            self.carry_out(action);
        }
        plan
    }

    /// Steps until nothing is left to do.
    ///
    /// # Panics
    /// Where that takes more than 20 steps: a plan that never ends is a write war.
    pub fn settle(&mut self) -> Plan {
        for _ in 0..20 {
            let plan = self.step();
            if plan.actions.is_empty() || !self.exists() {
                return plan;
            }
        }
        panic!("still writing after 20 steps");
    }

    /// Starts the pods of the `StatefulSet`, with servers that agree on a leader.
    pub fn start_pods(&mut self) {
        let service = self.service();
        let count = service.spec.jetstream.as_ref().map_or(0, api::JetStreamBufferService::server_count);
        for ordinal in 0..count {
            let name = names::pod(service.name(), ordinal);
            self.pods.insert(name.clone(), true);
            self.servers.insert(name.clone(), Fact::Known(server(&name, count, Some(&names::pod(service.name(), 0)))));
        }
    }

    fn carry_out(&mut self, action: &Action) {
        self.version += 1;
        match action {
            Action::Create { kind, name, object } => {
                assert!(!self.children.contains_key(&(*kind, name.clone())), "{kind:?} {name} exists already");
                self.children.insert((*kind, name.clone()), stored(object.clone(), self.version));
            }
            Action::Apply { kind, name, object, .. } => {
                let version = self.version;
                let live = self.children.entry((*kind, name.clone())).or_insert_with(|| json!({}));
                let found = live.clone();
                if let Some(before) = self.applied.insert((*kind, name.clone()), object.clone()) {
                    unmerge(live, &before, object);
                }
                merge(live, object);
                keep_pairs(&found, live);
                managed(live, names::CHILDREN_MANAGER, "Apply", self.now);
                *live = stored(live.take(), version);
            }
            Action::Patch { kind, name, places, precondition } => {
                let version = self.version;
                let live = self.children.get_mut(&(*kind, name.clone())).unwrap_or_else(|| panic!("{kind:?} {name} is not there"));
                assert_eq!(
                    Some(&live["metadata"]["resourceVersion"]),
                    precondition.resource_version.as_ref().map(|seen| json!(seen)).as_ref()
                );
                for place in places {
                    patch(live, &place.pointer, place.value.as_ref());
                }
                *live = stored(live.take(), version);
            }
            Action::Delete { kind, name, .. } => {
                self.children.remove(&(*kind, name.clone()));
                if *kind == ChildKind::StatefulSet {
                    self.pods.clear();
                    self.servers.clear();
                }
            }
            Action::SetFinalizers { finalizers, .. } => self.object["metadata"]["finalizers"] = json!(finalizers),
            Action::ApplyStatus { status } => self.object["status"] = status.clone(),
        }
        self.object["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }
}

fn typed<K: serde::de::DeserializeOwned>(object: &Value) -> K {
    serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object}"))
}

fn stored(mut object: Value, version: u64) -> Value {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    object["metadata"]["uid"] = json!(format!("uid-{name}"));
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object
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

/// Variables that stand twice and are not applied stay in their places (structured-merge-diff, `typed/merge.go`).
///
/// # Panics
/// Where some stand twice in what is applied.
fn keep_pairs(found: &Value, live: &mut Value) {
    let containers = |object: &Value| object["spec"]["template"]["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let count = |env: &[Value], name: &Value| env.iter().filter(|variable| variable["name"] == *name).count();
    for (index, container) in containers(live).iter().enumerate() {
        let mut env = container["env"].as_array().cloned().unwrap_or_default();
        assert!(env.iter().all(|variable| count(&env, &variable["name"]) == 1), "server-side apply refuses a variable that is named twice");
        let before = containers(found).into_iter().find(|one| one["name"] == container["name"]).unwrap_or_default();
        let before = before["env"].as_array().cloned().unwrap_or_default();
        for (place, variable) in before.iter().enumerate().filter(|(_, variable)| count(&before, &variable["name"]) > 1) {
            if container["env"].as_array().is_none_or(|applied| count(applied, &variable["name"]) == 0) {
                env.insert(place.min(env.len()), variable.clone());
            }
        }
        if env.len() != container["env"].as_array().map_or(0, Vec::len) {
            live["spec"]["template"]["spec"]["containers"][index]["env"] = json!(env);
        }
    }
}

/// Takes away the fields that were applied before and are not now.
fn unmerge(live: &mut Value, before: &Value, now: &Value) {
    let (Value::Object(live), Value::Object(before)) = (live, before) else { return };
    for (key, value) in before {
        match now.get(key) {
            Some(now) => live.get_mut(key).into_iter().for_each(|live| unmerge(live, value, now)),
            None => drop(live.remove(key)),
        }
    }
}

/// Notes who wrote an object.
pub fn managed(object: &mut Value, manager: &str, operation: &str, time: jiff::Timestamp) {
    let entry = json!({ "manager": manager, "operation": operation, "time": time, "fieldsType": "FieldsV1" });
    let entries = &mut object["metadata"]["managedFields"];
    if !entries.is_array() {
        *entries = json!([]);
    }
    if let Value::Array(entries) = entries {
        entries.retain(|entry| entry["manager"] != manager || entry["operation"] != operation);
        entries.push(entry);
    }
}

/// `add` and `remove` of a JSON patch at a place whose parent is there.
fn patch(object: &mut Value, pointer: &str, value: Option<&Value>) {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}: no parent"));
    match (parent, value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert(key.replace("~1", "/"), value.clone())),
        (Value::Object(fields), None) => drop(fields.remove(&key.replace("~1", "/"))),
        (Value::Array(items), Some(value)) if key == "-" => items.push(value.clone()),
        (Value::Array(items), None) => drop(items.remove(key.parse().unwrap_or_else(|_| panic!("{pointer}: no index")))),
        _ => panic!("{pointer}: its parent is no map"),
    }
}

fn pod(name: &str, ready: bool) -> k8s_openapi::api::core::v1::Pod {
    let status = if ready { "True" } else { "False" };
    typed(&json!({ "metadata": { "name": name }, "status": { "conditions": [{ "type": "Ready", "status": status }] } }))
}

/// A server that is well, among `count`, and knows this leader.
pub fn server(name: &str, count: i32, leader: Option<&str>) -> Server {
    let others = (0..count).map(|ordinal| names::pod("default", ordinal)).filter(|other| other != name);
    Server {
        name: name.to_owned(),
        version: "2.12.7".to_owned(),
        routes: others.collect(),
        healthz: Healthz { ok: true, error: None },
        jetstream: Some(JetStream {
            meta: (count > 1).then(|| Meta {
                leader: leader.map(str::to_owned),
                size: u64::try_from(count).unwrap_or(0),
                ..Meta::default()
            }),
            ..JetStream::default()
        }),
        ..Server::default()
    }
}

/// Material that differs with each draw, so that a second one would be seen.
pub fn fixed(draw: u64) -> Material {
    let word = |what: &str| Some(format!("{what}-{draw}"));
    let pair = |whose: &str| {
        Some(CertificatePair {
            certificate: format!("{whose}-cert-{draw}"),
            key: format!("{whose}-key-{draw}"),
            authority: format!("{whose}-ca-{draw}"),
        })
    };
    Material {
        client_user: word("user"),
        client_password: word("password"),
        system_password: word("system"),
        encryption_key: word("encryption"),
        server_certificate: pair("server"),
        cluster_certificate: pair("cluster"),
    }
}
