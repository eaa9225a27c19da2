//! The command line.

pub mod duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{completion, create, describe, diff, list, reconcile, render, status, version};
use crate::connection::Connection;
use crate::terminal::Color;

/// The name that examples are written with; replaced where the program was installed under another.
pub const NAME: &str = "kubectl isbsvc";

/// Create, inspect, check and operate Numaflow's inter-step buffer services
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Which cluster.
    #[command(flatten)]
    pub connection: Connection,
    /// Colours in text output
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", hide_short_help = true)]
    pub color: Color,
}

const AFTER_HELP: &str = "Examples:
  kubectl isbsvc create --volume-size 20Gi --wait
  kubectl isbsvc status
  kubectl isbsvc list -A

Exit codes: 0 fine, 1 could not answer, 2 answered and not as it should be, 124 timeout, 130 interrupted.
kubectl's connection flags are listed by --help of a command.";

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a service
    Create(Box<create::Create>),
    /// List services and how they are
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show how a service is, from inside its servers, with a verdict first
    Status(status::Status),
    /// Show a service, its settings, its objects and its events
    Describe(describe::Describe),
    /// Print every object that a service consists of
    Render(render::Render),
    /// Show what reconciliation would change
    Diff(diff::Diff),
    /// Carry out one reconciliation from here, in place of the controller
    Reconcile(reconcile::Reconcile),
    /// Print versions of the plugin and of what runs in the cluster
    Version(version::Version),
    /// Print a completion script
    Completion(completion::Completion),
    /// Candidates for the word under the cursor, for kubectl's completion.
    #[command(name = "__complete", hide = true, disable_help_flag = true)]
    Complete(completion::Complete),
}

/// Reads `KEY=VALUE`; the value may be empty.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// The command line's definition, with the name that the program was called by.
pub fn definition(name: &str) -> clap::Command {
    let command = Cli::command().name(NAME).bin_name(name).display_name(name);
    if name == NAME { command } else { renamed(command, name) }
}

fn renamed(mut command: clap::Command, name: &str) -> clap::Command {
    if let Some(help) = command.get_after_help().map(ToString::to_string) {
        command = command.after_help(help.replace(NAME, name));
    }
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for sub in names {
        command = command.mut_subcommand(sub, |sub| renamed(sub, name));
    }
    command
}

/// Reads the command line.
pub fn parse(arguments: impl IntoIterator<Item = std::ffi::OsString>, name: &str) -> Result<Cli, clap::Error> {
    let mut matches = definition(name).try_get_matches_from(arguments)?;
    Cli::from_arg_matches_mut(&mut matches)
}

/// The command that a line means, as far as it can be told: `kubectl isbsvc status`.
pub fn asked(arguments: &[std::ffi::OsString], name: &str) -> String {
    let definition = Cli::command();
    let known = |word: &&std::ffi::OsString| definition.get_subcommands().any(|sub| word.to_str() == Some(sub.get_name()));
    arguments.iter().skip(1).find(known).map_or_else(|| name.to_owned(), |sub| format!("{name} {}", sub.to_string_lossy()))
}

