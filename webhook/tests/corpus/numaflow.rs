//! Our answers beside those of Numaflow's own validator, and each difference with its reason.
//!
//! What Numaflow answers was read in its source, by hand, and not run: its module cannot be had from the Go module proxy. So this is a table of chosen
//! cases and no corpus, and nothing here notices when Numaflow changes. Read were `pkg/webhook/validator/isbsvc.go` (dd7e739, with Redis 22ca032) and
//! `pkg/reconciler/validator/isbsvc_validate.go` (5c34d4d, with Redis 40d537f), and the tests beside them. What Go cannot decode is left out, since
//! reading does not settle it.

use std::collections::BTreeSet;

use isbsvc::api::names;
use isbsvc::rules::{self, About, Level};
use isbsvc_tests::corpus::Case;
use serde_json::{Value, json};

use super::webhook;
use Numaflow::{Allows, Refuses};

/// What Numaflow's validator answers, as read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Numaflow {
    Allows,
    Refuses,
}

/// What Numaflow refuses and we allow, and why.
const MILDER: &[(&str, &str)] = &[
    ("wrong-before", "what was wrong before and is not touched refuses nothing, so that one fault can be mended while another one stays"),
    (
        "type-at-last",
        "nobody carries out a service without exactly one type, so that nothing is lost; our definition refuses it all the same",
    ),
    ("defaults-written-out", "what is left out of the volumes means its default, so that writing it out changes no volume"),
    ("redis", "Numaflow up to 1.6 runs Redis services, and they must stay changeable; later ones know no Redis"),
    ("redis-volumes", "not yet: persistence-change asks of JetStream alone"),
];

/// Rules that refuse where Numaflow asks nothing of the kind: each with the number of an example that Numaflow allows. The reason is the rule's own.
const STRICTER: &[(&str, usize)] = &[
    ("version-known", 0),
    ("name-length", 0),
    ("replicas", 1),
    ("settings-key", 0),
    ("settings-value", 0),
    ("buffer-config", 0),
    ("buffer-replicas", 0),
    ("volume-size", 1),
    ("access-mode", 0),
    ("start-args", 0),
    ("container-env", 0),
    ("container-probe", 0),
    ("encryption-toggle", 0),
    ("tls-toggle", 0),
    ("replicas-shrink", 0),
    ("replicas-cluster-switch", 0),
    ("payload-shrink", 0),
    ("store-shrink", 0),
    ("store-grow", 0),
    ("version-downgrade", 0),
    ("redis-url", 1),
    ("redis-auth", 0),
    ("external-endpoint-change", 0),
];

/// Rules that Numaflow asks as well, each met by a case that both refuse.
const SHARED: &[&str] =
    &["one-type", "version-required", "name-length", "replicas", "type-change", "persistence-change", "instance-change"];

type Row = (&'static str, Option<Value>, Value, Numaflow, Option<&'static str>);

fn service(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": { "name": name }, "spec": spec })
}

fn of(spec: &Value) -> Value {
    service("default", spec)
}

fn jetstream(more: Value) -> Value {
    let mut spec = json!({ "version": "2.12.7" });
    if let (Some(fields), Value::Object(more)) = (spec.as_object_mut(), more) {
        fields.extend(more);
    }
    of(&json!({ "jetstream": spec }))
}

fn volumes(persistence: &Value) -> Value {
    jetstream(json!({ "persistence": persistence }))
}

fn owned_by(instance: &str) -> Value {
    let mut object = jetstream(json!({}));
    object["metadata"]["annotations"] = json!({ names::INSTANCE_ANNOTATION: instance });
    object
}

