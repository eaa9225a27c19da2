use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::Phase;

/// A stream that waits long for a request to begin, and not long for its head to end.
///
/// hyper has one timer for both, which runs while a connection is idle as well: set to what an API server's idle connection needs, it would leave two
/// minutes to whoever sends a head byte by byte.
pub(crate) struct Patient<S> {
    inner: S,
    phase: Phase,
    head: Duration,
    until: Pin<Box<Sleep>>,
    /// The place among all connections; free again when the stream is dropped.
    _place: OwnedSemaphorePermit,
}

impl<S> Patient<S> {
    pub(super) fn new(inner: S, phase: Phase, head: Duration, place: OwnedSemaphorePermit) -> Self {
        Self { inner, phase, head, until: Box::pin(tokio::time::sleep(head)), _place: place }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(result) => {
                result?;
                if buffer.filled().len() > before && self.phase.get() == Phase::IDLE {
                    let until = Instant::now() + self.head;
                    self.until.as_mut().reset(until);
                    self.phase.set(Phase::HEAD);
                } else if self.phase.get() == Phase::HEAD && self.until.is_elapsed() {
                    return Poll::Ready(Err(too_slow()));
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending if self.phase.get() == Phase::HEAD => {
                ready!(self.until.as_mut().poll(context));
                Poll::Ready(Err(too_slow()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the head of the request took too long")
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, buffer)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::Semaphore;

    use super::*;

    const HEAD: Duration = Duration::from_secs(10);

    async fn stream() -> (DuplexStream, Patient<DuplexStream>, Phase) {
        let (client, server) = duplex(1024);
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let phase = Phase::default();
        (client, Patient::new(server, phase.clone(), HEAD, place), phase)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_comes_byte_by_byte_is_cut_off() {
        let (mut client, mut server, _) = stream().await;
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
        let (mut client, mut server, phase) = stream().await;
        let mut byte = [0];
        for now in [Phase::IDLE, Phase::SERVED] {
            phase.set(now);
            assert!(tokio::time::timeout(HEAD * 12, server.read_exact(&mut byte)).await.is_err(), "cut off in phase {now}");
        }
        client.write_all(b"x").await.unwrap();
        server.read_exact(&mut byte).await.unwrap();
    }
}
