//! Listening, reading files again, and saying goodbye.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum_server::Handle;
use axum_server::accept::{DefaultAcceptor, NoDelayAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use isbsvc::limits;
use isbsvc_certs::serve::{CertificateReloader, LoadError, Reload};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::connection::Guarded;
use crate::metrics::ConfigFile;
use crate::{Arguments, Bounds, Files, Look, Metrics, Webhook, admin_router, cluster, logging, router};

/// Runs the webhook until a signal ends it.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    logging::start(arguments.log_format);
    let files = Files::open(arguments.controller_config, arguments.policy)?;
    let certificate = Arc::new(CertificateReloader::new(&arguments.tls_cert, &arguments.tls_key));
    let mut webhook = Webhook::new(Bounds::default(), files.measure(), Metrics::default(), Arc::clone(&certificate));
    if arguments.cluster {
        webhook = webhook.with_cluster(cluster::connect().await?);
    }
    let webhook = Arc::new(webhook);
    // All that can be a mistake of the command line comes before the first line of log.
    let listener = bind(arguments.listen)?;
    let admin = arguments.admin_listen.map(bind).transpose()?;
    first_look(&webhook, &[&arguments.tls_cert, &arguments.tls_key])?;
    if let Some(path) = files.absent_config() {
        tracing::warn!(path = %path.display(), "the controller configuration is not there yet; the built-in default holds until it comes");
    }
    note_policy(&webhook, &files);
    if let Some(error) = files.measure().policy.stands_in() {
        tracing::error!(error, "the policy cannot be used; until it is mended or taken away, every rule is enforced");
    }
    let (address, admin_address) = (listener.local_addr()?, admin.as_ref().map(TcpListener::local_addr).transpose()?);
    tracing::info!(%address, admin_address = admin_address.map(tracing::field::display), ready = certificate.facts().is_some(), "listening");

    let noted = Arc::clone(&webhook);
    tokio::spawn(certificate.run(move |reload| note(&noted, reload)));
    if files.are_named() {
        tokio::spawn(look_again(Arc::clone(&webhook), files));
    }
    serve(webhook, listener, admin, signals()?).await
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The certificate may come later, as an optional Secret does; a path that leads nowhere, and files that are no pair, are mistakes.
fn first_look(webhook: &Webhook, files: &[&Path]) -> anyhow::Result<()> {
    let reload = webhook.certificate.reload(Timestamp::now());
    if let Reload::Failed { error, .. } = &reload {
        let directory = |file: &Path| file.parent().is_none_or(|parent| parent.as_os_str().is_empty() || parent.is_dir());
        if !error.may_pass() {
            bail!("{error}; give a certificate and its key with --tls-cert and --tls-key");
        }
        if let (LoadError::Absent(_), Some(file)) = (error, files.iter().find(|file| !directory(file))) {
            bail!(
                "{} cannot be read: its directory is not there; give a certificate and its key with --tls-cert and --tls-key",
                file.display()
            );
        }
    }
    note(webhook, reload);
    Ok(())
}

/// Says and counts what a look at the certificate gave; the same failure is said once.
fn note(webhook: &Webhook, reload: Reload) {
    match reload {
        Reload::Unchanged => {}
        Reload::Loaded(facts) => {
            webhook.metrics.certificate_until(facts.not_after);
            let days_left = facts.days_left(Timestamp::now());
            tracing::info!(serial = facts.serial, until = %facts.not_after, days_left, "certificate loaded");
        }
        Reload::Failed { error, repeated } => {
            webhook.metrics.certificate_failures.inc();
            if !repeated {
                let serving = webhook.certificate.facts().is_some();
                tracing::warn!(%error, serving, "no new certificate; looking again every {} s", isbsvc_certs::serve::LOOK_EVERY.as_secs());
            }
        }
    }
}

/// Looks at the files of configuration, again and again.
async fn look_again(webhook: Arc<Webhook>, mut files: Files) {
    let mut timer = tokio::time::interval(limits::LOOK_AT_FILE);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        // A mount can hang; the threads that serve must not hang with it.
        let Ok((again, looks)) = tokio::task::spawn_blocking(move || {
            let looks = files.look();
            (files, looks)
        })
        .await
        else {
            return;
        };
        files = again;
        if [&looks.config, &looks.policy].contains(&&Look::Changed) {
            webhook.set_measure(files.measure());
        }
        note_policy(&webhook, &files);
        for (file, look) in [(ConfigFile::ControllerConfig, looks.config), (ConfigFile::Policy, looks.policy)] {
            match look {
                Look::Unchanged => {}
                Look::Changed if file == ConfigFile::Policy && !files.has_policy() => {
                    tracing::warn!("the policy was taken away; every rule has its own level from now on");
                }
                Look::Changed => tracing::info!(file = file.word(), "configuration read again; it holds from now on"),
                Look::Failed { error, repeated } => {
                    webhook.metrics.config_failure(file);
                    if !repeated {
                        tracing::warn!(%error, file = file.word(), "configuration cannot be used; the last good one still holds");
                    }
                }
            }
        }
    }
}

