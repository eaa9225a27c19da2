//! `cargo xtask test`: format, lints, and every test.

mod fuzz;
mod local_cluster;
mod mutants;
mod promtool;
mod redis;

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cluster::{
    self, Load,
    catalogue::Profile,
    progress::{line, step},
};
use crate::cluster::{outside::output, prerequisites};
use crate::install::{Images, Kubectl, install};
use crate::repository::{self, PLUGIN, Package, cargo};

/// What to test.
#[derive(clap::Args)]
pub struct Options {
    /// Only what needs no cluster
    #[arg(long, conflicts_with_all = ["full", "keep_cluster"])]
    no_cluster: bool,
    /// What takes long as well; run it before anything is called done
    #[arg(long)]
    full: bool,
    /// Leave the cluster running, for a look or for another run; those of `local-cluster` are always taken down
    #[arg(long)]
    keep_cluster: bool,
    /// Only the tests on a cluster whose names hold one of these words, those that take long among them; `local-cluster` is the test of the local cluster
    /// itself, and `fuzz`, `mutants` and `redis-nodes`, each alone, are the fuzzer, the mutation tests and the nodes of Redis, which need none
    #[arg(value_name = "NAME", conflicts_with_all = ["no_cluster", "full"])]
    only: Vec<String>,
}

/// The cluster that the tests make; beside one for a demo.
const CLUSTER: &str = "test";

/// The tests that need no cluster.
const TESTS: Package<'_> = Package { name: "isbsvc-tests", features: "" };

/// Packages with the features under which each is checked and tested. Each by itself, because features unify over a workspace.
const PACKAGES: &[Package<'_>] = &[
    Package { name: "isbsvc", features: "" },
    Package { name: "isbsvc", features: "controller" },
    Package { name: "isbsvc-certs", features: "issue,serve" },
    Package { name: "isbsvc-webhook", features: "" },
    PLUGIN,
    TESTS,
    Package { name: "isbsvc-fuzz", features: "" },
    Package { name: "isbsvc-tests", features: "cluster" },
    Package { name: "xtask", features: "" },
];

#[derive(Default)]
struct Tally {
    passed: u32,
    failed: Vec<String>,
    skipped: u32,
}

impl Tally {
    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        println!("── {name}");
        let began = Instant::now();
        match work() {
            Ok(()) => self.passed += 1,
            Err(error) => {
                eprintln!("{name}: {error:#}");
                self.failed.push(name.to_owned());
            }
        }
        println!("   {:.0} s", began.elapsed().as_secs_f64());
    }
}

/// Runs everything; what failed does not keep the rest from running.
pub fn run(options: &Options) -> Result<()> {
    if !options.only.is_empty() {
        return only(options);
    }
    let began = Instant::now();
    let mut tally = Tally::default();
    if !options.no_cluster && cluster_possible() {
        // A test of xtask's own ends processes with `kill`, which is one of them.
        tally.step("Debian's packages", || prerequisites::packages(|message| line(format_args!("  {message}"))));
    }
    tally.step("format", || cargo_step(&["fmt", "--all", "--check"]));
    tally.step("law pure-core", pure_core);
    for package in PACKAGES {
        tally.step(&format!("lints of {} {}", package.name, package.features), || {
            compiled("check", &["clippy", "--all-targets"], *package, &["--", "-D", "warnings"])
        });
    }
    // The library's tests run with all of it, and those on a cluster below.
    let elsewhere = [("isbsvc", ""), ("isbsvc-tests", "cluster")];
    for package in PACKAGES.iter().filter(|package| !elsewhere.contains(&(package.name, package.features))) {
        tally.step(&format!("tests of {}", package.name), || {
            compiled("build", &["test", "--no-run"], *package, &[])?;
            cargo_step(&["test", "--locked", "--quiet", "-p", package.name, "--features", package.features])
        });
    }
    match fuzz::compiler() {
        Ok(()) => tally.step("inputs that a fuzzer finds", || fuzz_step(options.full)),
        Err(error) => {
            tally.skipped += 1;
            println!("skipped: the fuzzer, for want of a C++ compiler ({error:#}); `apt-get install g++` brings it");
        }
    }
    if options.full {
        tally.step("code that is changed, which a test must notice", mutants_step);
    }
    match promtool::find() {
        Ok(program) => tally.step("alert rules by promtool", || promtool::check(&program, TESTS)),
        Err(error) => {
            tally.skipped += 1;
            println!("skipped: 1 test of the alert rules, for want of promtool ({error:#}); `apt-get install prometheus` brings it");
        }
    }
    match redis::find() {
        Ok(folders) => tally.step("nodes of Redis", || redis::check(&folders, TESTS)),
        Err(error) => {
            tally.skipped += 1;
            println!(
                "skipped: the nodes of Redis, for want of servers or tools ({error:#}); `apt-get install redis-tools busybox-static shellcheck python3-pip` brings them"
            );
        }
    }
    if options.no_cluster || !cluster_possible() {
        let (all, long) = cluster_tests()?;
        // Only `--full` would have run those that take long.
        let (skipped, by) = if options.full { (all, "cargo xtask test --full") } else { (all - long, "cargo xtask test") };
        tally.skipped += skipped;
        println!("skipped: {skipped} tests on a real cluster; as root on Linux, `{by}` makes one and runs them");
    } else {
        if options.full {
            tally.step("the local cluster itself", local_cluster::check);
        }
        tally.step("tests on a real cluster", || on_a_cluster(options, &[]));
    }
    if !options.full {
        println!("{} tests on a cluster and the mutation tests take long; `cargo xtask test --full` runs them as well", cluster_tests()?.1);
    }
    println!("in {:.0} s", began.elapsed().as_secs_f64());
    for name in &tally.failed {
        println!("failed: {name}");
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed.len(), tally.skipped);
    if !tally.failed.is_empty() {
        bail!("{} of the steps failed", tally.failed.len());
    }
    if tally.skipped > 0 && std::env::var_os("CI").is_some() {
        bail!("with CI set, a skipped test is a failure");
    }
    Ok(())
}

