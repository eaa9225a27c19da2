//! The corpus through the library and through the webhook: both say the same of each case. What definition and policies say of it on a real API server is
//! in `tests/tests/cluster/corpus.rs`.

#[path = "corpus/numaflow.rs"]
mod numaflow;

use std::collections::BTreeSet;

use isbsvc::api::names;
use isbsvc::controller_config::ControllerConfig;
use isbsvc::rules::{Level, Policy};
use isbsvc_tests::corpus::{Case, READABLE, Verdict, cases, unreadable_before};
use isbsvc_webhook::admission::{Measure, Question, Request, answer};
use serde_json::{Value, json};

fn webhook(case: &Case) -> Value {
    let mut old = case.old.clone();
    let mut new = case.new.clone();
    for object in old.iter_mut().chain([&mut new]) {
        object["metadata"]["namespace"] = json!("corpus");
    }
    let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": operation, "object": new, "oldObject": old, "name": new["metadata"]["name"], "namespace": "corpus",
            "resource": { "group": names::GROUP, "version": "v1alpha1", "resource": names::PLURAL },
        },
    });
    let measure = Measure { config: ControllerConfig::built_in(), policy: Policy::default() };
    let request = Request::read(review.to_string().as_bytes()).expect("a review");
    answer(Question::Validate, request, &measure).into_review("u")["response"].clone()
}

#[test]
fn library_and_webhook_say_the_same_of_the_corpus() {
    let cases = cases();
    assert!(cases.len() > 150, "{}", cases.len());
    for case in &cases {
        let response = webhook(case);
        let verdict = case.library();
        assert_eq!(response["allowed"], json!(verdict.denied().is_empty()), "{}: {response}", case.name);
        for (key, level) in [("denied-by", Level::Deny), ("warned-by", Level::Warn), ("audited-by", Level::Audit)] {
            let said: BTreeSet<_> = response["auditAnnotations"][key].as_str().into_iter().flat_map(|names| names.split(',')).collect();
            let expected: BTreeSet<_> = match &verdict {
                Verdict::Unreadable if level == Level::Deny => [READABLE].into(),
                Verdict::Unreadable => BTreeSet::new(),
                Verdict::Found(findings) => findings.iter().filter(|finding| finding.level == level).map(|finding| finding.rule).collect(),
            };
            assert_eq!(said, expected, "{}: {key}", case.name);
        }
    }
}

#[test]
fn a_change_of_what_nobody_could_read_is_refused() {
    for (case, refused) in unreadable_before() {
        let response = webhook(&case);
        assert_eq!((response["allowed"] == json!(false), &case.name), (refused, &case.name), "{response}");
    }
}

/// The name of the rule at the end is what people search for, and what the policies end with as well.
#[test]
fn each_line_of_a_refusal_ends_with_its_rule() {
    for case in cases() {
        let response = webhook(&case);
        let Some(message) = response["status"]["message"].as_str() else { continue };
        for line in message.lines().filter(|line| !line.ends_with("things are wrong:")) {
            let rule = line.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
            assert!(rule.is_some_and(|rule| rule == READABLE || isbsvc::rules::find(rule).is_some()), "{}: {line}", case.name);
        }
    }
}
