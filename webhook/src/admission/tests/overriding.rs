use isbsvc::api::names::{OVERRIDDEN_ANNOTATION, OVERRIDE_ANNOTATION};

use super::*;

const RECORD: &str = r#"[{"rule":"replicas-shrink","target":"3","generation":5,"uid":"o-1"}]"#;
const BOTH: &str = r#"[{"rule":"replicas-shrink","target":"3","generation":5,"uid":"o-1"},{"rule":"version-downgrade","target":"2.10.29","generation":5,"uid":"o-1"}]"#;

/// A service of so many servers, with these two annotations.
fn servers(replicas: i32, named: Option<&str>, record: Option<&str>) -> Value {
    let mut object = service(&format!("jetstream: {{ version: 2.12.7, replicas: {replicas} }}"));
    object["metadata"]["uid"] = json!("o-1");
    object["metadata"]["generation"] = json!(4);
    for (key, value) in [(OVERRIDE_ANNOTATION, named), (OVERRIDDEN_ANNOTATION, record)] {
        if let Some(value) = value {
            object["metadata"]["annotations"][key] = json!(value);
        }
    }
    object
}

/// What is decided, and whether somebody's permission was asked for on the way.
fn update(question: Question, old: &Value, new: &Value, permission: &Permission) -> (Value, bool) {
    let request = Request::read(&review(&request("UPDATE", new, old))).unwrap();
    let (answer, asked) = match decide(question, request, &measure(), &Nothing) {
        Decision::Made(answer) => (answer, false),
        Decision::Asks(pending) => {
            let Access { asker, namespace, name } = pending.access();
            assert_eq!((asker.username.as_str(), namespace.as_str(), name.as_str()), ("jane", "ns", "default"));
            (pending.answer(permission), true)
        }
    };
    (answer.into_review("u-1")["response"].clone(), asked)
}

fn unanswered() -> Permission {
    Permission::Unknown("no answer".to_owned())
}

fn pointer() -> String {
    format!("/metadata/annotations/{}", OVERRIDDEN_ANNOTATION.replace('/', "~1"))
}

#[test]
fn an_accepted_override_is_recorded_once_and_only_where_it_is_allowed() {
    let (old, new) = (servers(5, None, None), servers(3, Some("replicas-shrink=3"), None));
    let (response, asked) = update(Question::Mutate, &old, &new, &Permission::Granted);
    assert!(asked && patch(&response) == [json!({ "op": "add", "path": pointer(), "value": RECORD })], "{response}");
    for no in [Permission::Refused, unanswered()] {
        let (response, asked) = update(Question::Mutate, &old, &new, &no);
        assert!(asked && patch(&response).is_empty() && response["allowed"] == true, "{response}");
    }
    // Asked a second time, as after another webhook (M1).
    let recorded = servers(3, Some("replicas-shrink=3"), Some(RECORD));
    assert!(patch(&update(Question::Mutate, &old, &recorded, &Permission::Granted).0).is_empty());
    // An older record is written over.
    let older = servers(5, Some("replicas-shrink=3"), Some("[]"));
    let kept = servers(3, Some("replicas-shrink=3"), Some("[]"));
    assert_eq!(patch(&update(Question::Mutate, &older, &kept, &Permission::Granted).0)[0]["value"], RECORD);
    // One that the controller has not carried out yet is kept, for the two changes are one to it.
    let pending = r#"{"rule":"version-downgrade","target":"2.10.29","generation":4,"uid":"o-1"}"#;
    for (observed, expected) in [(3, format!("[{pending},{}", &RECORD[1..])), (4, RECORD.to_owned())] {
        let mut before = servers(5, None, Some(&format!("[{pending}]")));
        before["status"] = json!({ "observedGeneration": observed });
        let mut after = servers(3, Some("replicas-shrink=3"), Some(&format!("[{pending}]")));
        assert_eq!(patch(&update(Question::Mutate, &before, &after, &Permission::Granted).0)[0]["value"], expected);
        after["metadata"]["annotations"][OVERRIDDEN_ANNOTATION] = json!(expected);
        assert_eq!(update(Question::Validate, &before, &after, &Permission::Granted).0["allowed"], true);
    }
    // Defaults are filled in beside it.
    let mut bare = servers(3, Some("replicas-shrink=3"), None);
    bare["spec"]["jetstream"].as_object_mut().unwrap().remove("replicas");
    assert_eq!(patch(&update(Question::Mutate, &old, &bare, &Permission::Granted).0).len(), 2);
}

