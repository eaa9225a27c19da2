//! Completion: scripts for shells, the script for kubectl, and the candidates that it asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::Shell;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::args;
use crate::connection::{Connection, contexts};
use crate::exit::{Code, Failure, Outcome};
use crate::services;
use crate::terminal::print;

/// Nobody waits longer than this for a word under the cursor.
const PATIENCE: Duration = Duration::from_secs(2);
/// Candidates that are asked for.
const CANDIDATES: u32 = 200;

/// Flags of `completion`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  source <(kubectl isbsvc completion bash)
  kubectl isbsvc completion kubectl > ~/.local/bin/kubectl_complete-isbsvc && chmod +x ~/.local/bin/kubectl_complete-isbsvc

The script for kubectl makes `kubectl isbsvc <TAB>` work (kubectl 1.26 and later); it must be on the PATH under that name.
The scripts for shells complete the command kubectl-isbsvc.
Exit codes: 0 printed, 1 unknown shell.")]
pub struct Completion {
    /// Which one
    #[arg(value_enum)]
    pub shell: For,
}

/// What completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum For {
    /// The Bourne-again shell.
    Bash,
    /// The Z shell.
    Zsh,
    /// The friendly interactive shell.
    Fish,
    /// PowerShell.
    Powershell,
    /// kubectl, in any shell.
    Kubectl,
}

impl Completion {
    /// Carries it out.
    pub fn run(self, program: &str) -> Outcome {
        let shell = match self.shell {
            For::Bash => Shell::Bash,
            For::Zsh => Shell::Zsh,
            For::Fish => Shell::Fish,
            For::Powershell => Shell::PowerShell,
            For::Kubectl => {
                print(&for_kubectl(program))?;
                return Ok(Code::Fine);
            }
        };
        let file = file_name(program);
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut args::definition(&file), file, &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(Code::Fine)
    }
}

/// Name of the program's file, from how it is called.
fn file_name(program: &str) -> String {
    program.replace('-', "_").replace(' ', "-")
}

/// kubectl calls this file with all words, the last one perhaps empty.
fn for_kubectl(program: &str) -> String {
    let file = file_name(program);
    format!(
        "#!/usr/bin/env sh\n# kubectl runs this for completion: keep it on the PATH as kubectl_complete-{}.\nexec {file} __complete \"$@\"\n",
        file.trim_start_matches("kubectl-")
    )
}

/// The words so far, the last one under the cursor.
#[derive(Args, Clone, Debug)]
pub struct Complete {
    /// Words after the program's name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
    pub words: Vec<String>,
}

/// What may stand under the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// These.
    Words(Vec<String>),
    /// Names of services.
    Services,
    /// Names of namespaces.
    Namespaces,
    /// Names of contexts.
    Contexts,
    /// Names of files, which the shell knows.
    Files,
}

impl Complete {
    /// Carries it out. Nothing but candidates is ever printed: anything else would land on the person's command line.
    pub fn run(self, _: &Connection, program: &str) -> Outcome {
        let (last, before) = self.words.split_last().map_or(("", [].as_slice()), |(last, before)| (last.as_str(), before));
        let (prefix, typed) = match last.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (format!("{flag}="), value),
            _ => (String::new(), last),
        };
        let wanted = wanted(program, before, last);
        // The connection flags of the line itself choose the cluster that is asked.
        let connection = connection(program, before);
        let (candidates, directive) = match wanted {
            Wanted::Words(words) => (words, NO_FILES),
            Wanted::Contexts => (contexts(&connection), NO_FILES),
            Wanted::Services => (ask(&connection, false), NO_FILES),
            Wanted::Namespaces => (ask(&connection, true), NO_FILES),
            Wanted::Files => (Vec::new(), DEFAULT),
        };
        let mut text: String =
            candidates.iter().filter(|word| word.starts_with(typed)).fold(String::new(), |text, word| text + &prefix + word + "\n");
        text.push_str(directive);
        print(&text)
            .or_else(|failure| if failure.code == Code::Fine { Ok(()) } else { Err(Failure { message: String::new(), ..failure }) })?;
        Ok(Code::Fine)
    }
}

/// cobra's directives: the shell offers no file names, or does as it likes.
const NO_FILES: &str = ":4\n";
const DEFAULT: &str = ":0\n";

/// The flags of the line that choose a cluster, as far as they can be read.
fn connection(program: &str, before: &[String]) -> Connection {
    let line = std::iter::once(program).chain(before.iter().map(String::as_str)).map(std::ffi::OsString::from);
    let mut connection = args::parse(line, program).map(|cli| cli.connection).unwrap_or_default();
    connection.request_timeout = Some(PATIENCE);
    connection
}

