use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Method;
use axum::routing::get;
use futures::{StreamExt as _, stream};
use isbsvc::controller_config::ControllerConfig;
use isbsvc::rules::Policy;
use isbsvc_certs::serve::CertificateReloader;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::admission::Measure;
use crate::cluster::scripted::{Reply, api_server};
use crate::{Bounds, Metrics};

mod outage;

fn webhook(bounds: Bounds) -> Arc<Webhook> {
    let measure = Measure { config: ControllerConfig::built_in(), policy: Policy::default() };
    Arc::new(Webhook::new(bounds, measure, Metrics::default(), Arc::new(CertificateReloader::new("tls.crt", "tls.key"))))
}

fn review() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "name": "default", "namespace": "ns",
            "resource": { "group": "numaflow.numaproj.io", "version": "v1alpha1", "resource": "interstepbufferservices" },
            "object": {
                "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService",
                "metadata": { "name": "default", "namespace": "ns" }, "spec": { "jetstream": { "version": "2.10.29" } },
            },
        },
    })
}

fn post_to(path: &str, body: impl Into<Body>) -> HttpRequest {
    HttpRequest::post(path).header(header::CONTENT_TYPE, "application/json").body(body.into()).unwrap()
}

/// A body that never comes to its end.
fn endless(length: usize) -> HttpRequest {
    let mut request = post_to("/validate", Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()));
    request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    request
}

/// What each failure is called in the API, and words of what is said.
const FAILURES: [(u16, &str, &str); 8] = [
    (400, "BadRequest", "the body "),
    (404, "NotFound", "ask /mutate or /validate"),
    (405, "MethodNotAllowed", "sent with POST"),
    (413, "RequestEntityTooLarge", "larger than any"),
    (415, "UnsupportedMediaType", "application/json, and not compressed"),
    (429, "TooManyRequests", "ask again"),
    (500, "InternalError", "an error in the webhook itself"),
    (504, "Timeout", "in the caller's time"),
];

async fn send(webhook: &Arc<Webhook>, request: HttpRequest) -> (StatusCode, HeaderMap, Value) {
    let reply = router(Arc::clone(webhook)).oneshot(request).await.unwrap();
    let (head, body) = reply.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(head.headers[header::CONTENT_TYPE], "application/json");
    let body: Value = serde_json::from_slice(&body).unwrap();
    if head.status != StatusCode::OK {
        assert_eq!((&body["kind"], &body["status"], &body["code"]), (&json!("Status"), &json!("Failure"), &json!(head.status.as_u16())));
        let (_, reason, words) = FAILURES.into_iter().find(|(code, ..)| *code == head.status.as_u16()).unwrap();
        assert!(body["reason"] == reason && body["message"].as_str().unwrap().contains(words), "{body}");
    }
    (head.status, head.headers, body)
}

#[tokio::test]
async fn both_questions_are_answered_under_the_uid() {
    let webhook = webhook(Bounds::default());
    let (code, _, body) = send(&webhook, post_to("/mutate?timeout=5s", review().to_string())).await;
    assert_eq!((code, &body["response"]["uid"], &body["response"]["patchType"]), (StatusCode::OK, &json!("u-1"), &json!("JSONPatch")));
    let (code, _, body) = send(&webhook, post_to("/validate?timeout=5s", review().to_string())).await;
    assert_eq!((code, &body["response"]["uid"], &body["response"]["allowed"]), (StatusCode::OK, &json!("u-1"), &json!(true)));
}

