//! Mutation tests: cargo-mutants changes the code in one place after another (`<` to `<=`, a condition to `true`, a body to a constant), and for each
//! change some test must fail. What it changes, and what not and why, is in `.cargo/mutants.toml`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::outside::{command, last_lines, output};
use crate::cluster::progress::Step;
use crate::cluster::state;
use crate::repository;

/// The word that runs it alone.
pub const NAME: &str = "mutants";
/// The version of cargo-mutants; another one makes other changes.
const VERSION: &str = "27.1.0";
/// Cases of each property in these runs: most changes are caught by an example, and each is compiled and tested anew.
const CASES: &str = "16";
/// Seconds for the tests of one change, which take 2 where the machine does nothing else; one that goes on for ever ends here, and is a failure.
const ONE: &str = "300";

/// Where cargo-mutants is; it is built into the user's cache where it is not there yet.
pub fn program() -> Result<PathBuf> {
    let bin = state::cache()?.join("bin");
    let folder = bin.join(format!("cargo-mutants-{VERSION}"));
    let program = folder.join("bin/cargo-mutants");
    if program.is_file() {
        return Ok(program);
    }
    let step = Step::begin_long(format!("build cargo-mutants {VERSION}, once; it is kept in {}", bin.display()));
    let half_made = bin.join(format!("cargo-mutants-{VERSION}.new"));
    let _ = fs::remove_dir_all(&half_made);
    fs::create_dir_all(&half_made).with_context(|| half_made.display().to_string())?;
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    // Outside of the repository, whose flags are for its own programs.
    let mut install = command(&cargo, &["install", "cargo-mutants", "--version", VERSION, "--locked", "--root"]);
    output(install.arg(&half_made).current_dir("/").env_remove("CARGO_TARGET_DIR"))?;
    fs::rename(&half_made, &folder).with_context(|| format!("cannot make {}", folder.display()))?;
    ensure!(program.is_file(), "cargo install made no {}", program.display());
    step.done();
    Ok(program)
}

/// Makes every change, as many at once as there are cores, and tests each.
pub fn run(program: &Path) -> Result<()> {
    let jobs = thread::available_parallelism().map_or(1, usize::from).to_string();
    let folder = repository::root().join("target");
    let mut mutants = command(&program.to_string_lossy(), &["mutants", "--workspace", "--jobs", &jobs, "--timeout", ONE, "--no-shuffle"]);
    // Each line that it prints is one change, and the last is the count of all.
    mutants.args(["--caught", "--unviable", "--no-times", "--colors", "never", "--annotations", "none", "--output"]).arg(&folder);
    // Below the copy of the repository that each job has, whatever the machine's own setting: in one folder, jobs would take each other's programs.
    mutants.env("PROPTEST_CASES", CASES).env("CARGO_TARGET_DIR", "target");
    let mut child = mutants.current_dir(repository::root()).stdout(Stdio::piped()).spawn().context("cannot run cargo-mutants")?;
    let step = Step::begin_long(format!("change the code and test it, {jobs} changes at once"));
    let (mut all, mut done, mut last) = (String::new(), 0, String::new());
    for line in BufReader::new(child.stdout.take().context("no standard output")?).lines() {
        let line = line?;
        match told(&line) {
            Told::All(number) => number.clone_into(&mut all),
            Told::Change(change) => {
                done += 1;
                step.say(format!("{done} of {all}, the last one {change}"));
            }
            Told::Other => {}
        }
        if !line.trim().is_empty() {
            last = line;
        }
    }
    let status = child.wait()?;
    drop(step);
    println!("   {last}");
    let kept = folder.join("mutants.out");
    let read = |name: &str| fs::read_to_string(kept.join(name)).with_context(|| kept.join(name).display().to_string());
    if let Some(survivors) = survivors(&read("missed.txt")?, &read("timeout.txt")?) {
        bail!("{survivors}\nThe log of each is in {}; its diff is at the top of it.", kept.join("log").display());
    }
    if !status.success() {
        // Such as tests that fail without any change.
        let log = read("log/baseline.log").unwrap_or_default();
        let said: Vec<_> = log.lines().filter(|line| !line.trim_start().starts_with("Running `")).collect();
        bail!("cargo-mutants failed ({status}): {last}\n{}", last_lines(&said.join("\n"), 20));
    }
    Ok(())
}

/// What a line of cargo-mutants' says.
#[derive(Debug, PartialEq, Eq)]
enum Told<'a> {
    /// How many changes there are to make.
    All(&'a str),
    /// One of them was made and tested; which.
    Change(&'a str),
    Other,
}

fn told(line: &str) -> Told<'_> {
    if let Some((number, _)) = line.strip_prefix("Found ").and_then(|rest| rest.split_once(' ')) {
        return Told::All(number);
    }
    let change = ["caught ", "unviable ", "MISSED ", "TIMEOUT "].iter().find_map(|word| line.strip_prefix(word));
    change.map_or(Told::Other, |change| Told::Change(change.trim()))
}

/// The changes that no test caught, in words; `None` where there are none.
fn survivors(missed: &str, timeout: &str) -> Option<String> {
    let lines = [("no test fails with", missed), ("the tests did not end with", timeout)];
    let told: Vec<_> = lines.iter().flat_map(|(what, list)| list.lines().map(move |change| format!("{what} {change}"))).collect();
    (!told.is_empty()).then(|| told.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_mutants_says_is_understood() {
        assert_eq!(told("Found 681 mutants to test"), Told::All("681"));
        for line in ["caught   src/a.rs:1:2: replace < with <= in b", "MISSED   src/a.rs:1:2: replace < with <= in b"] {
            assert_eq!(told(line), Told::Change("src/a.rs:1:2: replace < with <= in b"));
        }
        assert_eq!(told("ok       Unmutated baseline"), Told::Other);
    }

    #[test]
    fn what_survives_is_named_and_so_is_what_does_not_end() {
        assert_eq!(survivors("", ""), None);
        let told = survivors("src/a.rs:1:2: x\nsrc/a.rs:3:4: y\n", "src/b.rs:5:6: z\n").unwrap();
        let lines =
            ["no test fails with src/a.rs:1:2: x", "no test fails with src/a.rs:3:4: y", "the tests did not end with src/b.rs:5:6: z"];
        assert_eq!(told, lines.join("\n"));
    }

    /// A file that was moved would be left out without a word.
    #[test]
    fn every_file_that_the_configuration_names_is_there() {
        let text = fs::read_to_string(repository::root().join(".cargo/mutants.toml")).unwrap();
        let names: Vec<_> = text.split('"').skip(1).step_by(2).filter(|word| word.contains(".rs")).collect();
        assert!(names.len() > 5, "{names:?}");
        for name in names {
            let folder = name.split('*').next().unwrap_or_default();
            assert!(repository::root().join(folder).exists(), "{name}");
        }
    }
}
