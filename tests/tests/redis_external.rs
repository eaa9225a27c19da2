//! An external Redis: nothing is made for it, its status tells pipelines how to connect, and its address stays.

use isbsvc::api::{InterStepBufferServiceStatus, names};
use isbsvc::observed::{Endpoint, Fact, PipelineUse};
use isbsvc_tests::simulator::Simulator;
use serde_json::{Value, json};

const URL: &str = "redis:6379";

fn external(more: &Value) -> Value {
    let mut external = json!({ "url": URL });
    for (key, value) in more.as_object().into_iter().flatten() {
        external[key] = value.clone();
    }
    json!({ "redis": { "external": external } })
}

fn settled(spec: &Value) -> Simulator {
    let mut simulator = Simulator::new(spec);
    simulator.settle();
    simulator
}

/// Another spec as a whole.
fn rewrite(simulator: &mut Simulator, spec: &Value) {
    simulator.object["spec"] = spec.clone();
    simulator.edit_spec("/nothing", Value::Null);
}

fn status(simulator: &Simulator) -> InterStepBufferServiceStatus {
    simulator.service().status.expect("a status")
}

fn config(simulator: &Simulator) -> String {
    json!(status(simulator).config).to_string()
}

#[test]
fn pipelines_are_told_what_the_user_wrote_and_wait_for_nothing() {
    for (more, told) in [
        (json!({}), r#"{"redis":{"url":"redis:6379"}}"#),
        // Written twice by the manual's word: cluster mode.
        (json!({ "url": "a:6379,a:6379" }), r#"{"redis":{"url":"a:6379,a:6379"}}"#),
        (
            json!({ "user": "numaflow", "password": { "name": "s", "key": "k" } }),
            r#"{"redis":{"password":{"key":"k","name":"s"},"url":"redis:6379","user":"numaflow"}}"#,
        ),
        (
            json!({ "sentinelUrl": "s:26379", "masterName": "m", "sentinelPassword": { "name": "s", "key": "k" } }),
            r#"{"redis":{"masterName":"m","sentinelPassword":{"key":"k","name":"s"},"sentinelUrl":"s:26379","url":"redis:6379"}}"#,
        ),
    ] {
        let mut simulator = settled(&external(&more));
        let status = status(&simulator);
        assert!(status.is_healthy(), "defect 45: {status:?}");
        assert_eq!((status.type_.as_deref(), status.message.as_deref()), (Some("redis"), None));
        assert_eq!(status.observed_generation, simulator.service().metadata.generation);
        assert_eq!(config(&simulator), told, "same-bytes");
        assert_eq!((simulator.children.len(), simulator.finalizers()), (0, vec![names::FINALIZER.to_owned()]));
        assert_eq!(simulator.step().actions, [], "nothing is written");
    }
}

#[test]
fn one_of_numaflows_is_taken_over_to_the_byte_and_becomes_healthy() {
    let mut simulator = Simulator::new(&external(&json!({ "user": "u" })));
    let told = json!({ "redis": { "url": URL, "user": "u" } });
    let condition = |type_: &str, status: &str| json!({ "type": type_, "status": status, "reason": "Successful", "message": "Successful", "lastTransitionTime": "2026-01-01T00:00:00Z" });
    let conditions = [("ChildrenResourcesHealthy", "Unknown"), ("Configured", "True"), ("Deployed", "True")];
    simulator.object["status"] = json!({
        "phase": "Running", "type": "redis", "config": told,
        "conditions": conditions.map(|(type_, status)| condition(type_, status)),
    });
    simulator.object["metadata"]["finalizers"] = json!([names::LEGACY_FINALIZER]);
    assert!(!status(&simulator).is_healthy());
    simulator.settle();
    assert!(status(&simulator).is_healthy());
    assert_eq!(config(&simulator), told.to_string());
}

#[test]
fn another_address_or_type_is_refused_and_the_old_one_stays() {
    for (pointer, value, rule) in [
        ("/redis/external/url", json!("other:6379"), "external-endpoint-change"),
        ("/redis", json!({ "external": { "sentinelUrl": "s:1", "masterName": "m" } }), "external-endpoint-change"),
        ("", json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } }), "type-change"),
        ("", json!({ "redis": { "native": { "version": "7.0.15" } } }), "type-change"),
        ("/redis/external/url", json!(""), "redis-url"),
    ] {
        let mut simulator = settled(&external(&json!({})));
        let before = status(&simulator);
        match pointer {
            "" => rewrite(&mut simulator, &value),
            pointer => simulator.edit_spec(pointer, value.clone()),
        }
        simulator.settle();
        let after = status(&simulator);
        let message = after.message.clone().unwrap_or_default();
        assert!(message.starts_with("Refused: ") && message.contains(rule), "{value}: {message}");
        assert_eq!(InterStepBufferServiceStatus { message: None, ..after }, before, "{value}");
        assert!(simulator.children.is_empty(), "{value}");
        assert_eq!(simulator.step().actions, []);

        rewrite(&mut simulator, &external(&json!({})));
        simulator.settle();
        assert_eq!(status(&simulator).message, None, "taking it back is all that is needed");
    }
}

