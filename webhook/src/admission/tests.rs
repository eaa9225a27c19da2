mod deletion;
mod many;
mod overriding;

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use isbsvc::limits;
use serde_json::{Value, json};

use super::*;

fn measure() -> Measure {
    Measure { config: ControllerConfig::built_in(), policy: Policy::default() }
}

/// A service as a file holds it.
fn service(spec: &str) -> Value {
    let spec: Value = serde_saphyr::from_str(spec).unwrap();
    json!({ "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService", "metadata": { "name": "default", "namespace": "ns" }, "spec": spec })
}

fn request(operation: &str, object: &Value, old: &Value) -> Value {
    json!({
        "uid": "u-1", "operation": operation, "name": "default", "namespace": "ns",
        "kind": { "group": "numaflow.numaproj.io", "version": "v1alpha1", "kind": "InterStepBufferService" },
        "resource": { "group": "numaflow.numaproj.io", "version": "v1alpha1", "resource": "interstepbufferservices" },
        "userInfo": { "username": "jane" }, "object": object, "oldObject": old, "dryRun": true,
    })
}

fn review(request: &Value) -> Vec<u8> {
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request }).to_string().into_bytes()
}

/// What is sent back, after a look at what holds for every reply.
fn ask(question: Question, request: &Value) -> Value {
    ask_by(&measure(), question, request)
}

fn ask_by(measure: &Measure, question: Question, request: &Value) -> Value {
    ask_beside(question, request, measure, &Nothing)
}

