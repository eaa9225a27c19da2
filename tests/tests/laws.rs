//! The laws of DESIGN.md that the pure core keeps, each with a test of its name. `docs/architecture.md` lists them all.

#[path = "laws/refused.rs"]
mod refused;

use isbsvc::api::names;
use isbsvc::health::{Level, verdict};
use isbsvc::observed::{Fact, PipelineUse};
use isbsvc::plan::{Action, ChildKind};
use isbsvc_tests::simulator::{Simulator, server};
use serde_json::{Value, json};

fn healthy(spec: &Value) -> Simulator {
    let mut simulator = Simulator::new(spec);
    simulator.settle();
    simulator.start_pods();
    simulator.settle();
    assert!(simulator.service().status.expect("a status").is_healthy());
    simulator
}

fn three() -> Value {
    json!({ "jetstream": { "version": "2.12.7", "replicas": 3, "persistence": { "volumeSize": "10Gi" } } })
}

fn secret(simulator: &Simulator, name: &str) -> Value {
    simulator.children.get(&(ChildKind::Secret, name.to_owned())).cloned().unwrap_or_default()
}

#[test]
fn quiet_when_done() {
    let mut simulator = healthy(&three());
    simulator.now = "2030-01-01T00:00:00Z".parse().expect("a time");
    let plan = simulator.step();
    assert_eq!(plan.actions, [], "an hour or a year later, nothing is written");
    assert!(plan.events.is_empty() && plan.held.is_none());
}

#[test]
fn keys_live_once() {
    let mut simulator = healthy(&three());
    let (server, client) = (secret(&simulator, "isbsvc-default-js-server"), secret(&simulator, "isbsvc-default-js-client-auth"));
    // The clients' half is lost and comes back from the other half.
    simulator.children.remove(&(ChildKind::Secret, "isbsvc-default-js-client-auth".to_owned()));
    simulator.settle();
    assert_eq!(secret(&simulator, "isbsvc-default-js-client-auth")["data"], client["data"]);
    assert_eq!(secret(&simulator, "isbsvc-default-js-server"), server, "the other half was not touched");
    // The servers' half is lost: clients keep user and password.
    simulator.children.remove(&(ChildKind::Secret, "isbsvc-default-js-server".to_owned()));
    simulator.settle();
    assert_eq!(secret(&simulator, "isbsvc-default-js-client-auth")["data"], client["data"]);
    assert!(secret(&simulator, "isbsvc-default-js-server")["data"]["auth"].is_string());
}

#[test]
fn a_lost_encryption_key_stops_us_with_words() {
    let mut simulator = healthy(&json!({ "jetstream": { "version": "2.12.7", "encryption": true } }));
    let before = simulator.service().status.expect("a status");
    simulator.children.remove(&(ChildKind::Secret, "isbsvc-default-js-server".to_owned()));
    let plan = simulator.settle();
    assert!(plan.held.is_some_and(|why| why.contains("encryption key")));
    assert_eq!(secret(&simulator, "isbsvc-default-js-server"), Value::Null, "no new key is drawn over stored messages");
    let after = simulator.service().status.expect("a status");
    assert_eq!(after.conditions, before.conditions, "the servers still serve");
    assert!(after.message.is_some_and(|message| message.contains("put the Secret back")));
    // Law honest-health: what we may not write to is watched all the same.
    for ordinal in 0..2 {
        simulator.pods.insert(names::pod("default", ordinal), false);
    }
    let plan = simulator.settle();
    let after = simulator.service().status.expect("a status");
    assert!(!after.is_healthy() && plan.verdict.is_some_and(|verdict| verdict.level == Level::Critical), "{after:?}");
}

#[test]
fn same_bytes() {
    let mut simulator = healthy(&three());
    let before = simulator.service().status.expect("a status").config;
    simulator.edit_spec("/jetstream/containerTemplate", json!({ "resources": { "limits": { "memory": "1Gi" } } }));
    simulator.settle();
    assert_eq!(simulator.service().status.expect("a status").config, before);
    let text = simulator.children[&(ChildKind::StatefulSet, names::stateful_set("default"))].to_string();
    assert!(text.contains("GOMEMLIMIT"), "the change itself was carried out");
}

