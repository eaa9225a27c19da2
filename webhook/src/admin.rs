//! Probes and metrics, in plain HTTP on a port of their own: a kubelet must be able to ask before there is a certificate.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use jiff::Timestamp;

use crate::Webhook;

/// `GET /healthz` (the process runs), `GET /readyz` (send requests here), `GET /metrics`.
pub fn router(webhook: Arc<Webhook>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(webhook)
}

async fn ready(State(webhook): State<Arc<Webhook>>) -> (StatusCode, String) {
    match webhook.not_ready(Timestamp::now()) {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics(State(webhook): State<Arc<Webhook>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], webhook.metrics.text())
}
