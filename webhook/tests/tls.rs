//! The webhook on a real socket, as an API server meets it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use isbsvc::controller_config::ControllerConfig;
use isbsvc::rules::Policy;
use isbsvc_certs::issue::{Authority, LeafRequest, Usage, authority};
use isbsvc_certs::serve::{CertificateReloader, Reload};
use isbsvc_webhook::admission::Measure;
use isbsvc_webhook::{Bounds, Metrics, Webhook, serve};
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::sync::mpsc;

const DAY: Duration = Duration::from_hours(24);
const BODY: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1","operation":"CREATE","name":"default","namespace":"ns","resource":{"group":"numaflow.numaproj.io","version":"v1alpha1","resource":"interstepbufferservices"},"object":{"apiVersion":"numaflow.numaproj.io/v1alpha1","kind":"InterStepBufferService","metadata":{"name":"default"},"spec":{"jetstream":{"version":"2.10.29"}}}}}"#;

/// A webhook that runs, its certificate as kubelet mounts it, and the authority that clients trust.
struct Running {
    address: SocketAddr,
    admin: SocketAddr,
    webhook: Arc<Webhook>,
    certificate: Arc<CertificateReloader>,
    authority: Authority,
    mount: tempfile::TempDir,
    goodbye: mpsc::Sender<Duration>,
    ended: tokio::task::JoinHandle<anyhow::Result<()>>,
}

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

impl Running {
    fn start(bounds: Bounds) -> Self {
        let mount = tempfile::tempdir().unwrap();
        for file in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(file), mount.path().join(file)).unwrap();
        }
        let certificate = Arc::new(CertificateReloader::new(mount.path().join("tls.crt"), mount.path().join("tls.key")));
        let measure = Measure { config: ControllerConfig::built_in(), policy: Policy::default() };
        let webhook = Arc::new(Webhook::new(bounds, measure, Metrics::default(), Arc::clone(&certificate)));
        let (listener, admin_listener) = (listener(), listener());
        let (address, admin) = (listener.local_addr().unwrap(), admin_listener.local_addr().unwrap());
        let (goodbye, word) = mpsc::channel(2);
        let ended = tokio::spawn(serve(Arc::clone(&webhook), listener, Some(admin_listener), word));
        let authority = authority("ca", Timestamp::now(), 3650 * DAY).unwrap();
        Self { address, admin, webhook, certificate, authority, mount, goodbye, ended }
    }

    /// Swaps a new leaf in as kubelet does, and lets the reloader look; gives the leaf.
    fn new_leaf(&self, day: &str) -> CertificateDer<'static> {
        let request =
            LeafRequest { common_name: "leaf", dns_names: &["localhost".to_owned()], usages: &[Usage::Server], lifetime: 90 * DAY };
        let leaf = self.authority.leaf(&request, Timestamp::now()).unwrap();
        let path = self.mount.path();
        fs::create_dir(path.join(day)).unwrap();
        fs::write(path.join(day).join("tls.crt"), &leaf.certificate_pem).unwrap();
        fs::write(path.join(day).join("tls.key"), &leaf.key_pem).unwrap();
        symlink(day, path.join("..data_tmp")).unwrap();
        fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
        assert!(matches!(self.certificate.reload(Timestamp::now()), Reload::Loaded(_)));
        CertificateDer::from_pem_slice(leaf.certificate_pem.as_bytes()).unwrap()
    }

    fn client(&self, protocols: &[&str]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.certificate_pem().as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        config
    }

    /// Opens a connection, off the threads that serve.
    async fn connect(&self) -> std::io::Result<Connection> {
        let (config, address) = (self.client(&["http/1.1"]), self.address);
        tokio::task::spawn_blocking(move || {
            let stream = tcp(address)?;
            let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
            let mut connection = Connection { stream: StreamOwned::new(client, stream) };
            connection.stream.flush()?;
            Ok(connection)
        })
        .await
        .unwrap()
    }

    async fn ready(&self) -> String {
        let address = self.admin;
        tokio::task::spawn_blocking(move || {
            let mut stream = tcp(address).unwrap();
            stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        })
        .await
        .unwrap()
    }
}

