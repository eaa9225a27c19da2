//! Law one-verdict: webhook and controller refuse the same, in the same words. The plugin's part is in `plugin/tests/one_verdict.rs`.

use isbsvc::api::names;
use isbsvc::controller_config::ControllerConfig;
use isbsvc::rules::Policy;
use isbsvc_tests::refused;
use isbsvc_tests::simulator::Simulator;
use isbsvc_webhook::admission::{Measure, Question, Request, answer};
use serde_json::{Value, json};

/// The webhook's words; the rules that refuse are compared on the way.
#[track_caller]
fn refusal(old: Option<&Value>, new: &Value, rule: &str) -> String {
    let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "operation": operation, "object": new, "oldObject": old, "name": "default", "namespace": "simulated",
            "resource": { "group": names::GROUP, "version": "v1alpha1", "resource": names::PLURAL },
        },
    });
    let measure = Measure { config: ControllerConfig::built_in(), policy: Policy::default() };
    let request = Request::read(review.to_string().as_bytes()).expect("a review");
    let answer = answer(Question::Validate, request, &measure);
    assert_eq!(answer.denied_by(), rule);
    answer.into_review("u").pointer("/response/status/message").and_then(Value::as_str).expect("words").to_owned()
}

#[test]
fn law_one_verdict_on_a_new_service() {
    for (spec, rule) in refused::new_services() {
        let mut simulator = Simulator::new(&spec);
        let webhook = refusal(None, &simulator.object, rule);
        let controller = simulator.settle().status.and_then(|status| status.message);
        assert_eq!(controller, Some(format!("InvalidSpec: {webhook}")));
    }
}

#[test]
fn law_one_verdict_on_a_change() {
    for (pointer, value, rule) in refused::changes() {
        let mut simulator = Simulator::new(&refused::before());
        simulator.settle();
        simulator.start_pods();
        simulator.settle();
        let before = simulator.object.clone();
        simulator.edit_spec(pointer, value);
        let webhook = refusal(Some(&before), &simulator.object, rule);
        let controller = simulator.settle().status.and_then(|status| status.message);
        assert_eq!(controller, Some(format!("Refused: {webhook}")));
    }
}