fn wanted(program: &str, before: &[String], last: &str) -> Wanted {
    let root = args::definition(program);
    let mut command = &root;
    let mut positional = 0;
    let find = |command: &clap::Command, word: &str| -> Option<clap::Arg> {
        let name = word.strip_prefix("--").map(|long| long.split('=').next().unwrap_or(long).to_owned());
        let of = |command: &clap::Command| {
            let fits = |argument: &&clap::Arg| match (&name, word.strip_prefix('-')) {
                (Some(long), _) => argument.get_long() == Some(long.as_str()),
                (None, Some(short)) => argument.get_short().is_some_and(|character| short == character.to_string()),
                (None, None) => false,
            };
            command.get_arguments().find(fits).cloned()
        };
        of(command).or_else(|| of(&root))
    };
    let mut waiting = None;
    for word in before {
        if waiting.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            waiting = find(command, word).filter(|argument| takes_separate_value(argument) && !word.contains('='));
        } else if let Some(sub) =
            command.get_subcommands().find(|sub| sub.get_name() == word || sub.get_all_aliases().any(|alias| alias == word))
        {
            command = sub;
        } else {
            positional += 1;
        }
    }
    let given = match last.split_once('=') {
        Some((flag, _)) if flag.starts_with("--") => find(command, flag),
        _ => waiting,
    };
    if let Some(argument) = &given {
        return values(argument);
    }
    if last.starts_with('-') {
        let flags = |command: &clap::Command| -> BTreeSet<String> {
            command
                .get_arguments()
                .filter(|argument| !argument.is_hide_set())
                .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
                .collect()
        };
        let mut all = flags(command);
        all.extend(flags(&root));
        return Wanted::Words(all.into_iter().collect());
    }
    if command.has_subcommands() {
        return Wanted::Words(command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(|sub| sub.get_name().to_owned()).collect());
    }
    match command.get_positionals().nth(positional) {
        // A name that is taken cannot be created.
        Some(argument) if argument.get_id() == "name" && command.get_name() != "create" => Wanted::Services,
        Some(argument) => values(argument),
        None => Wanted::Words(Vec::new()),
    }
}

fn takes_separate_value(argument: &clap::Arg) -> bool {
    argument.get_action().takes_values() && !argument.is_require_equals_set()
}

fn values(argument: &clap::Arg) -> Wanted {
    match argument.get_id().as_str() {
        "namespace" | "controller_namespace" => Wanted::Namespaces,
        "context" => Wanted::Contexts,
        "file" | "kubeconfig" | "controller_config" | "buffer_config" | "certificate_authority" | "client_certificate" | "client_key" => {
            Wanted::Files
        }
        _ => Wanted::Words(argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()),
    }
}

fn ask(connection: &Connection, namespaces: bool) -> Vec<String> {
    let mut names = Vec::new();
    // Silent on failure: no cluster is no reason to disturb a command line.
    let _ = connection.run(async |session| {
        let asking = async {
            let parameters = ListParams::default().limit(CANDIDATES);
            if namespaces {
                let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(session.client.clone());
                Some(api.list_metadata(&parameters).await.ok()?.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>())
            } else {
                Some(
                    services::api(&session, &session.namespace)
                        .list_metadata(&parameters)
                        .await
                        .ok()?
                        .items
                        .iter()
                        .map(ResourceExt::name_any)
                        .collect(),
                )
            }
        };
        names = tokio::time::timeout(PATIENCE, asking).await.ok().flatten().unwrap_or_default();
        Ok(Code::Fine)
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::NAME;

    fn at(line: &str) -> Wanted {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (last, before) = words.split_last().unwrap();
        wanted(NAME, before, last)
    }

    #[test]
    fn the_word_under_the_cursor_is_known_by_its_place() {
        assert!(
            matches!(at(""), Wanted::Words(words) if words.contains(&"status".to_owned()) && !words.contains(&"__complete".to_owned()))
        );
        assert!(matches!(at("status "), Wanted::Services));
        assert!(matches!(at("-n work status "), Wanted::Services));
        assert!(matches!(at("status --watch "), Wanted::Services));
        assert!(matches!(at("status --wait "), Wanted::Services));
        assert!(matches!(at("status default "), Wanted::Words(words) if words.is_empty()));
        assert!(matches!(at("create "), Wanted::Words(words) if words.is_empty()));
        assert!(matches!(at("status -n "), Wanted::Namespaces));
        assert!(matches!(at("--context "), Wanted::Contexts));
        assert!(matches!(at("create -f "), Wanted::Files));
        assert!(matches!(at("status -o "), Wanted::Words(words) if words == ["table", "wide", "json", "yaml"]));
        assert!(matches!(at("status --output="), Wanted::Words(words) if words == ["table", "wide", "json", "yaml"]));
        assert!(matches!(at("completion "), Wanted::Words(words) if words.contains(&"kubectl".to_owned())));
        assert!(
            matches!(at("list --"), Wanted::Words(words) if words.contains(&"--no-headers".to_owned()) && words.contains(&"--context".to_owned()))
        );
    }

    #[test]
    fn the_script_for_kubectl_is_named_after_the_program() {
        assert!(for_kubectl("kubectl isbsvc").contains("exec kubectl-isbsvc __complete \"$@\""));
        assert!(for_kubectl("kubectl numaflow-isbsvc").contains("kubectl_complete-numaflow_isbsvc"));
    }
}
