use serde_json::{Value, json};

use super::*;
use crate::observe::scripted::{Asked, api_server, failure};

fn of(name: &str) -> InterStepBufferService {
    let mut service = InterStepBufferService::default();
    service.metadata.name = Some(name.to_owned());
    service.metadata.namespace = Some("pl".to_owned());
    service
}

fn all() -> Options {
    Options { secrets: true, pipelines: true, ..Options::default() }
}

fn list(items: &Value) -> (u16, Value) {
    (200, json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": items }))
}

fn empty(asked: &Asked) -> (u16, Value) {
    if ["/pods", "/persistentvolumeclaims", "/poddisruptionbudgets", "/pipelines"].iter().any(|plural| asked.path.contains(plural)) {
        list(&json!([]))
    } else {
        failure(404, "NotFound", "not found")
    }
}

#[tokio::test]
async fn nothing_there_is_known_and_takes_nine_requests() {
    let (client, log) = api_server(empty);
    let observed = read(&client, &of("default"), &all()).await;
    assert_eq!(observed.stateful_set, Fact::Known(None));
    assert_eq!(observed.server_secret, Fact::Known(None));
    assert_eq!(observed.budget, Fact::Known(None));
    assert_eq!(observed.pods, Fact::Known(Vec::new()));
    assert_eq!(observed.pipelines, Fact::Known(Vec::new()));
    let asked = log.lock().unwrap();
    assert_eq!(asked.len(), 9);
    let pods = asked.iter().find(|asked| asked.path.contains("/pods")).unwrap();
    assert!(
        pods.path.contains("labelSelector=app.kubernetes.io%2Fcomponent%3Disbsvc%2Cnumaflow.numaproj.io%2Fisbsvc-name%3Ddefault"),
        "{}",
        pods.path
    );
}

#[tokio::test]
async fn a_missing_permission_is_named_and_is_not_absence() {
    let (client, _) = api_server(|asked| {
        if asked.path.contains("/secrets/") || asked.path.contains("/pods") { failure(403, "Forbidden", "no") } else { empty(asked) }
    });
    let observed = read(&client, &of("default"), &all()).await;
    assert_eq!(observed.server_secret, Fact::Unknown("no permission to get secrets in namespace pl".to_owned()));
    assert_eq!(observed.pods, Fact::Unknown("no permission to list pods in namespace pl".to_owned()));
    assert_eq!(observed.config_map, Fact::Known(None));
}

#[tokio::test]
async fn secrets_that_are_not_asked_for_are_not_read() {
    let (client, log) = api_server(empty);
    let observed = read(&client, &of("default"), &Options::default()).await;
    assert_eq!(observed.client_secret, Fact::default());
    assert_eq!(observed.pipelines, Fact::default());
    assert!(log.lock().unwrap().iter().all(|asked| !asked.path.contains("secrets") && !asked.path.contains("pipelines")));
}

#[tokio::test]
async fn pipelines_that_are_not_installed_are_none() {
    let (client, _) =
        api_server(
            |asked| if asked.path.contains("/pipelines") { failure(404, "NotFound", "the server could not find it") } else { empty(asked) },
        );
    assert_eq!(read(&client, &of("default"), &all()).await.pipelines, Fact::Known(Vec::new()));
}

#[tokio::test]
async fn our_budget_is_told_from_the_others() {
    let (client, _) = api_server(|asked| {
        if asked.path.contains("/poddisruptionbudgets") {
            list(&json!([{ "metadata": { "name": "theirs" } }, { "metadata": { "name": "isbsvc-default-js" } }]))
        } else {
            empty(asked)
        }
    });
    let observed = read(&client, &of("default"), &all()).await;
    assert_eq!(observed.budget.known().unwrap().as_ref().unwrap().name_any(), "isbsvc-default-js");
    assert_eq!(observed.other_budgets.known().unwrap().iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>(), ["theirs"]);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_none() {
    let (client, _) = api_server(|_| failure(404, "NotFound", "not found"));
    assert_eq!(service(&client, "pl", "default").await, Ok(None));
}
