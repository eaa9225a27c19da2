//! Admission reviews: what is answered to both questions.

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use isbsvc::api::decode;
use isbsvc::controller_config::ControllerConfig;
use isbsvc::rules::{self, Levels, Policy};
use isbsvc::{defaults, limits};
use isbsvc_webhook::admission::{Measure, Operation, Question, Request, answer};
use serde_json::{Value, json};

use crate::is_one_line;

/// Where a default may be added, and nowhere else.
pub const DEFAULTS: [&str; 6] = [
    "/spec/jetstream/replicas",
    "/spec/jetstream/persistence/accessMode",
    "/spec/jetstream/persistence/volumeSize",
    "/spec/redis/native/replicas",
    "/spec/redis/native/persistence/accessMode",
    "/spec/redis/native/persistence/volumeSize",
];

/// The built-in configuration and the rules' own levels.
static MEASURE: LazyLock<Measure> = LazyLock::new(|| Measure { config: ControllerConfig::built_in(), policy: Policy::default() });

/// The response to a review; none where it is no review. What holds for every one was looked at.
pub fn ask(question: Question, body: &[u8]) -> Option<Value> {
    let request = match Request::read(body) {
        Ok(request) => request,
        Err(error) => {
            let error = error.to_string();
            assert!(is_one_line(&error) && error.chars().count() < 4 * limits::WARNING, "{error:?}");
            return None;
        }
    };
    let uid = request.uid.clone();
    let review = answer(question, request, &MEASURE).into_review(&uid);
    well_formed(question, &uid, &review);
    Some(review["response"].clone())
}

/// What the API server asks of an answer, and people of its texts.
pub fn well_formed(question: Question, uid: &str, review: &Value) {
    assert_eq!((&review["apiVersion"], &review["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    let response = &review["response"];
    assert_eq!(response["uid"], uid);
    let allowed = response["allowed"].as_bool().expect("an answer");
    assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some(), "both or neither");
    assert!(allowed || response.get("patch").is_none(), "a refusal patches nothing");
    assert!(question == Question::Mutate || response.get("patch").is_none(), "a validating reply never patches");
    assert_eq!(allowed, response.get("status").is_none(), "a status is a refusal: {response}");
    if !allowed {
        assert!(response["status"]["code"].as_u64().expect("a code") >= 400);
        let message = response["status"]["message"].as_str().expect("a message");
        assert!(!message.is_empty() && message.lines().all(|line| is_one_line(line) && line.chars().count() <= limits::FINDING));
    }
    let warnings: Vec<_> = response["warnings"].as_array().into_iter().flatten().map(|text| text.as_str().expect("a text")).collect();
    assert!(warnings.len() <= limits::WARNINGS);
    assert!(warnings.iter().all(|text| is_one_line(text) && text.chars().count() <= limits::WARNING), "{warnings:?}");
    for (key, note) in response["auditAnnotations"].as_object().into_iter().flatten() {
        assert!(!key.contains('/') && is_one_line(note.as_str().expect("a text")), "{key}");
    }
    // The uid is the asker's own, and comes back as it is.
    let length = review.to_string().len() - json!(uid).to_string().len();
    assert!(length <= LONGEST, "an answer of {length} bytes");
}

/// Longest answer, bytes: all findings that are told, each once as a line and once as a cause, with four bytes for a letter.
const LONGEST: usize = (2 * limits::FINDINGS + limits::WARNINGS) * limits::FINDING * 4;

/// The steps of a response's patch.
pub fn patch(response: &Value) -> Vec<Value> {
    let Some(text) = response.get("patch") else { return Vec::new() };
    assert_eq!(response["patchType"], "JSONPatch");
    let bytes = BASE64_STANDARD.decode(text.as_str().expect("a text")).expect("base64");
    let steps: Vec<Value> = serde_json::from_slice(&bytes).expect("JSON");
    assert!(!steps.is_empty(), "an empty patch is none");
    for step in &steps {
        assert!(step["op"] == "add" && DEFAULTS.contains(&step["path"].as_str().expect("a path")), "{step}");
        assert_eq!(step.as_object().map(serde_json::Map::len), Some(3), "{step}");
    }
    steps
}

/// The object as the API server makes it of the patch.
pub fn patched(object: &Value, steps: &[Value]) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(steps.to_vec())).expect("a patch of RFC 6902");
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).expect("a patch that applies");
    object
}

/// Whether the library refuses the object, where it can read it and the old one.
pub fn library_refuses(old: Option<&Value>, new: &Value) -> Option<bool> {
    let typed = |object: &Value| {
        let mut object = object.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
            fields.get_mut("metadata").and_then(Value::as_object_mut).map(|metadata| metadata.remove("managedFields"));
        }
        defaults::fill(&mut object);
        decode(&object).ok()
    };
    let old = match old.map(typed) {
        Some(None) => return None,
        old => old.flatten(),
    };
    let new = typed(new)?;
    let findings = rules::check(rules::Request::update(old.as_ref(), &new), &MEASURE.config, &Levels::default());
    Some(rules::denials(&findings).next().is_some())
}

/// What is neither of a subresource, nor of an object that goes as it is.
fn is_judged(request: &Value) -> bool {
    let goes = |object: &Value| !object["metadata"]["deletionTimestamp"].is_null();
    let (new, old) = (&request["object"], &request["oldObject"]);
    request["subResource"].as_str().unwrap_or_default().is_empty() && !(goes(old) && goes(new) && old["spec"] == new["spec"])
}

pub(crate) fn check(body: &[u8]) {
    let (Some(filled), Some(judged)) = (ask(Question::Mutate, body), ask(Question::Validate, body)) else { return };
    // Half a surrogate in a field that is passed over is no fault to the reader of the review.
    let Ok(review) = serde_json::from_slice::<Value>(body) else { return };
    let request = &review["request"];
    let operation = Request::read(body).expect("as before").operation();
    let (new, old) = (&request["object"], Some(&request["oldObject"]).filter(|old| !old.is_null()));
    if !matches!(operation, Operation::Create | Operation::Update) {
        assert_eq!(filled.get("patch"), None, "there is nothing to fill in");
        return;
    }
    let steps = patch(&filled);
    if !steps.is_empty() {
        let object = patched(new, &steps);
        assert_eq!(defaults::missing(&object), [], "filled in once is filled in");
    }
    // A question that should not have been asked was refused as one.
    if is_judged(request) && judged["status"]["code"] != 400 {
        let refused = library_refuses(old, new);
        assert!(judged["allowed"] == false || refused != Some(true), "allowed, and the library refuses it: {request}");
        assert!(judged["allowed"] == false || refused.is_some() || old.is_some(), "made, and nobody can read it: {request}");
        assert!(judged["allowed"] == true || refused != Some(false), "refused, and the library does not: {request} {judged}");
    }
}
