//! `cargo xtask test`: format, lints, and every test.

mod local_cluster;
mod promtool;

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cluster::{
    self, Load,
    catalogue::Profile,
    progress::{line, step},
};
use crate::install::{Images, Kubectl, install};
use crate::repository::{self, PLUGIN, Package, cargo};

/// What to test.
#[derive(clap::Args)]
pub struct Options {
    /// Only what needs no cluster
    #[arg(long)]
    no_cluster: bool,
    /// What takes long as well; run it before anything is called done
    #[arg(long)]
    full: bool,
    /// Leave the cluster running, for a look or for another run
    #[arg(long)]
    keep_cluster: bool,
    /// Only the tests on a cluster whose names hold one of these words, those that take long among them; `local-cluster` is the test of the local cluster
    /// itself
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
    if options.only == [local_cluster::NAME] {
        return local_cluster::check();
    }
    if !options.only.is_empty() {
        return on_a_cluster(options);
    }
    let began = Instant::now();
    let mut tally = Tally::default();
    if !options.no_cluster && cluster_possible() {
        // A test of xtask's own ends processes with `kill`, which is one of them.
        tally.step("Debian's packages", || cluster::prerequisites::packages(|message| line(format_args!("  {message}"))));
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
    match promtool::find() {
        Ok(program) => tally.step("alert rules by promtool", || promtool::check(&program, TESTS)),
        Err(error) => {
            tally.skipped += 1;
            println!("skipped: 1 test of the alert rules, for want of promtool ({error:#}); `apt-get install prometheus` brings it");
        }
    }
    if options.no_cluster || !cluster_possible() {
        let (all, _) = cluster_tests()?;
        tally.skipped += all;
        println!("skipped: {all} tests on a real cluster; as root on Linux, `cargo xtask test` makes one and runs them");
    } else {
        if options.full {
            tally.step("the local cluster itself", local_cluster::check);
        }
        tally.step("tests on a real cluster", || on_a_cluster(options));
    }
    if !options.full {
        println!("{} tests on a cluster take long; `cargo xtask test --full` runs them as well", cluster_tests()?.1);
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
    cfg!(target_os = "linux") && cluster::prerequisites::is_root()
}

fn on_a_cluster(options: &Options) -> Result<()> {
    let running = cluster::up(&cluster::Options { name: CLUSTER.to_owned(), nodes: 1 })?;
    let result = (|| {
        cluster::load(CLUSTER, &Load::Own(Profile::Release))?;
        let plugin = repository::shown("build the plugin", PLUGIN, "kubectl-isbsvc")?;
        // The same build as in the image; some tests run it on this machine.
        let controller = Package { name: "isbsvc", features: "controller" };
        let controller = repository::shown("build the controller", controller, "isbsvc-controller")?;
        let tests = Package { name: "isbsvc-tests", features: "cluster" };
        compiled("build the tests", &["test", "--no-run", "--test", "cluster"], tests, &[])?;
        let kubectl = Kubectl::with_kubeconfig(running.bin.join("kubectl"), &running.kubeconfig);
        let images = Images { prefix: "localhost/".to_owned(), tag: "dev".to_owned() };
        install(&kubectl, &images, Some(&local_config()), |line| println!("$ {line}"), |_| Ok(()))?;
        // They wait most of the time: for pods, elections, and terms of Leases.
        let mut arguments = vec!["--nocapture", "--test-threads=6"];
        if options.full || !options.only.is_empty() {
            arguments.push("--include-ignored");
        }
        arguments.extend(options.only.iter().map(String::as_str));
        let status = cargo(&["test", "--locked", "--quiet", "-p", "isbsvc-tests", "--features", "cluster", "--test", "cluster", "--"])
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
