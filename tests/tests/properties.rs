//! Properties of the planner over many specs: nothing panics, what is valid can be carried out, and a plan that was carried out leaves nothing to do.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use isbsvc::api::names;
use isbsvc::plan::ChildKind;
use isbsvc_tests::simulator::Simulator;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// One field of a spec that the rules accept; null leaves it out.
fn valid(field: &'static str) -> BoxedStrategy<Value> {
    let one_of = |values: Vec<Value>| prop::sample::select(values).boxed();
    match field {
        "version" => one_of(vec![json!("2.12.7"), json!("2.10.29"), json!("2.8.1"), json!("latest")]),
        "replicas" => one_of(vec![json!(null), json!(1), json!(3), json!(5)]),
        "persistence" => one_of(vec![
            json!(null),
            json!({}),
            json!({ "volumeSize": "1Gi" }),
            json!({ "storageClassName": "fast", "accessMode": "ReadWriteOncePod" }),
        ]),
        "tls" | "encryption" | "automountServiceAccountToken" => one_of(vec![json!(null), json!(false), json!(true)]),
        "settings" => one_of(vec![json!(null), json!("max_payload: 2MB\n"), json!("max_file_store: 100MB\nmax_memory_store: 10M\n")]),
        "bufferConfig" => one_of(vec![json!(null), json!("stream:\n  maxMsgs: 5\n"), json!("consumer:\n  ackWait: 30s\n")]),
        "containerTemplate" => one_of(vec![
            json!(null),
            json!({ "resources": { "limits": { "memory": "512Mi" }, "requests": { "cpu": "0.5" } } }),
            json!({ "env": [{ "name": "A", "value": "b" }], "imagePullPolicy": "Always", "livenessProbe": { "periodSeconds": 7 } }),
            json!({ "env": [{ "name": "GOMEMLIMIT", "value": "100MiB" }], "startupProbe": { "failureThreshold": 7200 }, "resources": {} }),
            json!({ "securityContext": { "runAsUser": 1000 }, "envFrom": [{ "secretRef": { "name": "more" } }], "readinessProbe": {} }),
        ]),
        "reloaderContainerTemplate" | "metricsContainerTemplate" => one_of(vec![
            json!(null),
            json!({}),
            json!({ "resources": { "limits": { "cpu": "100m" } }, "imagePullPolicy": "Never" }),
            json!({ "env": [{ "name": "GOMEMLIMIT", "value": "1" }], "securityContext": {}, "livenessProbe": { "periodSeconds": 7 } }),
        ]),
        "metadata" => one_of(vec![json!(null), json!({ "labels": { "team": "a/b".replace('/', "-") }, "annotations": { "x/y": "1" } })]),
        "nodeSelector" => one_of(vec![json!(null), json!({ "disk": "ssd" })]),
        "tolerations" => one_of(vec![json!(null), json!([]), json!([{ "key": "k", "operator": "Exists" }])]),
        "affinity" => one_of(vec![
            json!(null),
            json!({}),
            json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchFields": [] }] } } }),
            json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
                { "topologyKey": "zone", "labelSelector": { "matchLabels": { "team": "a" } } },
            ] } }),
        ]),
        "securityContext" => one_of(vec![json!(null), json!({}), json!({ "runAsUser": 1000, "fsGroup": 1000, "runAsNonRoot": false })]),
        "priority" => one_of(vec![json!(null), json!(0), json!(7), json!(-7)]),
        "priorityClassName" | "serviceAccountName" | "runtimeClassName" => one_of(vec![json!(null), json!("some")]),
        "imagePullSecrets" => one_of(vec![json!(null), json!([]), json!([{ "name": "a" }, { "name": "b" }])]),
        "dnsPolicy" => one_of(vec![json!(null), json!("Default"), json!("ClusterFirst")]),
        "dnsConfig" => one_of(vec![json!(null), json!({}), json!({ "options": [{ "name": "ndots", "value": "2" }], "searches": ["a"] })]),
        "resourceClaims" => one_of(vec![json!(null), json!([]), json!([{ "name": "a", "resourceClaimName": "b" }])]),
        "startArgs" => one_of(vec![json!(null), json!([]), json!(["-D"]), json!(["-V", "-T=false"])]),
        other => panic!("no values for {other}"),
    }
}

/// Every field that `spec.jetstream` can have.
const FIELDS: [&str; 25] = [
    "version",
    "replicas",
    "persistence",
    "tls",
    "encryption",
    "settings",
    "bufferConfig",
    "containerTemplate",
    "metadata",
    "nodeSelector",
    "tolerations",
    "startArgs",
    "affinity",
    "securityContext",
    "priority",
    "priorityClassName",
    "imagePullSecrets",
    "serviceAccountName",
    "automountServiceAccountToken",
    "runtimeClassName",
    "dnsPolicy",
    "dnsConfig",
    "resourceClaims",
    "reloaderContainerTemplate",
    "metricsContainerTemplate",
];

#[test]
fn no_field_is_left_out() {
    let definition = isbsvc::api::crd();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["jetstream"];
    let mut known: Vec<_> = schema["properties"].as_object().into_iter().flatten().map(|(field, _)| field.as_str()).collect();
    let mut tried = FIELDS.to_vec();
    known.sort_unstable();
    tried.sort_unstable();
    assert_eq!(tried, known);
}

fn spec() -> impl Strategy<Value = Value> {
    FIELDS.map(valid).to_vec().prop_map(|values| {
        let fields = FIELDS.iter().zip(values).filter(|(_, value)| !value.is_null());
        json!({ "jetstream": fields.map(|(field, value)| ((*field).to_owned(), value)).collect::<Map<_, _>>() })
    })
}

/// Any JSON at all under the names that a spec has.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from)
    ];
    let inner = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("name|value|[a-z]{1,6}", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    let field = prop::sample::select(FIELDS.to_vec()).prop_map(str::to_owned);
    prop::collection::btree_map(field, inner, 0..5).prop_map(|map| json!({ "jetstream": map }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_valid_spec_is_carried_out_and_then_it_is_quiet(spec in spec()) {
        let mut simulator = Simulator::new(&spec);
        simulator.settle();
        simulator.start_pods();
        let plan = simulator.settle();
        prop_assert!(plan.held.is_none(), "{:?}", plan.held);
        prop_assert!(simulator.service().status.is_some_and(|status| status.is_healthy()), "{spec}");
        prop_assert!(simulator.children.contains_key(&(ChildKind::StatefulSet, names::stateful_set("default"))));
        prop_assert_eq!(simulator.step().actions, vec![]);
    }

    #[test]
    fn any_change_is_carried_out_or_refused_and_then_it_is_quiet(before in spec(), after in spec()) {
        let mut simulator = Simulator::new(&before);
        simulator.settle();
        simulator.start_pods();
        simulator.settle();
        simulator.edit_spec("/jetstream", after["jetstream"].clone());
        simulator.settle();
        simulator.start_pods();
        simulator.settle();
        let status = simulator.service().status.unwrap_or_default();
        prop_assert!(status.is_healthy(), "a change that is refused harms nothing, and one that is carried out serves: {:?}", status.message);
        prop_assert_eq!(simulator.step().actions, vec![]);
    }

    #[test]
    fn no_spec_panics(spec in anything(), later in anything()) {
        let mut simulator = Simulator::new(&spec);
        simulator.settle();
        simulator.edit_spec("/jetstream", later["jetstream"].clone());
        simulator.settle();
        simulator.delete();
        simulator.settle();
        prop_assert!(!simulator.exists());
    }
}
