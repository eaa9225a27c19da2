//! A webhook that runs, and connections to it.

use std::fs;
use std::io::{Read, Write};
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
/// A review that is allowed.
pub const BODY: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1","operation":"CREATE","name":"default","namespace":"ns","resource":{"group":"numaflow.numaproj.io","version":"v1alpha1","resource":"interstepbufferservices"},"object":{"apiVersion":"numaflow.numaproj.io/v1alpha1","kind":"InterStepBufferService","metadata":{"name":"default"},"spec":{"jetstream":{"version":"2.10.29"}}}}}"#;

/// A webhook that runs, its certificate as kubelet mounts it, and the authority that clients trust.
pub struct Running {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub webhook: Arc<Webhook>,
    pub certificate: Arc<CertificateReloader>,
    pub authority: Authority,
    pub mount: tempfile::TempDir,
    pub goodbye: mpsc::Sender<Duration>,
    pub ended: tokio::task::JoinHandle<anyhow::Result<()>>,
}

fn listener() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

impl Running {
    pub fn start(bounds: Bounds) -> Self {
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
    pub fn new_leaf(&self, day: &str) -> CertificateDer<'static> {
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

    pub fn client(&self, protocols: &[&str]) -> ClientConfig {
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
    pub async fn connect(&self) -> std::io::Result<Connection> {
        let (config, address) = (self.client(&["http/1.1"]), self.address);
        tokio::task::spawn_blocking(move || Connection::open(config, address)).await.unwrap()
    }

    pub async fn ready(&self) -> String {
        self.admin_says("/readyz").await
    }

    /// The whole answer of the port for probes and metrics.
    pub async fn admin_says(&self, path: &'static str) -> String {
        let address = self.admin;
        tokio::task::spawn_blocking(move || {
            let mut stream = tcp(address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        })
        .await
        .unwrap()
    }
}

/// A connection that gives up by itself: a test that hangs says nothing.
pub fn tcp(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// One connection.
pub struct Connection {
    pub stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Connection {
    pub fn leaf(&self) -> CertificateDer<'static> {
        self.stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Opens one, and waits for it here.
    pub fn open(config: ClientConfig, address: SocketAddr) -> std::io::Result<Self> {
        let stream = tcp(address)?;
        let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let mut connection = Self { stream: StreamOwned::new(client, stream) };
        connection.stream.flush()?;
        Ok(connection)
    }

    /// Sends a review and gives the connection back with the head and the body of the answer.
    pub async fn ask(mut self) -> (Self, String, String) {
        tokio::task::spawn_blocking(move || {
            let (head, body) = self.ask_here();
            (self, head, body)
        })
        .await
        .unwrap()
    }

    /// Sends a review and waits here for the head and the body of the answer.
    pub fn ask_here(&mut self) -> (String, String) {
        let head = format!(
            "POST /validate?timeout=5s HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            BODY.len()
        );
        self.stream.write_all(format!("{head}{BODY}").as_bytes()).unwrap();
        self.answer()
    }

    /// Head, in small letters, and body of the next answer.
    pub fn answer(&mut self) -> (String, String) {
        let (mut text, mut byte) = (Vec::new(), [0]);
        while !text.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).unwrap();
            text.push(byte[0]);
        }
        let head = String::from_utf8(text).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }
}
