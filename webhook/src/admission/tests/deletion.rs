use isbsvc::observed::{Fact, PipelineUse};
use isbsvc::rules::Surroundings;

use super::*;

/// A cluster as a test says it is.
struct Scene {
    labels: Option<BTreeMap<String, String>>,
    surroundings: Surroundings,
}

impl Nearby for Scene {
    fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        assert_eq!(namespace, "ns");
        self.labels.clone()
    }

    fn surroundings(&self, namespace: &str, service: &str) -> Surroundings {
        assert_eq!((namespace, service), ("ns", "default"));
        self.surroundings.clone()
    }
}

fn scene(pipelines: Result<&[(&str, bool)], &str>, namespace_ends: bool) -> Scene {
    let uses =
        |all: &[(&str, bool)]| all.iter().map(|(name, deleting)| PipelineUse { name: (*name).to_owned(), deleting: *deleting }).collect();
    let pipelines = pipelines.map_or_else(|why| Fact::Unknown(why.to_owned()), |all| Fact::Known(uses(all)));
    Scene { labels: None, surroundings: Surroundings { pipelines, namespace_ends } }
}

fn delete(old: &Value, scene: &Scene) -> Value {
    let request = request("DELETE", &Value::Null, old);
    assert_eq!(ask_beside(Question::Mutate, &request, &measure(), scene), json!({ "uid": "u-1", "allowed": true }), "nothing to mutate");
    ask_beside(Question::Validate, &request, &measure(), scene)
}

fn warnings(response: &Value) -> String {
    response["warnings"].to_string()
}

#[test]
fn a_service_that_pipelines_use_is_not_deleted_and_the_refusal_names_them() {
    let response =
        delete(&service("jetstream: { version: 2.10.29 }"), &scene(Ok(&[("orders", false), ("payments", false), ("gone", true)]), false));
    let status = &response["status"];
    assert_eq!((&response["allowed"], &status["code"], &status["reason"]), (&json!(false), &json!(409), &json!("Conflict")));
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("Pipelines orders, payments use this service") && message.ends_with("(in-use)"), "{message}");
    assert!(!message.contains("gone"), "{message}");
    assert_eq!(response["auditAnnotations"], json!({ "denied-by": "in-use" }));
}

#[test]
fn a_service_that_nobody_uses_goes_without_a_word() {
    let response = delete(&service("jetstream: { version: 2.10.29 }"), &scene(Ok(&[]), false));
    assert_eq!(response, json!({ "uid": "u-1", "allowed": true }));
}

#[test]
fn where_everything_goes_a_deletion_is_told_and_not_refused() {
    let old = service("jetstream: { version: 2.10.29 }");
    for (scene, words) in [
        (scene(Ok(&[("orders", false)]), true), "go with the namespace"),
        (scene(Ok(&[("orders", true)]), false), "are gone"),
        (scene(Err("the Pipelines cannot be read: forbidden"), false), "was not checked: the Pipelines cannot be read: forbidden"),
    ] {
        let response = delete(&old, &scene);
        assert!(response["allowed"] == true && warnings(&response).contains(words), "{response}");
        assert_eq!(response["auditAnnotations"], json!({ "warned-by": "in-use" }));
    }
    let unknown = ask(Question::Validate, &request("DELETE", &Value::Null, &old));
    assert!(unknown["allowed"] == true && warnings(&unknown).contains("without --cluster"), "{unknown}");
}

/// The finalizer guards it: what cannot be read must still be able to go.
#[test]
fn an_object_that_cannot_be_read_can_be_deleted_and_that_it_was_not_checked_is_said() {
    let scene = scene(Ok(&[("orders", false)]), false);
    for old in [service("jetstream: { replicas: many }"), Value::Null] {
        let response = delete(&old, &scene);
        assert!(response["allowed"] == true && warnings(&response).contains("was not checked"), "{response}");
    }
}

#[test]
fn a_deletion_that_is_under_way_is_not_asked_about_again() {
    let mut old = service("jetstream: { version: 2.10.29 }");
    old["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(delete(&old, &scene(Ok(&[("orders", false)]), false)), json!({ "uid": "u-1", "allowed": true }));
}

#[test]
fn the_labels_of_the_namespace_say_which_policy_holds() {
    let policy = "namespaces:\n  - selector: { matchLabels: { stage: live } }\n    rules: { version-floating: enforce }\n";
    let measure = Measure { policy: Policy::parse(policy).unwrap(), ..measure() };
    let create = request("CREATE", &service("jetstream: { version: latest }"), &Value::Null);
    let asked = |labels: Option<&[(&str, &str)]>| {
        let labels = labels.map(|all| all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect());
        ask_beside(Question::Validate, &create, &measure, &Scene { labels, ..scene(Ok(&[]), false) })
    };
    let unknown = "the labels of the namespace are not known";
    for (labels, allowed) in [(Some(&[("stage", "live")][..]), false), (Some(&[("stage", "test")]), true), (Some(&[]), true)] {
        let response = asked(labels);
        assert!(response["allowed"] == allowed && !response.to_string().contains(unknown), "{response}");
    }
    let response = asked(None);
    assert_eq!(response["allowed"], false, "what is not known is taken for the strictest");
    assert!(response["status"]["message"].as_str().unwrap().contains(unknown), "and that is said: {response}");
    let causes = response["status"]["details"]["causes"].to_string();
    assert!(causes.contains(unknown), "also where kubectl looks: {causes}");
    assert_eq!(ask_by(&measure, Question::Validate, &create)["allowed"], false, "without --cluster nothing is known");
    // What is refused everywhere is not refused for that.
    let wrong = request("CREATE", &service("jetstream: { replicas: 3 }"), &Value::Null);
    let response = ask_beside(Question::Validate, &wrong, &measure, &scene(Ok(&[]), false));
    assert!(response["allowed"] == false && !response.to_string().contains(unknown), "{response}");
}
