//! The corpus: objects and changes that library, webhook, definition and policies are all asked about. The examples of every rule, and what they leave out:
//! missing, null and wrong fields, other spellings of the same, both types of Redis, and objects that were wrong before.

use std::collections::BTreeSet;

use isbsvc::api::{decode, names};
use isbsvc::controller_config::ControllerConfig;
use isbsvc::rules::{self, Finding, Levels, Request};
use isbsvc::{defaults, limits};
use serde_json::{Value, json};

/// One request.
#[derive(Clone, Debug)]
pub struct Case {
    /// Says what it is.
    pub name: String,
    /// The object as it is; `None` where it is being created.
    pub old: Option<Value>,
    /// The object as it would be.
    pub new: Value,
    /// Whether the old one is being deleted.
    pub terminating: bool,
}

/// What the library says.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The new object cannot be read, so that no rule is asked.
    Unreadable,
    /// What the rules found.
    Found(Vec<Finding>),
}

/// Name of what is refused because it cannot be read.
pub const READABLE: &str = "readable";

impl Case {
    /// Asks the library, as the webhook does: with the defaults filled in.
    ///
    /// # Panics
    /// Where the old object cannot be read.
    pub fn library(&self) -> Verdict {
        let filled = |object: &Value| {
            let mut object = object.clone();
            defaults::fill(&mut object);
            decode(&object)
        };
        let Ok(new) = filled(&self.new) else { return Verdict::Unreadable };
        let old = self.old.as_ref().map(|old| filled(old).unwrap_or_else(|error| panic!("{}: {error}", self.name)));
        Verdict::Found(rules::check(Request::update(old.as_ref(), &new), &ControllerConfig::built_in(), &Levels::default()))
    }
}

impl Verdict {
    /// The rules that find fault at their own level: what was wrong before counts one level less.
    pub fn broken(&self) -> BTreeSet<&'static str> {
        match self {
            Self::Unreadable => [READABLE].into(),
            Self::Found(findings) => {
                let whole = |finding: &&Finding| rules::find(finding.rule).is_some_and(|rule| rule.level == finding.level);
                findings.iter().filter(whole).map(|finding| finding.rule).collect()
            }
        }
    }

    /// The rules that refuse.
    pub fn denied(&self) -> BTreeSet<&'static str> {
        match self {
            Self::Unreadable => [READABLE].into(),
            Self::Found(findings) => rules::denials(findings).map(|finding| finding.rule).collect(),
        }
    }
}

/// All of it. Each object has a name of its own, so that all of them can be in one namespace.
///
/// # Panics
/// Where an example of a rule is no YAML.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for rule in rules::ALL {
        for (index, example) in rule.examples.iter().enumerate() {
            let read = |object: Result<Option<Value>, String>| object.unwrap_or_else(|error| panic!("{}: {error}", rule.name));
            // A deletion is asked about by the webhook alone.
            let Some(new) = read(example.new_object()) else { continue };
            cases.push(Case { name: format!("{} {index}", rule.name), old: read(example.old_object()), new, terminating: false });
        }
    }
    cases.extend(created().into_iter().map(|(name, spec)| Case::of(name, None, &spec)));
    cases.extend(named());
    cases.extend(changed().into_iter().map(|(name, old, new)| Case::of(name, Some(&old), &new)));
    cases.extend(not_judged());
    for (index, case) in cases.iter_mut().enumerate() {
        for object in case.old.iter_mut().chain([&mut case.new]) {
            if object["metadata"]["name"] == "default" {
                object["metadata"]["name"] = json!(format!("case-{index}"));
            }
        }
    }
    cases
}

impl Case {
    fn of(name: &str, old: Option<&Value>, new: &Value) -> Self {
        Self { name: name.to_owned(), old: old.map(object), new: object(new), terminating: false }
    }
}

fn object(spec: &Value) -> Value {
    let mut object = json!({ "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": { "name": "default" } });
    if !spec.is_null() {
        object["spec"] = spec.clone();
    }
    object
}

fn jetstream(more: &Value) -> Value {
    let mut spec = json!({ "version": "2.12.7" });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({ "jetstream": spec })
}

fn volume(size: &Value) -> Value {
    jetstream(&json!({ "persistence": { "volumeSize": size } }))
}

fn native(more: &Value) -> Value {
    json!({ "redis": { "native": more } })
}

fn external(more: &Value) -> Value {
    json!({ "redis": { "external": more } })
}

fn env(names: &[&str]) -> Value {
    names.iter().map(|name| json!({ "name": name, "value": "x" })).collect()
}

