use serde_json::{Value, json};
use tokio::time::advance;

use super::simulated::Namespace;
use super::*;

const COMPONENT: &str = "app.kubernetes.io/component";
const SET: &str = "isbsvc-default-js";
const SERVICE: &str = "isbsvc-default-js-svc";
const CONFIG: &str = "isbsvc-default-js-config";
const SERVER: &str = "isbsvc-default-js-server";
const CLIENT: &str = "isbsvc-default-js-client-auth";

fn three() -> Value {
    json!({ "jetstream": { "version": "2.12.7", "replicas": 3, "persistence": { "volumeSize": "10Gi" } } })
}

async fn made(spec: &Value) -> Namespace {
    let mut namespace = Namespace::with(spec);
    namespace.settle().await;
    assert!(namespace.get("statefulsets", SET).is_some(), "{:?}", namespace.writes());
    namespace
}

fn unlabel(object: &mut Value) {
    object["metadata"]["labels"].as_object_mut().unwrap().remove(COMPONENT);
}

#[test]
fn failures_wait_longer_each_time_up_to_a_limit() {
    assert_eq!([1, 2, 3].map(backoff), [500, 1000, 2000].map(Duration::from_millis));
    assert_eq!([8, 20, 33, 1000].map(backoff), [limits::RETRY_MOST; 4]);
}

#[tokio::test(start_paused = true)]
async fn law_quiet_when_done_a_look_asks_the_api_server_nothing() {
    let mut namespace = made(&three()).await;
    let before = namespace.requests();
    for _ in 0..10 {
        namespace.look().await;
        advance(Duration::from_mins(10)).await;
    }
    assert_eq!(namespace.requests(), before);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_is_told_with_numaflows_reasons() {
    let namespace = made(&three()).await;
    let reasons: Vec<_> = namespace.events().into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["JetStreamConfigMap", "JetStreamServiceSuccess", "JetStreamStatefulSetSuccess"]);
    let text = namespace.reconciler.metrics.text();
    assert!(text.contains("isbsvc_controller_writes_total{kind=\"Secret\",verb=\"created\"} 2\n"), "{text}");
    assert!(text.contains("isbsvc_service_level{ns=\"pl\",isbsvc=\"default\"} 3.0\n"), "no pod runs: {text}");
}

#[tokio::test(start_paused = true)]
async fn objects_that_lost_their_label_get_it_back() {
    let mut namespace = made(&three()).await;
    for (plural, name) in [("statefulsets", SET), ("services", SERVICE), ("configmaps", CONFIG), ("secrets", SERVER), ("secrets", CLIENT)] {
        let good = namespace.get(plural, name).unwrap();
        namespace.edit(plural, name, unlabel);
        let before = namespace.writes().len();
        namespace.settle().await;
        let now = namespace.get(plural, name).unwrap();
        assert_eq!(now["metadata"]["labels"], good["metadata"]["labels"], "{name}");
        assert_eq!(
            (&now["metadata"]["uid"], &now["data"], &now["spec"]),
            (&good["metadata"]["uid"], &good["data"], &good["spec"]),
            "{name}"
        );
        assert_eq!(namespace.writes()[before..], [format!("PATCH {plural}/{name}")], "law keys-live-once: nothing is made anew");
    }
}

