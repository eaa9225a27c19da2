//! This repository: where it is, and cargo in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use anyhow::{Context, Result, bail};
use serde_json::Value;

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

/// Compiles a program and says where it is.
pub fn compile(package: &str, features: &str, program: &str, release: bool) -> Result<PathBuf> {
    let mut arguments = vec!["build", "--locked", "--quiet", "-p", package, "--bin", program, "--message-format=json-render-diagnostics"];
    if !features.is_empty() {
        arguments.extend(["--features", features]);
    }
    if release {
        arguments.push("--release");
    }
    let out = cargo(&arguments).stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    if !out.status.success() {
        bail!("`cargo {}` failed ({})", arguments.join(" "), out.status);
    }
    let messages = String::from_utf8_lossy(&out.stdout);
    let executable = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let is_it = message["reason"] == "compiler-artifact" && message["target"]["name"] == program;
        is_it.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    });
    executable.with_context(|| format!("cargo did not say where it put {program}"))
}
