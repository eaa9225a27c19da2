//! The planner against what Numaflow's own controller was observed to make, field by field. Every difference is intended, and listed with its reason.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use std::collections::BTreeMap;

use isbsvc::controller_config::ControllerConfig;
use isbsvc::observed::Observed;
use isbsvc::plan::{ChildKind, Input, Material, Plan, plan};
use isbsvc_tests::fixtures;
use serde_json::{Value, json};

fn planned(spec: &Value) -> Plan {
    let service = fixtures::service(spec);
    let config = ControllerConfig::built_in();
    let input = Input { service: &service, config: &config, now: jiff::Timestamp::UNIX_EPOCH };
    plan(&input, &Observed::nothing(), &Material::placeholders())
}

fn desired(plan: &Plan, kind: ChildKind, name: &str) -> Value {
    plan.desired
        .iter()
        .find(|desired| desired.kind == kind && desired.name == name)
        .unwrap_or_else(|| panic!("no {kind:?} {name}"))
        .object
        .clone()
}

/// Every leaf of a value by its JSON pointer; list items that have a name are addressed by it, so that an added item moves no other.
fn leaves(value: &Value, at: &str, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                leaves(value, &format!("{at}/{}", key.replace('/', "~1")), into);
            }
        }
        Value::Array(items) if !items.is_empty() => items.iter().enumerate().for_each(|(index, value)| {
            let name = value.get("name").and_then(Value::as_str).map_or_else(|| index.to_string(), str::to_owned);
            leaves(value, &format!("{at}/{name}"), into);
        }),
        _ => {
            into.insert(at.to_owned(), value.clone());
        }
    }
}

/// What the API server adds to what a client writes; the observed objects were read back from one.
const FILLED_IN: &[&str] = &[
    "/spec/revisionHistoryLimit",
    "/spec/updateStrategy/rollingUpdate/partition",
    "/spec/template/spec/dnsPolicy",
    "/spec/template/spec/restartPolicy",
    "/spec/template/spec/schedulerName",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "/spec/template/spec/volumes/config-volume/projected/defaultMode",
    "/valueFrom/fieldRef/apiVersion",
    "/spec/template/spec/containers/main/resources",
    "/spec/template/spec/containers/reloader/resources",
    "/spec/template/spec/containers/metrics/resources",
    "/spec/clusterIPs/",
    "/spec/internalTrafficPolicy",
    "/spec/ipFamilies/",
    "/spec/ipFamilyPolicy",
    "/spec/sessionAffinity",
    "/status/loadBalancer",
];

fn assert_differs_only(ours: &Value, observed: &Value, intended: &[(&str, &str)]) {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    leaves(ours, "", &mut left);
    leaves(observed, "", &mut right);
    let mut keys: Vec<_> = left.keys().chain(right.keys()).cloned().collect();
    keys.sort();
    keys.dedup();
    let mut used = vec![false; intended.len()];
    let mut surprises = Vec::new();
    for key in keys.into_iter().filter(|key| left.get(key) != right.get(key)) {
        if !left.contains_key(&key) && FILLED_IN.iter().any(|part| key.contains(part)) {
            continue;
        }
        match intended.iter().position(|(part, _)| key.starts_with(part)) {
            Some(index) => used[index] = true,
            None => surprises.push(format!("{key}: ours {:?}, observed {:?}", left.get(&key), right.get(&key))),
        }
    }
    assert!(surprises.is_empty(), "not intended:\n{}", surprises.join("\n"));
    let unused: Vec<_> = intended.iter().zip(&used).filter(|(_, used)| !**used).map(|((part, _), _)| part).collect();
    assert!(unused.is_empty(), "listed as intended, but no difference: {unused:?}");
}

const HASH: (&str, &str) = ("/metadata/annotations/numaflow.numaproj.io~1hash", "a digest of our own desired object");

const DESIRED_HASH: (&str, &str) = (
    "/metadata/annotations/numaflow.numaproj.io~1desired-hash",
    "law drift-is-repaired: the same digest where it is ours alone, because one of Numaflow's controller stays",
);

const BASELINE: (&str, &str) =
    ("/metadata/annotations/numaflow.numaproj.io~1baseline", "what runs is kept here, so that no upgrade of ours restarts anything");

const ACCEPTED: (&str, &str) =
    ("/metadata/annotations/numaflow.numaproj.io~1accepted-spec", "law refuse-without-harm: the last accepted spec is kept here");

