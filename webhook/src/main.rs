//! isbsvc-webhook.

use std::io::Write;
use std::process::ExitCode;

use isbsvc_webhook::Arguments;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(ended) => {
            let written = if ended.code == 0 {
                std::io::stdout().write_all(ended.text.as_bytes())
            } else {
                std::io::stderr().write_all(ended.text.as_bytes())
            };
            return ExitCode::from(if written.is_ok() { ended.code } else { 1 });
        }
    };
    // Two threads judge faster than an API server asks; more would only hold memory.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(isbsvc_webhook::run(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line; nobody is left to tell where standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
