//! The processes of a cluster: started apart from this process, found again by their command line, asked through `nsenter`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::addresses::{Addresses, node_name, zone};
use super::outside::output;
use super::{config, network, prerequisites};

/// One process of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its words.
    pub words: Vec<String>,
}

/// Starts the control plane.
pub fn start_control_plane(state: &Path, addresses: Addresses) -> Result<()> {
    let environment = [("ADDRESS", addresses.control_plane().to_string()), ("SERVICE_CIDR", addresses.services())];
    start(state, "cp", config::CONTROL_PLANE, &environment)
}

/// Starts a node.
pub fn start_node(state: &Path, addresses: Addresses, node: u8) -> Result<()> {
    let name = node_name(node);
    let environment = [
        ("NODE", name.clone()),
        ("ADDRESS", addresses.node(node).to_string()),
        ("ZONE", zone(node).to_owned()),
        ("CGROUP", addresses.cgroup()),
    ];
    start(state, &name, config::NODE, &environment)
}

// A process group and session of its own, nothing of ours open: it outlives this process and the terminal. When `unshare` is
// killed, so is everything in its pid namespace.
fn start(state: &Path, name: &str, script: &str, environment: &[(&str, String)]) -> Result<()> {
    fs::create_dir_all(state.join("log"))?;
    let log = fs::File::create(state.join("log").join(format!("init-{name}.log")))?;
    let bin = state.join("bin");
    let mut command = Command::new("setsid");
    command.arg("nsenter").arg(format!("--net={}", network::namespace(state, name).display()));
    command.args(["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "bash"]);
    command.arg(state.join(script)).arg(state).arg(name);
    command.env_clear().env("STATE", state).env("BIN", &bin).env("HOME", state);
    command.env("PATH", format!("{}:{}", bin.display(), prerequisites::PATH));
    command.envs(environment.iter().map(|(key, value)| (key, value)));
    command.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("cannot start {name}"))?;
    Ok(())
}

/// All live processes of the machine that are not ours to skip.
pub fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // A process that is gone, or a zombie, has no words.
    pids.filter_map(|pid| Some(Process { pid, words: words(pid)? })).collect()
}

/// The words of a process now; none when it is gone.
pub fn words(pid: u32) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<String> = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    (!bytes.is_empty()).then_some(words)
}

/// The first processes of the cluster in `state`: of the control plane (`cp`) and of each node, with `unshare`, which holds each of them.
pub fn roots(all: &[Process], state: &Path) -> Vec<(String, Process)> {
    let state_word = state.to_string_lossy();
    let scripts = [config::CONTROL_PLANE, config::NODE].map(|script| state.join(script).to_string_lossy().into_owned());
    let mut roots = Vec::new();
    for process in all {
        // ... <script> <state> <name>
        let at = process.words.iter().position(|word| scripts.contains(word));
        if let Some([_, folder, name, ..]) = at.and_then(|at| process.words.get(at..))
            && *folder == state_word
        {
            roots.push((name.clone(), process.clone()));
        }
    }
    roots
}

/// A program of a cluster that is running: where (`cp`, `n1`, ...), which, and its process id on the host.
pub fn programs(all: &[Process], state: &Path) -> Vec<(String, String, u32)> {
    let bin = state.join("bin");
    let mut programs = Vec::new();
    for process in all {
        let program = Path::new(&process.words[0]);
        if program.parent() != Some(&bin) {
            continue;
        }
        // A node's programs read their configuration from the node's folder.
        let below_state = |word: &String| Path::new(word).strip_prefix(state).ok().and_then(|rest| rest.iter().next().map(PathBuf::from));
        let of_node =
            process.words[1..].iter().filter_map(below_state).filter_map(|first| first.to_str().map(str::to_owned)).find(|first| {
                first.strip_prefix('n').is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
            });
        let file = program.file_name().map(|file| file.to_string_lossy().into_owned()).unwrap_or_default();
        programs.push((of_node.unwrap_or_else(|| "cp".to_owned()), file, process.pid));
    }
    programs.retain(|(_, file, _)| file != "kubectl" && file != "ctr");
    programs.sort();
    programs
}

/// Runs `ctr` inside a node, in the namespace that kubelet uses.
pub fn ctr(state: &Path, node: &str, arguments: &[&str]) -> Result<String> {
    let all = processes();
    let inner = roots(&all, state).into_iter().find(|(name, process)| name == node && process.words[0] == "bash");
    let (_, inner) = inner.with_context(|| format!("the node {node} is not running"))?;
    let mut command = Command::new("nsenter");
    command.args(["-t", &inner.pid.to_string(), "-m", "-n", "-p"]).arg(state.join("bin/ctr"));
    command.args(["-a", "/run/containerd/containerd.sock", "-n", "k8s.io"]).args(arguments).stdin(Stdio::null());
    output(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, words: &[&str]) -> Process {
        Process { pid, words: words.iter().map(|word| (*word).to_owned()).collect() }
    }

    #[test]
    fn only_this_clusters_processes_are_found() {
        let state = Path::new("/s/isbsvc");
        let all = [
            process(10, &["unshare", "--mount", "bash", "/s/isbsvc/scripts/node.sh", "/s/isbsvc", "n1"]),
            process(11, &["bash", "/s/isbsvc/scripts/node.sh", "/s/isbsvc", "n1"]),
            process(12, &["bash", "/s/isbsvc-2/scripts/node.sh", "/s/isbsvc-2", "n1"]),
            process(13, &["vi", "/s/isbsvc/scripts/node.sh"]),
            process(14, &["/s/isbsvc/bin/kubelet", "--config", "/s/isbsvc/n1/kubelet.json"]),
            process(15, &["/s/isbsvc/bin/etcd", "--data-dir", "etcd"]),
            process(16, &["/s/isbsvc/bin/coredns", "-conf", "Corefile"]),
        ];
        let found: Vec<u32> = roots(&all, state).iter().map(|(_, process)| process.pid).collect();
        assert_eq!(found, [10, 11], "an editor that shows the script is not a root, nor is another cluster's");
        let programs = programs(&all, state);
        let named: Vec<(&str, &str)> = programs.iter().map(|(place, file, _)| (place.as_str(), file.as_str())).collect();
        assert_eq!(named, [("cp", "coredns"), ("cp", "etcd"), ("n1", "kubelet")]);
    }
}