/// How a person calls this program: kubectl finds `kubectl-a-b` as `kubectl a b`, and `kubectl-a_b` as `kubectl a-b`.
pub fn program_name(argv0: Option<&std::ffi::OsStr>) -> String {
    let file = argv0.map(std::path::Path::new).and_then(std::path::Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    match file {
        Some(file) => match file.strip_prefix("kubectl-") {
            Some(plugin) => format!("kubectl {}", plugin.replace('-', " ").replace('_', "-")),
            None => file,
        },
        None => NAME.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_has_no_contradiction() {
        definition(NAME).debug_assert();
    }

    /// kubectl's own flags go with every command, and one of the same name would take their place unseen.
    #[test]
    fn no_command_takes_a_flag_of_kubectls() {
        let command = Cli::command();
        let global: Vec<_> = command.get_arguments().filter(|flag| flag.is_global_set()).filter_map(clap::Arg::get_long).collect();
        assert!(global.contains(&"user") && global.contains(&"namespace"), "{global:?}");
        for sub in command.get_subcommands() {
            let own = sub.get_arguments().filter(|flag| !flag.is_global_set()).filter_map(clap::Arg::get_long);
            let taken: Vec<_> = own.filter(|flag| global.contains(flag)).collect();
            assert!(taken.is_empty(), "{}: {taken:?}", sub.get_name());
        }
    }

    #[test]
    fn the_program_is_shown_as_it_is_called() {
        let name = |argv0: &str| program_name(Some(std::ffi::OsStr::new(argv0)));
        assert_eq!(name("/usr/local/bin/kubectl-isbsvc"), "kubectl isbsvc");
        assert_eq!(name("kubectl-numaflow_isbsvc"), "kubectl numaflow-isbsvc");
        assert_eq!(name("isbsvc.exe"), "isbsvc");
        assert_eq!(program_name(None), "kubectl isbsvc");
        let mut other = definition("kubectl numaflow-isbsvc");
        let help = other.find_subcommand_mut("status").unwrap().render_help().to_string();
        assert!(help.contains("kubectl numaflow-isbsvc status") && !help.contains(NAME), "{help}");
    }

    #[test]
    fn every_command_has_an_example() {
        for sub in definition(NAME).get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("{NAME} {}", sub.get_name())), "{} has no example", sub.get_name());
        }
    }

    /// Flags of `kubectl options` (1.36) that choose a cluster, a login, or how both are dealt with.
    const OF_KUBECTL: [&str; 20] = [
        "as",
        "as-group",
        "as-uid",
        "as-user-extra",
        "certificate-authority",
        "client-certificate",
        "client-key",
        "cluster",
        "context",
        "insecure-skip-tls-verify",
        "kubeconfig",
        "namespace",
        "password",
        "request-timeout",
        "server",
        "tls-server-name",
        "token",
        "user",
        "username",
        "v",
    ];
    /// The rest of `kubectl options`, which would do nothing here: a flag that is taken and does nothing is worse than none.
    const NOT_TAKEN: [&str; 9] = [
        "cache-dir",
        "disable-compression",
        "kuberc",
        "log-flush-frequency",
        "match-server-version",
        "profile",
        "profile-output",
        "vmodule",
        "warnings-as-errors",
    ];

    #[test]
    fn every_connection_flag_of_kubectl_that_means_something_here_holds_everywhere() {
        let value = |flag: &str| match flag {
            "insecure-skip-tls-verify" => None,
            "as-user-extra" => Some("scopes=view"),
            "request-timeout" => Some("5s"),
            "v" => Some("6"),
            _ => Some("x"),
        };
        let flags: Vec<_> =
            OF_KUBECTL.iter().flat_map(|flag| std::iter::once(format!("--{flag}")).chain(value(flag).map(Into::into))).collect();
        let flags = || flags.iter().cloned();
        for command in ["create", "list", "status", "describe", "render", "diff", "reconcile", "version"] {
            let line = ["kubectl-isbsvc", command].map(str::to_owned).into_iter().chain(flags()).map(Into::into);
            let cli = parse(line, NAME).unwrap_or_else(|error| panic!("{command}: {error}"));
            assert_eq!(cli.connection.as_user_extra, [("scopes".to_owned(), "view".to_owned())]);
            let before = ["kubectl-isbsvc".to_owned()].into_iter().chain(flags()).chain([command.to_owned()]).map(Into::into);
            assert!(parse(before, NAME).is_ok(), "{command} after its flags");
        }
        let repeated = [
            "x",
            "list",
            "-n",
            "a",
            "-s",
            "b",
            "-v",
            "6",
            "--as-group",
            "c",
            "--as-group",
            "d",
            "--as-user-extra",
            "e=",
            "--as-user-extra",
            "e=f",
        ];
        let cli = parse(repeated.map(Into::into), NAME).unwrap();
        assert_eq!((cli.connection.as_group.len(), cli.connection.as_user_extra.len()), (2, 2));
    }

    /// The manual names them all, those that are taken and those that are not.
    #[test]
    fn the_manual_says_which_flags_of_kubectl_are_taken() {
        let manual = include_str!("../../docs/commands.md");
        let (taken, not_taken) = manual.split_once("These of kubectl's flags are not taken").expect("the manual says what is not taken");
        let definition = definition(NAME);
        let known = |flag: &str| definition.get_arguments().any(|argument| argument.get_long() == Some(flag));
        for flag in OF_KUBECTL {
            assert!(known(flag) && taken.contains(&format!("--{flag}")), "{flag}");
        }
        for flag in NOT_TAKEN {
            assert!(!known(flag) && not_taken.contains(&format!("`--{flag}`")), "{flag}");
        }
    }

    #[test]
    fn a_token_or_password_is_never_shown() {
        let cli = parse(["x", "list", "--token", "geheim", "--password", "geheim"].map(Into::into), NAME).unwrap();
        assert!(!format!("{cli:?}").contains("geheim"));
    }

    #[test]
    fn what_is_not_a_flag_or_a_format_is_refused() {
        for line in [
            vec!["list", "-o", "typo"],
            vec!["status", "-o", "name"],
            vec!["status", "--interval", "0"],
            vec!["status", "--via", "carrier-pigeon"],
            vec!["status", "a", "b"],
            vec!["create", "--dry-run=maybe"],
            vec!["create", "--replicas", "three"],
            vec!["reconcile", "--dry-run=server"],
            vec!["list", "--nope"],
            vec!["nope"],
            vec!["completion", "tcsh"],
            vec!["list", "-v", "11"],
        ] {
            let words = std::iter::once("x").chain(line.iter().copied()).map(Into::into);
            assert!(parse(words, NAME).is_err(), "{line:?}");
        }
    }

    /// Law no-surprise, as far as the command line says it.
    #[test]
    fn no_surprise_every_verb_that_changes_something_has_a_dry_run() {
        let definition = definition(NAME);
        for verb in ["create", "reconcile"] {
            let sub = definition.find_subcommand(verb).unwrap();
            assert!(sub.get_arguments().any(|argument| argument.get_long() == Some("dry-run")), "{verb}");
        }
        let reconcile = definition.find_subcommand("reconcile").unwrap();
        assert!(reconcile.get_arguments().any(|argument| argument.get_long() == Some("yes")));
    }
}
