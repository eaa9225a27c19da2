//! A real Kubernetes on this machine: started, stopped, and given images.
//!
//! Each cluster has a folder (`state`), an index that fixes its addresses (`addresses`), a network namespace for the control plane and for each
//! node (`network`), and in each of them one process that holds all others (`node`). Programs come from pinned Go modules (`programs`).

pub mod addresses;
pub mod catalogue;
mod cleanup;
pub(crate) mod command;
mod config;
pub mod images;
pub(crate) mod kernel;
mod network;
pub(crate) mod node;
pub(crate) mod outside;
mod pki;
pub(crate) mod prerequisites;
pub(crate) mod programs;
pub(crate) mod progress;
pub(crate) mod state;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use addresses::{Addresses, node_name};
use catalogue::Profile;
use command::{flag, nodes};
use progress::{Step, line, step, wait};
use state::{Phase, Record};

/// Which cluster to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name.
    pub name: String,
    /// How many nodes, 1 to [`addresses::MAX_NODES`].
    pub nodes: u8,
}

/// A cluster that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its name, which is also the name of the context in its kubeconfig.
    pub name: String,
    /// Its kubeconfig: a file of its own that only its owner may read.
    pub kubeconfig: PathBuf,
    /// A folder with kubectl.
    pub bin: PathBuf,
    /// This machine as pods and the API server see it.
    pub host_address: Ipv4Addr,
    /// How many nodes it has.
    pub nodes: u8,
    /// What fixes its addresses.
    pub index: u8,
    /// Whether this call of [`up`] started it.
    pub fresh: bool,
}

impl Running {
    fn of(name: &str, folder: &Path, record: &Record, fresh: bool) -> Self {
        Self {
            name: name.to_owned(),
            kubeconfig: folder.join("kubeconfig"),
            bin: folder.join("bin"),
            host_address: Addresses::new(record.index).host(),
            nodes: record.nodes,
            index: record.index,
            fresh,
        }
    }

    /// Runs kubectl against this cluster and gives what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.bin.join("kubectl"));
        outside::output(command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments))
    }
}

/// What to bring into a cluster.
#[derive(Clone, Debug)]
pub enum Load {
    /// Our controller and webhook, compiled so.
    Own(Profile),
    /// Image archives.
    Archives(Vec<PathBuf>),
}

/// Starts a cluster and waits until it can be used; one that runs already is left as it is, and what a crash left is removed first.
pub fn up(options: &Options) -> Result<Running> {
    let folder = state::folder(&options.name)?;
    prerequisites::require_root("up")?;
    let _lock = state::lock(&options.name)?;
    start_dead_nodes(&folder)?;
    // A cluster that lives is waited for with patience: the way on from here removes it.
    if let Some(running) = answering(&options.name, Duration::from_mins(1))? {
        if running.nodes != options.nodes {
            bail!(
                "the cluster {0} runs with {1} nodes, not {2}; `cargo xtask cluster down{3}` first, or give another --name",
                options.name,
                running.nodes,
                options.nodes,
                flag(&options.name)
            );
        }
        wait_until_ready(&running)?;
        line(format_args!("the cluster {} is running already", options.name));
        return Ok(running);
    }
    let began = Instant::now();
    let record = state::read(&folder).unwrap_or(None);
    // Until it runs, a cluster with kept data stays recorded as that, so that a crash of this start does not cost the data.
    let kept = record.filter(|record| record.phase == Phase::Kept);
    if kept.as_ref().is_some_and(|record| record.nodes != options.nodes) {
        bail!(
            "the data of the cluster {0} were kept with another number of nodes; `cargo xtask cluster down{1}` removes them",
            options.name,
            flag(&options.name)
        );
    }
    let (built, archives) = prepare()?;
    if folder.exists() {
        step("clear away what an earlier run left", |_| match &kept {
            Some(record) => cleanup::stop(&folder, Some(Addresses::new(record.index))),
            None => remove(&folder),
        })?;
    }
    let record = match &kept {
        Some(record) => record.clone(),
        None => state::register(&options.name, options.nodes)?,
    };
    let running = Running::of(&options.name, &folder, &record, true);
    if let Err(error) = start(&running, &folder, &built, &archives) {
        let logs = rescue_logs(&folder);
        let left = match &kept {
            Some(record) => cleanup::stop(&folder, Some(Addresses::new(record.index))).map(|()| "stopped, its data kept"),
            None => remove(&folder).and_then(|()| state::release(&options.name)).map(|()| "removed"),
        };
        let left = left.unwrap_or("not removed, which failed too");
        return Err(error.context(format!(
            "the cluster {} did not start and was {left}; its logs are in {}",
            options.name,
            logs.display()
        )));
    }
    state::write(&folder, &Record { phase: Phase::Running, ..record })?;
    line(format_args!("the cluster {} is ready: {} node(s), {:.1} s", options.name, options.nodes, began.elapsed().as_secs_f64()));
    Ok(running)
}