/// The same, beside what else there is. Nobody may override anything.
fn ask_beside(question: Question, request: &Value, measure: &Measure, nearby: &dyn Nearby) -> Value {
    let request = Request::read(&review(request)).unwrap();
    let answer = match decide(question, request, measure, nearby) {
        Decision::Made(answer) => answer,
        Decision::Asks(pending) => pending.answer(&Permission::not_asked()),
    };
    let review = answer.into_review("u-1");
    assert_eq!((&review["apiVersion"], &review["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    let response = &review["response"];
    assert_eq!(response["uid"], "u-1");
    assert_eq!(response.get("patch").is_some(), response.get("patchType").is_some(), "both or neither");
    assert!(question == Question::Mutate || response.get("patch").is_none(), "a validating reply never patches");
    if response["allowed"] == json!(false) {
        assert!(response["status"]["code"].as_u64().unwrap() >= 400);
        assert!(!response["status"]["message"].as_str().unwrap().is_empty());
    }
    for warning in response["warnings"].as_array().into_iter().flatten() {
        let warning = warning.as_str().unwrap();
        assert!(warning.chars().count() <= limits::WARNING && !warning.chars().any(char::is_control), "{warning}");
    }
    for key in response["auditAnnotations"].as_object().into_iter().flat_map(|notes| notes.keys()) {
        assert!(!key.contains('/'), "{key}");
    }
    response.clone()
}

fn patch(response: &Value) -> Vec<Value> {
    let Some(text) = response.get("patch") else { return Vec::new() };
    assert_eq!(response["patchType"], "JSONPatch");
    serde_json::from_slice(&BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap()).unwrap()
}

fn create(question: Question, object: &Value) -> Value {
    ask(question, &request("CREATE", object, &Value::Null))
}

fn update(old: &str, new: &str) -> Value {
    ask(Question::Validate, &request("UPDATE", &service(new), &service(old)))
}

/// The samples of the manual ("Inter-Step Buffer Service"), and what is filled in.
const SAMPLES: [(&str, &[&str]); 3] = [
    ("jetstream: { version: latest }", &["/spec/jetstream/replicas"]),
    (
        "jetstream: { version: latest, persistence: { storageClassName: standard, accessMode: ReadWriteOnce, volumeSize: 10Gi } }",
        &["/spec/jetstream/replicas"],
    ),
    (
        "jetstream:\n  version: latest\n  affinity:\n    podAntiAffinity:\n      preferredDuringSchedulingIgnoredDuringExecution:\n        - podAffinityTerm:\n            labelSelector:\n              matchLabels:\n                app.kubernetes.io/component: isbsvc\n                numaflow.numaproj.io/isbsvc-name: default\n            topologyKey: topology.kubernetes.io/zone\n          weight: 100\n",
        &["/spec/jetstream/replicas"],
    ),
];

#[test]
fn the_samples_of_the_manual_are_filled_in_and_admitted_with_a_warning() {
    for (sample, filled) in SAMPLES {
        let object = service(sample);
        let response = create(Question::Mutate, &object);
        assert_eq!(response["auditAnnotations"], json!({ "defaulted": filled.join(",") }));
        let patch = patch(&response);
        assert!(patch.iter().all(|step| step["op"] == "add"));
        assert_eq!(patch.iter().map(|step| step["path"].as_str().unwrap()).collect::<Vec<_>>(), filled);

        let response = create(Question::Validate, &object);
        assert_eq!(response["allowed"], true, "{response}");
        assert!(response["warnings"][0].as_str().unwrap().ends_with("(version-floating)"), "{response}");
        assert!(response["auditAnnotations"]["warned-by"].as_str().unwrap().starts_with("version-floating,"), "{response}");
    }
}

#[test]
fn filling_in_twice_is_filling_in_once_and_unknown_fields_survive() {
    let more = [
        "jetstream: { version: 2.10.29, persistence: {}, fromTheFuture: [1, { a: null }] }",
        "jetstream: { version: 2.10.29, replicas: null }",
        "redis: { native: { version: 7.0.11, persistence: { volumeSize: 1Gi } } }",
        "redis: { external: { url: \"a:6379\" } }",
        "{}",
        "jetstream: 5",
    ];
    for spec in SAMPLES.iter().map(|(sample, _)| *sample).chain(more) {
        let mut object = service(spec);
        let before = object.clone();
        let patch: json_patch::Patch = serde_json::from_value(Value::Array(patch(&create(Question::Mutate, &object)))).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
        let again = create(Question::Mutate, &object);
        assert_eq!(again, json!({ "uid": "u-1", "allowed": true }), "{spec}");
        assert_eq!(object["spec"]["jetstream"]["fromTheFuture"], before["spec"]["jetstream"]["fromTheFuture"]);
        assert_eq!(object["metadata"], before["metadata"]);
    }
}

#[test]
fn defaults_that_were_not_filled_in_are_no_reason_to_refuse() {
    let response = update("jetstream: { version: 2.10.29, replicas: 3 }", "jetstream: { version: 2.10.29 }");
    assert_eq!(response["allowed"], true, "{response}");
}

#[test]
fn a_toggled_encryption_is_refused_with_field_reason_and_remedy() {
    let response = update("jetstream: { version: 2.10.29 }", "jetstream: { version: 2.10.29, encryption: true }");
    assert_eq!(
        (&response["allowed"], &response["status"]["code"], &response["status"]["reason"]),
        (&json!(false), &json!(422), &json!("Invalid"))
    );
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("spec.jetstream.encryption: ") && message.ends_with("(encryption-toggle)"), "{message}");
    assert!(message.contains("loses data") && message.contains("delete the Pipelines"), "{message}");
    let details = &response["status"]["details"];
    assert_eq!((&details["kind"], &details["name"]), (&json!("InterStepBufferService"), &json!("default")));
    assert_eq!(details["causes"][0]["field"], "spec.jetstream.encryption");
    assert_eq!(response["auditAnnotations"]["denied-by"], "encryption-toggle");
}

#[test]
fn every_refusal_is_told_on_a_line_of_its_own() {
    let response = update("jetstream: { version: 2.10.29 }", "jetstream: { version: 2.10.29, encryption: true, tls: true, replicas: 1 }");
    let message = response["status"]["message"].as_str().unwrap();
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines[0], format!("{} things are wrong:", lines.len() - 1));
    assert_eq!(response["status"]["details"]["causes"].as_array().unwrap().len(), lines.len() - 1);
    for rule in ["encryption-toggle", "tls-toggle"] {
        assert_eq!(lines.iter().filter(|line| line.ends_with(&format!("({rule})"))).count(), 1, "{message}");
    }
}

/// Whoever is refused only because nobody can read the policy hears that, and what to do; nobody else does.
#[test]
fn a_refusal_in_place_of_a_policy_that_cannot_be_used_says_so() {
    let measure = Measure { policy: Policy::strictest("policy.yaml: line 3\ncolumn 1"), ..measure() };
    let ask = |spec: &str| ask_by(&measure, Question::Validate, &request("CREATE", &service(spec), &Value::Null));
    let response = ask("jetstream: { version: latest }");
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.contains("(version-floating)"), "{message}");
    let last = message.lines().next_back().unwrap();
    assert!(last.contains("policy.yaml: line 3 column 1; ask whoever") && last.contains("isbsvc-policy"), "{message}");
    let shown_by_kubectl = response["status"]["details"]["causes"].as_array().unwrap().last().unwrap();
    assert_eq!(last, format!("policy: {}", shown_by_kubectl["message"].as_str().unwrap()));

    let response = ask("{}");
    assert!(!response["status"]["message"].as_str().unwrap().contains("isbsvc-policy"), "its own level refuses: {response}");
    let whole = "jetstream: { version: 2.12.7, persistence: {}, containerTemplate: { resources: { requests: { cpu: 1, memory: 1Gi }, limits: { memory: 1Gi } } } }";
    assert_eq!(ask(whole)["allowed"], json!(true), "what breaks no rule goes on");
    // What was there before refuses no update, also of finalizers.
    let old = service("jetstream: { version: latest }");
    let mut new = old.clone();
    new["metadata"]["finalizers"] = json!(["a/b"]);
    assert_eq!(ask_by(&measure, Question::Validate, &request("UPDATE", &new, &old))["allowed"], json!(true));
}

