use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::reason;
use crate::admission::{Answer, Malformed, Status};
use crate::metrics::Outcome;

/// A request that gets no decision. To the API server each of these is "webhook failed", so its `failurePolicy` decides: never an allowance.
#[derive(Debug)]
pub(super) enum Failure {
    NoSuchPath,
    NoSuchMethod,
    WrongType,
    Malformed(Malformed),
    BodyLost,
    TooLarge,
    Busy,
    TimedOut,
    Panic,
}

impl Failure {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::NoSuchPath | Self::NoSuchMethod | Self::WrongType | Self::Malformed(_) | Self::BodyLost | Self::Panic => {
                Outcome::Malformed
            }
            Self::TooLarge => Outcome::TooLarge,
            Self::Busy => Outcome::Shed,
            Self::TimedOut => Outcome::TimedOut,
        }
    }

    fn code(&self) -> StatusCode {
        match self {
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed(Malformed::TooManyValues) | Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) | Self::BodyLost => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::NoSuchPath => "there is nothing here; ask /mutate or /validate".to_owned(),
            Self::NoSuchMethod => "an admission review is sent with POST".to_owned(),
            Self::WrongType => "the body must be Content-Type application/json, and not compressed".to_owned(),
            Self::Malformed(error) => error.to_string(),
            Self::BodyLost => "the body ended before all of it had come".to_owned(),
            Self::TooLarge => "the review is larger than any that the API server sends".to_owned(),
            Self::Busy => "too many reviews at this moment; ask again".to_owned(),
            Self::TimedOut => "the review was not answered in the caller's time".to_owned(),
            Self::Panic => "the review met an error in the webhook itself; its log says where".to_owned(),
        }
    }

    pub(super) fn into_reply(self) -> Response {
        let code = self.code();
        let status = Status::failure(code.as_u16(), reason(code), self.message());
        let mut reply = json(code, serde_json::to_string(&status).unwrap_or_default());
        let headers = reply.headers_mut();
        if let Self::Busy = self {
            // Only with this header does the API server ask again (client-go, with_retry.go).
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Self::NoSuchMethod = self {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        reply
    }
}

/// An answer to the one who asked under this uid.
pub(super) fn review(answer: Answer, uid: &str) -> Response {
    json(StatusCode::OK, answer.into_review(uid).to_string())
}

fn json(code: StatusCode, body: String) -> Response {
    (code, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], Body::from(body)).into_response()
}