#[test]
fn what_overrides_nothing_asks_nobody() {
    let old = servers(5, None, None);
    for new in [
        servers(3, None, None),
        servers(3, Some("replicas-shrink=1"), None),
        servers(3, Some("version-downgrade=3"), None),
        servers(3, Some("no such thing"), None),
        servers(3, Some("replicas-shrink=3,nonsense"), None),
        servers(5, Some("replicas-shrink=3"), None),
        servers(7, Some("replicas-shrink=3"), None),
    ] {
        for question in [Question::Mutate, Question::Validate] {
            let (response, asked) = update(question, &old, &new, &Permission::Granted);
            assert!(!asked && patch(&response).is_empty(), "{new} {response}");
        }
    }
    let create = Request::read(&review(&request("CREATE", &servers(3, Some("replicas-shrink=3"), None), &Value::Null))).unwrap();
    assert!(matches!(decide(Question::Mutate, create, &measure(), &Nothing), Decision::Made(_)));
}

#[test]
fn a_change_is_lifted_only_with_permission_and_with_its_record() {
    let (old, new) = (servers(5, None, None), servers(3, Some("replicas-shrink=3"), Some(RECORD)));
    let (response, asked) = update(Question::Validate, &old, &new, &Permission::Granted);
    assert!(asked && response["allowed"] == true, "{response}");
    assert_eq!(response["auditAnnotations"]["overridden"], "replicas-shrink=3");
    assert!(response["auditAnnotations"].get("denied-by").is_none(), "{response}");
    assert!(response["warnings"].to_string().contains("overridden"), "{response}");

    let unrecorded = servers(3, Some("replicas-shrink=3"), None);
    let (response, asked) = update(Question::Validate, &old, &unrecorded, &Permission::Granted);
    assert!(asked && response["allowed"] == false && response["status"]["code"] == 422, "{response}");
    assert!(response["status"]["message"].as_str().unwrap().contains("did not record it"), "{response}");
}

#[test]
fn without_permission_it_is_forbidden_in_one_line_that_names_what_is_missing() {
    let (old, new) = (servers(5, None, None), servers(3, Some("replicas-shrink=3"), None));
    // Also where somebody writes the record that we would have written.
    for new in [new, servers(3, Some("replicas-shrink=3"), Some(RECORD))] {
        let (response, _) = update(Question::Validate, &old, &new, &Permission::Refused);
        let status = &response["status"];
        assert_eq!((&response["allowed"], &status["code"], &status["reason"]), (&json!(false), &json!(403), &json!("Forbidden")));
        let message = status["message"].as_str().unwrap();
        for words in ["replicas-shrink=3", "the verb override on interstepbufferservices.numaflow.numaproj.io default in the namespace ns"]
        {
            assert!(message.contains(words) && !message.contains('\n') && !message.contains("jane"), "{message}");
        }
        assert!(
            message.starts_with("spec.jetstream.replicas: ") && message.contains("would lose"),
            "the reason is told as ever: {message}"
        );
        assert_eq!(response["auditAnnotations"]["denied-by"], "replicas-shrink");
    }
}

#[test]
fn a_question_without_an_answer_refuses_and_says_so() {
    let (old, new) = (servers(5, None, None), servers(3, Some("replicas-shrink=3"), Some(RECORD)));
    for (response, words) in [
        (update(Question::Validate, &old, &new, &unanswered()).0, "could not be found out: no answer"),
        (ask(Question::Validate, &request("UPDATE", &new, &old)), "could not be found out: the webhook runs without --cluster"),
    ] {
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(422)));
        assert!(response["status"]["message"].as_str().unwrap().contains(words), "{response}");
        assert!(response["auditAnnotations"].get("overridden").is_none());
    }
}