#[test]
fn what_the_manual_requires_is_required() {
    for (spec, rule) in [
        ("{}", "one-type"),
        ("jetstream: {}", "version-required"),
        ("jetstream: { version: 1.2.3 }", "version-known"),
        ("{ jetstream: { version: 2.10.29 }, redis: { native: { version: 7.0.11 } } }", "one-type"),
    ] {
        let response = create(Question::Validate, &service(spec));
        assert_eq!(response["allowed"], false, "{spec}");
        assert!(response["auditAnnotations"]["denied-by"].as_str().unwrap().contains(rule), "{spec}: {response}");
    }
}

#[test]
fn a_spec_that_cannot_be_read_is_refused_by_its_field() {
    for (spec, field) in [
        ("jetstream: { version: 2.10.29, encryption: \"yes\" }", "spec.jetstream.encryption"),
        ("jetstream: { version: 2.10.29, replicas: many }", "spec.jetstream.replicas"),
        ("jetstream: { version: 2.10.29, priority: \"5\" }", "spec.jetstream.priority"),
        ("jetstream: { version: 2.10.29, affinity: { nodeAffinity: 1 } }", "spec.jetstream.affinity.nodeAffinity"),
        ("redis: { native: { version: 7.0.11, tolerations: {} } }", "spec.redis.native.tolerations"),
        ("jetstream: 5", "spec.jetstream"),
    ] {
        let response = create(Question::Validate, &service(spec));
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(422)));
        assert_eq!(response["status"]["details"]["causes"][0]["field"], field);
        assert_eq!(create(Question::Mutate, &service(spec))["allowed"], true, "the validating webhook refuses");
    }
}

#[test]
fn an_object_without_a_spec_is_refused_by_that_name() {
    let mut object = service("{}");
    object.as_object_mut().unwrap().remove("spec");
    let response = create(Question::Validate, &object);
    assert_eq!(response["status"]["details"]["causes"][0]["field"], "spec", "{response}");
}

