//! Law secret-silence: no text of an object, and nothing of the one who asks, reaches the log, at any level.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use isbsvc::controller_config::ControllerConfig;
use isbsvc::rules::Policy;
use isbsvc_certs::serve::CertificateReloader;
use isbsvc_webhook::admission::Measure;
use isbsvc_webhook::{Bounds, Metrics, Webhook, router};
use serde_json::json;
use tower::ServiceExt;

/// A log that is kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn nothing_of_an_object_and_nobody_who_asks_is_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let measure = Measure { config: ControllerConfig::built_in(), policy: Policy::default() };
    let certificate = Arc::new(CertificateReloader::new("tls.crt", "tls.key"));
    let webhook = Arc::new(Webhook::new(Bounds::default(), measure, Metrics::default(), certificate));

    let object = |spec| {
        json!({
            "metadata": { "name": "default", "annotations": { "a": "SECRET" }, "labels": { "SECRET": "b" } }, "status": { "message": "SECRET" },
            "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService", "spec": { "jetstream": spec },
        })
    };
    let good = json!({ "version": "2.12.7", "containerTemplate": { "env": [{ "name": "A", "value": "SECRET" }] }, "SECRET": 1 });
    let bad = json!({ "version": "SECRET", "settings": "SECRET: 1", "startArgs": ["SECRET"], "bufferConfig": "SECRET" });
    let unreadable = json!({ "version": "2.12.7", "replicas": "SECRET" });
    for path in ["/mutate", "/validate", "/SECRET"] {
        for new in [&good, &bad, &unreadable] {
            let review = json!({
                "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
                "request": {
                    "uid": "u-1", "operation": "UPDATE", "name": "default", "namespace": "ns",
                    "resource": { "group": "numaflow.numaproj.io", "version": "v1alpha1", "resource": "interstepbufferservices" },
                    "userInfo": { "username": "SECRET", "groups": ["SECRET"], "extra": { "SECRET": ["SECRET"] } }, "options": { "SECRET": 1 },
                    "object": object(new.clone()), "oldObject": object(good.clone()),
                },
            })
            .to_string();
            // Whole, cut off, and in a wrong type at a place that an error could quote.
            for body in [review.clone(), review[..review.len() - 9].to_owned(), review.replace("\"u-1\"", "[\"SECRET\"]")] {
                let request = Request::post(format!("{path}?SECRET=1"))
                    .header("content-type", "application/json")
                    .header("authorization", "Bearer SECRET")
                    .body(Body::from(body))
                    .unwrap();
                router(Arc::clone(&webhook)).oneshot(request).await.unwrap();
            }
        }
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for expected in ["refused", "allowed", "request not answered", "\"default\"", "\"u-1\""] {
        assert!(log.contains(expected), "{expected} in\n{log}");
    }
    assert!(!log.contains("SECRET"), "{log}");
}