#[tokio::test(start_paused = true)]
async fn all_of_them_without_their_label_get_it_back() {
    let mut namespace = made(&json!({ "jetstream": { "version": "2.12.7", "encryption": true, "persistence": {} } })).await;
    let keys = namespace.get("secrets", SERVER).unwrap()["data"].clone();
    for (plural, name) in [("statefulsets", SET), ("services", SERVICE), ("configmaps", CONFIG), ("secrets", SERVER), ("secrets", CLIENT)] {
        namespace.edit(plural, name, unlabel);
    }
    // An encrypted service that has lost its spec of old: had the labels not been looked behind, this would be a new, unencrypted one.
    namespace.edit(names::PLURAL, "default", |service| service["spec"]["jetstream"]["encryption"] = json!(false));
    namespace.settle().await;
    assert!(namespace.message().contains("encryption-toggle"), "{}", namespace.message());
    assert_eq!(namespace.get("secrets", SERVER).unwrap()["data"], keys);
    assert_eq!(namespace.get("secrets", SERVER).unwrap()["metadata"]["labels"][COMPONENT], "isbsvc");
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_somebody_else_is_left_alone_and_told_once() {
    for (plural, name, reason) in [
        ("services", SERVICE, "JetStreamServiceFailed"),
        ("statefulsets", SET, "JetStreamStatefulSetFailed"),
        ("configmaps", CONFIG, "JetStreamConfigMapFailed"),
        ("secrets", SERVER, "JetStreamAuthSecretsFailed"),
    ] {
        let mut namespace = Namespace::with(&three());
        let owner = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-2" });
        let theirs = json!({ "metadata": { "name": name, "namespace": "pl", "uid": "u-3", "ownerReferences": [owner] }, "data": {} });
        namespace.put(plural, &theirs);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let Ended::Failed { result: "foreign", retry } = namespace.look().await else { unreachable!("it is not ours: {name}") };
            waits.push(retry);
        }
        assert_eq!(namespace.get(plural, name), Some(theirs), "never written over");
        assert_eq!(namespace.writes(), [format!("PATCH {}/default/status", names::PLURAL)], "told once");
        assert!(namespace.message().starts_with(&format!("{reason}: make ")) && namespace.message().contains("belongs to Deployment web"));
        assert!(
            matches!(namespace.events().as_slice(), [(told, note)] if told == reason && note.contains("Deployment web")),
            "{:?}",
            namespace.events()
        );
        assert_eq!(waits.last(), Some(&limits::RETRY_MOST), "it does not run hot");
        // Once it is gone, the service is made.
        namespace.objects.lock().unwrap().remove(&(plural.to_owned(), name.to_owned()));
        namespace.settle().await;
        assert!(namespace.get("statefulsets", SET).is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_put_back_from_a_backup_is_taken_up() {
    let mut namespace = made(&json!({ "jetstream": { "version": "2.12.7", "encryption": true, "persistence": {} } })).await;
    let good = namespace.get("secrets", SERVER).unwrap();
    namespace.objects.lock().unwrap().remove(&("secrets".to_owned(), SERVER.to_owned()));
    namespace.settle().await;
    assert!(namespace.message().contains("put the Secret back from a backup"), "{}", namespace.message());
    // It is not asked for at each look.
    let before = namespace.requests();
    namespace.look().await;
    assert_eq!(namespace.requests(), before);
    // As a person would put it back: without our labels, without an owner.
    namespace.put("secrets", &json!({ "metadata": { "name": SERVER, "namespace": "pl", "uid": "u-9", "resourceVersion": "900" }, "type": "Opaque", "data": good["data"] }));
    advance(limits::HIDDEN_LOOK).await;
    namespace.settle().await;
    let now = namespace.get("secrets", SERVER).unwrap();
    assert_eq!((&now["data"], &now["metadata"]["labels"]), (&good["data"], &good["metadata"]["labels"]));
    assert!(!namespace.message().contains("backup"), "{}", namespace.message());
}

#[tokio::test(start_paused = true)]
async fn a_service_is_not_made_where_it_cannot_be_seen_what_is_there() {
    let mut namespace = Namespace::with(&three());
    namespace.refusals.lock().unwrap().push(("GET /apis/apps/v1/namespaces/pl/statefulsets", 403));
    let Ended::Failed { result, .. } = namespace.look().await else { unreachable!("it may not look") };
    assert_eq!(result, "forbidden");
    assert!(namespace.objects.lock().unwrap().keys().all(|(plural, _)| plural == names::PLURAL || plural == "events"));
    assert!(namespace.message().starts_with("GetStatefulSetFailed: look for StatefulSet pl/isbsvc-default-js"), "{}", namespace.message());
}

#[tokio::test(start_paused = true)]
async fn a_service_is_taken_down_although_its_stateful_set_lost_its_label() {
    let mut namespace = made(&three()).await;
    namespace.edit("statefulsets", SET, unlabel);
    namespace.edit(names::PLURAL, "default", |service| service["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    let before = namespace.writes().len();
    while namespace.get(names::PLURAL, "default").is_some() {
        namespace.look().await;
        assert!(namespace.writes().len() < before + 10, "{:?}", namespace.writes());
    }
    let writes: Vec<_> = namespace.writes().split_off(before).into_iter().filter(|line| !line.ends_with("/status")).collect();
    assert_eq!(writes, [format!("DELETE statefulsets/{SET}"), format!("PATCH {}/default", names::PLURAL)]);
    namespace.look().await;
    assert!(!namespace.reconciler.metrics.text().contains("isbsvc=\"default\""), "its series went with it");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_read_is_told_once_in_status_and_event() {
    let mut namespace = Namespace::with(&json!({ "jetstream": { "version": "2.12.7", "replicas": "three" } }));
    for _ in 0..5 {
        namespace.look().await;
    }
    assert_eq!(namespace.writes(), [format!("PATCH {}/default/status", names::PLURAL)]);
    assert!(namespace.message().starts_with("InvalidSpec: spec.jetstream.replicas: invalid type"), "{}", namespace.message());
    assert!(matches!(namespace.events().as_slice(), [(reason, _)] if reason == "InvalidSpec"));
    assert!(namespace.reconciler.metrics.text().contains("isbsvc_service_refused{ns=\"pl\",isbsvc=\"default\"} 1.0\n"));
}

#[tokio::test(start_paused = true)]
async fn law_refuse_without_harm_a_live_service_that_cannot_be_read_is_repaired() {
    let mut namespace = made(&three()).await;
    namespace.edit(names::PLURAL, "default", |service| service["spec"]["jetstream"]["replicas"] = json!("three"));
    namespace.edit("statefulsets", SET, |set| set["spec"]["replicas"] = json!(0));
    namespace.settle().await;
    assert_eq!(namespace.get("statefulsets", SET).unwrap()["spec"]["replicas"], 3);
    assert!(namespace.message().starts_with("Refused: spec.jetstream.replicas"), "{}", namespace.message());
}

fn definition_without(fields: &[&str]) -> Fact<Value> {
    let mut definition: DynamicObject = serde_json::from_value(json!(crate::api::crd())).unwrap();
    super::super::definition::thin(&mut definition);
    let mut schema = super::super::definition::schema(&definition);
    for pointer in fields {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        schema.pointer_mut(parent).and_then(Value::as_object_mut).unwrap().remove(name).unwrap();
    }
    Fact::Known(schema)
}

#[tokio::test(start_paused = true)]
async fn a_definition_without_redis_leaves_services_of_redis_as_they_are() {
    for spec in [json!({ "redis": { "external": { "url": "redis:6379" } } }), json!({})] {
        let mut namespace = Namespace::with(&spec);
        namespace.edit(names::PLURAL, "default", |service| service["status"] = json!({ "phase": "Running", "type": "redis" }));
        namespace.reconciler.definition.learn(definition_without(&["/properties/redis"]));
        for _ in 0..5 {
            assert!(matches!(namespace.look().await, Ended::Done { result: "left-alone", .. }));
        }
        assert_eq!(namespace.writes(), Vec::<String>::new());
        assert!(matches!(namespace.events().as_slice(), [(reason, _)] if reason == "DefinitionWithoutRedis"), "{:?}", namespace.events());
        assert!(namespace.reconciler.metrics.text().contains("isbsvc_service_held{ns=\"pl\",isbsvc=\"default\"} 1.0\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_the_definition_lost_changes_nothing_that_runs() {
    let mut spec = three();
    spec["jetstream"]["priorityClassName"] = json!("high");
    let mut namespace = made(&spec).await;
    let runs = namespace.get("statefulsets", SET);
    namespace.reconciler.definition.learn(definition_without(&["/properties/jetstream/properties/priorityClassName"]));
    namespace
        .edit(names::PLURAL, "default", |service| drop(service["spec"]["jetstream"].as_object_mut().unwrap().remove("priorityClassName")));
    namespace.settle().await;
    assert_eq!(namespace.get("statefulsets", SET), runs);
    assert!(namespace.message().contains("no longer has spec.jetstream.priorityClassName"), "{}", namespace.message());
    // The definition is put back, and with it the field.
    namespace.reconciler.definition.learn(definition_without(&[]));
    namespace.edit(names::PLURAL, "default", |service| service["spec"]["jetstream"]["priorityClassName"] = json!("high"));
    namespace.settle().await;
    assert!(!namespace.message().contains("Refused"), "{}", namespace.message());
    assert_eq!(namespace.get("statefulsets", SET), runs);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_told_with_numaflows_reason_and_counted() {
    let mut namespace = Namespace::with(&three());
    namespace.refusals.lock().unwrap().push(("POST /api/v1/namespaces/pl/secrets", 403));
    for _ in 0..5 {
        namespace.look().await;
    }
    assert!(matches!(namespace.events().as_slice(), [(reason, _)] if reason == "JetStreamAuthSecretsFailed"), "{:?}", namespace.events());
    assert!(namespace.message().starts_with("JetStreamAuthSecretsFailed: create Secret"), "{}", namespace.message());
    assert!(namespace.reconciler.metrics.text().contains("isbsvc_controller_api_errors_total{category=\"forbidden\"} 5\n"));
}

#[tokio::test(start_paused = true)]
async fn conflicts_that_do_not_end_are_no_accident() {
    let mut namespace = Namespace::with(&three());
    namespace.refusals.lock().unwrap().push(("POST /api/v1/namespaces/pl/secrets", 409));
    let mut waits = Vec::new();
    for _ in 0..12 {
        let Ended::Failed { retry, .. } = namespace.look().await else { unreachable!("it is a conflict") };
        waits.push(retry);
    }
    assert_eq!((waits[0], waits[11]), (limits::RETRY_CONFLICT, limits::RETRY_MOST));
    assert!(matches!(namespace.events().as_slice(), [(reason, _)] if reason == "JetStreamAuthSecretsFailed"), "{:?}", namespace.events());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_paused_is_left_as_it_is() {
    let mut namespace = Namespace::with(&three());
    namespace.edit(names::PLURAL, "default", |service| service["metadata"]["annotations"] = json!({ names::PAUSED_ANNOTATION: "true" }));
    for _ in 0..3 {
        namespace.look().await;
    }
    assert_eq!(namespace.writes(), Vec::<String>::new());
    assert!(matches!(namespace.events().as_slice(), [(reason, _)] if reason == "Paused"));
    assert!(namespace.reconciler.metrics.text().contains("isbsvc_service_paused{ns=\"pl\",isbsvc=\"default\"} 1.0\n"));
}

#[tokio::test(start_paused = true)]
async fn a_service_of_another_instance_is_none_of_ours() {
    let mut namespace = Namespace::with(&three());
    namespace.edit(names::PLURAL, "default", |service| service["metadata"]["annotations"] = json!({ names::INSTANCE_ANNOTATION: "blue" }));
    assert!(matches!(namespace.look().await, Ended::Done { result: "other-instance", .. }));
    assert_eq!(namespace.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_paused_and_deleted_is_taken_down() {
    let mut namespace = made(&three()).await;
    namespace.edit(names::PLURAL, "default", |service| service["metadata"]["annotations"] = json!({ names::PAUSED_ANNOTATION: "true" }));
    namespace.look().await;
    namespace.edit(names::PLURAL, "default", |service| service["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    for _ in 0..20 {
        namespace.look().await;
    }
    assert!(namespace.get(names::PLURAL, "default").is_none(), "{:?}", namespace.writes());
}

#[tokio::test(start_paused = true)]
async fn who_accepted_a_service_goes_on_looking_after_it() {
    let mut namespace = made(&three()).await;
    namespace.edit(names::PLURAL, "default", |service| service["metadata"]["annotations"] = json!({ names::INSTANCE_ANNOTATION: "blue" }));
    namespace.edit("statefulsets", SET, |set| set["spec"]["replicas"] = json!(0));
    namespace.settle().await;
    assert_eq!(namespace.get("statefulsets", SET).unwrap()["spec"]["replicas"], 3);
    assert!(namespace.message().contains("instance-change"), "{}", namespace.message());
    // The controller of that name leaves it alone, and says so.
    namespace.reconciler.instance = "blue".to_owned();
    let before = namespace.requests();
    for _ in 0..3 {
        assert!(matches!(namespace.look().await, Ended::Done { result: "other-instance", .. }));
    }
    assert_eq!(namespace.requests() - before, 1, "one event");
    assert!(namespace.events().iter().any(|(reason, _)| reason == "OtherInstance"), "{:?}", namespace.events());
}

/// Law honest-health: a service that cannot be written to is watched all the same.
#[tokio::test(start_paused = true)]
async fn a_service_whose_write_fails_is_no_better_than_its_pods() {
    let mut namespace = made(&three()).await;
    let conditions = ["ChildrenResourcesHealthy", "Configured", "Deployed"]
        .map(|type_| json!({ "type": type_, "status": "True", "reason": "Successful", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" }));
    let healthy = json!({ "phase": "Running", "type": "jetstream", "observedGeneration": 1, "conditions": conditions });
    namespace.edit(names::PLURAL, "default", |service| service["status"] = healthy.clone());
    namespace.edit("statefulsets", SET, |set| {
        set["spec"]["replicas"] = json!(0);
        set["metadata"]["annotations"][names::FIRST_HEALTHY_ANNOTATION] = json!("2026-01-01T00:00:00Z");
    });
    namespace.refusals.lock().unwrap().push(("PATCH /apis/apps/v1/namespaces/pl/statefulsets", 403));
    for _ in 0..3 {
        namespace.look().await;
    }
    let status = namespace.service()["status"].clone();
    assert!(status["message"].as_str().unwrap().starts_with("JetStreamStatefulSetFailed"), "{status}");
    assert_eq!(status["conditions"][0]["status"], "False", "no pod is there: {status}");
    let text = namespace.reconciler.metrics.text();
    assert!(text.contains("controller_isbsvc_health{ns=\"pl\",isbsvc=\"default\"} 0.0\n"), "{text}");
    assert_eq!(
        (&status["conditions"][2]["status"], &status["phase"]),
        (&json!("True"), &json!("Running")),
        "what was made stands: {status}"
    );
    // The error is the same, and the servers may not be.
    namespace.edit(names::PLURAL, "default", |service| service["status"]["conditions"] = healthy["conditions"].clone());
    namespace.look().await;
    assert_eq!(namespace.service()["status"]["conditions"][0]["status"], "False");
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_instance_is_gone_can_be_deleted_by_the_one_it_names() {
    let mut namespace = made(&three()).await;
    namespace.edit(names::PLURAL, "default", |service| {
        service["metadata"]["annotations"] = json!({ names::INSTANCE_ANNOTATION: "blue" });
        service["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    });
    assert!(matches!(namespace.look().await, Ended::Done { result: "other-instance", .. }));
    namespace.reconciler.instance = "blue".to_owned();
    for _ in 0..20 {
        namespace.look().await;
    }
    assert!(namespace.get(names::PLURAL, "default").is_none(), "{:?}", namespace.writes());
}