#[test]
fn an_old_field_that_cannot_be_read_can_be_mended_and_hides_no_other_change() {
    for unreadable in [
        "containerTemplate: 1",
        "affinity: { nodeAffinity: 1 }",
        "tolerations: {}",
        "priority: \"5\"",
        "priority: \"5\", tolerations: 1, dnsPolicy: 1",
    ] {
        let old = format!("jetstream: {{ version: 2.10.29, metrics: 1, replicas: 3, persistence: {{}}, {unreadable} }}");
        let response = update(&old, "jetstream: { version: 2.10.29, replicas: 3, persistence: {} }");
        assert_eq!(response["allowed"], true, "{response}");
        assert!(response["warnings"][0].as_str().unwrap().contains("the old value cannot be read"), "{response}");
        for (change, rule) in [
            ("persistence: {}, replicas: 3, encryption: true", "encryption-toggle"),
            ("persistence: {}, replicas: 3, tls: true", "tls-toggle"),
            ("replicas: 3", "persistence-change"),
            ("persistence: {}, replicas: 1", "replicas-cluster-switch"),
        ] {
            let response = update(&old, &format!("jetstream: {{ version: 2.10.29, {change} }}"));
            assert_eq!(response["auditAnnotations"]["denied-by"], rule, "{unreadable}: {response}");
        }
        let response = update(&old, "redis: { external: { url: \"a:6379\" } }");
        assert_eq!(response["auditAnnotations"]["denied-by"], "type-change", "{unreadable}: {response}");
    }
}

#[test]
fn a_guarded_field_that_cannot_be_read_may_only_be_put_in_its_right_form() {
    for (old, new, field) in [
        ("replicas: \"3\"", "replicas: 3", None),
        ("replicas: \"5\"", "replicas: 3", Some("spec.jetstream.replicas")),
        ("replicas: many", "replicas: 3", Some("spec.jetstream.replicas")),
        ("encryption: \"true\"", "encryption: true", None),
        ("encryption: \"true\"", "encryption: false", Some("spec.jetstream.encryption")),
        ("tls: \"true\"", "priority: 5", Some("spec.jetstream.tls")),
        ("settings: 5", "settings: \"max_payload: 5\"", Some("spec.jetstream.settings")),
        ("persistence: { storageClassName: 5 }", "persistence: { storageClassName: \"5\" }", None),
        ("persistence: { storageClassName: 5, none: null }", "persistence: { storageClassName: \"5\" }", None),
        ("persistence: { storageClassName: 5 }", "persistence: { storageClassName: \"6\" }", Some("spec.jetstream.persistence")),
        ("persistence: 5", "tls: false", Some("spec.jetstream.persistence")),
    ] {
        let service = |fields: &str| format!("jetstream: {{ version: 2.10.29, {fields} }}");
        let response = update(&service(old), &service(new));
        assert_eq!(response["allowed"], field.is_none(), "{old} {new}: {response}");
        if let Some(field) = field {
            let causes = response["status"]["details"]["causes"].as_array().unwrap();
            assert_eq!((&response["status"]["code"], causes.len(), &causes[0]["field"]), (&json!(422), 1, &json!(field)), "{response}");
        }
    }
}

#[test]
fn what_cannot_be_read_and_says_what_it_said_is_told_and_refuses_nothing() {
    for spec in [
        "jetstream: { version: 2.1, replicas: 3 }",
        "jetstream: { version: 2.10.29, priority: \"5\", encryption: \"yes\", replicas: many }",
        "jetstream: 5",
        "redis: { native: 5 }",
        "5",
    ] {
        let response = update(spec, spec);
        assert_eq!(response["allowed"], true, "{response}");
        assert!(response["warnings"][0].as_str().unwrap().contains("it cannot be read, as before"), "{response}");
    }
    let service = |fields: &str| format!("jetstream: {{ version: 2.10.29, priority: \"5\", replicas: 3{fields} }}");
    assert_eq!(update(&service(", settings: \"x: 1\""), &service(""))["allowed"], true, "another fault is mended");
    let response = update(&service(""), &service(", encryption: true"));
    assert_eq!(response["auditAnnotations"]["denied-by"], "encryption-toggle", "and it hides no change: {response}");
}

