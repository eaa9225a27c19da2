//! `cargo xtask bench`: the figures that the project promises, measured on the local cluster.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cluster::{self, Load, catalogue::Profile, progress::wait};
use crate::install::{Images, Kubectl, NAMESPACE, install};
use crate::repository;
use crate::test::local_config;

/// What to measure on.
#[derive(clap::Args)]
pub struct Options {
    /// The local cluster; made where it does not run, and left running
    #[arg(long, default_value = "isbsvc")]
    name: String,
    /// How often a service is made
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
    rounds: u8,
}

const PLACE: &str = "isbsvc-bench";

/// Measures and prints; a figure that misses its bound is a failure.
pub fn run(options: &Options) -> Result<()> {
    let running = cluster::up(&cluster::Options { name: options.name.clone(), nodes: 1 })?;
    cluster::load(&options.name, &Load::Own(Profile::Release))?;
    let plugin = repository::compile("kubectl-isbsvc", "", "kubectl-isbsvc", true)?;
    let kubectl = Kubectl::with_kubeconfig(running.bin.join("kubectl"), &running.kubeconfig);
    install(&kubectl, &Images { prefix: "localhost/".to_owned(), tag: "dev".to_owned() }, Some(&local_config()), |_| {}, |_| Ok(()))?;
    let connection = ["--kubeconfig".to_owned(), running.kubeconfig.display().to_string()];
    kubectl.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {PLACE}\n"))?;
    let mut figures = Figures::default();
    let mut healthy = Vec::new();
    let mut status = Vec::new();
    for round in 1..=options.rounds {
        let seconds = until_healthy(&kubectl)?;
        println!("  round {round}: {seconds:.1} s from kubectl apply to healthy");
        healthy.push(seconds);
        let arguments: Vec<&str> = ["status", "-n", PLACE].into_iter().chain(connection.iter().map(String::as_str)).collect();
        status.push(timed(&plugin, &arguments, 5)?);
        kubectl.output(&["delete", "isbsvc", "default", "-n", PLACE, "--timeout=120s"])?;
    }
    figures.add("kubectl apply to healthy, median, s", median(&mut healthy), 11.0);
    figures.add("kubectl apply to healthy, worst, s", healthy.iter().copied().fold(0.0, f64::max), 15.0);
    figures.add("kubectl isbsvc status, median of five, s", median(&mut status), 1.0);
    figures.add("kubectl isbsvc --help, median of 21, ms", timed(&plugin, &["--help"], 21)? * 1000.0, 10.0);
    for program in ["isbsvc-controller", "isbsvc-webhook"] {
        figures.add(&format!("{program}, resident memory, MiB"), resident(program)?, 20.0);
    }
    kubectl.output(&["delete", "namespace", PLACE, "--wait=false"])?;
    figures.print()
}

fn until_healthy(kubectl: &Kubectl) -> Result<f64> {
    let began = Instant::now();
    let apply = ["apply", "-n", PLACE, "-f", "manifests/samples/default.yaml"];
    kubectl.output(&apply)?;
    let read = ["get", "isbsvc", "default", "-n", PLACE, "-o", "jsonpath={.status.phase} {.status.conditions[*].status}"];
    wait("the service to be healthy", Duration::from_mins(2), Duration::from_millis(50), || {
        Ok(kubectl.output(&read)?.trim() == "Running True True True")
    })?;
    Ok(began.elapsed().as_secs_f64())
}

/// Median seconds of a program.
fn timed(program: &Path, arguments: &[&str], times: usize) -> Result<f64> {
    let mut seconds = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        let out = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", program.display()))?;
        if !out.status.success() {
            bail!("{} {}: {}", program.display(), arguments.join(" "), String::from_utf8_lossy(&out.stderr).trim());
        }
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok(median(&mut seconds))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Largest resident memory of the processes of that name, MiB. Processes of pods are seen from the host.
fn resident(program: &str) -> Result<f64> {
    let mut largest = None::<u64>;
    for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
        let folder = entry.path();
        let name = fs::read_to_string(folder.join("cmdline")).unwrap_or_default();
        if !name.split('\0').next().is_some_and(|first| first.ends_with(program)) {
            continue;
        }
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        largest = largest.max(kib);
    }
    let kib = largest.with_context(|| format!("{program} does not run in namespace {NAMESPACE}"))?;
    Ok(f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0)
}

#[derive(Default)]
struct Figures(Vec<(String, f64, f64)>);

impl Figures {
    fn add(&mut self, name: &str, value: f64, bound: f64) {
        self.0.push((name.to_owned(), value, bound));
    }

    fn print(&self) -> Result<()> {
        let mut missed = 0;
        for (name, value, bound) in &self.0 {
            let well = value <= bound;
            missed += u32::from(!well);
            println!("{name:<45} {value:>8.2}   at most {bound:>5}   {}", if well { "kept" } else { "MISSED" });
        }
        anyhow::ensure!(missed == 0, "{missed} of {} figures missed their bound", self.0.len());
        Ok(())
    }
}