fn created() -> Vec<(&'static str, Value)> {
    let container = |more: Value| jetstream(&json!({ "containerTemplate": more }));
    let affinity = |more: Value| jetstream(&json!({ "affinity": more }));
    let many = |count: usize| -> Value { (0..count).map(|index| json!({ "name": format!("V{}", index / 2), "value": "x" })).collect() };
    vec![
        ("no spec", json!(null)),
        ("a null service", json!({ "jetstream": null })),
        ("a null service beside one", json!({ "jetstream": { "version": "2.12.7" }, "redis": null })),
        ("an empty redis", json!({ "redis": {} })),
        ("two kinds of redis", json!({ "redis": { "native": { "version": "7.0.15" }, "external": {} } })),
        ("all three", json!({ "jetstream": {}, "redis": { "native": {}, "external": {} } })),
        ("a service of another type", json!({ "jetstream": 5 })),
        ("a list for a service", json!({ "jetstream": [] })),
        ("redis of another type", json!({ "redis": "yes" })),
        ("native of another type", native(&json!(true))),
        ("null fields", jetstream(&json!({ "replicas": null, "persistence": null, "tls": null, "startArgs": null, "affinity": null }))),
        (
            "null fields of volumes",
            jetstream(&json!({ "persistence": { "volumeSize": null, "accessMode": null, "storageClassName": null } })),
        ),
        ("a null version", jetstream(&json!({ "version": null }))),
        ("a blank version", jetstream(&json!({ "version": " \t" }))),
        ("a number for a version", jetstream(&json!({ "version": 2.12 }))),
        ("a text for a number", jetstream(&json!({ "replicas": "3" }))),
        ("a fraction of a server", jetstream(&json!({ "replicas": 3.5 }))),
        ("a number that is too large", jetstream(&json!({ "replicas": 3_000_000_000_i64 }))),
        ("less than no server", jetstream(&json!({ "replicas": -1 }))),
        ("eight servers", jetstream(&json!({ "replicas": 8 }))),
        ("nine servers", jetstream(&json!({ "replicas": 9 }))),
        ("a text for a switch", jetstream(&json!({ "encryption": "yes", "tls": 1 }))),
        ("a text for a list", jetstream(&json!({ "startArgs": "-D" }))),
        ("a number among arguments", jetstream(&json!({ "startArgs": ["-D", 5] }))),
        (
            "arguments of all kinds",
            jetstream(&json!({ "startArgs": ["-D", "--trace=true", "-DVV=false", "---D", "-D=x", "-js", "", "x\ny"] })),
        ),
        ("no arguments", jetstream(&json!({ "startArgs": [] }))),
        ("true for volumes", jetstream(&json!({ "persistence": true }))),
        ("true for a size", volume(&json!(true))),
        ("a size in bytes", volume(&json!(20 << 20))),
        ("a size of none", volume(&json!(0))),
        ("a negative size", volume(&json!("-20Gi"))),
        ("a size with an exponent", volume(&json!("2e10"))),
        ("a size with a blank", volume(&json!(" 20Gi"))),
        ("a size in two ways at once", volume(&json!("1e3Gi"))),
        ("a size in thousandths", volume(&json!("20m"))),
        ("an empty size", volume(&json!(""))),
        ("the smallest size", volume(&json!("16Mi"))),
        ("half a size", volume(&json!("0.5Gi"))),
        ("an access mode with a quote and a new line", jetstream(&json!({ "persistence": { "accessMode": "it's\n\"so\"" } }))),
        ("an empty access mode", jetstream(&json!({ "persistence": { "accessMode": "" } }))),
        ("a text for an affinity", affinity(json!("spread"))),
        ("an empty affinity", affinity(json!({}))),
        ("an affinity without terms", affinity(json!({ "podAntiAffinity": {} }))),
        (
            "an affinity by rack",
            affinity(json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": "rack" }] } })),
        ),
        (
            "an affinity by zone",
            affinity(
                json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": "rack" }, { "topologyKey": "topology.kubernetes.io/zone" }] } }),
            ),
        ),
        ("an affinity of one server", jetstream(&json!({ "replicas": 1, "affinity": {} }))),
        ("a text for a container", container(json!("large"))),
        ("a server's variable, and one twice", container(json!({ "env": env(&["POD_NAME", "A", "B", "A"]) }))),
        ("a variable twice in another container", jetstream(&json!({ "metricsContainerTemplate": { "env": env(&["A", "A"]) } }))),
        ("a server's variable in another container", jetstream(&json!({ "reloaderContainerTemplate": { "env": env(&["POD_NAME"]) } }))),
        ("a hundred variables, each twice", container(json!({ "env": many(limits::POLICY_LIST) }))),
        ("more variables than policies compare", container(json!({ "env": many(limits::POLICY_LIST + 1) }))),
        ("a startup probe", container(json!({ "startupProbe": { "successThreshold": 3 } }))),
        ("null probes", container(json!({ "livenessProbe": { "successThreshold": null }, "startupProbe": null }))),
        ("limits alone", container(json!({ "resources": { "limits": { "cpu": 1, "memory": "1Gi" } } }))),
        ("requests alone", container(json!({ "resources": { "requests": { "cpu": "1", "memory": "1Gi" } } }))),
        ("null resources", container(json!({ "resources": null }))),
        ("unknown fields", jetstream(&json!({ "fromTheFuture": [1] }))),
        ("settings that are no text", jetstream(&json!({ "settings": { "max_payload": 1 } }))),
        ("redis", native(&json!({ "version": "7.0.15", "replicas": 3, "persistence": {} }))),
        ("redis with a floating version", native(&json!({ "version": "latest" }))),
        ("redis without a version", native(&json!({}))),
        ("one node of redis", native(&json!({ "version": "7.0.15", "replicas": 1 }))),
        ("another redis", external(&json!({ "url": "redis:6379", "password": { "name": "a", "key": "b" } }))),
        ("another redis at a number", external(&json!({ "url": 6379 }))),
    ]
}

fn named() -> Vec<Case> {
    let case = |name: &str, length: usize, spec: &Value| {
        let mut case = Case::of(name, None, spec);
        case.new["metadata"]["name"] = json!("a".repeat(length));
        case
    };
    vec![
        case("a name that is one too long", 43, &jetstream(&json!({}))),
        case("the longest name there is", 253, &jetstream(&json!({}))),
        case("the longest name of redis", 37, &native(&json!({ "version": "7.0.15" }))),
        case("a name too long for redis", 38, &native(&json!({ "version": "7.0.15" }))),
        case("a name too long for a label", 64, &external(&json!({ "url": "redis:6379" }))),
        case("a long name of another redis", 63, &external(&json!({ "url": "redis:6379" }))),
    ]
}

fn changed() -> Vec<(&'static str, Value, Value)> {
    let plain = || jetstream(&json!({}));
    let bad = |more: Value| {
        let mut spec =
            jetstream(&json!({ "replicas": 2, "startArgs": ["-js"], "persistence": { "volumeSize": "lots", "accessMode": "None" } }));
        if let (Some(fields), Value::Object(more)) = (spec["jetstream"].as_object_mut(), more) {
            fields.extend(more);
        }
        spec
    };
    let long = |more: Value| {
        let arguments: Value = (0..1000).map(|index| json!(format!("-x{index}"))).collect();
        let mut spec = jetstream(&json!({ "startArgs": arguments }));
        if let (Some(fields), Value::Object(more)) = (spec["jetstream"].as_object_mut(), more) {
            fields.extend(more);
        }
        spec
    };
    let servers = |count: i32| jetstream(&json!({ "replicas": count }));
    let volumes = |more: Value| jetstream(&json!({ "persistence": more }));
    vec![
        ("nothing changes", plain(), plain()),
        ("defaults are written out", plain(), jetstream(&json!({ "replicas": 3, "encryption": false, "tls": false }))),
        ("what was wrong stays", bad(json!({})), bad(json!({ "nodeSelector": { "disk": "fast" } }))),
        ("one of what was wrong is mended", bad(json!({})), bad(json!({ "startArgs": [] }))),
        ("one more thing is wrong", bad(json!({})), bad(json!({ "startArgs": ["-js", "-sd"] }))),
        ("something else is wrong in the same field", bad(json!({})), bad(json!({ "replicas": 0 }))),
        ("a thousand wrong arguments stay", long(json!({})), long(json!({ "nodeSelector": { "disk": "fast" } }))),
        ("no type before and after", json!({}), json!({ "redis": {} })),
        ("a type at last", json!({}), plain()),
        ("two types, and one is left", json!({ "jetstream": { "version": "2.12.7" }, "redis": { "external": {} } }), plain()),
        ("one type, and a second", plain(), json!({ "jetstream": { "version": "2.12.7" }, "redis": { "external": {} } })),
        ("the type vanishes", plain(), json!({})),
        ("native to external", native(&json!({ "version": "7.0.15" })), external(&json!({ "url": "redis:6379" }))),
        ("the version goes missing", plain(), json!({ "jetstream": { "replicas": 3 } })),
        ("the version of redis goes missing", native(&json!({ "version": "7.0.15" })), native(&json!({ "replicas": 3 }))),
        ("encryption is taken back", jetstream(&json!({ "encryption": true })), plain()),
        ("tls is taken back", jetstream(&json!({ "tls": true })), plain()),
        ("volumes are taken away", volumes(json!({})), plain()),
        ("volumes shrink", volumes(json!({ "volumeSize": "20Gi" })), volumes(json!({ "volumeSize": "10Gi" }))),
        ("a size as a number", volumes(json!({ "volumeSize": "20Gi" })), volumes(json!({ "volumeSize": 21_474_836_480_i64 }))),
        ("a size that can be read at last", volumes(json!({ "volumeSize": "lots" })), volumes(json!({ "volumeSize": "20Gi" }))),
        ("a storage class", volumes(json!({})), volumes(json!({ "storageClassName": "fast" }))),
        ("an empty storage class", volumes(json!({})), volumes(json!({ "storageClassName": "" }))),
        ("another access mode", volumes(json!({})), volumes(json!({ "accessMode": "ReadWriteOncePod" }))),
        ("the same access mode", volumes(json!({})), volumes(json!({ "accessMode": "ReadWriteOnce" }))),
        ("five servers to three", servers(5), plain()),
        ("five servers to four", servers(5), servers(4)),
        ("five servers to two", servers(5), servers(2)),
        ("three servers to one", plain(), servers(1)),
        ("two servers, which are three, to three", servers(2), servers(3)),
        ("three servers to none", plain(), servers(0)),
        ("an older version with a suffix", plain(), jetstream(&json!({ "version": "2.8.1-alpine" }))),
        ("the same release with a suffix", jetstream(&json!({ "version": "2.8.1" })), jetstream(&json!({ "version": "2.8.1-alpine" }))),
        ("a newer patch with more digits", jetstream(&json!({ "version": "2.9.8" })), jetstream(&json!({ "version": "2.9.15" }))),
        ("latest to a fixed version", jetstream(&json!({ "version": "latest" })), plain()),
        ("latest to an older version", jetstream(&json!({ "version": "latest" })), jetstream(&json!({ "version": "2.10.29" }))),
        ("settings get smaller", jetstream(&json!({ "settings": "max_payload: 2MB" })), plain()),
        ("a second address", external(&json!({ "url": "a:1" })), external(&json!({ "url": "b:1", "masterName": "m" }))),
        ("an empty address", external(&json!({ "url": "a:1", "sentinelUrl": "" })), external(&json!({ "url": "a:1" }))),
    ]
}

/// What no rule stands in the way of, and one that some do: an object that is being deleted has to lose its finalizers, and labels are nobody's business.
fn not_judged() -> Vec<Case> {
    let bad = json!({ "jetstream": { "replicas": 2, "startArgs": ["-js"] } });
    let mut labelled = Case::of("a label on an object that is wrong", Some(&bad), &bad);
    labelled.new["metadata"]["labels"] = json!({ "team": "a" });
    let mut ending =
        Case::of("an object that is being deleted", Some(&bad), &json!({ "jetstream": { "version": "2.12.7", "encryption": true } }));
    if let Some(old) = &mut ending.old {
        old["metadata"]["finalizers"] = json!([names::FINALIZER]);
    }
    ending.terminating = true;
    let mut freed = Case { name: "an object that is being deleted loses its finalizer".to_owned(), ..ending.clone() };
    freed.new["spec"] = bad;
    vec![labelled, ending, freed]
}

/// Changes of objects that cannot be read as they are, which only a definition that keeps unknown fields holds; and whether they are refused.
pub fn unreadable_before() -> Vec<(Case, bool)> {
    let cases = [
        ("a switch is written in its right form", json!({ "tls": "true" }), json!({ "tls": true }), false),
        ("a switch that nobody could read is turned", json!({ "encryption": "yes" }), json!({ "encryption": true }), true),
        ("a number is written in its right form", json!({ "replicas": "5" }), json!({ "replicas": 5 }), false),
        ("one server is written in its right form", json!({ "replicas": "1" }), json!({ "replicas": 1 }), false),
        ("a number that nobody could read becomes another", json!({ "replicas": "5" }), json!({ "replicas": 3 }), true),
        ("a number that nobody could read goes", json!({ "replicas": "5" }), json!({}), true),
        ("volumes that nobody could read come to be", json!({ "persistence": true }), json!({ "persistence": {} }), true),
        (
            "a size that nobody could read",
            json!({ "persistence": { "volumeSize": true } }),
            json!({ "persistence": { "volumeSize": "20Gi" } }),
            true,
        ),
        ("settings that nobody could read", json!({ "settings": { "max_payload": 1 } }), json!({ "settings": "max_payload: 1MB" }), true),
        ("what no rule compares is mended", json!({ "startArgs": "-D" }), json!({ "startArgs": ["-D"] }), false),
        ("what cannot be read stays, and something else changes", json!({ "tls": "true" }), json!({ "tls": "true", "replicas": 5 }), false),
    ];
    let case = |(index, (name, old, new, refused)): (usize, (&str, Value, Value, bool))| {
        let mut case = Case::of(name, Some(&jetstream(&old)), &jetstream(&new));
        for object in case.old.iter_mut().chain([&mut case.new]) {
            object["metadata"]["name"] = json!(format!("unreadable-{index}"));
        }
        (case, refused)
    };
    cases.into_iter().enumerate().map(case).collect()
}