#[tokio::test]
async fn what_is_no_question_gets_the_right_code() {
    let webhook = webhook(Bounds::default());
    let typed =
        |kind: &str| HttpRequest::post("/validate").header(header::CONTENT_TYPE, kind).body(Body::from(review().to_string())).unwrap();
    let mut packed = post_to("/validate", review().to_string());
    packed.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
    let mut got = post_to("/validate", "");
    *got.method_mut() = Method::GET;
    let mut put = post_to("/mutate", review().to_string());
    *put.method_mut() = Method::PUT;
    let cases = [
        (post_to("/", ""), 404),
        (post_to("/validate/more", ""), 404),
        (got, 405),
        (put, 405),
        (HttpRequest::post("/validate").body(Body::from(review().to_string())).unwrap(), 415),
        (typed("application/x-www-form-urlencoded"), 415),
        (packed, 415),
        (typed("Application/JSON; charset=utf-8"), 200),
        (post_to("/validate", "{"), 400),
        (post_to("/validate", "{}"), 400),
    ];
    for (request, expected) in cases {
        let asked = format!("{request:?}");
        assert_eq!(send(&webhook, request).await.0, expected, "{asked}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_by_its_length_and_while_it_comes() {
    let webhook = webhook(Bounds::default());
    let mut told = endless(limits::REVIEW + 1);
    told.headers_mut().insert(header::CONTENT_LENGTH, (limits::REVIEW + 1).into());
    assert_eq!(send(&webhook, told).await.0, StatusCode::PAYLOAD_TOO_LARGE);

    let megabyte = || Ok::<_, Infallible>(Bytes::from(vec![b' '; 1024 * 1024]));
    let untold = post_to("/validate", Body::from_stream(stream::iter((0..1000).map(move |_| megabyte()))));
    assert_eq!(send(&webhook, untold).await.0, StatusCode::PAYLOAD_TOO_LARGE);

    let mut full = review().to_string();
    full.push_str(&" ".repeat(limits::REVIEW - full.len()));
    assert_eq!(send(&webhook, post_to("/validate", full)).await.0, StatusCode::OK, "a body of exactly the limit");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_as_that() {
    let webhook = webhook(Bounds::default());
    let parts = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))];
    let (code, _, body) = send(&webhook, post_to("/validate", Body::from_stream(stream::iter(parts)))).await;
    assert_eq!((code, &body["message"]), (StatusCode::BAD_REQUEST, &json!("the body ended before all of it had come")));
    assert_eq!(webhook.bytes.available_permits(), webhook.bounds.bodies);
}

/// Until what runs beside has come so far. The clock stands still, so that turns are counted.
async fn until(far: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if far() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never comes so far");
}

fn put_off((code, headers, _): &(StatusCode, HeaderMap, Value)) -> bool {
    *code == StatusCode::TOO_MANY_REQUESTS && headers[header::RETRY_AFTER] == "1"
}

#[tokio::test(start_paused = true)]
async fn too_many_at_once_are_put_off_with_a_word_when_to_come_again() {
    // One that waits for the API server's word.
    let webhook = beside(Bounds { at_once: 1, ..Bounds::default() }, || Reply::Never);
    let held = tokio::spawn(router(Arc::clone(&webhook)).oneshot(post_to("/validate", overriding())));
    until(|| webhook.at_once.available_permits() == 0).await;
    assert!(put_off(&send(&webhook, post_to("/validate", review().to_string())).await));
    held.abort();
    assert!(held.await.is_err());
    assert_eq!(send(&webhook, post_to("/validate", review().to_string())).await.0, StatusCode::OK, "the place is free again");
}

/// A body of which so many bytes come, and then nothing.
fn begun(length: usize, come: usize) -> HttpRequest {
    let piece = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b' '; come]))]).chain(stream::pending());
    let mut request = post_to("/validate", Body::from_stream(piece));
    request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    request
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_put_off_where_large_ones_take_all_the_room_and_a_small_one_never() {
    let webhook = webhook(Bounds { bodies: 1000, ..Bounds::default() });
    let large = || post_to("/validate", review().to_string() + &" ".repeat(limits::REVIEW_SMALL));
    let said = send(&webhook, large()).await;
    assert_eq!(said.0, StatusCode::OK, "there is room for it");
    let held = tokio::spawn(router(Arc::clone(&webhook)).oneshot(begun(limits::REVIEW, limits::REVIEW_SMALL + 900)));
    until(|| webhook.bytes.available_permits() <= 100).await;
    assert!(put_off(&send(&webhook, large()).await));
    assert_eq!(send(&webhook, post_to("/validate", review().to_string())).await.0, StatusCode::OK);
    held.abort();
    assert!(held.await.is_err());
    assert_eq!(send(&webhook, large()).await.0, StatusCode::OK, "the room is free again");
}

