//! What holds for each connection: how many there are, how long a handshake and a request's head may take, and when one ends gently.

mod patient;
mod places;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, Request, Response, header};
use axum_server::accept::Accept;
use isbsvc::limits;
use tower::Service;

use crate::Webhook;
pub(crate) use patient::Patient;
use places::Places;
pub(crate) use places::{Doing, Phase};

/// Wraps an acceptor (TLS or none) with the bounds of a connection.
#[derive(Clone)]
pub(crate) struct Guarded<A> {
    inner: A,
    webhook: Arc<Webhook>,
    places: Arc<Places>,
    head: Duration,
}

impl<A> Guarded<A> {
    /// At most `places` connections at one moment.
    pub(crate) fn new(inner: A, webhook: Arc<Webhook>, places: usize) -> Self {
        let head = webhook.bounds.head;
        Self { inner, webhook, places: Places::new(places), head }
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
        let taken = self.places.take().map(|place| (place, self.inner.accept(stream, service)));
        if taken.as_ref().is_some_and(|(place, _)| place.is_taken_over) {
            self.webhook.metrics.connections_failed.inc();
        }
        let (webhook, head) = (Arc::clone(&self.webhook), self.head);
        Box::pin(async move {
            let result = match taken {
                Some((mut place, accepted)) => tokio::select! {
                    accepted = accepted => accepted.map(|accepted| (place, accepted)),
                    // Counted where its place was taken over.
                    () = poll_fn(|context| place.poll_given_up(context)) => return Err(full()),
                },
                None => Err(full()),
            };
            let (place, (stream, service)) = result.inspect_err(|_| {
                webhook.metrics.connections_failed.inc();
            })?;
            place.phase.set(Doing::Idle);
            let phase = place.phase.clone();
            let ends = Instant::now() + limits::CONNECTION_AGE;
            Ok((Patient::new(stream, head, place), Ending { inner: service, phase, webhook, ends }))
        })
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, "too many connections")
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.phase.set(Doing::Body);
        // Whoever reads the body says when all of it has come.
        request.extensions_mut().insert(self.phase.clone());
        let answered = self.inner.call(request);
        let (phase, webhook, ends) = (self.phase.clone(), Arc::clone(&self.webhook), self.ends);
        Box::pin(async move {
            let mut result = answered.await;
            if let Ok(response) = &mut result
                && (webhook.is_draining() || Instant::now() >= ends)
            {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            phase.set(Doing::Idle);
            result
        })
    }
}