#[test]
fn drift_is_repaired() {
    let mut simulator = healthy(&three());
    let wanted = simulator.children.clone();
    for (key, pointer, value) in [
        (ChildKind::StatefulSet, "/spec/replicas", json!(1)),
        (ChildKind::StatefulSet, "/spec/template/spec/containers/0/image", json!("elsewhere")),
        (ChildKind::Service, "/spec/ports/0/port", json!(4333)),
        (ChildKind::ConfigMap, "/data/nats-js", json!("port: 1")),
        (ChildKind::PodDisruptionBudget, "/spec/maxUnavailable", json!(3)),
    ] {
        let at = simulator.children.keys().find(|(kind, _)| *kind == key).cloned().expect("made");
        *simulator.children.get_mut(&at).and_then(|object| object.pointer_mut(pointer)).expect("a field") = value;
        let plan = simulator.step();
        assert_eq!(plan.actions.len(), 1, "{pointer}: {:?}", plan.actions);
        assert_eq!(simulator.children[&at].pointer(pointer), wanted[&at].pointer(pointer), "{pointer}");
    }
    for at in wanted.keys() {
        simulator.children.remove(at);
        simulator.settle();
        assert!(simulator.children.contains_key(at), "{at:?} came back");
    }
}

#[test]
fn honest_health() {
    let mut simulator = Simulator::new(&three());
    simulator.settle();
    simulator.start_pods();
    // Every pod is ready, but no leader is agreed yet: not healthy the first time.
    for ordinal in 0..3 {
        let name = names::pod("default", ordinal);
        simulator.servers.insert(name.clone(), Fact::Known(server(&name, 3, None)));
    }
    simulator.settle();
    assert!(!simulator.service().status.expect("a status").is_healthy());
    simulator.start_pods();
    simulator.settle();
    assert!(simulator.service().status.expect("a status").is_healthy());
    // Once healthy, a silent server is told in words and turns nothing.
    simulator.servers.insert(names::pod("default", 1), Fact::Unknown("pod isbsvc-default-js-1: no answer".to_owned()));
    simulator.settle();
    let status = simulator.service().status.expect("a status");
    assert!(status.is_healthy() && status.message.expect("words").contains("no answer"));
    let found = verdict(&simulator.service(), &simulator.observed(), simulator.now);
    assert_eq!(found.level, Level::Warning);
    // A lost quorum of ready pods turns the condition.
    for ordinal in 1..3 {
        simulator.pods.insert(names::pod("default", ordinal), false);
    }
    simulator.settle();
    let status = simulator.service().status.expect("a status");
    assert!(!status.is_healthy() && status.message.expect("words").starts_with("Unavailable:"));
}

