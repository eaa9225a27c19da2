use std::collections::BTreeSet;
use std::path::Path;

use isbsvc::api::names;
use isbsvc::rules;
use isbsvc_tests::cluster::{Cluster, MINUTE, Namespace, Said, eventually};
use isbsvc_tests::corpus::{Case, READABLE};
use serde_json::{Value, json};

const GROUP: &str = "corpus.numaflow.numaproj.io";
const PLURAL: &str = "corpusservices";
const KIND: &str = "CorpusService";
/// Label of a namespace: what holds in it.
const LABEL: &str = "corpus.numaflow.numaproj.io/policies";
/// Requests at once; each is a kubectl of its own.
const AT_ONCE: usize = 3;

/// What the fields of a service are defined by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition {
    /// Nothing: any field is kept, as by Numaflow's smallest definition.
    Minimal,
    /// Our schema.
    Ours,
}

/// What the API server said.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub allowed: bool,
    /// The rules that are named.
    pub named: BTreeSet<&'static str>,
    /// Warnings and refusal.
    pub said: String,
}

impl Answer {
    fn of(said: Said) -> Self {
        // A definition also warns of what it lets pass because it was wrong before.
        let counts = |line: &&str| !line.starts_with("Warning: ") || line.contains("ValidatingAdmissionPolicy");
        let lines: String = said.err.lines().filter(counts).collect();
        let known = rules::ALL.iter().map(|rule| rule.name).chain([READABLE]);
        let named = known.filter(|name| lines.contains(&format!("({name})"))).collect();
        Self { allowed: said.code == 0, named, said: said.err }
    }
}

/// A resource with the same definition and the same policies as ours, and three namespaces: `alone`, where no policy holds, `told`, where all of them warn,
/// and `denied`, where they do what they are for.
pub struct Site<'a> {
    cluster: &'a Cluster,
    namespaces: [Namespace<'a>; 3],
}

impl<'a> Site<'a> {
    pub fn new(cluster: &'a Cluster) -> Self {
        clean(cluster);
        let namespaces = ["alone", "told", "denied"].map(|name| cluster.namespace(&format!("test-corpus-{name}")));
        for (namespace, name) in namespaces.iter().zip(["alone", "told", "denied"]) {
            cluster.kubectl(&["label", "namespace", &namespace.name, &format!("{LABEL}={name}")]).ok();
        }
        Self { cluster, namespaces }
    }