/// Shows by what policy the replica judges.
fn note_policy(webhook: &Webhook, files: &Files) {
    webhook.metrics.policy(files.policy_is_good(), files.policy_fingerprint());
}

/// A word to end: how long to go on accepting before that. The second word ends at once.
fn signals() -> io::Result<mpsc::Receiver<Duration>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        loop {
            let notice = tokio::select! {
                _ = terminate.recv() => limits::DRAIN_NOTICE,
                // Somebody at a terminal, with no Service before us that would have to forget this pod.
                _ = interrupt.recv() => Duration::ZERO,
            };
            if sender.send(notice).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Serves until the first word of `goodbye`; then is unready, goes on accepting for as long as it says, and finishes what is under way.
pub async fn serve(
    webhook: Arc<Webhook>,
    listener: TcpListener,
    admin: Option<TcpListener>,
    mut goodbye: mpsc::Receiver<Duration>,
) -> anyhow::Result<()> {
    let handle = Handle::new();
    let admin = admin.map(|listener| serve_admin(Arc::clone(&webhook), listener)).transpose()?;
    let server = tokio::spawn(serve_reviews(Arc::clone(&webhook), listener, handle.clone())?);
    tokio::pin!(server);

    let notice = tokio::select! {
        ended = &mut server => { ended??; bail!("the server ended by itself") }
        word = goodbye.recv() => word.unwrap_or_default(),
    };
    webhook.start_draining();
    tracing::info!(notice_seconds = notice.as_secs(), "draining");
    let at_once = tokio::select! {
        () = tokio::time::sleep(notice) => false,
        word = goodbye.recv() => word.is_some(),
    };
    if !at_once {
        handle.graceful_shutdown(Some(limits::DRAIN));
        tokio::select! {
            ended = &mut server => ended??,
            Some(_) = goodbye.recv() => {}
        }
    }
    handle.shutdown();
    if let Some(admin) = admin {
        admin.abort();
    }
    tracing::info!("ended");
    Ok(())
}

fn serve_reviews(
    webhook: Arc<Webhook>,
    listener: TcpListener,
    handle: Handle<SocketAddr>,
) -> anyhow::Result<impl Future<Output = io::Result<()>> + Send> {
    let config = RustlsConfig::from_config(Arc::new(tls(&webhook)?));
    let acceptor = RustlsAcceptor::new(config).handshake_timeout(webhook.bounds.handshake).acceptor(NoDelayAcceptor::new());
    let acceptor = Guarded::new(acceptor, Arc::clone(&webhook), webhook.bounds.connections);
    let mut server = axum_server::from_tcp(listener)?.handle(handle).http1_only().acceptor(acceptor);
    // hyper's timer for a head runs while a connection is idle as well; `Patient` looks after the head.
    server.http_builder().http1().header_read_timeout(limits::IDLE_CONNECTION).max_buf_size(limits::REQUEST_HEAD_SIZE);
    Ok(server.serve(router(webhook).into_make_service()))
}

/// Certificate and key come from the reloader, at each handshake. Only HTTP/1.1 is offered, and `http1_only` speaks nothing else whatever comes: the API
/// server asks for nothing else, and HTTP/2 is where the floods are. The crate h2 is linked all the same, because axum-server asks hyper for it without a
/// feature to leave it out; no byte reaches it (`tests/tls.rs`).
fn tls(webhook: &Webhook) -> anyhow::Result<rustls::ServerConfig> {
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&webhook.certificate) as _);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn serve_admin(webhook: Arc<Webhook>, listener: TcpListener) -> anyhow::Result<tokio::task::JoinHandle<io::Result<()>>> {
    let acceptor = Guarded::new(DefaultAcceptor::new(), Arc::clone(&webhook), limits::ADMIN_CONNECTIONS);
    let mut server = axum_server::from_tcp(listener)?.http1_only().acceptor(acceptor);
    server.http_builder().http1().header_read_timeout(limits::IDLE_CONNECTION).max_buf_size(limits::REQUEST_HEAD_SIZE);
    Ok(tokio::spawn(server.serve(admin_router(webhook).into_make_service())))
}
