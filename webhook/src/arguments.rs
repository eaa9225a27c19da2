use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Admission webhook for Numaflow's inter-step buffer services: fills in defaults, and refuses what would lose data.
#[derive(Clone, Debug, Parser)]
#[command(name = "isbsvc-webhook", version)]
pub struct Arguments {
    /// Where the API server reaches us, in TLS: POST /mutate, POST /validate
    #[arg(long, value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Certificate with its chain, PEM; may come later, and is read again when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert: PathBuf,
    /// Key of the certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: PathBuf,
    /// Controller configuration (controller-config.yaml of numaflow-controller-config); without it, or until the file is there, the built-in default holds
    #[arg(long, value_name = "FILE")]
    pub controller_config: Option<PathBuf>,
    /// Policy: which rules warn and which refuse; without it, or until the file is there, every rule has its own level
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Read Namespaces and Pipelines of the cluster, and ask it who may override a rule; as the pod's service account, or by the variable KUBECONFIG
    #[arg(long)]
    pub cluster: bool,
    /// Where to answer /healthz, /readyz and /metrics, in plain HTTP; nowhere unless given
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// How to write the log (to standard error; the variable `RUST_LOG` sets the level)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// How to write the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs, one object a line.
    Json,
}

impl Arguments {
    /// Reads the command line. What is wrong with it is one line; help and version are given as they are, with the exit code 0.
    pub fn read(words: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Self, Ended> {
        Self::try_parse_from(words).map_err(|error| {
            let text = error.to_string();
            if error.exit_code() == 0 {
                return Ended { text, code: 0 };
            }
            // The first paragraph says what is wrong; usage follows.
            let said: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            Ended { text: format!("{}; see isbsvc-webhook --help\n", said.join(" ")), code: 1 }
        })
    }
}

/// The command line that ends the program before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What to say.
    pub text: String,
    /// Exit code.
    pub code: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, Ended> {
        Arguments::read(line.split(' ').map(Into::into))
    }

    #[test]
    fn a_wrong_command_line_is_one_line_and_exit_code_1() {
        for (line, words) in [
            ("isbsvc-webhook", "--listen <ADDR> --tls-cert <FILE> --tls-key <FILE>"),
            ("isbsvc-webhook --listen nonsense --tls-cert a --tls-key b", "'nonsense' for '--listen <ADDR>'"),
            ("isbsvc-webhook --listen 0.0.0.0:1 --tls-cert a --tls-key b --log-format xml", "'xml' for '--log-format <FORMAT>'"),
            ("isbsvc-webhook --such", "'--such'"),
        ] {
            let ended = read(line).unwrap_err();
            assert_eq!(ended.code, 1, "{line}");
            assert!(ended.text.contains(words) && ended.text.trim_end().lines().count() == 1, "{}", ended.text);
        }
    }

    #[test]
    fn help_and_version_are_no_failure() {
        for line in ["isbsvc-webhook --help", "isbsvc-webhook --version"] {
            assert_eq!(read(line).unwrap_err().code, 0);
        }
    }
}