/// What the words name: the test of the local cluster, the tests on one, or both.
fn only(options: &Options) -> Result<()> {
    if options.only == [fuzz::NAME] {
        fuzz::compiler()?;
        return fuzz_step(false);
    }
    if options.only == [mutants::NAME] {
        return mutants_step();
    }
    if options.only == [redis::NAME] {
        return redis::check(&redis::find()?, TESTS);
    }
    let words: Vec<&str> = options.only.iter().map(String::as_str).filter(|word| *word != local_cluster::NAME).collect();
    if words.is_empty() && options.keep_cluster {
        bail!("the test {} always takes its clusters down: leave --keep-cluster out", local_cluster::NAME);
    }
    prerequisites::require_root("up")?;
    if !words.is_empty() {
        // Before there is a cluster: a word with a slip of the pen would make one for nothing, and nothing that ran would pass.
        build_tests()?;
        let list = [&ON_A_CLUSTER[..], &["--list"]].concat();
        let list = output(&mut cargo(&list))?;
        if let Some(word) = unknown(&words, &list) {
            bail!("no test on a cluster has {word:?} in its name; their names begin with {}", files_of(&list));
        }
    }
    // Both run, as in a run of everything, where what failed does not keep the rest from running.
    let local = if words.len() < options.only.len() { local_cluster::check() } else { Ok(()) };
    let others = if words.is_empty() { Ok(()) } else { on_a_cluster(options, &words) };
    match (local, others) {
        (Err(local), Err(others)) => Err(others.context(format!("{local:#}"))),
        (local, others) => local.and(others),
    }
}

/// The names in a list of libtest's, whose lines are `drift::a_service: test`.
fn listed(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter_map(|line| line.strip_suffix(": test"))
}

/// The first of the words that is in no name of a list of libtest's.
fn unknown<'a>(words: &[&'a str], list: &str) -> Option<&'a str> {
    words.iter().copied().find(|word| !listed(list).any(|name| name.contains(word)))
}

/// The first parts of the names in a list of libtest's, each once.
fn files_of(list: &str) -> String {
    let files: BTreeSet<&str> = listed(list).filter_map(|name| Some(name.split_once("::")?.0)).collect();
    files.into_iter().collect::<Vec<_>>().join(", ")
}

/// How many tests there are on a cluster, and how many of them only `--full` runs.
fn cluster_tests() -> Result<(u32, u32)> {
    let folder = repository::root().join("tests/tests/cluster");
    // The test of the local cluster itself is one more, and takes long.
    let (mut all, mut long) = (1, 1);
    for file in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let text = std::fs::read_to_string(file?.path())?;
        all += u32::try_from(text.matches("#[test]").count())?;
        long += u32::try_from(text.matches("#[ignore").count())?;
    }
    Ok((all, long))
}

/// A command of cargo's that compiles, shown with how far it is.
fn compiled(title: &str, verb: &[&str], package: Package<'_>, last: &[&str]) -> Result<()> {
    step(title, |step| repository::compile_with(verb, package, true, last, &|far| step.say(far)).map(drop))
}

fn fuzz_step(full: bool) -> Result<()> {
    let fuzzer = step("build the fuzzer", |step| fuzz::build(&|far| step.say(far)))?;
    fuzz::run(&fuzzer, full)
}

fn mutants_step() -> Result<()> {
    mutants::run(&mutants::program()?)
}

fn cargo_step(arguments: &[&str]) -> Result<()> {
    let status = cargo(arguments).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("`cargo {}` failed ({status})", arguments.join(" "));
    }
    Ok(())
}