#[test]
fn a_service_is_deleted_only_when_no_pipeline_uses_it_and_its_claims_go_last() {
    let mut simulator = healthy(&three());
    simulator.claim();
    simulator.pipelines = vec![PipelineUse { name: "orders".to_owned(), deleting: false }];
    simulator.delete();
    simulator.settle();
    assert!(simulator.exists() && simulator.service().status.expect("a status").message.expect("words").contains("orders"));
    assert!(simulator.children.contains_key(&(ChildKind::StatefulSet, names::stateful_set("default"))), "it goes on serving");
    simulator.pipelines.clear();
    let order: Vec<_> = std::iter::from_fn(|| simulator.exists().then(|| simulator.step()))
        .flat_map(|plan| plan.actions)
        .filter_map(|action| match action {
            Action::Delete { kind, .. } => Some(format!("{kind:?}")),
            Action::SetFinalizers { .. } => Some("finalizer".to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["StatefulSet", "PersistentVolumeClaim", "finalizer"]);
}

#[test]
fn volumes_are_kept_where_the_user_says_so() {
    let mut simulator = healthy(&three());
    let claim = simulator.claim();
    simulator.object["metadata"]["annotations"] = json!({ names::KEEP_VOLUMES_ANNOTATION: "true" });
    simulator.delete();
    simulator.settle();
    assert!(!simulator.exists() && simulator.children.contains_key(&(ChildKind::PersistentVolumeClaim, claim)));
}

#[test]
fn a_native_redis_service_is_admitted_and_gets_no_child_and_no_finalizer() {
    let mut simulator = Simulator::new(&json!({ "redis": { "native": { "version": "7.0.15" } } }));
    simulator.settle();
    assert!(simulator.children.is_empty() && simulator.finalizers().is_empty());
    let status = simulator.service().status.expect("a status");
    assert!(!status.is_healthy() && status.message.expect("words").contains("does not serve native Redis yet"));
}

#[test]
fn an_item_that_somebody_added_to_a_list_of_ours_goes_again() {
    let mut simulator = healthy(&three());
    let set = (ChildKind::StatefulSet, names::stateful_set("default"));
    let env = "/spec/template/spec/containers/0/env";
    let wanted = simulator.children[&set].pointer(env).cloned();
    simulator.edit_child(set.0, &set.1, &format!("{env}/-"), &json!({ "name": "FOO", "value": "x" }));
    let plan = simulator.step();
    assert!(
        matches!(plan.actions.as_slice(), [Action::Patch { .. }]),
        "server-side apply would leave the item of another manager: {:?}",
        plan.actions
    );
    assert_eq!(simulator.children[&set].pointer(env).cloned(), wanted);
    assert_eq!(simulator.step().actions, []);
}

#[test]
fn law_drift_is_repaired_a_field_that_somebody_added_to_a_map_of_ours_goes_again() {
    let mut simulator = healthy(&three());
    let (kind, name) = (ChildKind::StatefulSet, names::stateful_set("default"));
    for (pointer, value) in [
        ("/spec/template/spec/nodeSelector", json!({ "example.com/extra": "x" })),
        ("/spec/template/spec/hostNetwork", json!(true)),
        ("/spec/template/spec/containers/0/stdin", json!(true)),
        ("/spec/ordinals", json!({ "start": 1 })),
    ] {
        simulator.edit_child(kind, &name, pointer, &value);
        let plan = simulator.step();
        assert!(matches!(plan.actions.as_slice(), [Action::Patch { .. }]), "{pointer}: {:?}", plan.actions);
        assert_eq!(simulator.children[&(kind, name.clone())].pointer(pointer), None, "{pointer}");
        assert_eq!(simulator.step().actions, [], "{pointer}");
    }
    let (kind, name) = (ChildKind::ConfigMap, names::config_map("default"));
    simulator.edit_child(kind, &name, "/data/extra", &json!("x"));
    simulator.settle();
    assert_eq!(simulator.children[&(kind, name)].pointer("/data/extra"), None);
}

#[test]
fn law_quiet_when_done_what_an_admission_webhook_injects_is_no_drift() {
    let mut simulator = healthy(&three());
    let set = simulator.children.get_mut(&(ChildKind::StatefulSet, names::stateful_set("default"))).expect("made");
    let pod = set.pointer_mut("/spec/template/spec").expect("a pod template");
    pod["hostAliases"] = json!([{ "ip": "10.0.0.1" }]);
    for (list, item) in [("/containers/0/env", json!({ "name": "INJECTED", "value": "x" })), ("/containers", json!({ "name": "proxy" }))] {
        pod.pointer_mut(list).and_then(Value::as_array_mut).expect("a list").push(item);
    }
    assert_eq!(simulator.step().actions, [], "nobody owns it: it would be injected again, for ever");
}

#[test]
fn a_lost_key_of_a_secret_is_added_and_the_others_stay() {
    let mut simulator = healthy(&three());
    let before = secret(&simulator, "isbsvc-default-js-server");
    let at = (ChildKind::Secret, "isbsvc-default-js-server".to_owned());
    for key in ["cert", "auth"] {
        simulator.children.get_mut(&at).and_then(|object| object["data"].as_object_mut()).expect("data").remove(key);
        let plan = simulator.step();
        assert!(
            matches!(plan.actions.as_slice(), [Action::Patch { precondition, .. }] if precondition.resource_version.is_some()),
            "{:?}",
            plan.actions.len()
        );
        assert!(secret(&simulator, "isbsvc-default-js-server")["data"][key].is_string());
    }
    for key in ["encryption", "cluster-cert", "cluster-private-key"] {
        assert_eq!(secret(&simulator, "isbsvc-default-js-server")["data"][key], before["data"][key], "{key}");
    }
}

#[test]
fn a_key_that_is_no_text_is_there_all_the_same() {
    let mut simulator = healthy(&json!({ "jetstream": { "version": "2.12.7", "encryption": true } }));
    let at = (ChildKind::Secret, "isbsvc-default-js-server".to_owned());
    // Bytes ff fe fd: no UTF-8.
    simulator.children.get_mut(&at).expect("made")["data"]["encryption"] = json!("//79");
    assert_eq!(simulator.step().actions, [], "it is never written over");
}

#[test]
fn users_that_cannot_be_read_and_certificates_that_servers_run_with_stop_us() {
    let mut simulator = healthy(&json!({ "jetstream": { "version": "2.12.7", "tls": true } }));
    let at = (ChildKind::Secret, "isbsvc-default-js-server".to_owned());
    let good = simulator.children[&at].clone();
    simulator.children.get_mut(&at).and_then(|object| object["data"].as_object_mut()).expect("data").remove("cluster-cert");
    assert!(simulator.settle().held.expect("words").contains("certificate"));
    simulator.children.insert(at.clone(), good.clone());
    simulator.children.get_mut(&at).expect("made")["data"]["auth"] = json!("bm90aGluZw==");
    simulator.children.remove(&(ChildKind::Secret, "isbsvc-default-js-client-auth".to_owned()));
    assert!(simulator.settle().held.expect("words").contains("users"));
    assert!(!simulator.children.contains_key(&(ChildKind::Secret, "isbsvc-default-js-client-auth".to_owned())));
}

#[test]
fn kept_volumes_keep_what_reads_them() {
    let mut simulator = healthy(&json!({ "jetstream": { "version": "2.12.7", "encryption": true, "persistence": {} } }));
    simulator.claim();
    simulator.object["metadata"]["annotations"] = json!({ names::KEEP_VOLUMES_ANNOTATION: "true" });
    simulator.delete();
    simulator.settle();
    assert!(!simulator.exists());
    for (kind, name) in [(ChildKind::Secret, names::server_secret("default")), (ChildKind::ConfigMap, names::config_map("default"))] {
        assert!(simulator.children[&(kind, name)]["metadata"].get("ownerReferences").is_none(), "{kind:?} goes on without its owner");
    }
    // The service is made anew without encryption: refused, because the kept volumes were written with it.
    let mut again = Simulator::new(&json!({ "jetstream": { "version": "2.12.7", "persistence": {} } }));
    again.children = simulator.children;
    again.children.retain(|(kind, _), _| matches!(kind, ChildKind::Secret | ChildKind::ConfigMap | ChildKind::PersistentVolumeClaim));
    again.settle();
    assert!(again.service().status.expect("a status").message.expect("words").contains("encryption-toggle"));
}

#[test]
fn another_budget_makes_ours_withdraw() {
    let mut simulator = healthy(&three());
    let mut observed = simulator.observed();
    let theirs = json!({ "metadata": { "name": "default" }, "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app.kubernetes.io/component": "isbsvc", "numaflow.numaproj.io/isbsvc-name": "default" } } } });
    let unrelated = json!({ "metadata": { "name": "web" }, "spec": { "maxUnavailable": 1, "selector": { "matchExpressions": [{ "key": "app", "operator": "In", "values": ["web"] }] } } });
    let budgets = |objects: &[&Value]| {
        Fact::Known(objects.iter().map(|object| serde_json::from_value((*object).clone()).expect("a budget")).collect())
    };
    observed.other_budgets = budgets(&[&unrelated]);
    let quiet = isbsvc::plan::plan(
        &isbsvc::plan::Input { service: &simulator.service(), config: &simulator.config, now: simulator.now },
        &observed,
        &isbsvc::plan::Material::default(),
    );
    assert_eq!(quiet.actions, [], "a budget over other pods is none of our business");
    observed.other_budgets = budgets(&[&unrelated, &theirs]);
    let service = simulator.service();
    let input = isbsvc::plan::Input { service: &service, config: &simulator.config, now: simulator.now };
    let plan = isbsvc::plan::plan(&input, &observed, &isbsvc::plan::Material::default());
    assert!(matches!(plan.actions.as_slice(), [Action::Delete { kind: ChildKind::PodDisruptionBudget, .. }]), "{:?}", plan.actions);
    simulator.settle();
}

#[test]
fn secret_silence() {
    let mut simulator = Simulator::new(&three());
    let plan = simulator.plan();
    let told = format!("{:?}{:?}{:?}", plan.events, plan.status, plan.held);
    for word in ["password-", "system-", "encryption-", "-key-"] {
        assert!(!told.contains(word), "{word}");
    }
}

#[test]
fn law_honest_health_pods_that_cannot_be_seen_are_not_called_gone() {
    let simulator = healthy(&three());
    let mut observed = simulator.observed();
    observed.pods = Fact::Unknown("no permission to list pods in namespace simulated".to_owned());
    let planned = |service: &isbsvc::api::InterStepBufferService| {
        let input = isbsvc::plan::Input { service, config: &simulator.config, now: simulator.now };
        isbsvc::plan::plan(&input, &observed, &isbsvc::plan::Material::default()).status.expect("a status")
    };
    let mut service = simulator.service();
    assert!(planned(&service).is_healthy(), "pipelines go on");
    service.status = None;
    let status = planned(&service);
    let condition = status.conditions.iter().find(|condition| condition.type_ == "ChildrenResourcesHealthy").expect("it is there");
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "ListPodsFailed"));
}