    fn namespace(&self, name: &str) -> &Namespace<'a> {
        let found = self.namespaces.iter().find(|namespace| namespace.name.ends_with(name));
        found.unwrap_or_else(|| panic!("no namespace {name}"))
    }

    /// A service as an object of this resource.
    #[allow(clippy::unused_self)]
    pub fn object(&self, service: &Value) -> Value {
        let mut object = service.clone();
        object["apiVersion"] = json!(format!("{GROUP}/v1alpha1"));
        object["kind"] = json!(KIND);
        object
    }

    /// Makes the resource, or gives it another definition.
    pub fn define(&self, definition: Definition) {
        let mut crd = isbsvc::api::crd();
        crd["metadata"]["name"] = json!(format!("{PLURAL}.{GROUP}"));
        crd["spec"]["group"] = json!(GROUP);
        crd["spec"]["names"] = json!({ "plural": PLURAL, "singular": "corpusservice", "kind": KIND, "listKind": "CorpusServiceList" });
        if definition == Definition::Minimal {
            let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
            crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
                json!({ "type": "object", "properties": { "spec": any, "status": any } });
        }
        // The definition is too long for the annotation of a second client-side apply beside the first.
        self.cluster.kubectl_stdin(&["apply", "--server-side", "-f", "-"], &crd.to_string()).ok();
        self.cluster.kubectl(&["wait", "--for=condition=Established", &format!("crd/{PLURAL}.{GROUP}"), "--timeout=60s"]).ok();
    }

    /// Stores the old objects in every namespace, before any policy holds.
    pub fn store(&self, cases: &[Case]) {
        let items: Vec<_> = cases.iter().filter_map(|case| case.old.as_ref()).map(|old| self.object(old)).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
        for namespace in &self.namespaces {
            eventually("the resource is served", MINUTE, || {
                let said = namespace.kubectl_stdin(&["apply", "--server-side", "-f", "-"], &list);
                if said.code == 0 { Ok(()) } else { Err(said.err) }
            });
            for case in cases.iter().filter(|case| case.terminating) {
                let name = case.new["metadata"]["name"].as_str().unwrap_or_default();
                namespace.kubectl(&["delete", &format!("{PLURAL}.{GROUP}"), name, "--wait=false"]).ok();
            }
        }
    }

    /// Applies the policies, each bound to its namespaces, and waits until they hold.
    pub fn guard(&self) {
        let mut objects = Vec::new();
        for folder in ["manifests/policy", "manifests/policy/defaults", "manifests/policy/override"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).display().to_string();
            let rendered = self.cluster.kubectl(&["kustomize", &folder]).ok();
            objects.extend(serde_saphyr::from_multiple::<Value>(&rendered).unwrap_or_else(|error| panic!("{error}: {rendered}")));
        }
        assert_eq!(objects.len(), 10);
        for object in objects.iter().flat_map(|object| self.moved(object)) {
            self.cluster.kubectl_stdin(&["apply", "-f", "-"], &object.to_string()).ok();
        }
        // The API server reads policies some time after they are stored. One fault of each level, and a default.
        let canary = json!({ "jetstream": { "version": "latest", "replicas": 1, "tls": true, "startArgs": ["-js"] } });
        let canary = self.object(&json!({ "metadata": { "name": "canary" }, "spec": canary }));
        eventually("the policies hold", MINUTE, || {
            let (told, denied) = (self.create("told", &canary), self.create("denied", &canary));
            let all = ["version-floating", "replicas-single", "start-args"].iter().all(|rule| told.named.contains(rule));
            if all && !denied.allowed { Ok(()) } else { Err(format!("{told:?} {denied:?}")) }
        });
        let plain = self.object(&json!({ "metadata": { "name": "canary" }, "spec": { "jetstream": { "version": "2.12.7" } } }));
        eventually("defaults are filled in", MINUTE, || {
            let filled = self.filled(&plain)?;
            if filled["spec"]["jetstream"]["replicas"] == json!(3) { Ok(()) } else { Err(filled.to_string()) }
        });
        for (account, verbs) in [("may", "override,get,update"), ("may-not", "get,update")] {
            let namespace = self.namespace("denied");
            let subject = format!("--serviceaccount={}:{account}", namespace.name);
            // The right is one to the real resource, whatever the policies are asked about; the account has to write this one as well.
            let real = format!("--resource={}.{}", names::PLURAL, names::GROUP);
            namespace.kubectl(&["create", "role", account, &format!("--verb={verbs}"), &real]).ok();
            namespace.kubectl(&["create", "rolebinding", account, &format!("--role={account}"), &subject]).ok();
            let copy = format!("{account}-copy");
            namespace.kubectl(&["create", "role", &copy, "--verb=get,update", &format!("--resource={PLURAL}.{GROUP}")]).ok();
            namespace.kubectl(&["create", "rolebinding", &copy, &format!("--role={copy}"), &subject]).ok();
        }
    }

    /// A policy under another name and about this resource; a binding as two, one for each namespace in which something holds.
    #[allow(clippy::unused_self)]
    fn moved(&self, object: &Value) -> Vec<Value> {
        let mut object = object.clone();
        let name = |value: &Value| json!(value.as_str().unwrap_or_default().replace("isbsvc-", "isbsvc-corpus-"));
        object["metadata"]["name"] = name(&object["metadata"]["name"]);
        if !object["kind"].as_str().is_some_and(|kind| kind.ends_with("Binding")) {
            let rule = &mut object["spec"]["matchConstraints"]["resourceRules"][0];
            assert_eq!((&rule["apiGroups"], &rule["resources"]), (&json!([names::GROUP]), &json!([names::PLURAL])));
            rule["apiGroups"] = json!([GROUP]);
            rule["resources"] = json!([PLURAL]);
            return vec![object];
        }
        object["spec"]["policyName"] = name(&object["spec"]["policyName"]);
        let mutates = object["kind"] == "MutatingAdmissionPolicyBinding";
        let bound = ["told", "denied"].map(|namespace| {
            let mut binding = object.clone();
            let name = format!("{}-{namespace}", binding["metadata"]["name"].as_str().unwrap_or_default());
            binding["metadata"]["name"] = json!(name);
            binding["spec"]["matchResources"] = json!({ "namespaceSelector": { "matchLabels": { LABEL: namespace } } });
            if namespace == "told" && !mutates {
                binding["spec"]["validationActions"] = json!(["Warn"]);
            }
            binding
        });
        bound.into()
    }

    /// Asks about each case in these of the namespaces, in the order alone, told, denied.
    pub fn ask(&self, cases: &[Case], where_to: &[&str]) -> Vec<[Answer; 3]> {
        let one = |case: &Case| {
            ["alone", "told", "denied"].map(|name| match &case.old {
                _ if !where_to.contains(&name) => Answer::default(),
                None => self.create(name, &self.object(&case.new)),
                Some(_) => self.replace(name, &case.new),
            })
        };
        let one = &one;
        std::thread::scope(|scope| {
            let size = cases.len().div_ceil(AT_ONCE).max(1);
            let threads: Vec<_> = cases.chunks(size).map(|chunk| scope.spawn(move || chunk.iter().map(one).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|_| panic!("a thread panicked"))).collect()
        })
    }

    fn send(&self, namespace: &str, arguments: &[&str], object: &Value) -> Said {
        let arguments = [arguments, &["--dry-run=server", "--validate=ignore", "-f", "-"]].concat();
        self.namespace(namespace).kubectl_stdin(&arguments, &object.to_string())
    }

    pub fn create(&self, namespace: &str, object: &Value) -> Answer {
        Answer::of(self.send(namespace, &["create"], object))
    }

    fn replace(&self, namespace: &str, new: &Value) -> Answer {
        Answer::of(self.send(namespace, &["replace"], &self.object(new)))
    }

    /// The same, by an account; and the object as it would be stored.
    pub fn replace_as(&self, namespace: &str, account: &str, new: &Value) -> (Answer, Value) {
        let account = format!("system:serviceaccount:{}:{account}", self.namespace(namespace).name);
        let said = self.send(namespace, &["replace", "--as", &account, "-o", "json"], new);
        let object = serde_json::from_str(&said.out).unwrap_or_default();
        (Answer::of(said), object)
    }

    /// Stores an object, and gives it as it is stored.
    pub fn keep(&self, namespace: &str, object: &Value) -> Value {
        let stored = self.namespace(namespace).kubectl_stdin(&["create", "-o", "json", "-f", "-"], &object.to_string()).ok();
        serde_json::from_str(&stored).unwrap_or_else(|error| panic!("{error}"))
    }

    /// An object as it would be stored where policies hold. For some seconds after a resource is made, a mutating policy knows it not yet.
    pub fn filled(&self, object: &Value) -> Result<Value, String> {
        let said = self.send("told", &["create", "-o", "json"], object);
        serde_json::from_str(&said.out).map_err(|error| format!("{error}: {said:?}"))
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        clean(self.cluster);
    }
}

