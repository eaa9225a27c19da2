use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use kube::Client;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::port_in_words;
use crate::limits;

/// Why a server could not be asked. The words are for people and hold no secret: the monitoring port knows none.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nothing came in time.
    #[error("no answer on {port} within {} s", limit.as_secs())]
    Silent {
        /// The port, in words.
        port: String,
        /// How long we waited.
        limit: Duration,
    },
    /// No way to the port.
    #[error("{port}: {why}")]
    Unreachable {
        /// The port, in words.
        port: String,
        /// What the way there says.
        why: String,
    },
    /// More than we read.
    #[error("{path}: the answer is larger than {} MiB", limit / 1024 / 1024)]
    TooLarge {
        /// What was asked.
        path: String,
        /// How much we read, bytes.
        limit: usize,
    },
    /// Another status than 200.
    #[error("{path}: answered {status}")]
    Status {
        /// What was asked.
        path: String,
        /// The status.
        status: u16,
    },
    /// Not the JSON that NATS writes.
    #[error("{path}: the answer is not what NATS writes: {why}")]
    Unreadable {
        /// What was asked.
        path: String,
        /// Where it could not be read.
        why: String,
    },
}

impl AskError {
    /// Nothing came within the time of one question.
    pub(super) fn silent() -> Self {
        Self::Silent { port: port_in_words(), limit: limits::SERVER_REQUEST }
    }

    /// No way to the port.
    pub(super) fn unreachable(why: impl Into<String>) -> Self {
        Self::Unreachable { port: port_in_words(), why: why.into() }
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub status: u16,
    /// At most [`limits::SERVER_ANSWER`] bytes.
    pub body: Bytes,
}

impl Answer {
    /// The body of an answer with status 200.
    pub(super) fn successful(self, path: &str) -> Result<Bytes, AskError> {
        if self.status == 200 { Ok(self.body) } else { Err(AskError::Status { path: path.to_owned(), status: self.status }) }
    }
}

/// Questions to one server, one after the other.
pub(super) enum Exchange {
    /// Over a stream to the port itself.
    Stream {
        /// Sends the questions.
        sender: SendRequest<Empty<Bytes>>,
        /// Moves the bytes; ends with this exchange.
        _mover: Mover,
    },
    /// Through the API server.
    ApiProxy {
        /// To the API server.
        client: Client,
        /// `/api/v1/namespaces/<ns>/pods/<pod>:8222/proxy`.
        prefix: String,
    },
}

/// A task that ends when this is dropped, so that a question that is given up leaves no connection behind.
pub(super) struct Mover(JoinHandle<()>);

impl Drop for Mover {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Exchange {
    /// Over a stream; `keep` is whatever must live as long as the stream does.
    pub(super) async fn over<S, K>(stream: S, keep: K) -> Result<Self, AskError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        K: Send + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| AskError::unreachable(error.to_string()))?;
        let mover = Mover(tokio::spawn(async move {
            let _keep = keep;
            // A broken connection is seen by whoever waits for the answer.
            let _ = connection.await;
        }));
        Ok(Self::Stream { sender, _mover: mover })
    }

    /// One question, within [`limits::SERVER_REQUEST`], with an answer of at most [`limits::SERVER_ANSWER`] bytes.
    pub(super) async fn get(&mut self, path: &str) -> Result<Answer, AskError> {
        timeout(limits::SERVER_REQUEST, self.get_unbounded(path)).await.unwrap_or_else(|_| Err(AskError::silent()))
    }

    async fn get_unbounded(&mut self, path: &str) -> Result<Answer, AskError> {
        match self {
            Self::Stream { sender, _mover } => {
                let request = http::Request::get(path)
                    .header(http::header::HOST, "nats")
                    .body(Empty::new())
                    .map_err(|error| AskError::unreachable(error.to_string()))?;
                sender.ready().await.map_err(|_| AskError::unreachable("the connection was closed"))?;
                let response = sender.send_request(request).await.map_err(|error| AskError::unreachable(error.to_string()))?;
                let status = response.status().as_u16();
                Ok(Answer { status, body: read(path, response.into_body(), limits::SERVER_ANSWER).await? })
            }
            Self::ApiProxy { client, prefix } => {
                let request = http::Request::get(format!("{prefix}{path}"))
                    .body(kube::client::Body::empty())
                    .map_err(|error| AskError::unreachable(error.to_string()))?;
                let response = client.send(request).await.map_err(|error| AskError::unreachable(format!("API server: {error}")))?;
                let status = response.status().as_u16();
                let body = read(path, response.into_body(), limits::SERVER_ANSWER).await?;
                proxied(status, body)
            }
        }
    }
}

/// What the API server says of itself, such as a missing permission, is not the server's answer.
fn proxied(status: u16, body: Bytes) -> Result<Answer, AskError> {
    #[derive(serde::Deserialize)]
    struct Status {
        kind: String,
        #[serde(default)]
        message: String,
    }
    if status != 200
        && let Ok(own) = serde_json::from_slice::<Status>(&body)
        && own.kind == "Status"
    {
        return Err(AskError::unreachable(format!("API server: {}", own.message)));
    }
    Ok(Answer { status, body })
}

/// Reads a body and stops where it becomes too large.
async fn read<B>(path: &str, body: B, limit: usize) -> Result<Bytes, AskError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(AskError::TooLarge { path: path.to_owned(), limit }),
        Err(error) => Err(AskError::unreachable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let body = || Full::new(Bytes::from_static(b"0123456789"));
        assert_eq!(read("/jsz", body(), 10).await.unwrap(), Bytes::from_static(b"0123456789"));
        let error = read("/jsz", body(), 9).await.unwrap_err();
        assert!(matches!(error, AskError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn what_the_api_server_says_is_not_taken_for_the_servers_answer() {
        let forbidden = br#"{"kind":"Status","message":"pods \"p\" is forbidden: no proxy"}"#;
        let error = proxied(403, Bytes::from_static(forbidden)).unwrap_err();
        assert_eq!(error.to_string(), "port 8222: API server: pods \"p\" is forbidden: no proxy");
        let unwell = proxied(503, Bytes::from_static(br#"{"status":"unavailable","error":"no meta leader"}"#)).unwrap();
        assert_eq!(unwell.status, 503);
    }

    #[tokio::test]
    async fn two_questions_go_over_one_stream() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let server = tokio::spawn(async move {
            let mut asked = Vec::new();
            for _ in 0..2 {
                let mut request = vec![0; 4096];
                let read = theirs.read(&mut request).await.unwrap();
                asked.push(String::from_utf8_lossy(&request[..read]).lines().next().unwrap().to_owned());
                theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            }
            asked
        });
        let mut exchange = Exchange::over(ours, ()).await.unwrap();
        assert_eq!(exchange.get("/varz").await.unwrap().status, 200);
        assert_eq!(exchange.get("/jsz?raft=true").await.unwrap().body, Bytes::from_static(b"{}"));
        assert_eq!(server.await.unwrap(), ["GET /varz HTTP/1.1", "GET /jsz?raft=true HTTP/1.1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up_in_time() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let mut exchange = Exchange::over(ours, ()).await.unwrap();
        let error = exchange.get("/varz").await.unwrap_err();
        drop(theirs);
        assert_eq!(error.to_string(), "no answer on port 8222 within 3 s");
    }
}