/// What was only announced takes no room, and what has not come no place.
#[tokio::test(start_paused = true)]
async fn slow_bodies_put_nothing_off_and_are_given_up() {
    let webhook = webhook(Bounds { at_once: 1, ..Bounds::default() });
    let started = tokio::time::Instant::now();
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let mut request = begun(limits::REVIEW, 1);
            *request.uri_mut() = "/validate?timeout=30s".parse().unwrap();
            tokio::spawn(router(Arc::clone(&webhook)).oneshot(request))
        })
        .collect();
    tokio::task::yield_now().await;
    for text in [review().to_string(), review().to_string() + &" ".repeat(limits::REVIEW / 2)] {
        assert_eq!(send(&webhook, post_to("/validate", text)).await.0, StatusCode::OK);
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    for one in slow {
        assert_eq!(one.await.unwrap().unwrap().status(), StatusCode::GATEWAY_TIMEOUT);
    }
    assert_eq!(started.elapsed(), limits::REQUEST_BODY);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up_before_the_caller_gives_up() {
    let webhook = webhook(Bounds::default());
    let started = tokio::time::Instant::now();
    let mut request = endless(100);
    *request.uri_mut() = "/validate?timeout=3s".parse().unwrap();
    assert_eq!(send(&webhook, request).await.0, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(started.elapsed(), Duration::from_millis(2500));
    assert_eq!(webhook.at_once.available_permits(), webhook.bounds.at_once);
    assert_eq!(webhook.bytes.available_permits(), webhook.bounds.bodies);
}

async fn broken() -> &'static str {
    panic!("secret")
}

#[tokio::test]
async fn a_panic_is_one_failed_request_and_is_counted() {
    let webhook = webhook(Bounds::default());
    let broken = Router::new().route("/panic", get(broken));
    let request = HttpRequest::get("/panic").body(Body::empty()).unwrap();
    let reply = catching_panics(broken, Arc::clone(&webhook)).oneshot(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&body).contains("secret"));
    let body: Value = serde_json::from_slice(&body).unwrap();
    let (_, reason, words) = FAILURES[6];
    assert!(body["reason"] == reason && body["message"].as_str().unwrap().contains(words), "{body}");
    assert_eq!(webhook.metrics.panics.get(), 1);
}

#[tokio::test]
async fn another_configuration_holds_from_the_next_request_on() {
    let webhook = webhook(Bounds::default());
    let config =
        "isbsvc:\n  jetstream:\n    versions:\n      - { version: 9.9.9, natsImage: \"nats:9.9.9\", startCommand: /nats-server }\n";
    let allowed = async || send(&webhook, post_to("/validate", review().to_string())).await.2["response"]["allowed"].clone();
    assert_eq!(allowed().await, true);
    webhook.set_measure(Measure { config: ControllerConfig::parse(config).unwrap(), policy: Policy::default() });
    assert_eq!(allowed().await, false);
}

/// A change that overrides a rule, by Jane.
fn overriding() -> String {
    let mut review = review();
    let request = &mut review["request"];
    request["operation"] = json!("UPDATE");
    request["userInfo"] = json!({ "username": "jane" });
    request["object"]["metadata"]["uid"] = json!("o-1");
    request["object"]["spec"] = json!({ "jetstream": { "version": "2.10.29", "replicas": 5 } });
    request["oldObject"] = request["object"].clone();
    request["object"]["metadata"]["annotations"] = json!({ "numaflow.numaproj.io/override": "replicas-shrink=3" });
    request["object"]["spec"]["jetstream"]["replicas"] = json!(3);
    review.to_string()
}

