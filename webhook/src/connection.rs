//! What holds for each connection: how many there are, how long a handshake and a request's head may take, and when one ends gently.

mod patient;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, Request, Response, header};
use axum_server::accept::Accept;
use isbsvc::limits;
use tokio::sync::Semaphore;
use tower::Service;

use crate::Webhook;
pub(crate) use patient::Patient;

/// What a connection is doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

impl Phase {
    /// No request has begun.
    const IDLE: u8 = 0;
    /// The head of a request is coming.
    const HEAD: u8 = 1;
    /// A request is being served; its own time holds.
    const SERVED: u8 = 2;

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Wraps an acceptor (TLS or none) with the bounds of a connection.
#[derive(Clone)]
pub(crate) struct Guarded<A> {
    inner: A,
    webhook: Arc<Webhook>,
    places: Arc<Semaphore>,
    head: Duration,
}

impl<A> Guarded<A> {
    /// At most `places` connections at one moment.
    pub(crate) fn new(inner: A, webhook: Arc<Webhook>, places: usize) -> Self {
        let head = webhook.bounds.head;
        Self { inner, webhook, places: Arc::new(Semaphore::new(places)), head }
    }
}

impl<A, I, S> Accept<I, S> for Guarded<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
    A::Stream: Send,
    A::Service: Send,
{
    type Stream = Patient<A::Stream>;
    type Service = Ending<A::Service>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        // The place is taken before the handshake, which is what costs.
        let place = Arc::clone(&self.places).try_acquire_owned();
        let accepted = place.is_ok().then(|| self.inner.accept(stream, service));
        let (webhook, head) = (Arc::clone(&self.webhook), self.head);
        Box::pin(async move {
            let result = match (place, accepted) {
                (Ok(place), Some(accepted)) => accepted.await.map(|accepted| (place, accepted)),
                _ => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections")),
            };
            let (place, (stream, service)) = result.inspect_err(|_| {
                webhook.metrics.connections_failed.inc();
            })?;
            let phase = Phase::default();
            let ends = Instant::now() + limits::CONNECTION_AGE;
            Ok((Patient::new(stream, phase.clone(), head, place), Ending { inner: service, phase, webhook, ends }))
        })
    }
}

/// Marks the phases of a connection, and ends an old one with an answer instead of by surprise: the API server loses a request that meets a closing
/// connection, and does not send it again.
#[derive(Clone)]
pub(crate) struct Ending<S> {
    inner: S,
    phase: Phase,
    webhook: Arc<Webhook>,
    ends: Instant,
}

impl<S, B, R> Service<Request<B>> for Ending<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.phase.set(Phase::SERVED);
        let answered = self.inner.call(request);
        let (phase, webhook, ends) = (self.phase.clone(), Arc::clone(&self.webhook), self.ends);
        Box::pin(async move {
            let mut result = answered.await;
            if let Ok(response) = &mut result
                && (webhook.is_draining() || Instant::now() >= ends)
            {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            phase.set(Phase::IDLE);
            result
        })
    }
}
