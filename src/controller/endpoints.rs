use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics::Metrics;

/// Whether the process is ready: its stores hold what the cluster holds. A replica that waits for the Lease is ready as well.
#[derive(Clone, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// Says so.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// `/metrics`.
pub fn metrics(metrics: Arc<Metrics>, update: impl Fn() + Clone + Send + Sync + 'static) -> Router {
    Router::new().route(
        "/metrics",
        get(async move || {
            update();
            ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.text())
        }),
    )
}

/// `/healthz` and `/readyz`.
pub fn health(ready: Ready) -> Router {
    Router::new().route("/healthz", get(async || "ok")).route(
        "/readyz",
        get(async move || {
            if ready.get() {
                "ok".into_response()
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, "the watches have not seen the whole cluster yet").into_response()
            }
        }),
    )
}

/// Binds before anything else is started, so that an address in use is one clear line at the start.
pub async fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{flag} {address}"))
}

/// Serves until the process ends.
pub fn spawn(listener: TcpListener, router: Router) {
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "an endpoint stopped");
        }
    });
}
