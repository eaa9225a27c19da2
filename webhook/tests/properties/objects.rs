//! Services as anybody may send them: right ones, half right ones, and wild ones.

use isbsvc::api::names;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Values of the fields that the rules ask about: right ones first, then wrong ones, then some of another type.
fn field() -> impl Strategy<Value = (String, Value)> {
    let values: [(&str, Vec<Value>); 12] = [
        ("version", vec![json!("2.12.7"), json!("2.10.29"), json!("latest"), json!("9.9.9"), json!(2.1), json!(null)]),
        ("replicas", vec![json!(1), json!(3), json!(5), json!(2), json!(0), json!(-1), json!(99), json!("3"), json!(3.5), json!(null)]),
        (
            "persistence",
            vec![
                json!(null),
                json!({}),
                json!({ "volumeSize": "1Gi" }),
                json!({ "volumeSize": null, "accessMode": null, "unknown": [{}] }),
                json!({ "volumeSize": "lots", "accessMode": "Any" }),
                json!({ "storageClassName": 5 }),
                json!(7),
            ],
        ),
        ("encryption", vec![json!(true), json!(false), json!("true"), json!(null)]),
        ("tls", vec![json!(true), json!(false), json!("no"), json!(null)]),
        (
            "settings",
            vec![json!("max_payload: 2MB\n"), json!("max_file_store: 100MB\n"), json!("store_dir: /\nx: 1\n"), json!("["), json!(1)],
        ),
        ("bufferConfig", vec![json!("stream:\n  maxMsgs: 5\n"), json!("stream:\n  maxMessages: 5\n"), json!("stream: ["), json!({})]),
        ("startArgs", vec![json!([]), json!(["-D"]), json!(["-c=/x", "\u{1b}[31m"]), json!("-D")]),
        (
            "containerTemplate",
            vec![json!({}), json!({ "env": [{ "name": "JS_KEY" }] }), json!({ "livenessProbe": { "successThreshold": 2 } }), json!(1)],
        ),
        ("affinity", vec![json!({}), json!({ "nodeAffinity": 1 }), json!([])]),
        ("priority", vec![json!(7), json!("5"), json!(1e300), json!(u64::MAX)]),
        ("tolerations", vec![json!([]), json!([{ "key": "k", "operator": "Exists" }]), json!({})]),
    ];
    prop::sample::select(values.to_vec()).prop_flat_map(|(name, values)| (Just(name.to_owned()), prop::sample::select(values)))
}

/// Any JSON at all, with the numbers and texts that are read in more than one way.
pub fn wild() -> impl Strategy<Value = Value> {
    let strange = vec![
        json!(null),
        json!(-0.0),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.1),
        json!("\u{0}\u{1b}[2J\u{202e}"),
        json!("~1/~0"),
    ];
    let leaf = prop_oneof![prop::sample::select(strange), any::<bool>().prop_map(Value::from), "\\PC{0,12}".prop_map(Value::from)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = "name|value|replicas|persistence|/a~b|[a-z]{1,6}|\\PC{0,4}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The fields of a service, with unknown ones among them.
fn fields() -> impl Strategy<Value = Value> {
    let some = |field: BoxedStrategy<(String, Value)>, most| prop::collection::vec(field, 0..most);
    let unknown = ("fromTheFuture|[a-z]{1,8}", wild()).boxed();
    (some(field().boxed(), 7), some(unknown, 3), any::<bool>()).prop_map(|(known, unknown, has_version)| {
        let base = has_version.then(|| ("version".to_owned(), json!("2.12.7")));
        Value::Object(unknown.into_iter().chain(base).chain(known).collect())
    })
}

/// What stands in `spec`.
pub fn spec() -> impl Strategy<Value = Value> {
    let external = json!({ "redis": { "external": { "url": "a:6379" } } });
    prop_oneof![
        8 => fields().prop_map(|fields| json!({ "jetstream": fields })),
        2 => fields().prop_map(|fields| json!({ "redis": { "native": fields } })),
        1 => (fields(), fields()).prop_map(|(one, other)| json!({ "jetstream": one, "redis": { "native": other }, "more": [null] })),
        1 => Just(external),
        1 => wild(),
    ]
}

/// A service with this spec, as the API server sends it.
pub fn service(spec: &Value) -> Value {
    json!({
        "apiVersion": names::API_VERSION, "kind": names::KIND, "spec": spec,
        "metadata": { "name": "default", "namespace": "ns", "uid": "o", "managedFields": [{ "manager": "m", "fieldsV1": { "f:spec": {} } }] },
        "status": { "phase": 5 },
    })
}

/// A review of it.
pub fn review(operation: &str, old: &Value, new: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": operation, "object": new, "oldObject": old, "name": "default", "namespace": "ns", "dryRun": false,
            "kind": { "group": names::GROUP, "version": "v1alpha1", "kind": names::KIND },
            "resource": { "group": names::GROUP, "version": "v1alpha1", "resource": names::PLURAL },
            "userInfo": { "username": "jane" }, "options": { "kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1" },
        },
    })
}

/// The same JSON with the keys of each map the other way round, as text: a map of `serde_json` keeps its keys sorted.
pub fn backwards(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().rev().map(|(key, value)| format!("{}:{}", json!(key), backwards(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(backwards).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// The object without what the defaults may add.
pub fn without_defaults(object: &Value, pointers: &[&str]) -> Value {
    let mut object = object.clone();
    for pointer in pointers {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
            fields.remove(key);
        }
    }
    object
}

/// The fields of a map, empty where it is none.
pub fn map(value: Option<&Value>) -> Map<String, Value> {
    value.and_then(Value::as_object).cloned().unwrap_or_default()
}
