use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Doing;
use super::places::Place;

/// A stream that waits long for a request to begin, and not long for its head to end, nor for its answer to be taken.
///
/// hyper has one timer for the first two, which runs while a connection is idle as well: set to what an API server's idle connection needs, it would leave
/// two minutes to whoever sends a head byte by byte. For the third it has none.
pub(crate) struct Patient<S> {
    inner: S,
    head: Duration,
    head_until: Pin<Box<Sleep>>,
    /// Runs while what is written is not taken.
    taken_until: Option<Pin<Box<Sleep>>>,
    /// The place among all connections; free again when the stream is dropped.
    place: Place,
}

impl<S> Patient<S> {
    pub(super) fn new(inner: S, head: Duration, place: Place) -> Self {
        Self { inner, head, head_until: Box::pin(tokio::time::sleep(head)), taken_until: None, place }
    }

    /// An end for what waits for the client to take what is written.
    fn or_too_slow<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.taken_until = None;
            return written;
        }
        let head = self.head;
        let until = self.taken_until.get_or_insert_with(|| Box::pin(tokio::time::sleep(head)));
        until.as_mut().poll(context).map(|()| Err(too_slow("the answer was not taken")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let doing = self.place.phase.get();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer)?;
        if read.is_ready() && buffer.filled().len() > before && doing == Doing::Idle {
            let until = Instant::now() + self.head;
            self.head_until.as_mut().reset(until);
            self.place.phase.set(Doing::Head);
        } else if doing == Doing::Head && self.head_until.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(too_slow("the head of the request did not come")));
        }
        if read.is_pending() && doing != Doing::Served && self.place.poll_given_up(context).is_ready() {
            return Poll::Ready(Err(super::full()));
        }
        read.map(Ok)
    }
}

fn too_slow(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} in time"))
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, buffer);
        self.or_too_slow(context, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.or_too_slow(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.or_too_slow(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(context);
        self.or_too_slow(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::connection::places::{Phase, Places};

    const HEAD: Duration = Duration::from_secs(10);

    fn stream() -> (DuplexStream, Patient<DuplexStream>, Phase, Arc<Places>) {
        let (client, server) = duplex(1024);
        let places = Places::new(1);
        let place = places.take().unwrap();
        place.phase.set(Doing::Idle);
        let phase = place.phase.clone();
        (client, Patient::new(server, HEAD, place), phase, places)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_comes_byte_by_byte_is_cut_off() {
        let (mut client, mut server, ..) = stream();
        let sender = tokio::spawn(async move {
            loop {
                if client.write_all(b"x").await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let started = Instant::now();
        let error = loop {
            let mut byte = [0];
            if let Err(error) = server.read_exact(&mut byte).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), HEAD.as_secs());
        sender.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_and_one_that_is_served_are_waited_for() {
        let (mut client, mut server, phase, _) = stream();
        let mut byte = [0];
        for now in [Doing::Idle, Doing::Body, Doing::Served] {
            phase.set(now);
            assert!(tokio::time::timeout(HEAD * 12, server.read_exact(&mut byte)).await.is_err(), "cut off while {now:?}");
        }
        client.write_all(b"x").await.unwrap();
        server.read_exact(&mut byte).await.unwrap();
    }
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_is_given_up_and_one_that_is_taken_slowly_is_not() {
        let (mut client, mut server, ..) = stream();
        let reader = tokio::spawn(async move {
            let mut byte = [0];
            for _ in 0..50 {
                tokio::time::sleep(HEAD / 2).await;
                client.read_exact(&mut byte).await.unwrap();
            }
            client
        });
        let started = Instant::now();
        server.write_all(&[0; 1024 + 50]).await.unwrap();
        assert!(started.elapsed() > HEAD * 20);
        let _client = reader.await.unwrap();
        let started = Instant::now();
        assert_eq!(server.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), HEAD.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_given_to_another_ends_whoever_waits_and_not_who_is_served() {
        let (_client, mut server, phase, places) = stream();
        let mut byte = [0];
        phase.set(Doing::Served);
        assert!(places.take().is_none());
        phase.set(Doing::Body);
        let _other = places.take().unwrap();
        phase.set(Doing::Served);
        assert!(tokio::time::timeout(HEAD * 12, server.read_exact(&mut byte)).await.is_err(), "its answer comes first");
        phase.set(Doing::Idle);
        assert_eq!(server.read_exact(&mut byte).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