/// A webhook beside an API server that gives this answer to questions about permissions, and none to any other.
fn beside(bounds: Bounds, reply: impl Fn() -> Reply + Send + Sync + 'static) -> Arc<Webhook> {
    let (client, _) = api_server(move |path, _| if path.contains("subjectaccessreviews") { reply() } else { Reply::Never });
    let measure = Measure { config: ControllerConfig::built_in(), policy: Policy::default() };
    let certificate = Arc::new(CertificateReloader::new("tls.crt", "tls.key"));
    Arc::new(Webhook::new(bounds, measure, Metrics::default(), certificate).with_cluster(client))
}

#[tokio::test(start_paused = true)]
async fn an_override_is_answered_by_the_word_of_the_api_server_and_counted() {
    for (allowed, granted) in [(true, "yes"), (false, "no")] {
        let answer =
            json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}, "status": { "allowed": allowed } });
        let webhook = beside(Bounds::default(), move || Reply::Now(201, answer.clone()));
        let (_, _, mutated) = send(&webhook, post_to("/mutate", overriding())).await;
        assert_eq!(mutated["response"].get("patch").is_some(), allowed, "{mutated}");
        let (_, _, judged) = send(&webhook, post_to("/validate", overriding())).await;
        assert_eq!(judged["response"]["status"]["code"], if allowed { 422 } else { 403 }, "the record is missing: {judged}");
        let text = webhook.metrics.text();
        assert!(text.contains(&format!("isbsvc_webhook_override_questions_total{{granted=\"{granted}\"}} 2")), "{text}");
    }
}

/// Whoever waits for the API server keeps nobody else from being judged.
#[tokio::test(start_paused = true)]
async fn a_question_about_permissions_holds_no_core() {
    let webhook = beside(Bounds { judged_at_once: 1, ..Bounds::default() }, || Reply::Never);
    let waiting = tokio::spawn(router(Arc::clone(&webhook)).oneshot(post_to("/validate", overriding())));
    until(|| webhook.at_once.available_permits() < webhook.bounds.at_once).await;
    assert_eq!(send(&webhook, post_to("/validate", review().to_string())).await.0, StatusCode::OK);
    let reply = waiting.await.unwrap().unwrap();
    assert_eq!(reply.status(), StatusCode::OK, "and has an answer of its own in the end");
}

#[tokio::test]
async fn requests_are_counted_without_a_name() {
    let webhook = webhook(Bounds::default());
    send(&webhook, post_to("/mutate", review().to_string())).await;
    send(&webhook, post_to("/validate", review().to_string())).await;
    send(&webhook, post_to("/validate", "{")).await;
    let mut request = review();
    request["request"]["object"]["spec"]["jetstream"]["version"] = json!("1.2.3");
    send(&webhook, post_to("/validate", request.to_string())).await;
    request["request"]["operation"] = json!("UPDATE");
    send(&webhook, post_to("/validate", request.to_string())).await;
    let text = webhook.metrics.text();
    for line in [
        "isbsvc_webhook_requests_total{path=\"mutate\",operation=\"create\",outcome=\"patched\"} 1",
        "isbsvc_webhook_requests_total{path=\"validate\",operation=\"create\",outcome=\"allowed\"} 1",
        "isbsvc_webhook_requests_total{path=\"validate\",operation=\"other\",outcome=\"malformed\"} 1",
        "isbsvc_webhook_requests_total{path=\"validate\",operation=\"create\",outcome=\"denied\"} 1",
        "isbsvc_webhook_requests_total{path=\"validate\",operation=\"update\",outcome=\"malformed\"} 1",
        "isbsvc_webhook_request_duration_seconds_count{path=\"validate\"} 4",
        "isbsvc_webhook_certificate_expiry_timestamp_seconds 0.0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(!text.contains("default"));
}
