//! An API server for tests that answers by a function, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::sleep;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub method: String,
    /// Path and query.
    pub path: String,
    pub body: Value,
}

/// Every request so far, in order.
pub(crate) type Log = Arc<Mutex<Vec<Asked>>>;

/// A client of an API server that answers with `answer`.
pub(crate) fn api_server(answer: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> (Client, Log) {
    slow_api_server(|| Duration::ZERO, answer)
}

/// The same; each answer takes its time. A request that arrived is carried out also where nobody waits for the answer any more.
pub(crate) fn slow_api_server(
    time: impl Fn() -> Duration + Send + Sync + 'static,
    answer: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static,
) -> (Client, Log) {
    let log = Log::default();
    let answer = Arc::new(answer);
    let kept = Arc::clone(&log);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, log, time) = (Arc::clone(&answer), Arc::clone(&kept), time());
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let asked = Asked {
                method: parts.method.to_string(),
                path: parts.uri.to_string(),
                body: if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() },
            };
            let (status, body) = if time.is_zero() {
                answer(&asked)
            } else {
                let (answer, asked) = (Arc::clone(&answer), asked.clone());
                let arrived = tokio::spawn(async move {
                    sleep(time).await;
                    answer(&asked)
                });
                arrived.await?
            };
            log.lock().unwrap().push(asked);
            let response = Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap();
            Ok::<_, tower::BoxError>(response)
        }
    });
    (Client::new(service, "default"), log)
}

/// What the API server says where it refuses.
pub(crate) fn failure(code: u16, reason: &str, message: &str) -> (u16, Value) {
    (code, json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message }))
}
