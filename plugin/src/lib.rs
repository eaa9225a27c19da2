//! `kubectl isbsvc`: create, inspect, check and operate inter-step buffer services.
//!
//! A command reads facts through [`isbsvc::observe`], builds one model ([`model`]) and shows it ([`render`]): text, JSON and YAML cannot disagree,
//! because they show the same model.

pub mod args;
pub mod commands;
pub mod connection;
pub mod exit;
pub mod inspect;
pub mod model;
pub mod render;
pub mod services;
pub mod terminal;
pub mod watch;

use std::ffi::OsString;
use std::io::IsTerminal as _;

use crate::args::{Cli, Command};
use crate::exit::{Code, Outcome};

/// Runs one command line, program name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Code {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let name = args::program_name(arguments.first().map(OsString::as_os_str));
    let asked = args::asked(&arguments, &name);
    let cli = match args::parse(arguments, &name) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &asked),
    };
    log(cli.connection.verbosity);
    match carry_out(cli, &name) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.message.is_empty() {
                let word = if failure.code == Code::Interrupted { "interrupted" } else { "error" };
                terminal::say(&format!("{word}: {}", terminal::clean(&failure.message)));
            }
            failure.code
        }
    }
}

fn carry_out(cli: Cli, name: &str) -> Outcome {
    let Cli { command, connection, color } = cli;
    let colours = color.on();
    match command {
        Command::Create(create) => create.run(&connection, name),
        Command::List(list) => list.run(&connection, colours),
        Command::Status(status) => status.run(&connection, colours, name),
        Command::Describe(describe) => describe.run(&connection, colours),
        Command::Render(render) => render.run(&connection),
        Command::Diff(diff) => diff.run(&connection, colours),
        Command::Reconcile(reconcile) => reconcile.run(&connection, colours),
        Command::Version(version) => version.run(&connection),
        Command::Completion(completion) => completion.run(name),
        Command::Complete(complete) => complete.run(&connection, name),
    }
}

/// A line that cannot be read is a usage error: 1, because 2 says "unhealthy". Help and version are answers.
fn usage(error: &clap::Error, asked: &str) -> Code {
    use clap::error::ErrorKind;
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand) {
        // A reader that went away is no fault.
        let _ = error.print();
        return if error.use_stderr() { Code::NoAnswer } else { Code::Fine };
    }
    terminal::say(&usage_line(&error.to_string(), asked));
    Code::NoAnswer
}

/// clap's complaint in one line: what is wrong, what would be right, where to read more.
fn usage_line(complaint: &str, asked: &str) -> String {
    let superfluous = |line: &&str| {
        line.is_empty() || ["For more information", "Usage: ", "tip: to pass "].iter().any(|beginning| line.starts_with(beginning))
    };
    let words: Vec<_> = complaint.lines().map(str::trim).filter(|line| !superfluous(line)).map(terminal::clean).collect();
    format!("{}; see: {asked} --help", words.join(" "))
}

fn log(verbosity: Option<u8>) {
    let filter = match verbosity {
        None | Some(0..=3) => return,
        Some(4..=5) => "isbsvc=debug,kubectl_isbsvc=debug",
        Some(6..=7) => "isbsvc=debug,kubectl_isbsvc=debug,kube=debug,kube_client=debug",
        Some(_) => "debug",
    };
    let colours = std::io::stderr().is_terminal();
    // A second run in one process, as in tests, keeps the first one's log.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_is_one_line() {
        let lines: Vec<_> = [
            "list -o typo",
            "lsit",
            "status a b",
            "list --nope",
            "create --replicas three",
            "create name -f x",
            "create --settings max_payload",
            "list --request-timeout soon",
            "status --wait=green",
            "status -w --wait",
            "status --interval 5s",
            "status --timeout 5s",
            "status --wait --timeout 5s --fail-on never",
            "status -w --fail-on warning",
            "create --timeout 5s",
            "version --client --controller-namespace x",
            "list -A -n x",
            "completion",
        ]
        .map(|line| {
            let words: Vec<OsString> = std::iter::once("kubectl-isbsvc").chain(line.split(' ')).map(Into::into).collect();
            let asked = args::asked(&words, args::NAME);
            usage_line(&args::parse(words, args::NAME).err().unwrap().to_string(), &asked)
        })
        .into_iter()
        .collect();
        assert!(lines.iter().all(|line| !line.contains('\n')));
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn exit_codes_of_usage_errors_help_and_versions() {
        let code = |line: &str| run(std::iter::once("kubectl-isbsvc").chain(line.split(' ')).map(Into::into)) as u8;
        assert_eq!(code("list -o typo"), 1);
        assert_eq!(code("version --client"), 0);
        assert_eq!(code("render -f /nowhere/at/all.yaml"), 1);
    }
}
