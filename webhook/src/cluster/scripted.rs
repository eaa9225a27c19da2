//! An API server for tests that answers by a function.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use axum::body::{Body as Answer, Bytes};
use futures::stream;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What is sent back.
pub(crate) enum Reply {
    /// At once.
    Now(u16, Value),
    /// A watch: each event when it comes; it ends with its sender.
    Watch(UnboundedReceiver<Value>),
    /// No answer comes.
    Never,
    /// The connection breaks.
    Broken,
}

/// Every request so far: method, path with query, and body.
pub(crate) type Log = Arc<Mutex<Vec<(String, String, Value)>>>;

/// More requests than any test makes. Who asks again at once, and for ever, would hold a clock that stands still while there is something to do.
const MOST: usize = 10_000;

/// A client of an API server that answers with `reply`.
pub(crate) fn api_server(reply: impl Fn(&str, &Value) -> Reply + Send + Sync + 'static) -> (Client, Log) {
    let (log, reply) = (Log::default(), Arc::new(reply));
    let kept = Arc::clone(&log);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (reply, log) = (Arc::clone(&reply), Arc::clone(&kept));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let path = head.uri.to_string();
            let asked = {
                let mut log = log.lock().unwrap();
                log.push((head.method.to_string(), path.clone(), body.clone()));
                log.len()
            };
            let (code, body) = match if asked > MOST { Reply::Never } else { reply(&path, &body) } {
                Reply::Now(code, body) => (code, Answer::from(body.to_string())),
                Reply::Watch(events) => {
                    let lines = stream::unfold(events, async |mut events| {
                        let line = format!("{}\n", events.recv().await?);
                        Some((Ok::<_, Infallible>(Bytes::from(line)), events))
                    });
                    (200, Answer::from_stream(lines))
                }
                Reply::Never => std::future::pending().await,
                Reply::Broken => return Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
            };
            Ok(Response::builder().status(code).body(body).unwrap())
        }
    });
    (Client::new(service, "default"), log)
}

/// What the API server says where it refuses.
pub(crate) fn failure(code: u16, reason: &str, message: &str) -> Reply {
    Reply::Now(
        code,
        json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, "metadata": {} }),
    )
}

/// All objects of a kind.
pub(crate) fn list(items: &[Value]) -> Reply {
    Reply::Now(200, json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "1" }, "items": items }))
}

/// A watch, and where its events go in.
pub(crate) fn watch() -> (UnboundedSender<Value>, Reply) {
    let (sender, receiver) = unbounded_channel();
    (sender, Reply::Watch(receiver))
}
