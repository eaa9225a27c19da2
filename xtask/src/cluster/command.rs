//! The command line of `cargo xtask cluster`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::addresses::MAX_NODES;
use super::catalogue::Profile;
use super::progress::line;
use super::{Load, Options, Running, addresses, down, load, node, prepare, prerequisites, running, state, up};

/// What to do with a cluster.
#[derive(Subcommand)]
pub enum Verb {
    /// Start a cluster; does nothing when it runs already
    Up {
        #[command(flatten)]
        which: Which,
        /// How many nodes, in the zones a, b, c, a, b
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_NODES)))]
        nodes: u8,
    },
    /// Stop a cluster and remove every trace of it
    Down {
        #[command(flatten)]
        which: Which,
        /// All clusters
        #[arg(long, conflicts_with = "name")]
        all: bool,
        /// Keep its data, for the next `up`
        #[arg(long)]
        keep: bool,
    },
    /// Show whether a cluster runs, and how to reach it
    Status {
        #[command(flatten)]
        which: Which,
        /// How to show it
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Build our controller and webhook and bring their images into the cluster
    Load {
        #[command(flatten)]
        which: Which,
        /// How to compile
        #[arg(long, value_enum, default_value_t)]
        profile: Profile,
        /// Bring in this image archive (OCI or docker) instead of our own images
        #[arg(long, value_name = "FILE")]
        image: Vec<PathBuf>,
    },
    /// Show the log of a program, such as kube-apiserver, or kubelet with --node n1; without a name, list the logs
    Logs {
        #[command(flatten)]
        which: Which,
        /// The program
        component: Option<String>,
        /// A node's program instead of the control plane's
        #[arg(long)]
        node: Option<String>,
        /// Lines from the end
        #[arg(long, default_value_t = 100)]
        tail: u32,
        /// Go on as it grows
        #[arg(short, long)]
        follow: bool,
    },
    /// Build all programs and images without starting anything
    Build,
}

/// Which cluster.
#[derive(Args)]
pub struct Which {
    /// The cluster's name; clusters of other names run beside it
    #[arg(long, default_value = "isbsvc")]
    name: String,
}

/// How to show a status.
#[derive(Clone, Copy, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Does it.
pub fn run(verb: Verb) -> Result<()> {
    match verb {
        Verb::Up { which, nodes } => {
            let running = up(&Options { name: which.name, nodes })?;
            line(format_args!("\nexport KUBECONFIG={}", running.kubeconfig.display()));
            line(format_args!("# kubectl, if you have none: {}", running.bin.join("kubectl").display()));
            Ok(())
        }
        Verb::Down { which, all, keep } => {
            let names = if all { [state::names()?, state::half_removed()?].concat() } else { vec![which.name] };
            if names.is_empty() {
                line(format_args!("there is no cluster"));
            }
            names.iter().try_for_each(|name| down(name, keep))
        }
        Verb::Status { which, output } => status(&which.name, output),
        Verb::Load { which, profile, image } => {
            let what = if image.is_empty() { Load::Own(profile) } else { Load::Archives(image) };
            load(&which.name, &what)
        }
        Verb::Logs { which, component, node, tail, follow } => logs(&which.name, component.as_deref(), node.as_deref(), tail, follow),
        Verb::Build => prepare().map(drop),
    }
}

fn status(name: &str, format: Format) -> Result<()> {
    let folder = state::folder(name)?;
    let Some(record) = state::read(&folder)? else {
        match format {
            Format::Text => line(format_args!("there is no cluster {name}; start it with `cargo xtask cluster up{}`", flag(name))),
            Format::Json => line(format_args!("{:#}", json!({"name": name, "running": false}))),
        }
        return Ok(());
    };
    let programs = node::programs(&node::processes(), &folder);
    let live = running(name)?;
    let nodes = live.as_ref().map(nodes).transpose()?.unwrap_or_default();
    let a = addresses::Addresses::new(record.index);
    match format {
        Format::Json => {
            let programs: Vec<Value> =
                programs.iter().map(|(place, program, pid)| json!({"place": place, "program": program, "pid": pid})).collect();
            let nodes: Vec<Value> = nodes.iter().map(|(node, ready)| json!({"name": node, "ready": ready})).collect();
            let status = json!({
                "name": name, "running": live.is_some(), "phase": record.phase, "index": record.index, "kubeconfig": folder.join("kubeconfig"),
                "bin": folder.join("bin"), "apiServer": a.api(), "hostAddress": a.host(), "nodes": nodes, "programs": programs,
            });
            line(format_args!("{status:#}"));
        }
        Format::Text => {
            let word = if live.is_some() { "running" } else { "not running" };
            line(format_args!(
                "cluster {name}: {word} (index {}, API server {}, the host seen from pods {})",
                record.index,
                a.api(),
                a.host()
            ));
            for (node, ready) in nodes {
                line(format_args!("  node {node}: {}", if ready { "Ready" } else { "not ready" }));
            }
            let mut places: Vec<&str> = programs.iter().map(|(place, ..)| place.as_str()).collect();
            places.dedup();
            for place in places {
                let names: Vec<&str> = programs.iter().filter(|(of, ..)| of == place).map(|(_, program, _)| program.as_str()).collect();
                line(format_args!("  {place}: {}", names.join(", ")));
            }
            line(format_args!("export KUBECONFIG={}", folder.join("kubeconfig").display()));
        }
    }
    Ok(())
}

/// Name of each node, and whether it is Ready.
pub(super) fn nodes(running: &Running) -> Result<Vec<(String, bool)>> {
    let list: Value = serde_json::from_str(&running.kubectl(&["get", "nodes", "-o", "json"])?)?;
    let ready = |node: &Value| {
        let conditions = node["status"]["conditions"].as_array();
        conditions.is_some_and(|all| all.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"))
    };
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(items.iter().map(|node| (node["metadata"]["name"].as_str().unwrap_or_default().to_owned(), ready(node))).collect())
}

fn logs(name: &str, component: Option<&str>, node: Option<&str>, tail: u32, follow: bool) -> Result<()> {
    let folder = state::folder(name)?;
    if state::read(&folder)?.is_none() {
        bail!("there is no cluster {name}");
    }
    let logs = node.map_or_else(|| folder.clone(), |node| folder.join(node)).join("log");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&logs).with_context(|| format!("there are no logs in {}", logs.display()))? {
        files.extend(entry?.file_name().to_string_lossy().strip_suffix(".log").map(str::to_owned));
    }
    files.sort();
    let Some(component) = component else {
        for file in files {
            line(format_args!("{file}"));
        }
        return Ok(());
    };
    if !files.iter().any(|file| file == component) {
        bail!("no program {component} has a log there; these have: {}", files.join(", "));
    }
    let mut show = Command::new("tail");
    show.args(["-n", &tail.to_string()]).args(follow.then_some("-F")).arg(logs.join(format!("{component}.log"))).stdin(Stdio::null());
    let status = show.env("PATH", prerequisites::PATH).status().context("cannot run tail")?;
    if !status.success() {
        bail!("tail ended with {status}");
    }
    Ok(())
}

/// How to name this cluster on a command line.
pub(super) fn flag(name: &str) -> String {
    if name == "isbsvc" { String::new() } else { format!(" --name {name}") }
}
