use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::*;
use crate::observe::scripted::{api_server, failure};
use crate::plan::Precondition;

fn service() -> InterStepBufferService {
    let mut service = InterStepBufferService::default();
    service.metadata.name = Some("default".to_owned());
    service.metadata.namespace = Some("pl".to_owned());
    service.metadata.uid = Some("u-1".to_owned());
    service
}

fn owned(kind: &str, name: &str, uid: &str) -> ObjectMeta {
    serde_json::from_value(json!({ "ownerReferences": [{ "apiVersion": "v1", "kind": kind, "name": name, "uid": uid }] })).unwrap()
}

#[test]
fn what_belongs_to_somebody_else_is_named_with_its_owner() {
    let service = service();
    assert_eq!(foreign(&owned(names::KIND, "default", "u-1"), &service, false), None);
    assert!(foreign(&owned("Deployment", "web", "u-2"), &service, true).unwrap().contains("belongs to Deployment web"));
    assert!(foreign(&owned(names::KIND, "default", "u-0"), &service, true).unwrap().contains("an earlier service"));
    assert_eq!(foreign(&ObjectMeta::default(), &service, true), None, "a Secret that was put back from a backup");
    assert!(foreign(&ObjectMeta::default(), &service, false).unwrap().contains("without an owner"));
}

#[test]
fn it_matters_where_something_would_be_made_or_given_up_or_a_person_is_waited_for() {
    let plan = |actions: Vec<Action>, held: Option<&str>| Plan { actions, held: held.map(str::to_owned), ..Plan::default() };
    let apply = |uid: Option<&str>| Action::Apply {
        kind: ChildKind::Service,
        name: "s".to_owned(),
        object: json!({}),
        precondition: Precondition { uid: uid.map(str::to_owned), resource_version: None },
        changed: Vec::new(),
    };
    assert!(incomplete(&Observed::nothing()) && !incomplete(&Observed::default()), "what is not known is not absent");
    assert!(matters(&plan(vec![apply(None)], None), true));
    assert!(!matters(&plan(vec![apply(Some("u"))], None), false));
    assert!(matters(&plan(vec![Action::SetFinalizers { finalizers: Vec::new(), precondition: Precondition::default() }], None), true));
    assert!(matters(&plan(Vec::new(), Some("the key is gone")), false));
    assert!(!matters(&plan(Vec::new(), Some("the key is gone")), true));
    assert!(!matters(&plan(Vec::new(), None), false));
}

fn list(items: &Value) -> (u16, Value) {
    (200, json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": items }))
}

#[tokio::test]
async fn each_is_one_list_of_one_name_and_what_is_ours_is_taken_up() {
    let (client, log) = api_server(|asked| {
        if asked.path.contains("/configmaps") {
            let metadata = json!({ "name": "isbsvc-default-js-config", "uid": "c", "ownerReferences": owned(names::KIND, "default", "u-1").owner_references });
            return list(&json!([{ "metadata": metadata }]));
        }
        if asked.path.contains("/statefulsets") {
            return list(
                &json!([{ "metadata": { "name": "isbsvc-default-js", "ownerReferences": owned("Deployment", "web", "u-2").owner_references } }]),
            );
        }
        list(&json!([]))
    });
    let mut observed = Observed::nothing();
    let found = look(&client, &service(), &mut observed).await;
    assert!(found.any && observed.config_map.known().unwrap().is_some());
    assert!(
        matches!(found.hindrances.as_slice(), [Hindrance::Foreign { kind: ChildKind::StatefulSet, why, .. }] if why.contains("Deployment web")),
        "{found:?}"
    );
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 5);
    assert!(
        log.iter().all(|asked| asked.method == "GET" && asked.path.contains("fieldSelector=metadata.name%3Disbsvc-default-js")),
        "{log:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_looked_for_is_not_absent() {
    let (client, _) = api_server(|_| failure(403, "Forbidden", "no"));
    let found = look(&client, &service(), &mut Observed::nothing()).await;
    assert_eq!(found.hindrances.len(), 5);
    assert!(found.hindrances.iter().all(|hindrance| matches!(hindrance, Hindrance::Unseen { error: Some(_), .. })));
}

#[tokio::test]
async fn what_the_watches_show_is_not_asked_for() {
    let (client, log) = api_server(|_| list(&json!([])));
    look(&client, &service(), &mut Observed::default()).await;
    assert!(log.lock().unwrap().is_empty());
}