#[test]
fn a_type_that_cannot_be_read_does_not_change() {
    for (old, new) in [
        ("jetstream: 5", "jetstream: { version: 2.10.29 }"),
        ("jetstream: 5", "redis: { external: { url: \"a:6379\" } }"),
        ("redis: 5", "jetstream: { version: 2.10.29 }"),
        ("redis: { native: 5 }", "redis: { external: { url: \"a:6379\" } }"),
        ("redis: { native: { version: \"7\", priority: \"5\" } }", "redis: { external: { url: \"a:6379\" } }"),
        ("redis: { external: { url: [\"a:6379\"] } }", "redis: { external: { url: \"b:6379\" } }"),
        ("redis: { external: { url: \"a:6379\", masterName: [] } }", "redis: { external: { url: \"a:6379\", masterName: m } }"),
        ("5", "jetstream: { version: 2.10.29 }"),
    ] {
        let response = update(old, new);
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(422)), "{old} -> {new}: {response}");
    }
    let response = update("redis: { native: { version: \"7\", priority: \"5\" } }", "redis: { native: { version: \"7\", priority: 5 } }");
    assert_eq!(response["allowed"], true, "{response}");
}

#[test]
fn beside_a_spec_that_nobody_can_read_no_guarded_annotation_changes() {
    use isbsvc::api::names::{INSTANCE_ANNOTATION, OVERRIDDEN_ANNOTATION};
    let with = |annotations: Value| {
        let mut object = service("5");
        object["metadata"]["annotations"] = annotations;
        object
    };
    let (none, record) = (json!({}), json!({ OVERRIDDEN_ANNOTATION: "[]" }));
    for (old, new, allowed) in [
        (&none, json!({ INSTANCE_ANNOTATION: "another" }), false),
        (&none, record.clone(), false),
        (&record, json!({ OVERRIDDEN_ANNOTATION: "[{}]" }), false),
        (&record, record.clone(), true),
        (&record, none.clone(), true),
        (&none, json!({ "team": "a" }), true),
    ] {
        let response = ask(Question::Validate, &request("UPDATE", &with(new.clone()), &with(old.clone())));
        assert_eq!(response["allowed"], allowed, "{old} -> {new}: {response}");
        assert!(response["warnings"].to_string().contains("as before"), "the spec is told all the same: {response}");
    }
}

#[test]
fn an_object_that_is_being_deleted_can_always_lose_its_finalizers() {
    let mut old = service("jetstream: { version: no-such }");
    old["metadata"]["deletionTimestamp"] = json!("2026-08-01T12:00:00Z");
    old["metadata"]["finalizers"] = json!(["a"]);
    let mut new = old.clone();
    new["metadata"]["finalizers"] = json!([]);
    for question in [Question::Mutate, Question::Validate] {
        let response = ask(question, &request("UPDATE", &new, &old));
        assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None));
    }
    new["spec"]["jetstream"]["encryption"] = json!(true);
    assert_eq!(ask(Question::Validate, &request("UPDATE", &new, &old))["allowed"], false, "its servers still run");
}