/// A connection that gives up by itself: a test that hangs says nothing.
fn tcp(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Connection {
    fn leaf(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Sends a review and gives the connection back with the head and the body of the answer.
    async fn ask(mut self) -> (Self, String, String) {
        tokio::task::spawn_blocking(move || {
            let head = format!(
                "POST /validate?timeout=5s HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                BODY.len()
            );
            self.stream.write_all(format!("{head}{BODY}").as_bytes()).unwrap();
            let (mut text, mut byte) = (Vec::new(), [0]);
            while !text.ends_with(b"\r\n\r\n") {
                self.stream.read_exact(&mut byte).unwrap();
                text.push(byte[0]);
            }
            let head = String::from_utf8(text).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).unwrap();
            (self, head, String::from_utf8(body).unwrap())
        })
        .await
        .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_certificates_one_after_the_other_reach_new_connections_and_old_ones_go_on() {
    let running = Running::start(Bounds::default());
    assert!(running.ready().await.contains("503 Service Unavailable"), "ready without a certificate");
    assert!(running.connect().await.is_err(), "a handshake without a certificate");

    let first = running.new_leaf("..1");
    assert!(running.ready().await.contains("200 OK"));
    let (old, head, body) = running.connect().await.unwrap().ask().await;
    assert_eq!(old.leaf(), first);
    assert!(head.starts_with("http/1.1 200 ok") && body.contains(r#""uid":"u-1""#), "{head}{body}");

    for day in ["..2", "..3"] {
        let leaf = running.new_leaf(day);
        let (new, head, _) = running.connect().await.unwrap().ask().await;
        assert_eq!(new.leaf(), leaf, "day {day}");
        assert!(head.starts_with("http/1.1 200 ok"));
    }
    let (old, head, _) = old.ask().await;
    assert_eq!(old.leaf(), first);
    assert!(head.starts_with("http/1.1 200 ok"), "a connection from before the swaps goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_not_offered() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    for (protocols, chosen) in [(&["h2", "http/1.1"][..], Some(&b"http/1.1"[..])), (&["h2"][..], None)] {
        let (config, address) = (running.client(protocols), running.address);
        let agreed = tokio::task::spawn_blocking(move || {
            let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
            let mut stream = StreamOwned::new(client, tcp(address).unwrap());
            stream.flush().ok()?;
            stream.conn.alpn_protocol().map(<[u8]>::to_vec)
        })
        .await
        .unwrap();
        assert_eq!(agreed.as_deref(), chosen, "{protocols:?}");
    }
}

/// What comes back for these bytes, until the server closes.
async fn raw(running: &Running, bytes: Vec<u8>) -> String {
    let mut connection = running.connect().await.unwrap();
    tokio::task::spawn_blocking(move || {
        connection.stream.write_all(&bytes).unwrap();
        // No more will come: a body that is shorter than was said ends here.
        connection.stream.conn.send_close_notify();
        connection.stream.flush().unwrap();
        let mut text = Vec::new();
        let _ = connection.stream.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_without_asking_is_not_spoken() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    let settings = b"\0\0\0\x04\0\0\0\0\0".as_slice();
    let said = raw(&running, [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), settings].concat()).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_false_length_gets_no_decision() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    let post = |more: &str, body: &str| {
        format!("POST /validate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{more}\r\n\r\n{body}").into_bytes()
    };
    let size = BODY.len();
    for (length, codes) in [
        // Too short, so that the rest would be the next request; too long; and two that contradict each other, as smugglers send.
        (format!("content-length: {}", size - 5), &["400"][..]),
        (format!("content-length: {}", size + 5), &["400", ""]),
        (format!("content-length: {size}\r\ncontent-length: {}", size - 5), &["400"]),
        (format!("content-length: -{size}"), &["400"]),
    ] {
        let said = raw(&running, post(&length, BODY)).await;
        let code = said.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        assert!(codes.contains(&code) && !said.contains("allowed"), "{length}: {said}");
    }
    let chunk = format!("{size:x}\r\n{BODY}\r\n0\r\n\r\n");
    let said = raw(&running, post("transfer-encoding: chunked\r\nconnection: close", &chunk)).await;
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("\"allowed\":true"), "without a length, in pieces: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_does_not_come_is_dropped_and_its_place_is_free_again() {
    let running = Running::start(Bounds { handshake: Duration::from_millis(100), connections: 1, ..Bounds::default() });
    running.new_leaf("..1");
    let address = running.address;
    let read = tokio::task::spawn_blocking(move || tcp(address).unwrap().read(&mut [0])).await.unwrap();
    // Closed by the server; whether by a farewell or by a reset is the system's matter.
    assert!(matches!(&read, Ok(0)) || matches!(&read, Err(error) if error.kind() == ErrorKind::ConnectionReset), "{read:?}");
    let (_, head, _) = running.connect().await.unwrap().ask().await;
    assert!(head.starts_with("http/1.1 200 ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_too_many_is_turned_away() {
    let running = Running::start(Bounds { connections: 1, ..Bounds::default() });
    running.new_leaf("..1");
    let (first, ..) = running.connect().await.unwrap().ask().await;
    assert!(running.connect().await.is_err());
    let (_, head, _) = first.ask().await;
    assert!(head.starts_with("http/1.1 200 ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_word_to_end_it_is_unready_answers_on_and_ends_connections_gently() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    let (old, head, _) = running.connect().await.unwrap().ask().await;
    assert!(!head.contains("connection: close"));

    running.goodbye.send(Duration::from_hours(1)).await.unwrap();
    while !running.webhook.is_draining() {
        tokio::task::yield_now().await;
    }
    assert!(running.ready().await.contains("draining"));
    let (_, head, body) = old.ask().await;
    assert!(head.contains("connection: close") && body.contains(r#""allowed":true"#), "{head}");
    let (_, head, _) = running.connect().await.unwrap().ask().await;
    assert!(head.starts_with("http/1.1 200 ok"), "a new connection within the notice");

    // The second word ends at once, an hour early.
    running.goodbye.send(Duration::ZERO).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), running.ended).await.unwrap().unwrap().unwrap();
    // The listener goes with its task, which may be a moment later; and another test may be given the same port for a while.
    let closed = async {
        while TcpStream::connect(running.address).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_closes_idle_connections_and_comes_by_itself() {
    let running = Running::start(Bounds::default());
    running.new_leaf("..1");
    let (_idle, ..) = running.connect().await.unwrap().ask().await;
    running.goodbye.send(Duration::ZERO).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), running.ended).await.unwrap().unwrap().unwrap();
}
