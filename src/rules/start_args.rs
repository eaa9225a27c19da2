//! Arguments of the NATS server.

use std::collections::{BTreeSet, HashSet};
use std::hash::{Hash as _, Hasher as _};

use super::{About, Asked, Example, Level, Rule, Violation};
use crate::api::InterStepBufferService;
use crate::limits;

/// Arguments only say what is logged.
pub const START_ARGS: Rule = Rule {
    name: "start-args",
    level: Level::Deny,
    about: About::Object,
    summary: "spec.jetstream.startArgs holds only switches for logging: any other argument goes before the configuration, and could move the store off its volume.",
    advice: "Arguments win over the configuration file. One of them can move the store off its volume or take the server out of its cluster. Only switches for logging are taken; sizes belong into spec.jetstream.settings.",
    overridable: false,
    examples: &[
        Example::bad("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    startArgs: [\"--store_dir=/tmp\"]\n"),
        Example::good("spec:\n  jetstream:\n    version: 2.12.7\n    replicas: 3\n    startArgs: [\"-DV\"]\n"),
    ],
    check: start_args,
};

/// Names without their hyphens, as every release from 2.8 knows them (nats-server `server/opts.go`, `ConfigureOptions`); an argument that a release does
/// not know ends the server.
pub(super) const SWITCHES: [&str; 9] = ["D", "debug", "V", "trace", "VV", "DV", "DVV", "T", "logtime"];

/// What an argument is called that may be the value of the one before it.
pub(super) const NO_SWITCH: &str = "an argument that is no switch";

fn start_args(asked: &Asked<'_>) -> Vec<Violation> {
    let arguments = || start_args_of(asked.new);
    let before: HashSet<_> = asked.old.into_iter().flat_map(start_args_of).collect();
    // Those that are new come first, so that none hides behind many that were there before.
    let refused: BTreeSet<_> = arguments().filter(|argument| !is_switch(argument)).map(|one| (before.contains(one), one)).collect();
    // One that may be the value of the one before it says something else in another place.
    let places = arguments().any(|argument| !argument.starts_with('-')).then(|| {
        let mut hasher = std::hash::DefaultHasher::new();
        arguments().for_each(|argument| argument.hash(&mut hasher));
        hasher.finish()
    });
    // It is told by its name and not by its place, so that one that was there before is known again wherever it stands, and without its value, which may
    // be a password.
    refused
        .into_iter()
        .take(limits::FINDINGS)
        .map(|(_, argument)| {
            Violation::new(
                "spec.jetstream.startArgs",
                format!(
                    "{} would hold instead of what the configuration says, and could move the store off its volume or stop the server; remove it \
                     (taken are -D, --debug, -V, --trace, -VV, -DV, -DVV, -T, --logtime; sizes belong in spec.jetstream.settings)",
                    shown(argument)
                ),
            )
            .about(format!("{places:?} {argument}"))
        })
        .collect()
}

fn start_args_of(service: &InterStepBufferService) -> impl Iterator<Item = &String> {
    service.spec.jetstream.iter().flat_map(|jetstream| jetstream.start_args.iter().flatten())
}

/// The name of an argument, without a value.
fn shown(argument: &str) -> String {
    let name = argument.split('=').next().filter(|name| name.starts_with('-'));
    name.map_or_else(|| NO_SWITCH.to_owned(), |name| format!("{name:?}"))
}

/// One or two hyphens are the same to Go's `flag`, and a switch takes its value only behind `=`.
fn is_switch(argument: &str) -> bool {
    let Some(name) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else { return false };
    let name = name.strip_suffix("=true").or_else(|| name.strip_suffix("=false")).unwrap_or(name);
    SWITCHES.contains(&name)
}
