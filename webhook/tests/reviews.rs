//! Kubernetes' own edge cases of an admission review: what each is answered with.
#![allow(clippy::unwrap_used)]

use isbsvc::api::names;
use isbsvc_fuzz::admission::ask;
use isbsvc_webhook::admission::{Question, Request};
use serde_json::{Value, json};

fn service() -> Value {
    json!({
        "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": { "name": "default", "namespace": "ns" },
        "spec": { "jetstream": { "version": "2.12.7" } },
    })
}

/// A review as an API server of 1.36 sends it, with these fields of the request set, or taken away where they are null.
fn review(operation: &str, fields: &Value) -> Value {
    let kind = json!({ "group": names::GROUP, "version": "v1alpha1", "kind": names::KIND });
    let resource = json!({ "group": names::GROUP, "version": "v1alpha1", "resource": names::PLURAL });
    let mut request = json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "name": "default", "namespace": "ns", "operation": operation, "object": service(), "oldObject": service(), "dryRun": false,
        "userInfo": { "username": "jane", "uid": "1", "groups": ["system:authenticated"], "extra": { "k": ["v"] } },
        "options": { "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl" },
    });
    for (key, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => request.as_object_mut().unwrap().remove(key),
            value => request.as_object_mut().unwrap().insert(key.clone(), value.clone()),
        };
    }
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request })
}

/// Allowed or not, and with a patch or not.
fn verdict(question: Question, review: &str) -> Option<(bool, bool)> {
    let response = ask(question, review.as_bytes())?;
    Some((response["allowed"] == true, response.get("patch").is_some()))
}

#[test]
fn what_an_api_server_may_leave_out_or_add_changes_nothing() {
    let mut unnamed = service();
    unnamed["metadata"] = json!({ "generateName": "service-", "namespace": "ns" });
    let older = json!({ "group": names::GROUP, "version": "v1alpha0", "kind": names::KIND });
    for (operation, fields) in [
        ("CREATE", json!({ "oldObject": null })),
        (
            "CREATE",
            json!({ "oldObject": null, "dryRun": null, "options": null, "userInfo": null, "requestKind": null, "requestResource": null }),
        ),
        ("CREATE", json!({ "oldObject": null, "dryRun": true })),
        ("CREATE", json!({ "oldObject": null, "name": null, "object": unnamed })),
        ("CREATE", json!({ "oldObject": null, "name": "", "object": unnamed, "subResource": "" })),
        ("CREATE", json!({ "oldObject": null, "requestKind": older })),
        ("CREATE", json!({ "oldObject": null, "requestSubResource": "", "fromTheFuture": { "a": [null] } })),
        ("UPDATE", json!({ "options": { "kind": "PatchOptions", "apiVersion": "meta.k8s.io/v1", "force": true } })),
    ] {
        let text = review(operation, &fields).to_string();
        assert_eq!(verdict(Question::Mutate, &text), Some((true, true)), "{text}");
        assert_eq!(verdict(Question::Validate, &text), Some((true, false)), "{text}");
    }
}

#[test]
fn what_has_no_object_to_judge_passes_untouched() {
    for (operation, fields) in [
        ("DELETE", json!({ "object": null })),
        ("DELETE", json!({ "object": null, "oldObject": null, "name": "" })),
        ("CONNECT", json!({ "object": { "kind": "PodExecOptions" }, "oldObject": null, "subResource": "exec" })),
        (
            "UPDATE",
            json!({ "subResource": "scale", "object": { "kind": "Scale", "spec": { "replicas": 0 } }, "oldObject": { "kind": "Scale" } }),
        ),
        ("UPDATE", json!({ "subResource": "status", "oldObject": null })),
    ] {
        let text = review(operation, &fields).to_string();
        for question in [Question::Mutate, Question::Validate] {
            assert_eq!(verdict(question, &text), Some((true, false)), "{text}");
        }
    }
}

#[test]
fn what_is_not_ours_or_not_whole_is_refused() {
    for (operation, fields) in [
        ("CREATE", json!({ "object": null })),
        ("UPDATE", json!({ "object": null })),
        ("UPDATE", json!({ "oldObject": null })),
        ("create", json!({})),
        ("", json!({})),
        ("CREATE", json!({ "resource": null })),
        ("CREATE", json!({ "resource": { "group": names::GROUP, "version": "v1", "resource": names::PLURAL } })),
        ("DELETE", json!({ "resource": { "group": names::GROUP, "version": "v1alpha1", "resource": "pipelines" } })),
    ] {
        let text = review(operation, &fields).to_string();
        for question in [Question::Mutate, Question::Validate] {
            assert_eq!(verdict(question, &text), Some((false, false)), "{text}");
        }
    }
}

#[test]
fn an_object_that_is_no_object_is_refused_by_the_one_who_validates() {
    for object in [json!(5), json!("text"), json!([]), json!({}), json!({ "spec": null }), json!(true)] {
        let text = review("CREATE", &json!({ "object": object, "oldObject": null })).to_string();
        assert_eq!(verdict(Question::Mutate, &text), Some((true, false)), "{text}");
        assert_eq!(verdict(Question::Validate, &text), Some((false, false)), "{text}");
    }
}

