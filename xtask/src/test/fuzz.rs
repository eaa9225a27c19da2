//! libFuzzer over each kind of input that a stranger may send, for a bounded time, beginning with the committed inputs (`tests/fuzz/corpus/`) and with what
//! earlier runs found (`target/fuzz/`).

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::outside::{command, last_lines, output};
use crate::cluster::prerequisites::{install, is_root};
use crate::cluster::progress::line;
use crate::repository::{self, Package};

/// The word that runs it alone.
pub const NAME: &str = "fuzz";
/// The fuzzer with its engine, which needs a C++ compiler.
const FUZZER: Package<'_> = Package { name: "isbsvc-fuzz", features: "engine" };
/// Seconds for each target in every run: enough to try the committed inputs and some ten thousand neighbours of theirs.
const SECONDS: u32 = 20;
/// Seconds for each target with `--full`: five minutes, after which hardly any new branch was seen.
const SECONDS_FULL: u32 = 300;
/// Largest input, bytes: what goes wrong with long texts goes wrong with these, and each try of a longer one takes more time.
const INPUT: u32 = 16 * 1024;
/// Seconds for one input: two thousand times what one takes, and a tenth of what a caller waits.
const ONE: u32 = 10;
/// Memory of one fuzzer, MiB: ten times what it needs. It holds for the whole process, and the engine keeps all inputs that it goes on from.
const MEMORY: u32 = 1024;

/// An error unless there is a C++ compiler; as root on Debian it is installed.
pub fn compiler() -> Result<()> {
    let works = || output(command("c++", &["--version"]).current_dir("/")).is_ok();
    if works() {
        return Ok(());
    }
    ensure!(is_root(), "no c++ on this machine");
    line("  apt-get install g++");
    install(&["g++"])?;
    ensure!(works(), "c++ does not run");
    Ok(())
}

/// Compiles the fuzzer: our own packages so that the engine sees which branches ran, everything else as the tests have it.
pub fn build(say: &dyn Fn(String)) -> Result<PathBuf> {
    let wrapper = repository::root().join("tests/fuzz/instrumented");
    let config = format!("build.rustc-workspace-wrapper={:?}", wrapper.display().to_string());
    let verb = ["build", "--bin", FUZZER.name, "--config", &config];
    let executables = repository::compile_with(&verb, FUZZER, false, &[], say)?;
    executables.into_iter().find(|(name, _)| name == FUZZER.name).map(|(_, path)| path).context("cargo did not say where it put the fuzzer")
}

/// Runs every target, as many at once as there are cores.
pub fn run(fuzzer: &Path, full: bool) -> Result<()> {
    let corpus = repository::root().join("tests/fuzz/corpus");
    let mut targets = fs::read_dir(&corpus)
        .with_context(|| corpus.display().to_string())?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    targets.sort_unstable();
    let seconds = if full { SECONDS_FULL } else { SECONDS };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut failures = Vec::new();
    for some in targets.chunks(cores) {
        let results = thread::scope(|scope| {
            let running: Vec<_> = some.iter().map(|target| scope.spawn(|| one(fuzzer, target, seconds))).collect();
            running.into_iter().map(|run| run.join().unwrap_or_else(|_| bail!("the thread ended"))).collect::<Vec<_>>()
        });
        for (target, result) in some.iter().zip(results) {
            match result {
                Ok(said) => println!("   {target}: {said}"),
                Err(error) => failures.push(format!("{target}: {error:#}")),
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn one(fuzzer: &Path, target: &str, seconds: u32) -> Result<String> {
    let kept = repository::root().join("target/fuzz").join(target);
    fs::create_dir_all(&kept).with_context(|| kept.display().to_string())?;
    let found = repository::root().join("target/fuzz").join(format!("{target}-"));
    let out = command(&fuzzer.to_string_lossy(), &[])
        .env("ISBSVC_FUZZ_TARGET", target)
        // The message names the place, and a backtrace of each crash takes seconds without saying more.
        .env("RUST_BACKTRACE", "0")
        .args([&kept, &repository::root().join("tests/fuzz/corpus").join(target)])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}", found.display()))
        .args([format!("-max_len={INPUT}"), format!("-timeout={ONE}"), format!("-rss_limit_mb={MEMORY}")])
        .arg("-print_final_stats=1")
        .output()
        .context("cannot run the fuzzer")?;
    let said = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        let rerun = match input_of(&said) {
            Some(input) => format!(
                "the input is {input}\n`ISBSVC_FUZZ_TARGET={target} {} {input}` tries it again; once it is mended, it belongs into tests/fuzz/corpus/{target}/",
                fuzzer.display()
            ),
            None => "it wrote no input".to_owned(),
        };
        bail!("{}\n{}\n{rerun}", out.status, complaint(&said));
    }
    // Without them it would only try inputs blindly, and pass.
    ensure!(said.contains("inline 8-bit counters"), "the fuzzer was compiled without counters; does tests/fuzz/instrumented still work?");
    let figure = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim().to_owned();
    Ok(format!("{} inputs tried, {} kept", figure("stat::number_of_executed_units:"), figure("stat::new_units_added:")))
}

/// Where libFuzzer wrote the input that it ended with.
fn input_of(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path)
}

/// What the check said that failed; the engine's own words where it was a time or a memory limit.
fn complaint(said: &str) -> String {
    match said.split_once("panicked at ") {
        Some((_, rest)) => rest.lines().take(4).collect::<Vec<_>>().join("\n"),
        None => last_lines(said, 12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_the_engine_says_the_reason_and_the_input_are_shown() {
        let said = "INFO: Seed: 1\n\nthread '<unnamed>' (7) panicked at tests/fuzz/src/policy.rs:13:34:\nPolicyError(\"x\")\nnote: run\n\
                    ==7== ERROR: libFuzzer: deadly signal\nartifact_prefix='/t/policy-'; Test unit written to /t/policy-crash-1c\nBase64: cnVs\n";
        assert_eq!(input_of(said), Some("/t/policy-crash-1c"));
        assert!(complaint(said).starts_with("tests/fuzz/src/policy.rs:13:34:\nPolicyError(\"x\")\n"), "{}", complaint(said));
        assert_eq!((input_of("INFO"), complaint("ALARM: slow").as_str()), (None, "ALARM: slow"));
    }
}
