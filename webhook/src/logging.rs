use tracing_subscriber::EnvFilter;

use crate::LogFormat;

/// What is logged where `RUST_LOG` says nothing. What cannot be watched is said by us, and once.
const FILTER: &str = "info,kube_runtime=error";
/// The Kubernetes client logs the body of an answer that it cannot read, which may hold anything: never.
const SILENT: &str = "kube_client::client=off";

/// Sends the log to standard error, and makes a panic one line of it: where, and never what it says, which could quote an object.
pub(crate) fn start(format: LogFormat) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    if let Ok(silent) = SILENT.parse() {
        filter = filter.add_directive(silent);
    }
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process (tests) keeps the first.
    let _ = match format {
        LogFormat::Text => log.with_ansi(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}