// A node whose processes are gone comes back as after a power cut, with its disk, while the rest of its cluster runs on.
fn start_dead_nodes(folder: &Path) -> Result<()> {
    let Some(record) = state::read(folder).unwrap_or(None).filter(|record| record.phase == Phase::Running) else { return Ok(()) };
    let roots = node::roots(&node::processes(), folder);
    let lives = |place: &str| roots.iter().any(|(name, _)| name == place);
    for node in (1..=record.nodes).filter(|node| lives("cp") && !lives(&node_name(*node))) {
        step(format!("start the node {} again", node_name(node)), |_| node::start_node(folder, Addresses::new(record.index), node))?;
    }
    Ok(())
}

/// Installs, builds and makes all that a cluster needs; gives the programs and the archives of the base images.
pub(crate) fn prepare() -> Result<(programs::Built, Vec<PathBuf>)> {
    prerequisites::packages(|message| line(format_args!("  {message}")))?;
    let built = programs::build()?;
    let archives = step("make images", |_| catalogue::base(&built))?;
    Ok((built, archives))
}

fn start(running: &Running, folder: &Path, built: &programs::Built, archives: &[PathBuf]) -> Result<()> {
    let addresses = Addresses::new(running.index);
    step("keys, certificates, configuration", |_| {
        if !folder.join("pki/sa.key").exists() {
            pki::write(&folder.join("pki"), addresses, running.nodes)?;
        }
        let _ = fs::remove_file(folder.join("api-ready"));
        config::link_programs(folder, &built.folders())?;
        config::write(folder, &running.name, addresses, running.nodes)
    })?;
    step("network", |_| network::make(folder, addresses, running.nodes))?;
    step("API server answers, images are in every node", |step| {
        node::start_control_plane(folder, addresses)?;
        (1..=running.nodes).try_for_each(|node| node::start_node(folder, addresses, node))?;
        step.say("importing images");
        import(folder, running.nodes, archives)?;
        step.say("waiting for the API server");
        let limit = Duration::from_mins(2);
        wait("the API server to answer", limit, Duration::from_millis(100), || Ok(folder.join("api-ready").exists()))
    })?;
    step("nodes are Ready, pods can be made, volumes can be had", |_| {
        wait_until_ready(running)?;
        wait("the default ServiceAccount", Duration::from_mins(1), Duration::from_millis(200), || {
            Ok(running.kubectl(&["get", "serviceaccount", "default", "--namespace", "default"]).is_ok())
        })?;
        wait("the StorageClass", Duration::from_mins(1), Duration::from_millis(200), || {
            Ok(running.kubectl(&["get", "storageclass", "standard"]).is_ok())
        })
    })
}

fn wait_until_ready(running: &Running) -> Result<()> {
    wait("all nodes to be Ready", Duration::from_mins(2), Duration::from_millis(200), || {
        let nodes = nodes(running).unwrap_or_default();
        Ok(nodes.len() == usize::from(running.nodes) && nodes.iter().all(|(_, ready)| *ready))
    })
}

// In all nodes at once: unpacking is most of the time. An image that a node has in the same bytes is left out.
fn import(folder: &Path, nodes: u8, archives: &[PathBuf]) -> Result<()> {
    let one = |node: u8| -> Result<()> {
        let node = node_name(node);
        wait("containerd to answer", Duration::from_mins(1), Duration::from_millis(100), || {
            Ok(node::ctr(folder, &node, &["version"]).is_ok())
        })?;
        let present = node::ctr(folder, &node, &["images", "list"])?;
        let has = |(reference, digest): &(String, String)| {
            present
                .lines()
                .any(|line| line.split_whitespace().next() == Some(reference) && line.split_whitespace().any(|word| word == digest))
        };
        for archive in archives {
            if images::described(archive).is_some_and(|images| images.iter().all(has)) {
                continue;
            }
            let path = archive.to_str().context("an archive's path is not UTF-8")?;
            node::ctr(folder, &node, &["images", "import", path]).with_context(|| format!("cannot import {path} into {node}"))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=nodes).map(|node| scope.spawn(move || one(node))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("an import thread panicked")))
    })
}