#[test]
fn user_and_passwords_may_change() {
    let mut simulator = settled(&external(&json!({})));
    simulator.edit_spec("/redis/external/password", json!({ "name": "s", "key": "k" }));
    simulator.settle();
    assert_eq!(config(&simulator), r#"{"redis":{"password":{"key":"k","name":"s"},"url":"redis:6379"}}"#);
    assert_eq!(status(&simulator).observed_generation, simulator.service().metadata.generation);
}

#[test]
fn what_cannot_be_used_is_said_and_nothing_is_told_to_pipelines() {
    let simulator = settled(&json!({ "redis": { "external": { "masterName": "m" } } }));
    let status = status(&simulator);
    assert!(!status.is_healthy() && status.config.is_none());
    assert!(status.message.is_some_and(|message| message.starts_with("InvalidSpec: ") && message.contains("redis-auth")));
}

/// Numaflow calls a service healthy by its conditions, and every pipeline waits for that.
#[test]
fn a_redis_that_does_not_answer_is_told_and_blocks_nobody() {
    let mut simulator = settled(&external(&json!({})));
    simulator.endpoint = Fact::Known(Endpoint::Unreachable { address: URL.to_owned(), why: "refuses the connection" });
    simulator.settle();
    assert!(status(&simulator).is_healthy());
    assert_eq!(status(&simulator).message.as_deref(), Some("Warning: redis:6379: refuses the connection"));
    assert_eq!(simulator.step().actions, [], "it is told once");
    // A look from where it cannot be asked unsays nothing.
    simulator.endpoint = Fact::Unknown("not looked at".to_owned());
    assert_eq!(simulator.step().actions, []);
    simulator.endpoint = Fact::Known(Endpoint::Answers);
    simulator.settle();
    assert_eq!(status(&simulator).message, None);
}

#[test]
fn that_it_is_not_asked_is_said_in_the_condition_and_is_no_warning() {
    let mut simulator = settled(&external(&json!({})));
    let said = |simulator: &Simulator| status(simulator).condition("ChildrenResourcesHealthy").map(|condition| condition.message.clone());
    let quiet = said(&simulator);
    simulator.endpoint = Fact::Known(Endpoint::NotAsked { address: URL.to_owned(), why: "nobody may".to_owned() });
    simulator.settle();
    assert!(said(&simulator).is_some_and(|message| message.ends_with("redis:6379 is not asked: nobody may")), "{:?}", said(&simulator));
    assert_eq!((status(&simulator).message, status(&simulator).is_healthy()), (None, true));
    simulator.endpoint = Fact::Unknown("not looked at".to_owned());
    assert_eq!(simulator.step().actions, []);
    simulator.endpoint = Fact::Known(Endpoint::Answers);
    simulator.settle();
    assert_eq!(said(&simulator), quiet);
}

#[test]
fn it_goes_once_no_pipeline_uses_it() {
    let mut simulator = settled(&external(&json!({})));
    simulator.pipelines = vec![PipelineUse { name: "orders".to_owned(), deleting: false }];
    simulator.delete();
    simulator.settle();
    assert!(simulator.exists() && status(&simulator).message.is_some_and(|message| message.contains("orders")));
    simulator.pipelines.clear();
    simulator.settle();
    assert!(!simulator.exists());
}