const INSTANCE: (&str, &str) = (
    "/metadata/annotations/numaflow.numaproj.io~1accepted-instance",
    "law refuse-without-harm: another instance in the service's annotation is a refused change",
);

#[test]
fn the_config_map_is_the_observed_one() {
    let plan = planned(&json!({ "jetstream": { "version": "latest", "replicas": 3 } }));
    let ours = desired(&plan, ChildKind::ConfigMap, "isbsvc-default-js-config");
    assert_differs_only(
        &ours,
        &fixtures::observed("ConfigMap", "isbsvc-default-js-config"),
        &[HASH, DESIRED_HASH, ACCEPTED, INSTANCE, BASELINE],
    );
}

#[test]
fn the_service_is_the_observed_one() {
    let plan = planned(&json!({ "jetstream": { "version": "latest", "replicas": 3 } }));
    let ours = desired(&plan, ChildKind::Service, "isbsvc-default-js-svc");
    assert_differs_only(&ours, &fixtures::observed("Service", "isbsvc-default-js-svc"), &[HASH, DESIRED_HASH]);
}

#[test]
fn the_stateful_set_differs_where_we_mean_it_to() {
    let plan = planned(&json!({ "jetstream": { "version": "latest", "replicas": 3 } }));
    let ours = desired(&plan, ChildKind::StatefulSet, "isbsvc-default-js");
    assert_differs_only(
        &ours,
        &fixtures::observed("StatefulSet", "isbsvc-default-js"),
        &[
            HASH,
            DESIRED_HASH,
            ACCEPTED,
            INSTANCE,
            BASELINE,
            (
                "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted",
                "a deleted StatefulSet must never take the data with it; the finalizer deletes the claims",
            ),
            ("/spec/minReadySeconds", "a pause in a roll, in which streams catch up"),
            ("/spec/template/spec/affinity", "soft spreading over nodes and zones (defect 28)"),
            ("/spec/template/spec/automountServiceAccountToken", "no server needs a token (defect 32)"),
            ("/spec/template/spec/enableServiceLinks", "variables of every Service are no use here (defect 32)"),
            ("/spec/template/spec/securityContext", "Pod Security restricted"),
            ("/spec/template/spec/terminationGracePeriodSeconds", "longer than lame duck's grace and duration (defect 23)"),
            ("/spec/template/spec/containers/main/env/GOMEMLIMIT", "nine tenths of the limit, where there is one (defect 27)"),
            ("/spec/template/spec/containers/main/securityContext", "Pod Security restricted"),
            ("/spec/template/spec/containers/reloader/securityContext", "Pod Security restricted"),
            ("/spec/template/spec/containers/metrics/securityContext", "Pod Security restricted"),
            (
                "/spec/template/spec/containers/main/startupProbe",
                "js-server-only every second for half an hour: a large store is not interrupted (defect 24)",
            ),
            ("/spec/template/spec/containers/main/readinessProbe", "the reference has none (defect 25)"),
            ("/spec/template/spec/containers/main/livenessProbe", "js-enabled-only, so that a disabled store is noticed (defect 25)"),
        ],
    );
}

#[test]
fn the_secrets_have_the_observed_keys() {
    let plan = planned(&json!({ "jetstream": { "version": "latest", "replicas": 3 } }));
    for name in ["isbsvc-default-js-server", "isbsvc-default-js-client-auth"] {
        let (ours, observed) = (desired(&plan, ChildKind::Secret, name), fixtures::observed("Secret", name));
        let keys = |object: &Value| object["data"].as_object().map(|data| data.keys().cloned().collect::<Vec<_>>());
        assert_eq!(keys(&ours), keys(&observed), "{name}");
        assert_eq!(ours["type"], observed["type"], "{name}");
        // In case the StatefulSet and the ConfigMap are both deleted, the accepted spec stands on the servers' Secret.
        let intended: &[_] = if name == "isbsvc-default-js-server" { &[ACCEPTED, INSTANCE] } else { &[] };
        assert_differs_only(&json!({ "metadata": ours["metadata"] }), &json!({ "metadata": observed["metadata"] }), intended);
    }
}