#[test]
fn every_refusal_must_be_overridden_or_all_of_them_stand() {
    let mut old = servers(5, None, None);
    let mut new = servers(3, Some("replicas-shrink=3"), None);
    new["spec"]["jetstream"]["encryption"] = json!(true);
    let (response, asked) = update(Question::Validate, &old, &new, &Permission::Granted);
    assert!(!asked && response["allowed"] == false, "{response}");
    assert_eq!(response["auditAnnotations"]["denied-by"], "encryption-toggle,replicas-shrink");
    assert!(patch(&update(Question::Mutate, &old, &new, &Permission::Granted).0).is_empty());

    // Two that can be overridden, both named, are recorded together.
    old["spec"]["jetstream"]["version"] = json!("2.12.7");
    let mut both = servers(3, Some("replicas-shrink=3, version-downgrade=2.10.29"), None);
    both["spec"]["jetstream"]["version"] = json!("2.10.29");
    let (response, _) = update(Question::Mutate, &old, &both, &Permission::Granted);
    assert_eq!(patch(&response)[0]["value"], BOTH);
    both["metadata"]["annotations"][OVERRIDDEN_ANNOTATION] = json!(BOTH);
    let (response, _) = update(Question::Validate, &old, &both, &Permission::Granted);
    assert_eq!(response["auditAnnotations"]["overridden"], "replicas-shrink=3,version-downgrade=2.10.29");

    // As an admission policy of ours would write it beside us: in its own order, with what is carried out already.
    let written: Value = serde_json::from_str(BOTH).unwrap();
    let done = json!({ "rule": "replicas-shrink", "target": "3", "generation": 1, "uid": "o-1" });
    both["metadata"]["annotations"][OVERRIDDEN_ANNOTATION] = json!(json!([done, written[1], written[0]]).to_string());
    old["status"] = json!({ "observedGeneration": 4 });
    let (response, _) = update(Question::Validate, &old, &both, &Permission::Granted);
    assert_eq!(response["allowed"], true, "{response}");
    assert!(patch(&update(Question::Mutate, &old, &both, &Permission::Granted).0).is_empty());
    both["metadata"]["annotations"][OVERRIDDEN_ANNOTATION] = json!(json!([written[1]]).to_string());
    assert_eq!(update(Question::Validate, &old, &both, &Permission::Granted).0["allowed"], false, "less than it is no record");
}

#[test]
fn a_forged_record_is_refused_and_one_may_be_taken_away_or_left() {
    let forged = |old: &Value, new: &Value| {
        let (response, asked) = update(Question::Validate, old, new, &Permission::Granted);
        assert!(!asked, "{response}");
        let message = response["status"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(response["allowed"] == false, message.contains("only the webhook writes it"), "{response}");
        response["allowed"] == false
    };
    // Beside no change, or one that needs none.
    assert!(forged(&servers(5, None, None), &servers(5, None, Some(RECORD))));
    assert!(forged(&servers(5, None, None), &servers(5, Some("replicas-shrink=3"), Some(RECORD))));
    assert!(forged(&servers(3, None, None), &servers(5, None, Some(RECORD))));
    assert!(forged(&servers(3, None, Some("[]")), &servers(3, None, Some(RECORD))));
    // Beside an override, one that says more than it.
    assert!(forged(&servers(5, None, None), &servers(3, Some("replicas-shrink=3"), Some(BOTH))));
    assert!(forged(&servers(5, None, None), &servers(3, None, Some(RECORD))), "the change is refused as well");

    assert!(!forged(&servers(3, None, Some(RECORD)), &servers(3, None, Some(RECORD))), "left");
    assert!(!forged(&servers(3, None, Some(RECORD)), &servers(3, None, None)), "taken away");
    assert!(!forged(&servers(3, None, Some(RECORD)), &servers(5, None, Some(RECORD))), "left beside a change that is allowed");
    let create = ask(Question::Validate, &request("CREATE", &servers(3, None, Some(RECORD)), &Value::Null));
    assert_eq!(create["allowed"], true, "a copy has another uid, for which the record counts nothing");
}

#[test]
fn an_override_that_cannot_be_read_is_told_where_it_is_written_or_where_it_would_be_needed() {
    let told = |old: &Value, new: &Value| {
        update(Question::Validate, old, new, &Permission::Granted).0["warnings"].to_string().contains("(override)")
    };
    let nonsense = Some("encryption-toggle=true");
    assert!(told(&servers(3, None, None), &servers(3, nonsense, None)));
    assert!(told(&servers(5, nonsense, None), &servers(3, nonsense, None)));
    assert!(!told(&servers(3, nonsense, None), &servers(5, nonsense, None)), "not again at each change of something else");
}