/// As the validator of today answers, which knows no Redis.
fn today() -> Vec<Row> {
    let plain = || jetstream(json!({}));
    let class = || volumes(&json!({ "storageClassName": "test-sc" }));
    let two = |more: Value| jetstream(json!({ "replicas": 2, "nodeSelector": more }));
    vec![
        // Numaflow's own tests say these, of a version that we do not know.
        ("a service with a storage class", None, class(), Allows, None),
        ("no type", None, of(&json!({})), Refuses, None),
        ("an empty version", None, of(&json!({ "jetstream": { "version": "" } })), Refuses, None),
        ("capital letters in the name", None, service("UpperCaseName", &json!({ "jetstream": { "version": "2.12.7" } })), Refuses, None),
        ("the same again", Some(class()), class(), Allows, None),
        ("an instance is named", Some(plain()), owned_by("test"), Refuses, None),
        ("volumes are taken away", Some(class()), plain(), Refuses, None),
        ("volumes are added", Some(plain()), class(), Refuses, None),
        // The source says these.
        ("no version", None, of(&json!({ "jetstream": {} })), Refuses, None),
        ("a dot in the name", None, service("my.service", &json!({ "jetstream": { "version": "2.12.7" } })), Refuses, None),
        ("a digit first in the name", None, service("1st", &json!({ "jetstream": { "version": "2.12.7" } })), Refuses, None),
        ("one server", None, jetstream(json!({ "replicas": 1 })), Allows, None),
        ("two servers", None, jetstream(json!({ "replicas": 2 })), Refuses, None),
        ("no server", None, jetstream(json!({ "replicas": 0 })), Refuses, None),
        ("less than no server", None, jetstream(json!({ "replicas": -1 })), Refuses, None),
        ("more servers", Some(plain()), jetstream(json!({ "replicas": 5 })), Allows, None),
        ("a newer version", Some(jetstream(json!({ "version": "2.10.29" }))), plain(), Allows, None),
        ("another instance", Some(owned_by("blue")), owned_by("green"), Refuses, None),
        ("the instance is taken away", Some(owned_by("blue")), plain(), Refuses, None),
        ("the type vanishes", Some(plain()), of(&json!({})), Refuses, None),
        ("another storage class", Some(class()), volumes(&json!({ "storageClassName": "fast" })), Refuses, None),
        ("larger volumes", Some(volumes(&json!({ "volumeSize": "20Gi" }))), volumes(&json!({ "volumeSize": "30Gi" })), Refuses, None),
        ("the same size", Some(volumes(&json!({ "volumeSize": "20Gi" }))), volumes(&json!({ "volumeSize": "20480Mi" })), Allows, None),
        (
            "another access mode",
            Some(volumes(&json!({ "accessMode": "ReadWriteOnce" }))),
            volumes(&json!({ "accessMode": "ReadWriteMany" })),
            Refuses,
            None,
        ),
        (
            "a default size is written out",
            Some(volumes(&json!({}))),
            volumes(&json!({ "volumeSize": "20Gi" })),
            Refuses,
            Some("defaults-written-out"),
        ),
        (
            "a default access mode is written out",
            Some(volumes(&json!({ "volumeSize": "3Gi" }))),
            volumes(&json!({ "volumeSize": "3Gi", "accessMode": "ReadWriteOnce" })),
            Refuses,
            Some("defaults-written-out"),
        ),
        ("two servers, as before", Some(two(json!({}))), two(json!({ "disk": "fast" })), Refuses, Some("wrong-before")),
        (
            "no version, as before",
            Some(of(&json!({ "jetstream": {} }))),
            of(&json!({ "jetstream": { "replicas": 5 } })),
            Refuses,
            Some("wrong-before"),
        ),
        ("a type at last", Some(of(&json!({}))), plain(), Refuses, Some("type-at-last")),
        ("redis", None, native(json!({})), Refuses, Some("redis")),
    ]
}

fn native(more: Value) -> Value {
    let mut spec = json!({ "version": "7.0.15" });
    if let (Some(fields), Value::Object(more)) = (spec.as_object_mut(), more) {
        fields.extend(more);
    }
    of(&json!({ "redis": { "native": spec } }))
}

