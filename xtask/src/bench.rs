//! `cargo xtask bench`: the figures that the project promises, measured on the local cluster.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cluster::{self, Load, addresses::Addresses, catalogue::Profile, progress::wait};
use crate::install::{Images, Kubectl, NAMESPACE, install};
use crate::repository::{self, PLUGIN};
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

/// From `kubectl apply` to healthy by Numaflow's own controller, on such a cluster: what the figure is compared with where the machine is another one.
const NUMAFLOW_SECONDS: f64 = 22.2;
const NUMAFLOW_VERSION: &str = "63ba4e8c";

/// Measures and prints; a figure that misses its bound is a failure.
pub fn run(options: &Options) -> Result<()> {
    let running = cluster::up(&cluster::Options { name: options.name.clone(), nodes: 1 })?;
    cluster::load(&options.name, &Load::Own(Profile::Release))?;
    let plugin = repository::shown("build the plugin", PLUGIN, "kubectl-isbsvc")?;
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
    let middle = median(&mut healthy);
    figures.add("kubectl apply to healthy, median, s", middle, 11.0);
    figures.add("kubectl apply to healthy, worst, s", healthy.iter().copied().fold(0.0, f64::max), 15.0);
    figures.add("kubectl isbsvc status, median of five, s", median(&mut status), 1.0);
    figures.add("kubectl isbsvc --help, median of 21, ms", timed(&plugin, &["--help"], 21)? * 1000.0, 10.0);
    // Before they are called idle, what is to be forgotten is.
    kubectl.output(&["delete", "namespace", PLACE, "--timeout=120s"])?;
    for program in ["isbsvc-controller", "isbsvc-webhook"] {
        figures.add(&format!("{program}, idle, resident memory, MiB"), idle(program, &Addresses::new(running.index).cgroup())?, 20.0);
    }
    println!(
        "median to healthy: {:.2} of what Numaflow {NUMAFLOW_VERSION} took on the reference machine ({NUMAFLOW_SECONDS} s, 2 cores)",
        middle / NUMAFLOW_SECONDS
    );
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

/// Largest resident memory of the processes of that name in this cluster, MiB, once it has stayed the same for some looks.
fn idle(program: &str, cgroup: &str) -> Result<f64> {
    const SAME: u32 = 5;
    let (mut last, mut same) = (None, 0);
    let settled = wait(&format!("the memory of {program} to settle"), Duration::from_mins(2), Duration::from_secs(1), || {
        let now = resident(program, cgroup);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        Ok(now.is_some() && same >= SAME)
    });
    let kib = last.with_context(|| format!("{program} does not run in namespace {NAMESPACE}"))?;
    if let Err(error) = settled {
        println!("  {error:#}; its last figure is taken");
    }
    Ok(f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0)
}

/// KiB. Processes of pods are seen from the host, and those of all clusters: their cgroup tells which is whose.
fn resident(program: &str, cgroup: &str) -> Option<u64> {
    let entries = fs::read_dir("/proc").ok()?;
    let read = |folder: &Path, file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let sizes = entries.filter_map(|entry| {
        let folder = entry.ok()?.path();
        let name = read(&folder, "cmdline");
        let is_it = name.split('\0').next().is_some_and(|first| first.ends_with(program));
        (is_it && below(&read(&folder, "cgroup"), cgroup)).then(|| size(&read(&folder, "status")))?
    });
    sizes.max()
}

// Lines of /proc/PID/cgroup: `hierarchy:controllers:path`.
fn below(cgroups: &str, cgroup: &str) -> bool {
    let paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.into_iter().any(|path| path.strip_prefix(cgroup).is_some_and(|rest| rest.starts_with('/')))
}

fn size(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_another_cluster_is_not_measured() {
        let cgroups = "9:name=systemd:/isbsvc-1/n1/kubepods/besteffort/pod7/c\n4:memory:/isbsvc-1/n1/kubepods/pod7/c\n0::/\n";
        assert!(below(cgroups, "/isbsvc-1") && !below(cgroups, "/isbsvc-0") && !below(cgroups, "/isbsvc"));
        assert_eq!(size("Name:\tx\nVmRSS:\t   19456 kB\nThreads:\t3\n"), Some(19456));
    }
}