/// Brings images into all nodes of a running cluster.
pub fn load(name: &str, what: &Load) -> Result<()> {
    prerequisites::require_root("load")?;
    let folder = state::folder(name)?;
    let not_running = || format!("the cluster {name} is not running; start it with `cargo xtask cluster up{}`", flag(name));
    if running(name)?.is_none() {
        bail!(not_running());
    }
    let archives = match what {
        Load::Own(profile) => {
            let step = Step::begin_long("build the controller and the webhook, make their images");
            let archives = catalogue::own(*profile, |message| step.say(message))?;
            step.done();
            archives
        }
        Load::Archives(files) => files
            .iter()
            .map(|file| file.canonicalize().with_context(|| format!("cannot read {}", file.display())))
            .collect::<Result<_>>()?,
    };
    let _lock = state::lock(name)?;
    let running = running(name)?.with_context(not_running)?;
    step(format!("bring {} image(s) into {} node(s)", archives.len(), running.nodes), |_| import(&folder, running.nodes, &archives))
}

/// Stops a cluster and removes every trace of it, or all but its data; no cluster of that name is fine.
pub fn down(name: &str, keep: bool) -> Result<()> {
    let folder = state::folder(name)?;
    if !state::is_there(name)? {
        line(format_args!("there is no cluster {name}"));
        return Ok(());
    }
    prerequisites::require_root("down")?;
    let _lock = state::lock(name)?;
    if !folder.exists() {
        return step(format!("finish the removal of the cluster {name}"), |_| state::release(name));
    }
    match state::read(&folder).unwrap_or(None) {
        Some(record) if keep && record.phase != Phase::Starting => step(format!("stop the cluster {name}, keep its data"), |_| {
            cleanup::stop(&folder, Some(Addresses::new(record.index)))?;
            state::write(&folder, &Record { phase: Phase::Kept, ..record })
        }),
        _ => step(format!("remove the cluster {name}"), |_| {
            remove(&folder)?;
            state::release(name)
        }),
    }
}

/// The cluster of this name, if it runs and answers.
pub fn running(name: &str) -> Result<Option<Running>> {
    answering(name, Duration::from_secs(15))
}

fn answering(name: &str, limit: Duration) -> Result<Option<Running>> {
    let folder = state::folder(name)?;
    let Some(record) = state::read(&folder).unwrap_or(None) else { return Ok(None) };
    let roots = node::roots(&node::processes(), &folder);
    let has = |place: &str| roots.iter().any(|(name, _)| name == place);
    let running = Running::of(name, &folder, &record, false);
    let whole = record.phase == Phase::Running && has("cp") && (1..=record.nodes).all(|node| has(&node_name(node)));
    // A server that is just being restarted by its supervisor is not a dead cluster.
    let answers = || wait("an answer", limit, Duration::from_secs(1), || Ok(running.kubectl(&["get", "--raw", "/readyz"]).is_ok()));
    Ok((whole && answers().is_ok()).then_some(running))
}

fn remove(folder: &Path) -> Result<()> {
    let addresses = state::read(folder).unwrap_or(None).map(|record| Addresses::new(record.index));
    cleanup::stop(folder, addresses)?;
    cleanup::forget(folder)
}

fn rescue_logs(folder: &Path) -> PathBuf {
    let rescued = std::env::temp_dir().join(format!("{}-logs", folder.file_name().unwrap_or_default().to_string_lossy()));
    let _ = fs::remove_dir_all(&rescued);
    let _ = fs::create_dir_all(&rescued);
    let Ok(entries) = fs::read_dir(folder) else { return rescued };
    for entry in entries.filter_map(Result::ok) {
        let log = if entry.file_name() == "log" { entry.path() } else { entry.path().join("log") };
        if log.is_dir() {
            let _ = outside::run("cp", &["-r", &log.to_string_lossy(), &rescued.join(entry.file_name()).to_string_lossy()]);
        }
    }
    rescued
}
