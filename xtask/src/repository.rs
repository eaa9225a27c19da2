//! This repository: where it is, and cargo in it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cluster::outside::output;
use crate::cluster::progress::Step;

/// The repository's root: of the checkout that cargo runs us from, as two checkouts with one target folder share the program itself.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        manifest.parent().map_or_else(|| manifest.clone(), Path::to_owned)
    });
    &ROOT
}

/// Cargo with these arguments, in the repository.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    command
}

/// A package as it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its features, with commas between them.
    pub features: &'a str,
}

/// The plugin.
pub const PLUGIN: Package<'_> = Package { name: "kubectl-isbsvc", features: "" };

/// Compiles a program as shipped, as one step that is shown with how far it is.
pub fn shown(title: &str, package: Package<'_>, program: &str) -> Result<PathBuf> {
    let step = Step::begin_long(title);
    let path = compile(package, program, true, &|far| step.say(far))?;
    step.done();
    Ok(path)
}

/// Compiles a program and says where it is; `say` hears how far it is.
pub fn compile(package: Package<'_>, program: &str, release: bool, say: &dyn Fn(String)) -> Result<PathBuf> {
    let verb = if release { ["build", "--release"].as_slice() } else { &["build"] };
    let executables = compile_with(&[verb, &["--bin", program]].concat(), package, false, &[], say)?;
    executables
        .into_iter()
        .find(|(name, _)| name == program)
        .map(|(_, path)| path)
        .with_context(|| format!("cargo did not say where it put {program}"))
}

/// Runs a command of cargo's that compiles a package, with what its tests need or without; `say` hears how many crates are done, and how many there are.
/// Gives the executables by the names of their targets. `last` are words for what cargo runs.
pub fn compile_with(
    verb: &[&str],
    package: Package<'_>,
    tests: bool,
    last: &[&str],
    say: &dyn Fn(String),
) -> Result<Vec<(String, PathBuf)>> {
    let of_package = ["--locked", "-p", package.name, "--features", package.features];
    let edges = if tests { "normal,build,dev" } else { "normal,build" };
    let tree = [&["tree"], &of_package[..], &["--edges", edges, "--prefix", "none"]].concat();
    let all = crates(&output(&mut cargo(&tree))?);
    let arguments = [verb, &of_package, &["--quiet", "--message-format=json-render-diagnostics"], last].concat();
    let mut child = cargo(&arguments).stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let (mut done, mut executables) = (BTreeSet::new(), Vec::new());
    for line in BufReader::new(child.stdout.take().context("no standard output")?).lines() {
        let Some((package, name, executable)) = artifact(&line?) else { continue };
        if done.insert(package) {
            say(format!("{} of {all} crates, the last one {name}", done.len()));
        }
        executables.extend(executable.map(|path| (name, path)));
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`cargo {}` failed ({status})", arguments.join(" "));
    }
    Ok(executables)
}

// How many crates a tree of `cargo tree --prefix none` names; what it has shown already it marks with (*). A few may never come: what a package lists for a
// build script that it then does not have.
fn crates(tree: &str) -> usize {
    tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect::<BTreeSet<_>>().len()
}

// Of a message that says that a target is there, compiled now or before: its package, its name, and where its executable is. A build script is only on the
// way to its crate.
fn artifact(line: &str) -> Option<(String, String, Option<PathBuf>)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_script = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "custom-build");
    let is_it = message["reason"] == "compiler-artifact" && !is_script;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    is_it.then(|| {
        Some((text(&message["package_id"])?, text(&message["target"]["name"])?, text(&message["executable"]).map(PathBuf::from)))
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_counts_once_and_its_build_script_does_not() {
        assert_eq!(crates("a v1.0.0 (/a)\nb v2.0.0\nc v1.1.0 (proc-macro)\nb v2.0.0 (*)\n\na v1.0.0 (/a)\n"), 3);
        let message = |kind: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"p#1","target":{{"kind":["{kind}"],"name":"x"}},"executable":{executable}}}"#
            )
        };
        assert_eq!(artifact(&message("lib", "null")), Some(("p#1".to_owned(), "x".to_owned(), None)));
        assert_eq!(artifact(&message("bin", "\"/t/x\"")).and_then(|(_, _, path)| path), Some(PathBuf::from("/t/x")));
        assert_eq!(artifact(&message("custom-build", "null")), None);
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(artifact("text"), None);
    }
}
