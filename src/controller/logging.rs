use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::arguments::LogFormat;

/// What is logged where `RUST_LOG` says nothing. The Kubernetes client logs the body of an answer that it cannot read, which may be a Secret: that
/// stays off whatever is asked for.
const FILTER: &str = "info,kube_runtime=warn";
const SILENT: &str = "kube_client::client=off";

/// Log lines go to standard error.
pub fn start(format: LogFormat) {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    if let Ok(silent) = SILENT.parse() {
        filter = filter.add_directive(silent);
    }
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}
