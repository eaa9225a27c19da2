//! `isbsvc-controller`.

use std::process::ExitCode;

use clap::Parser as _;
use isbsvc::controller::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // There is one provider of cryptography in the process; that another part chose the same one before is no error.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match Box::pin(run(arguments)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