/// Law pure-core: the library without features pulls in neither a runtime nor a client.
fn pure_core() -> Result<()> {
    let out = cargo(&["tree", "--locked", "-p", "isbsvc", "--no-default-features", "-e", "normal", "--prefix", "none"]).output()?;
    let tree = String::from_utf8_lossy(&out.stdout);
    anyhow::ensure!(out.status.success() && tree.contains("k8s-openapi"), "cargo tree failed: {}", String::from_utf8_lossy(&out.stderr));
    for banned in ["tokio", "kube-client", "hyper", "rand"] {
        anyhow::ensure!(!tree.lines().any(|line| line.split(' ').next() == Some(banned)), "the pure core depends on {banned}");
    }
    Ok(())
}

fn cluster_possible() -> bool {
    cfg!(target_os = "linux") && prerequisites::is_root()
}

/// What cargo runs the tests on a cluster by; what follows is for them.
const ON_A_CLUSTER: [&str; 10] = ["test", "--locked", "--quiet", "-p", "isbsvc-tests", "--features", "cluster", "--test", "cluster", "--"];

fn build_tests() -> Result<()> {
    let tests = Package { name: "isbsvc-tests", features: "cluster" };
    compiled("build the tests", &["test", "--no-run", "--test", "cluster"], tests, &[])
}

fn on_a_cluster(options: &Options, words: &[&str]) -> Result<()> {
    let running = cluster::up(&cluster::Options { name: CLUSTER.to_owned(), nodes: 1 })?;
    let result = (|| {
        cluster::load(CLUSTER, &Load::Own(Profile::Release))?;
        let plugin = repository::shown("build the plugin", PLUGIN, "kubectl-isbsvc")?;
        // The same build as in the image; some tests run it on this machine.
        let controller = Package { name: "isbsvc", features: "controller" };
        let controller = repository::shown("build the controller", controller, "isbsvc-controller")?;
        build_tests()?;
        let kubectl = Kubectl::with_kubeconfig(running.bin.join("kubectl"), &running.kubeconfig);
        let images = Images { prefix: "localhost/".to_owned(), tag: "dev".to_owned() };
        install(&kubectl, &images, Some(&local_config()), |line| println!("$ {line}"), |_| Ok(()))?;
        // They wait most of the time: for pods, elections, and terms of Leases.
        let mut arguments = vec!["--nocapture", "--test-threads=6"];
        if options.full || !words.is_empty() {
            arguments.push("--include-ignored");
        }
        arguments.extend(words);
        let status = cargo(&ON_A_CLUSTER)
            .args(&arguments)
            .env("ISBSVC_TEST_KUBECONFIG", &running.kubeconfig)
            .env("ISBSVC_TEST_KUBECTL", running.bin.join("kubectl"))
            .env("ISBSVC_TEST_PLUGIN", &plugin)
            .env("ISBSVC_TEST_CONTROLLER", &controller)
            .status()?;
        if !status.success() {
            for deployment in ["deployment/isbsvc-controller", "deployment/isbsvc-webhook"] {
                let _ = kubectl.run(&["logs", "-n", crate::install::NAMESPACE, deployment, "--tail=60"]);
            }
            bail!("the tests on the cluster failed");
        }
        Ok(())
    })();
    if options.keep_cluster {
        println!("the cluster stays: export KUBECONFIG={}", running.kubeconfig.display());
        return result;
    }
    let down = cluster::down(CLUSTER, false);
    result.and(down)
}

/// The controller configuration that names the images of the local cluster.
pub fn local_config() -> std::path::PathBuf {
    repository::root().join("xtask/cluster/controller-config.yaml")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn flags_that_say_opposite_things_are_refused() {
        for bad in [&["--no-cluster", "--full"][..], &["--no-cluster", "--keep-cluster"], &["--no-cluster", "drift"], &["--full", "drift"]]
        {
            assert!(Line::try_parse_from([&["test"], bad].concat()).is_err(), "{bad:?}");
        }
        for good in [&["--full", "--keep-cluster"][..], &["--keep-cluster", "drift", "local-cluster"]] {
            assert!(Line::try_parse_from([&["test"], good].concat()).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn keeping_the_clusters_of_a_test_that_takes_them_down_is_refused() {
        let line = Line::try_parse_from(["test", "--keep-cluster", local_cluster::NAME]).unwrap();
        let said = run(&line.options).unwrap_err().to_string();
        assert!(said.contains("leave --keep-cluster out"), "{said}");
    }

    #[test]
    fn a_word_that_names_no_test_is_found() {
        let list = "drift::a_service: test\nhandover::two: test\n\n2 tests, 0 benchmarks\n";
        assert_eq!(unknown(&["drift", "two"], list), None);
        assert_eq!(unknown(&["drift", "tests"], list), Some("tests"));
        assert_eq!(files_of(list), "drift, handover");
    }
}
