//! What holds of every answer, over many services that anybody may send.
#![allow(clippy::unwrap_used)]

mod properties {
    pub mod objects;
}

use isbsvc::defaults;
use isbsvc_fuzz::admission::{DEFAULTS, ask, library_refuses, patch, patched};
use isbsvc_webhook::admission::Question;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::{Value, json};

use properties::objects::{backwards, map, review, service, spec, wild, without_defaults};

/// So many that all of it takes some seconds on one core without optimization.
const CASES: u32 = 192;

/// The response, after a look at what holds for every one.
fn answered(question: Question, review: &Value) -> Value {
    ask(question, review.to_string().as_bytes()).expect("a review")
}

fn create(question: Question, object: &Value) -> Value {
    answered(question, &review("CREATE", &Value::Null, object))
}

fn update(old: &Value, new: &Value) -> Value {
    answered(Question::Validate, &review("UPDATE", old, new))
}

/// The object as it is stored.
fn filled(object: &Value) -> Value {
    patched(object, &patch(&create(Question::Mutate, object)))
}

/// Whether two responses come to the same, in the same words.
fn is_same(one: &Value, other: &Value) -> TestCaseResult {
    prop_assert_eq!(one, other);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn filling_in_adds_defaults_and_nothing_else_and_once_is_enough(spec in spec()) {
        let object = service(&spec);
        let stored = filled(&object);
        prop_assert!(create(Question::Mutate, &stored).get("patch").is_none());
        prop_assert_eq!(defaults::missing(&stored), vec![]);
        prop_assert_eq!(without_defaults(&stored, &DEFAULTS).to_string(), without_defaults(&object, &DEFAULTS).to_string());
        for pointer in DEFAULTS {
            let given = object.pointer(pointer).filter(|value| !value.is_null());
            prop_assert!(given.is_none() || given == stored.pointer(pointer), "what was given stays: {}", pointer);
        }
    }

    #[test]
    fn how_it_is_asked_makes_no_difference(spec in spec(), before in spec()) {
        let (old, new) = (service(&before), service(&spec));
        for question in [Question::Mutate, Question::Validate] {
            for mut request in [review("CREATE", &Value::Null, &new), review("UPDATE", &old, &new)] {
                let response = answered(question, &request);
                is_same(&response, &ask(question, backwards(&request).as_bytes()).unwrap())?;
                for dry_run in [json!(true), json!(null)] {
                    request["request"]["dryRun"] = dry_run;
                    is_same(&response, &answered(question, &request))?;
                }
            }
        }
        let changed = answered(Question::Mutate, &review("UPDATE", &old, &new));
        is_same(&create(Question::Mutate, &new), &changed)?;
    }

    #[test]
    fn another_webhook_after_us_ends_in_the_same_object_as_one_before_us(spec in spec(), part in spec()) {
        // It adds fields to the service, a part with defaults of its own among them, or a service of another type.
        let object = service(&spec);
        let meddle = |object: &Value| {
            let mut object = object.clone();
            for pointer in ["/spec", "/spec/jetstream", "/spec/redis/native"] {
                let more = map(json!({ "spec": part }).pointer(pointer));
                if let Some(fields) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
                    for (key, value) in more {
                        // What we filled in by then is not left out any more, and a webhook of this kind fills in and takes nothing away.
                        if fields.get(&key).is_none_or(Value::is_null) && !value.is_null() && !DEFAULTS.iter().any(|one| one.ends_with(&key)) {
                            fields.insert(key, value);
                        }
                    }
                }
            }
            object
        };
        let reinvoked = filled(&meddle(&filled(&object)));
        prop_assert_eq!(reinvoked, filled(&meddle(&object)));
    }

    #[test]
    fn the_defaults_do_not_change_the_verdict(spec in spec(), before in spec()) {
        let (old, new) = (service(&before), service(&spec));
        is_same(&create(Question::Validate, &new), &create(Question::Validate, &filled(&new)))?;
        let response = update(&old, &new);
        is_same(&response, &update(&old, &filled(&new)))?;
        is_same(&response, &update(&filled(&old), &new))?;
    }

    #[test]
    fn what_was_wrong_before_and_is_not_touched_refuses_nothing(spec in spec(), labels in wild()) {
        let old = service(&spec);
        let mut new = old.clone();
        prop_assert_eq!(&update(&old, &new)["allowed"], true, "the same again: {}", update(&old, &new));
        new["metadata"]["annotations"] = json!({ "team": labels.to_string() });
        new["metadata"]["finalizers"] = json!([]);
        new["metadata"]["resourceVersion"] = json!("2");
        prop_assert_eq!(&update(&old, &new)["allowed"], true, "metadata alone");
    }

    #[test]
    fn one_fault_can_be_mended_while_others_stay(spec in spec()) {
        // What may always be put right: none of these decides over stored data.
        let old = service(&spec);
        for field in ["settings", "bufferConfig", "startArgs", "containerTemplate", "affinity", "priority", "tolerations", "fromTheFuture"] {
            for part in ["/spec/jetstream", "/spec/redis/native"] {
                let mut new = old.clone();
                let Some(Value::Object(fields)) = new.pointer_mut(part) else { continue };
                let Some(was) = fields.remove(field) else { continue };
                // Without its settings a service may get a smaller store or payload, which is a fault of its own.
                if field == "settings" && was.as_str().is_none_or(|text| text.contains("max_")) {
                    continue;
                }
                let response = update(&old, &new);
                prop_assert_eq!(&response["allowed"], true, "without {}: {}", field, response);
            }
        }
    }

    #[test]
    fn nothing_is_allowed_that_the_library_refuses(spec in spec(), before in spec()) {
        let (old, new) = (service(&before), service(&spec));
        prop_assert_eq!(create(Question::Validate, &new)["allowed"] == true, library_refuses(None, &new) == Some(false));
        if let Some(refused) = library_refuses(Some(&old), &new) {
            prop_assert_eq!(update(&old, &new)["allowed"] == true, !refused);
        }
    }

    #[test]
    fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), value in wild(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut request = review("UPDATE", &service(&value), &service(&value));
        let names: Vec<_> = map(request.get("request")).keys().cloned().collect();
        let mut damaged = request.to_string().into_bytes();
        let place = at.index(damaged.len());
        damaged[place] = byte;
        request["request"][names[at.index(names.len())].as_str()] = value;
        for body in [body, damaged, request.to_string().into_bytes()] {
            for question in [Question::Mutate, Question::Validate] {
                let _ = ask(question, &body);
            }
        }
    }
}

#[test]
fn thousands_of_faults_make_a_short_answer() {
    let arguments: Vec<_> = (0..5000).map(|number| number.to_string()).collect();
    let settings = (0..1000).map(|number| format!("x{number}: 1")).collect::<Vec<_>>().join("\n");
    let object = service(&json!({ "jetstream": { "version": "2.12.7", "startArgs": arguments, "settings": settings } }));
    let response = create(Question::Validate, &object);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains(" things are wrong:\n") && message.ends_with(" more"), "{message}");
    assert_eq!(response["status"]["details"]["causes"].as_array().unwrap().len(), isbsvc::limits::FINDINGS);
    assert_eq!(update(&object, &object)["allowed"], true);
}