#[test]
fn the_status_is_the_observed_one() {
    let plan = planned(&json!({ "jetstream": { "version": "latest", "replicas": 3 } }));
    let ours = json!(plan.status.expect("a status"));
    let observed = fixtures::observed("InterStepBufferService", "default")["status"].clone();
    for field in ["config", "observedGeneration", "phase", "type"] {
        assert_eq!(ours[field], observed[field], "{field}");
    }
    let kinds = |status: &Value| -> Vec<_> {
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions
            .into_iter()
            .map(|condition| (condition["type"].clone(), condition["status"].clone(), condition["reason"].clone()))
            .collect()
    };
    assert_eq!(kinds(&ours), kinds(&observed));
}

#[test]
fn volumes_bound_the_file_store() {
    let plan = planned(&json!({ "jetstream": { "version": "2.12.7", "persistence": { "volumeSize": "10Gi" } } }));
    let config =
        desired(&plan, ChildKind::ConfigMap, "isbsvc-default-js-config")["data"]["nats-js"].as_str().unwrap_or_default().to_owned();
    assert!(config.contains("max_file_store: 10200547328\n"), "{config}");
    let set = desired(&plan, ChildKind::StatefulSet, "isbsvc-default-js");
    let claim = &set["spec"]["volumeClaimTemplates"][0];
    assert_eq!(claim["spec"], json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "10Gi" } } }));
    let mounts = set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].clone();
    assert_eq!(mounts[2], json!({ "name": "isbsvc-default-js-vol", "mountPath": "/data/jetstream" }));
}

#[test]
fn a_single_server_is_no_cluster() {
    let plan = planned(&json!({ "jetstream": { "version": "2.12.7", "replicas": 1 } }));
    let config =
        desired(&plan, ChildKind::ConfigMap, "isbsvc-default-js-config")["data"]["nats-js"].as_str().unwrap_or_default().to_owned();
    assert!(!config.contains("cluster {"), "{config}");
    assert!(
        !plan.desired.iter().any(|desired| desired.kind == ChildKind::PodDisruptionBudget),
        "a budget over one server would block every drain"
    );
}

#[test]
fn a_service_whose_name_nats_reads_as_a_truth_value_has_a_cluster_all_the_same() {
    for (name, line) in [("on", "  name: \"on\"\n"), ("default", "  name: default\n")] {
        let mut service = fixtures::service(&json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } }));
        service.metadata.name = Some(name.to_owned());
        let input = Input { service: &service, config: &ControllerConfig::built_in(), now: jiff::Timestamp::UNIX_EPOCH };
        let plan = plan(&input, &Observed::nothing(), &Material::placeholders());
        let map = desired(&plan, ChildKind::ConfigMap, &format!("isbsvc-{name}-js-config"));
        assert!(map["data"]["nats-js"].as_str().is_some_and(|text| text.contains(line)), "{map}");
    }
}

/// What Pod Security `restricted` asks (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>), of the pod and of each container in it.
#[test]
fn the_pods_pass_pod_security_restricted() {
    for more in [
        json!({}),
        json!({ "replicas": 1 }),
        json!({ "tls": true, "encryption": true, "persistence": {} }),
        json!({ "containerTemplate": { "resources": { "limits": { "memory": "1Gi" } } }, "nodeSelector": { "disk": "fast" } }),
    ] {
        let mut spec = json!({ "version": "2.12.7" });
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        let set = desired(&planned(&json!({ "jetstream": spec })), ChildKind::StatefulSet, "isbsvc-default-js");
        let pod = &set["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true), "{more}");
        assert_ne!(pod["securityContext"]["runAsUser"], json!(0), "{more}");
        assert_eq!(pod["securityContext"]["seccompProfile"], json!({ "type": "RuntimeDefault" }), "{more}");
        for field in ["hostNetwork", "hostPID", "hostIPC"] {
            assert_eq!(pod[field], json!(null), "{more} {field}");
        }
        let lists = ["containers", "initContainers", "ephemeralContainers"];
        let containers: Vec<_> = lists.iter().flat_map(|list| pod[list].as_array().into_iter().flatten()).collect();
        assert_eq!(containers.len(), 3, "{more}");
        for container in containers {
            // The whole of it: neither another user, nor a capability back, nor a profile of its own.
            let expected = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
            assert_eq!(container["securityContext"], expected, "{more} {}", container["name"]);
            let host = container["ports"].as_array().into_iter().flatten().find(|port| port.get("hostPort").is_some());
            assert_eq!(host, None, "{more} {}", container["name"]);
        }
        for volume in pod["volumes"].as_array().into_iter().flatten() {
            assert!(volume["emptyDir"].is_object() || volume["projected"].is_object(), "{more} {volume}");
        }
    }
}