#[test]
fn what_is_no_review_gets_no_answer_at_all() {
    let good = review("CREATE", &json!({ "oldObject": null })).to_string();
    let version = |version: &str| good.replace("admission.k8s.io/v1\"", &format!("{version}\""));
    let mut bodies = vec![
        version("admission.k8s.io/v1beta1").into_bytes(),
        version("admission.k8s.io/v2").into_bytes(),
        version("v1").into_bytes(),
        good.replace("AdmissionReview", "AdmissionReviewList").into_bytes(),
        good.replace("\"uid\":\"705ab4f5-6393-11e8-b7cc-42010a800002\",", "").into_bytes(),
        br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}"#.to_vec(),
        br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":[]}"#.to_vec(),
        // A byte order mark, and something after the end.
        [b"\xef\xbb\xbf".as_slice(), good.as_bytes()].concat(),
        format!("{good}{{}}").into_bytes(),
        format!("{good}\u{0}").into_bytes(),
        // The one who signs and the one who checks may read another of the two.
        good.replace("\"operation\":\"CREATE\"", "\"operation\":\"DELETE\",\"operation\":\"CREATE\"").into_bytes(),
        good.replace("\"request\":", "\"request\":null,\"request\":").into_bytes(),
    ];
    let mut broken = good.clone().into_bytes();
    let place = good.find("jane").unwrap();
    broken[place] = 0xff;
    bodies.push(broken);
    for body in bodies {
        for question in [Question::Mutate, Question::Validate] {
            assert_eq!(ask(question, &body), None, "{}", String::from_utf8_lossy(&body));
        }
    }
    assert!(Request::read(good.as_bytes()).is_ok());
}

#[test]
fn of_a_field_given_twice_in_an_object_the_last_holds_for_both_questions() {
    // As Go reads it; the API server itself never sends such an object.
    let good = review("CREATE", &json!({ "oldObject": null })).to_string();
    let twice = |one: &str, two: &str| good.replace("\"version\":\"2.12.7\"", &format!("\"version\":\"{one}\",\"version\":\"{two}\""));
    assert_eq!(verdict(Question::Validate, &twice("no-such", "2.12.7")), Some((true, false)));
    assert_eq!(verdict(Question::Validate, &twice("2.12.7", "no-such")), Some((false, false)));
}

#[test]
fn a_service_that_goes_may_lose_its_finalizers_and_not_its_rules() {
    let mut old = service();
    old["metadata"]["deletionTimestamp"] = json!("2026-08-01T12:00:00Z");
    old["metadata"]["finalizers"] = json!(["numaflow.numaproj.io/isbsvc-controller"]);
    let mut bare = old.clone();
    bare["metadata"]["finalizers"] = json!([]);
    let mut toggled = bare.clone();
    toggled["spec"]["jetstream"]["encryption"] = json!(true);
    let mut said_to_go = toggled.clone();
    said_to_go["metadata"]["finalizers"] = old["metadata"]["finalizers"].clone();
    for (old, new, allowed) in [(&old, &bare, true), (&old, &toggled, false), (&service(), &said_to_go, false)] {
        let text = review("UPDATE", &json!({ "object": new, "oldObject": old })).to_string();
        assert_eq!(verdict(Question::Validate, &text), Some((allowed, false)), "{text}");
    }
}

/// An object as deep as this; its innermost value is `0`.
fn deep(levels: usize, list: bool) -> String {
    let (open, close) = if list { ("[", "]") } else { ("{\"a\":", "}") };
    format!("{}0{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn a_deeply_nested_object_is_answered_or_no_review_and_never_the_end_of_the_process() {
    let good = review("CREATE", &json!({ "oldObject": null })).to_string();
    for list in [true, false] {
        // serde_json follows 128 levels, of which the review takes some.
        for (levels, is_review) in [(100, true), (130, false), (70_000, false)] {
            let text = good.replace("\"version\":\"2.12.7\"", &format!("\"version\":\"2.12.7\",\"x\":{}", deep(levels, list)));
            for question in [Question::Mutate, Question::Validate] {
                assert_eq!(
                    ask(question, text.as_bytes()).map(|response| response["allowed"] == true),
                    is_review.then_some(true),
                    "{levels}"
                );
            }
        }
    }
}

/// The two texts in a service that are YAML of their own.
#[test]
fn yaml_that_is_deep_or_grows_is_refused_in_a_moment() {
    let aliases = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
        let before = level - 1;
        format!(
            "{text}a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n"
        )
    });
    let blocks = (0..3000).map(|level| format!("{}a:\n", " ".repeat(level % 200))).collect::<Vec<_>>().concat();
    let staircase = (0..600).map(|level| format!("{}a:\n", " ".repeat(level))).collect::<Vec<_>>().concat();
    let texts = [
        format!("a: {}", "[".repeat(100_000)),
        format!("a: {}", deep(20_000, true)),
        format!("a: {}", deep(20_000, false)),
        format!("a: {}1", "- ".repeat(50_000)),
        format!("{}: 1", "? ".repeat(50_000)),
        aliases,
        blocks,
        staircase,
        format!("a: &a [*a]\nb: {}", "*a ".repeat(1000)),
        format!("a: \"{}\"", "x".repeat(1_000_000)),
    ];
    for field in ["settings", "bufferConfig"] {
        for text in &texts {
            let mut object = service();
            object["spec"]["jetstream"][field] = json!(text);
            let began = std::time::Instant::now();
            let asked = review("CREATE", &json!({ "oldObject": null, "object": object })).to_string();
            assert_eq!(verdict(Question::Validate, &asked), Some((false, false)), "{field}: {}", &text[..40.min(text.len())]);
            let took = began.elapsed();
            assert!(took < std::time::Duration::from_secs(2), "{field}: {took:?}");
        }
    }
}