/// Both objects say so, and nothing of the spec changes; all else is a change as any other.
#[test]
fn only_an_object_that_goes_and_stays_as_it_is_passes_without_a_look() {
    let object = |goes: bool, more: &str| {
        let mut object = service(&format!("jetstream: {{ version: 2.12.7{more} }}"));
        if goes {
            object["metadata"]["deletionTimestamp"] = json!("2026-08-01T12:00:00Z");
        }
        object
    };
    for (old, new, passes) in [
        (object(true, ""), object(true, ""), true),
        (object(true, ""), object(false, ""), false),
        (object(false, ""), object(true, ""), false),
        (object(false, ""), object(false, ""), false),
        (object(true, ""), object(true, ", tls: false"), false),
    ] {
        let response = ask(Question::Mutate, &request("UPDATE", &new, &old));
        assert_eq!(response.get("patch").is_none(), passes, "{old} -> {new}: {response}");
    }
}

#[test]
fn a_deletion_and_a_status_pass_without_a_patch() {
    let object = service("jetstream: { version: no-such }");
    let mut status = request("UPDATE", &object, &object);
    status["subResource"] = json!("status");
    for question in [Question::Mutate, Question::Validate] {
        for request in [&request("DELETE", &Value::Null, &object), &request("CONNECT", &object, &Value::Null), &status] {
            let response = ask(question, request);
            assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None), "{request}");
        }
    }
}

#[test]
fn what_should_never_have_been_asked_is_refused_to_the_one_who_asked() {
    let object = service("jetstream: { version: 2.10.29 }");
    let mut pods = request("CREATE", &object, &Value::Null);
    pods["resource"] = json!({ "group": "", "version": "v1", "resource": "pods" });
    let other = |key: &str, value: &str| {
        let mut request = request("CREATE", &object, &Value::Null);
        request["resource"][key] = json!(value);
        (request, "narrow the rules")
    };
    let cases = [
        (pods, "narrow the rules"),
        other("version", "v2"),
        other("group", "example.com"),
        other("resource", "pipelines"),
        (request("CREATE", &Value::Null, &Value::Null), "holds no object"),
        (request("UPDATE", &object, &Value::Null), "holds no old object"),
        (request("MERGE", &object, &object), "operation"),
    ];
    for (request, words) in cases {
        for question in [Question::Mutate, Question::Validate] {
            let response = ask(question, &request);
            assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(400)));
            assert!(response["status"]["message"].as_str().unwrap().contains(words), "{response}");
        }
    }
}

#[test]
fn what_is_no_review_is_told_without_quoting_it() {
    let deep = format!("{{\"kind\":\"secret\",\"request\":{{\"uid\":\"u\",\"object\":{}", "[".repeat(500));
    let many = format!("[{}]", "0,".repeat(limits::REVIEW_VALUES));
    let most = format!("[{}0]", "0,".repeat(limits::REVIEW_VALUES - 1));
    let cases: [(&[u8], &str); 12] = [
        (b"", "the JSON ends in the middle"),
        (b"secret", "not valid JSON"),
        (b"{\"kind\": \"secret", "the JSON ends in the middle"),
        (b"[\"secret\"]", "a field has the wrong type, or is missing"),
        (b"\xff\xfe", "not valid JSON"),
        (b"{}", "the body is  of ; AdmissionReview of"),
        (br#"{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}"#, "of admission.k8s.io/v1beta1;"),
        (br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#, "no request with a uid"),
        (br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":""}}"#, "no request with a uid"),
        (deep.as_bytes(), "not valid JSON"),
        (most.as_bytes(), "a field has the wrong type, or is missing"),
        (many.as_bytes(), "more than 150000 values"),
    ];
    for (body, words) in cases {
        let error = Request::read(body).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("secret") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn long_and_wild_values_make_short_and_tame_answers() {
    let mut object = service("jetstream: { version: 2.10.29 }");
    object["spec"]["jetstream"]["version"] = json!(format!("\u{1b}[31m\r\n{}", "x ".repeat(100_000)));
    let response = create(Question::Validate, &object);
    let message = response["status"]["message"].as_str().unwrap();
    assert_eq!(response["allowed"], false);
    assert!(message.len() < 4 * limits::FINDING && !message.contains('\u{1b}'), "{}", message.len());
}