/// Takes away what the test makes for the whole cluster, policies first: they would refuse to let go of what is wrong.
fn clean(cluster: &Cluster) {
    for level in ["deny", "warn", "audit"] {
        let name = format!("isbsvc-corpus-{level}");
        cluster.kubectl(&["delete", "validatingadmissionpolicy", &name, "--ignore-not-found"]).ok();
        for namespace in ["told", "denied"] {
            cluster.kubectl(&["delete", "validatingadmissionpolicybinding", &format!("{name}-{namespace}"), "--ignore-not-found"]).ok();
        }
    }
    for what in ["defaults", "record"] {
        let name = format!("isbsvc-corpus-{what}");
        cluster.kubectl(&["delete", "mutatingadmissionpolicy", &name, "--ignore-not-found"]).ok();
        for namespace in ["told", "denied"] {
            cluster.kubectl(&["delete", "mutatingadmissionpolicybinding", &format!("{name}-{namespace}"), "--ignore-not-found"]).ok();
        }
    }
    let resource = format!("{PLURAL}.{GROUP}");
    let list = cluster.kubectl(&["get", &resource, "-A", "-o", "json"]);
    let list: Value = serde_json::from_str(&list.out).unwrap_or_default();
    let held = list["items"].as_array().into_iter().flatten().filter(|item| !item["metadata"]["finalizers"].is_null());
    for item in held {
        let of = |field: &str| item["metadata"][field].as_str().unwrap_or_default();
        let free = r#"{"metadata":{"finalizers":null}}"#;
        cluster.kubectl(&["-n", of("namespace"), "patch", &resource, of("name"), "--type=merge", "-p", free]);
    }
    cluster.kubectl(&["delete", "crd", &resource, "--ignore-not-found", "--timeout=60s"]).ok();
}
