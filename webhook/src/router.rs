//! The two paths of the API server, and what guards them.

mod reply;
mod time;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::post;
use http_body_util::BodyExt;
use isbsvc::limits;
use tokio::sync::SemaphorePermit;
use tower_http::catch_panic::CatchPanicLayer;

use crate::Webhook;
use crate::admission::{self, Answer, Decision, Operation, Question, Request};
use crate::connection::{Doing, Phase};
use crate::metrics::Outcome;
use reply::Failure;

/// `POST /mutate` and `POST /validate`.
pub fn router(webhook: Arc<Webhook>) -> Router {
    let routes = Router::new()
        .route("/mutate", post(|State(webhook), request| serve(webhook, Question::Mutate, request)))
        .route("/validate", post(|State(webhook), request| serve(webhook, Question::Validate, request)))
        .fallback(|| async { Failure::NoSuchPath.into_reply() })
        .method_not_allowed_fallback(|| async { Failure::NoSuchMethod.into_reply() })
        .with_state(Arc::clone(&webhook));
    catching_panics(routes, webhook)
}

/// A panic ends one request and never the process.
fn catching_panics(router: Router, webhook: Arc<Webhook>) -> Router {
    // What a panic says is left unsaid: it may quote the object.
    router.layer(CatchPanicLayer::custom(move |_: Box<dyn std::any::Any + Send>| -> Response {
        webhook.metrics.panics.inc();
        Failure::Panic.into_reply()
    }))
}

/// Serves one request within its time, and counts it.
async fn serve(webhook: Arc<Webhook>, question: Question, request: HttpRequest) -> Response {
    let started = Instant::now();
    let time = time::allowed(request.uri().query(), webhook.bounds.time);
    let mut seen = Seen::default();
    let result = tokio::time::timeout(time, judge(&webhook, question, request, &mut seen)).await.unwrap_or(Err(Failure::TimedOut));
    let took = started.elapsed();
    let (outcome, reply) = match result {
        Ok(answer) => {
            let outcome = match (answer.is_allowed(), answer.is_patch()) {
                (true, true) => Outcome::Patched,
                (true, false) => Outcome::Allowed,
                (false, _) if answer.denied_by().is_empty() => Outcome::Malformed,
                (false, _) => Outcome::Denied,
            };
            seen.log(question, outcome, answer.denied_by(), took);
            (outcome, reply::review(answer, &seen.uid))
        }
        Err(failure) => {
            let outcome = failure.outcome();
            // Only what the failure is: a text from the body could be anything.
            tracing::warn!(question = question.word(), outcome = outcome.word(), milliseconds = took.as_millis(), "request not answered");
            (outcome, failure.into_reply())
        }
    };
    webhook.metrics.request(question, seen.operation, outcome, took);
    reply
}

/// What is known of a request, for counting and for one line of log.
#[derive(Default)]
struct Seen {
    uid: String,
    operation: Option<Operation>,
    namespace: String,
    name: String,
}

impl Seen {
    /// Names, outcome and rules; never the object, nor who asks. Names are written quoted: anybody on the pod network can send any text.
    fn log(&self, question: Question, outcome: Outcome, rules: &str, took: std::time::Duration) {
        let (uid, namespace, name) = (&self.uid, &self.namespace, &self.name);
        let operation = self.operation.unwrap_or(Operation::Other).word();
        let (question, microseconds) = (question.word(), took.as_micros());
        match outcome {
            Outcome::Denied | Outcome::Malformed => {
                tracing::info!(question, operation, ?namespace, ?name, ?uid, rules, microseconds, "refused");
            }
            _ => tracing::debug!(question, operation, ?namespace, ?name, ?uid, outcome = outcome.word(), microseconds, "allowed"),
        }
    }
}

async fn judge(webhook: &Webhook, question: Question, request: HttpRequest, seen: &mut Seen) -> Result<Answer, Failure> {
    let (head, body) = request.into_parts();
    check_type(&head.headers)?;
    let reading = tokio::time::timeout(webhook.bounds.upload, read(webhook, &head.headers, body));
    let (body, _room) = reading.await.unwrap_or(Err(Failure::TimedOut))?;
    if let Some(phase) = head.extensions.get::<Phase>() {
        phase.set(Doing::Served);
    }
    // Put off at once, with a word when to come again, rather than left waiting until the caller gives up. What has not come yet takes no place from what
    // has; of that, there is no more than there are connections.
    let _place = webhook.at_once.try_acquire().map_err(|_| Failure::Busy)?;
    let core = webhook.judging.acquire().await.map_err(|_| Failure::Busy)?;
    let request = Request::read(&body).map_err(Failure::Malformed)?;
    drop(body);
    *seen = Seen {
        uid: request.uid.clone(),
        operation: Some(request.operation()),
        namespace: request.namespace.clone(),
        name: request.name.clone(),
    };
    let decision = admission::decide(question, request, &webhook.measure.load(), webhook.nearby());
    // Waiting for the API server needs no core.
    drop(core);
    Ok(match decision {
        Decision::Made(answer) => answer,
        Decision::Asks(pending) => {
            let permission = webhook.may_override(pending.access()).await;
            pending.answer(&permission)
        }
    })
}

fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    let content = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = content.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    // A few bytes of compressed text could fill the memory.
    let is_plain = headers.get(header::CONTENT_ENCODING).is_none_or(|value| value == "identity");
    if is_json && is_plain { Ok(()) } else { Err(Failure::WrongType) }
}

/// Reads the body. Room is taken for what has come, not for what was said to come: a few slow senders of large bodies could hold all of it. What an ordinary
/// review takes is not counted, so that large ones never put it off.
async fn read<'a>(webhook: &'a Webhook, headers: &HeaderMap, mut body: Body) -> Result<(Vec<u8>, SemaphorePermit<'a>), Failure> {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let known = || usize::try_from(body.size_hint().exact()?).ok();
    let length = told.or_else(known);
    let most = webhook.bounds.body;
    if length.is_some_and(|length| length > most) {
        return Err(Failure::TooLarge);
    }
    let more = |bytes: usize| {
        let bytes = u32::try_from(bytes).map_err(|_| Failure::TooLarge)?;
        webhook.bytes.try_acquire_many(bytes).map_err(|_| Failure::Busy)
    };
    let (mut text, mut room) = (Vec::new(), more(0)?);
    while let Some(frame) = body.frame().await {
        // Trailers say nothing to us.
        let Ok(piece) = frame.map_err(|_| Failure::BodyLost)?.into_data() else { continue };
        let whole = text.len() + piece.len();
        if whole > length.unwrap_or(most) {
            return Err(Failure::TooLarge);
        }
        room.merge(more(whole.saturating_sub(limits::REVIEW_SMALL) - room.num_permits())?);
        text.extend_from_slice(&piece);
    }
    Ok((text, room))
}

/// What a code is called in the API.
fn reason(code: StatusCode) -> &'static str {
    match code {
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
        StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLarge",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "UnsupportedMediaType",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::GATEWAY_TIMEOUT => "Timeout",
        StatusCode::INTERNAL_SERVER_ERROR => "InternalError",
        _ => "BadRequest",
    }
}

#[cfg(test)]
mod tests;
