//! An API server for tests that answers by a function, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

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
    let log = Log::default();
    let answer = Arc::new(answer);
    let kept = Arc::clone(&log);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, log) = (Arc::clone(&answer), Arc::clone(&kept));
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let asked = Asked {
                method: parts.method.to_string(),
                path: parts.uri.to_string(),
                body: if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() },
            };
            let (status, body) = answer(&asked);
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
