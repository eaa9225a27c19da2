//! Which cluster, as whom, and how long to wait for it: kubectl's own flags, and the client that follows from them.

mod failure;
mod kubeconfig;
mod login;
mod proxy;

use std::cell::RefCell;
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use kube::Client;

use crate::args::duration;
use crate::exit::{Code, Failure, Outcome};

pub use failure::{Asked, missing_type};
pub use kubeconfig::contexts;

/// One request to the API server, unless `--request-timeout` says otherwise: what the library bounds its own requests with.
const REQUEST_TIMEOUT: Duration = isbsvc::limits::API_REQUEST;
/// Making one TCP connection: a server in reach answers within a second; without this a dead address costs the whole request timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// kubectl passes nothing on to its plugins, so every flag of its own that chooses a cluster is one of ours.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection (as for kubectl)")]
pub struct Connection {
    /// Namespace; that of the context where it is left out
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Path of the kubeconfig; else $KUBECONFIG (a list is merged), else ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Cluster of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub cluster: Option<String>,
    /// User of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub user: Option<String>,
    /// User to act as
    #[arg(long = "as", global = true, value_name = "USER", hide_short_help = true)]
    pub as_user: Option<String>,
    /// Group to act as; may be repeated
    #[arg(long, global = true, value_name = "GROUP", hide_short_help = true)]
    pub as_group: Vec<String>,
    /// UID to act as
    #[arg(long, global = true, value_name = "UID", hide_short_help = true)]
    pub as_uid: Option<String>,
    /// Something else that is known of the user to act as, such as scopes=view; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = crate::args::pair, hide_short_help = true)]
    pub as_user_extra: Vec<(String, String)>,
    /// Address of the API server
    #[arg(short, long, global = true, value_name = "URL", hide_short_help = true)]
    pub server: Option<String>,
    /// Bearer token
    #[arg(long, global = true, value_name = "TOKEN", hide_short_help = true)]
    pub token: Option<Hidden>,
    /// User of basic authentication, with --password
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub username: Option<String>,
    /// Password of basic authentication, with --username
    #[arg(long, global = true, value_name = "PASSWORD", hide_short_help = true)]
    pub password: Option<Hidden>,
    /// Authority that the API server's certificate is checked with
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub certificate_authority: Option<PathBuf>,
    /// Client certificate
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_certificate: Option<PathBuf>,
    /// Key of the client certificate
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<PathBuf>,
    /// Name that the API server's certificate is checked for
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,
    /// Do not check the API server's certificate
    #[arg(long, global = true, hide_short_help = true)]
    pub insecure_skip_tls_verify: bool,
    /// Longest wait for one answer of the API server, such as 5s; 0 waits for ever [default: 30s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse, allow_hyphen_values = true, hide_short_help = true)]
    pub request_timeout: Option<Duration>,
    /// How much is logged to stderr: 4 what is done, 6 requests, 8 all
    #[arg(short, long = "v", global = true, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(0..=10), hide_short_help = true)]
    pub verbosity: Option<u8>,
}

/// A bearer token or a password, which no debug output shows.
#[derive(Clone, Default)]
pub struct Hidden(pub(crate) String);

impl std::str::FromStr for Hidden {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<hidden>")
    }
}

impl Connection {
    fn deadline(&self) -> Option<Duration> {
        match self.request_timeout {
            None => Some(REQUEST_TIMEOUT),
            Some(Duration::ZERO) => None,
            Some(given) => Some(given),
        }
    }

    /// Runs a command that talks to a cluster. The runtime and the TLS provider are made here and not before: `--help` needs neither.
    pub fn run<F, R>(&self, command: F) -> Outcome
    where
        F: FnOnce(Session) -> R,
        R: Future<Output = Outcome>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::no_answer(format!("cannot start: {error}")))?;
        let outcome = runtime.block_on(async {
            let standing = Rc::new(RefCell::new(None));
            let work = async {
                let session = self.connect(Rc::clone(&standing)).await?;
                command(session).await
            };
            tokio::select! {
                outcome = work => outcome,
                signal = interruption() => {
                    signal?;
                    Err(Failure::interrupted(standing.borrow_mut().take().unwrap_or_default()))
                }
            }
        });
        // A thread that still waits for an answer to a question must not hold up the end.
        runtime.shutdown_background();
        outcome
    }

    async fn connect(&self, standing: Rc<RefCell<Option<String>>>) -> Result<Session, Failure> {
        // An error means that a provider is installed already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let deadline = self.deadline();
        let mut config = kubeconfig::load(self).await?;
        config.default_retry = false;
        config.connect_timeout = Some(deadline.map_or(CONNECT_TIMEOUT, |deadline| deadline.min(CONNECT_TIMEOUT)));
        config.read_timeout = deadline;
        config.reset_reader_on_write = true;
        let namespace = config.default_namespace.clone();
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| failure::client(&error, &server))?;
        Ok(Session { client, namespace, server: server.trim_end_matches('/').to_owned(), deadline, standing })
    }
}

async fn interruption() -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure::no_answer(format!("cannot wait for signals: {error}"));
    #[cfg(unix)]
    {
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(cannot)?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed.map_err(cannot),
            _ = terminated.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(cannot)
}

/// A connection to one cluster.
#[derive(Clone)]
pub struct Session {
    /// The client; it never retries by itself.
    pub client: Client,
    /// The namespace that the command is about.
    pub namespace: String,
    /// Address of the API server.
    pub server: String,
    deadline: Option<Duration>,
    standing: Rc<RefCell<Option<String>>>,
}

impl Session {
    /// Sends one request, within the deadline, and says in one line what went wrong.
    pub async fn ask<T>(&self, asked: &Asked<'_>, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failure> {
        match self.within(request).await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(asked.failure(&error, &self.server)),
            None => Err(Failure::no_answer(self.silent())),
        }
    }

    /// Like [`Self::ask`], where an object that is not there is an answer as well.
    pub async fn ask_for<T>(&self, asked: &Asked<'_>, request: impl Future<Output = Result<T, kube::Error>>) -> Result<Option<T>, Failure> {
        match self.within(request).await {
            Some(Ok(answer)) => Ok(Some(answer)),
            Some(Err(error)) if failure::object_is_absent(&error) => Ok(None),
            Some(Err(error)) => Err(asked.failure(&error, &self.server)),
            None => Err(Failure::no_answer(self.silent())),
        }
    }

    async fn within<T>(&self, request: impl Future<Output = T>) -> Option<T> {
        match self.deadline {
            Some(deadline) => tokio::time::timeout(deadline, request).await.ok(),
            None => Some(request.await),
        }
    }

    fn silent(&self) -> String {
        let seconds = self.deadline.unwrap_or_default().as_secs_f64();
        format!(
            "the API server at {} did not answer within {seconds}s; check the network, or give it longer with --request-timeout",
            self.server
        )
    }

    /// What is said when the command is interrupted from now on: what stands, and how to go on.
    pub fn stands(&self, words: impl Into<String>) {
        self.standing.replace(Some(words.into()));
    }
}

/// Ends a command that was interrupted on purpose, such as `--watch`, without a word.
pub fn silent_interruption(outcome: Outcome) -> Outcome {
    match outcome {
        Err(failure) if failure.code == Code::Interrupted && failure.message.is_empty() => Ok(Code::Interrupted),
        other => other,
    }
}
