use super::*;
use crate::observe::scripted::{Log, api_server, failure};
use crate::plan::Place;

fn service() -> InterStepBufferService {
    let mut service = InterStepBufferService::default();
    service.metadata.name = Some("default".to_owned());
    service.metadata.namespace = Some("pl".to_owned());
    service
}

fn seen() -> Precondition {
    Precondition { uid: Some("u-1".to_owned()), resource_version: Some("41".to_owned()) }
}

fn create() -> Action {
    let object = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "auth": "hunter2" } });
    Action::Create { kind: ChildKind::Secret, name: "s".to_owned(), object }
}

fn apply(precondition: Precondition) -> Action {
    let object = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "isbsvc-default-js" } });
    Action::Apply { kind: ChildKind::StatefulSet, name: "isbsvc-default-js".to_owned(), object, precondition, changed: Vec::new() }
}

fn plan(actions: Vec<Action>) -> Plan {
    Plan { actions, ..Plan::default() }
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
}

#[tokio::test]
async fn a_patch_sets_and_removes_single_places_of_the_object_that_was_seen() {
    let (client, log) = api_server(|_| (200, json!({})));
    let places = vec![
        Place { pointer: "/data/auth".to_owned(), value: Some(json!("eA==")) },
        Place { pointer: "/metadata/ownerReferences".to_owned(), value: None },
    ];
    let patch = Action::Patch { kind: ChildKind::Secret, name: "s".to_owned(), places, precondition: seen() };
    execute(&client, &Permit::alone(), &service(), &plan(vec![patch])).await.unwrap();
    assert_eq!(lines(&log), ["PATCH /api/v1/namespaces/pl/secrets/s?&fieldManager=isbsvc-controller"]);
    assert_eq!(
        log.lock().unwrap()[0].body,
        json!([
            { "op": "test", "path": "/metadata/uid", "value": "u-1" },
            { "op": "test", "path": "/metadata/resourceVersion", "value": "41" },
            { "op": "add", "path": "/data/auth", "value": "eA==" },
            { "op": "remove", "path": "/metadata/ownerReferences" },
        ])
    );
}

#[tokio::test]
async fn every_action_is_one_request_in_order() {
    let (client, log) = api_server(|_| (200, json!({})));
    let actions = vec![
        Action::SetFinalizers { finalizers: vec![names::FINALIZER.to_owned()], precondition: seen() },
        create(),
        apply(seen()),
        Action::Delete { kind: ChildKind::PersistentVolumeClaim, name: "c".to_owned(), precondition: seen() },
        Action::ApplyStatus { status: json!({ "phase": "Running" }) },
    ];
    let outcome = execute(&client, &Permit::alone(), &service(), &plan(actions)).await.unwrap();
    assert_eq!(
        outcome.carried.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "interstepbufferservice/default configured",
            "secret/s created",
            "statefulset/isbsvc-default-js configured",
            "persistentvolumeclaim/c deleted",
            "interstepbufferservice/default configured",
        ]
    );
    let isbsvc = "/apis/numaflow.numaproj.io/v1alpha1/namespaces/pl/interstepbufferservices/default";
    assert_eq!(
        lines(&log),
        [
            format!("PATCH {isbsvc}?&fieldManager=isbsvc-controller"),
            "POST /api/v1/namespaces/pl/secrets?&fieldManager=isbsvc-controller".to_owned(),
            "PATCH /apis/apps/v1/namespaces/pl/statefulsets/isbsvc-default-js?&force=true&fieldManager=isbsvc-controller".to_owned(),
            "DELETE /api/v1/namespaces/pl/persistentvolumeclaims/c?".to_owned(),
            format!("PATCH {isbsvc}/status?&force=true&fieldManager=numaflow"),
        ]
    );
    let asked = log.lock().unwrap().clone();
    assert_eq!(
        asked[0].body,
        json!([
            { "op": "test", "path": "/metadata/uid", "value": "u-1" },
            { "op": "test", "path": "/metadata/resourceVersion", "value": "41" },
            { "op": "add", "path": "/metadata/finalizers", "value": [names::FINALIZER] },
        ])
    );
    assert_eq!(asked[2].body["metadata"], json!({ "name": "isbsvc-default-js", "uid": "u-1", "resourceVersion": "41" }));
    assert_eq!(asked[3].body["propagationPolicy"], "Background");
    assert_eq!(asked[3].body["preconditions"], json!({ "uid": "u-1", "resourceVersion": "41" }));
    assert_eq!(
        asked[4].body,
        json!({
            "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": { "name": "default", "namespace": "pl" }, "status": { "phase": "Running" },
        })
    );
}

