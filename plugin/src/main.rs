//! `kubectl-isbsvc`: create, inspect, check and operate inter-step buffer services.

fn main() -> std::process::ExitCode {
    kubectl_isbsvc::run(std::env::args_os()).into()
}