/// As the last validator answers that knew Redis.
fn with_redis() -> Vec<Row> {
    let plain = || jetstream(json!({}));
    let class = || native(json!({ "persistence": { "storageClassName": "test-sc" } }));
    let external = || of(&json!({ "redis": { "external": { "url": "redis:6379" } } }));
    let both = || of(&json!({ "jetstream": { "version": "2.12.7" }, "redis": { "external": {} } }));
    vec![
        // Numaflow's own tests say these.
        ("redis with a storage class", None, class(), Allows, None),
        ("jetstream and redis", None, both(), Refuses, None),
        ("both kinds of redis", None, of(&json!({ "redis": { "native": { "version": "7.0.15" }, "external": {} } })), Refuses, None),
        ("neither kind of redis", None, of(&json!({ "redis": {} })), Refuses, None),
        ("redis without a version", None, of(&json!({ "redis": { "native": {} } })), Refuses, None),
        ("redis to jetstream", Some(class()), plain(), Refuses, None),
        ("jetstream to redis", Some(plain()), class(), Refuses, None),
        ("native redis vanishes", Some(class()), of(&json!({ "redis": {} })), Refuses, None),
        ("native redis at last", Some(of(&json!({ "redis": {} }))), class(), Refuses, Some("type-at-last")),
        ("volumes of redis are added", Some(native(json!({}))), class(), Refuses, Some("redis-volumes")),
        // The source says these.
        ("native to external", Some(native(json!({}))), external(), Refuses, None),
        ("external to native", Some(external()), native(json!({})), Refuses, None),
        ("two types, and one is left", Some(both()), plain(), Refuses, Some("type-at-last")),
        ("volumes of redis are taken away", Some(class()), native(json!({})), Refuses, Some("redis-volumes")),
    ]
}

/// What Numaflow allows and one of our rules refuses.
fn stricter() -> Vec<Row> {
    let row = |&(rule, index): &(&'static str, usize)| {
        let example = &rules::find(rule).expect(rule).examples[index];
        let read = |object: Result<Option<Value>, String>| object.expect(rule);
        assert!(example.faulty, "{rule} {index}");
        (rule, read(example.old_object()), read(example.new_object()).expect("no deletion"), Allows, Some(rule))
    };
    STRICTER.iter().map(row).collect()
}

/// The rules that refuse it.
fn refused_by((name, old, new, ..): &Row) -> BTreeSet<String> {
    let case = Case { name: (*name).to_owned(), old: old.clone(), new: new.clone(), terminating: false };
    let response = webhook(&case);
    let rules: BTreeSet<_> = response["auditAnnotations"]["denied-by"].as_str().into_iter().flat_map(|names| names.split(',')).collect();
    assert_eq!(response["allowed"], json!(rules.is_empty()), "{name}: {response}");
    rules.into_iter().map(str::to_owned).collect()
}

#[test]
fn each_difference_from_numaflow_is_listed_and_met() {
    let mut met = BTreeSet::new();
    for row in [today(), with_redis(), stricter()].concat() {
        let (name, .., numaflow, differs) = &row;
        let ours = refused_by(&row);
        match differs {
            None => {
                assert_eq!(ours.is_empty(), *numaflow == Allows, "{name}: Numaflow {numaflow:?}, and no difference is listed; {ours:?}");
            }
            Some(difference) if *numaflow == Refuses => {
                assert!(ours.is_empty(), "{name}: {difference} is no difference, both refuse: {ours:?}");
                assert!(MILDER.iter().any(|(one, _)| one == difference), "{name}: {difference} is not listed");
            }
            // One fault, so that the rule alone makes the difference.
            Some(rule) => assert_eq!(ours, BTreeSet::from([(*rule).to_owned()]), "{name}"),
        }
        met.extend(*differs);
    }
    for (difference, why) in MILDER {
        assert!(met.contains(difference), "no case shows {difference} ({why})");
    }
}

/// A new rule that refuses has to be put beside what Numaflow does.
#[test]
fn each_rule_that_refuses_is_numaflows_as_well_or_a_listed_difference() {
    let both: BTreeSet<_> =
        [today(), with_redis()].concat().iter().filter(|(.., numaflow, _)| *numaflow == Refuses).flat_map(refused_by).collect();
    assert_eq!(both, SHARED.iter().map(|name| (*name).to_owned()).collect());
    // Numaflow's webhook allows every deletion.
    for rule in rules::ALL.iter().filter(|rule| rule.level == Level::Deny && rule.about != About::Deletion) {
        let listed = SHARED.contains(&rule.name) || STRICTER.iter().any(|(name, _)| *name == rule.name);
        assert!(listed, "{}: does Numaflow refuse it as well? See SHARED and STRICTER", rule.name);
    }
}