#[tokio::test]
async fn the_first_failure_stops_the_rest() {
    let (client, log) = api_server(|_| failure(409, "AlreadyExists", "secrets \"s\" already exists"));
    let error = execute(&client, &Permit::alone(), &service(), &plan(vec![create(), apply(seen())])).await.unwrap_err();
    assert!(error.is_conflict());
    assert_eq!(error.to_string(), "create Secret pl/s: secrets \"s\" already exists");
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn law_secret_silence_the_api_servers_words_about_a_secret_are_kept_back() {
    let (client, _) = api_server(|_| failure(422, "Invalid", "Secret \"s\" is invalid: data: Invalid value: \"hunter2\""));
    let error = execute(&client, &Permit::alone(), &service(), &plan(vec![create()])).await.unwrap_err();
    assert_eq!(error.to_string(), "create Secret pl/s: the API server answered 422 Invalid");
    assert_eq!(error.category(), "refused");
}

#[tokio::test]
async fn what_is_gone_already_is_deleted() {
    let (client, _) = api_server(|_| failure(404, "NotFound", "not found"));
    let delete = Action::Delete { kind: ChildKind::StatefulSet, name: "s".to_owned(), precondition: seen() };
    assert_eq!(execute(&client, &Permit::alone(), &service(), &plan(vec![delete])).await.unwrap().carried[0].verb, Verb::Deleted);
}

#[tokio::test]
async fn a_service_that_changed_or_is_gone_is_looked_at_again() {
    let finalizers = || Action::SetFinalizers { finalizers: Vec::new(), precondition: seen() };
    let status = || Action::ApplyStatus { status: json!({}) };
    for (code, action) in [(422, finalizers()), (404, finalizers()), (409, finalizers()), (404, status()), (409, apply(seen()))] {
        let (client, _) = api_server(move |_| failure(code, "", "no"));
        let error = execute(&client, &Permit::alone(), &service(), &plan(vec![action.clone()])).await.unwrap_err();
        assert!(error.is_conflict(), "{code} {action:?}: {error:?}");
    }
}

#[tokio::test]
async fn failures_have_their_categories() {
    for (code, category) in [(403, "forbidden"), (422, "refused"), (429, "overloaded"), (500, "unreachable"), (504, "timeout")] {
        let (client, _) = api_server(move |_| failure(code, "", "no"));
        let error = execute(&client, &Permit::alone(), &service(), &plan(vec![apply(Precondition::default())])).await.unwrap_err();
        assert_eq!(error.category(), category, "{code}");
    }
}

#[tokio::test]
async fn a_plan_without_actions_asks_nothing() {
    let (client, log) = api_server(|_| (200, json!({})));
    assert_eq!(execute(&client, &Permit::alone(), &service(), &Plan::default()).await.unwrap(), Outcome::default());
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_once_the_lease_has_run_out() {
    let held = crate::apply::lease::record::Record::default().lease("one").take().await.unwrap();
    tokio::time::advance(limits::LEASE_DEADLINE).await;
    let (client, log) = api_server(|_| (200, json!({})));
    let error = execute(&client, &held.permit(), &service(), &plan(vec![create()])).await.unwrap_err();
    assert_eq!((error.category(), log.lock().unwrap().len()), ("lapsed", 0));
}
