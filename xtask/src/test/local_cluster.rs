//! The local cluster's own promises: three nodes, clusters side by side, an `up` that was killed half way, and no trace afterwards.

mod traces;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use traces::Traces;

use crate::cluster::progress::{line, step, wait};
use crate::cluster::{self, Running, node, prerequisites, state};
use crate::install::Kubectl;

/// The word by which `cargo xtask test` runs this alone.
pub const NAME: &str = "local-cluster";

const THREE: &str = "test-three";
const CRASHED: &str = "test-crashed";

/// Shows all of it; whatever happens, both clusters are taken down.
pub fn check() -> Result<()> {
    // What is built takes minutes, and is of no use to who is not root.
    prerequisites::require_root("up")?;
    // Packages, programs and images stay on purpose.
    cluster::prepare()?;
    let ours = [THREE, CRASHED];
    let down = || ours.iter().try_for_each(|name| cluster::down(name, false));
    down()?;
    // The first cluster of a bare machine makes the registry, which stays as the programs do.
    drop(state::registry()?);
    let before = Traces::look(&ours)?;
    let shown = show(&before);
    let removed = down();
    shown.and(removed)?;
    let mut changes = Vec::new();
    let same = wait("the machine to be as it was before", Duration::from_secs(20), Duration::from_millis(500), || {
        changes = before.changes(&Traces::look(&ours)?);
        Ok(changes.is_empty())
    });
    same.with_context(|| format!("{} traces were left or lost:\n{}", changes.len(), changes.join("\n")))?;
    line(format_args!("  no trace is left: {} lines are as they were", before.count()));
    Ok(())
}

fn show(before: &Traces) -> Result<()> {
    let three = cluster::up(&cluster::Options { name: THREE.to_owned(), nodes: 3 })?;
    crash("its networks are being made", |folder| folder.join("ns/cp").exists())?;
    crash("its programs are starting", |folder| node::roots(&node::processes(), folder).iter().any(|(place, _)| place == "n1"))?;
    let crashed = cluster::up(&cluster::Options { name: CRASHED.to_owned(), nodes: 1 })?;
    ensure!(crashed.fresh && crashed.index != three.index, "two clusters that run side by side have one index");
    for running in [&three, &crashed] {
        step(format!("a pod with a volume on each node of {}", running.name), |_| inhabit(running))?;
    }
    let traces = before.changes(&Traces::look(&[THREE, CRASHED])?).len();
    ensure!(traces > 40, "the looks see little of two clusters that run: {traces} lines");
    line(format_args!("  two clusters are seen by {traces} lines"));
    Ok(())
}

/// Starts the second cluster and kills the program that does once it has come so far.
fn crash(when: &str, so_far: impl Fn(&Path) -> bool) -> Result<()> {
    let folder = state::folder(CRASHED)?;
    step(format!("up of {CRASHED} is killed while {when}"), |_| {
        // By this path the program is found even where cargo has replaced its file.
        let mut up = Command::new("/proc/self/exe");
        up.args(["cluster", "up", "--name", CRASHED]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut up = up.spawn().context("cannot run `cargo xtask cluster up`")?;
        let come = wait("up to come so far", Duration::from_mins(1), Duration::from_millis(2), || {
            if let Some(status) = up.try_wait()? {
                bail!("`cargo xtask cluster up` ended before it could be killed ({status})");
            }
            Ok(so_far(&folder))
        });
        up.kill()?;
        up.wait()?;
        come?;
        let phase = state::read(&folder)?.map(|record| record.phase);
        ensure!(phase == Some(state::Phase::Starting), "it was not half way: {phase:?}");
        Ok(())
    })
}

/// A pod on each node, each with a volume that it writes and that is read back, and a way from each pod to each other.
fn inhabit(running: &Running) -> Result<()> {
    let labels = json!({ "app": "everywhere" });
    let shell = json!({
        "name": "shell", "image": "localhost/busybox:1", "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "echo \"$HOSTNAME\" >/data/name && exec sleep 1000000"],
        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
    });
    let apart = json!({ "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": labels } });
    let pods = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "everywhere" },
        "spec": {
            "serviceName": "everywhere", "replicas": running.nodes, "podManagementPolicy": "Parallel", "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "containers": [shell],
                    "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [apart] } },
                },
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": { "requests": { "storage": "1Mi" } },
                },
            }],
        },
    });
    let kubectl = Kubectl::with_kubeconfig(running.bin.join("kubectl"), &running.kubeconfig);
    kubectl.apply(&pods.to_string())?;
    kubectl.output(&["rollout", "status", "statefulset/everywhere", "--timeout=120s"])?;
    let shown = "jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName} {.status.podIP}{\"\\n\"}{end}";
    let pods = kubectl.output(&["get", "pods", "-l", "app=everywhere", "-o", shown])?;
    let pods: Vec<Vec<&str>> = pods.lines().map(|pod| pod.split(' ').collect()).collect();
    let nodes: BTreeSet<&str> = pods.iter().filter_map(|pod| pod.get(1).copied()).collect();
    ensure!(nodes.len() == usize::from(running.nodes) && pods.len() == nodes.len(), "pods stand on {nodes:?}");
    for pod in &pods {
        let [name, _, _] = pod[..] else { bail!("a pod has no node or no address: {pod:?}") };
        let kept = kubectl.output(&["exec", name, "--", "cat", "/data/name"])?;
        ensure!(kept.trim() == name, "{name} reads {kept:?} from its volume");
        for other in &pods {
            kubectl.output(&["exec", name, "--", "ping", "-c", "1", "-W", "5", other[2]])?;
        }
    }
    let claims = kubectl.output(&["get", "pvc", "-o", "jsonpath={range .items[*]}{.spec.storageClassName}/{.status.phase} {end}"])?;
    ensure!(claims.split_whitespace().filter(|claim| *claim == "standard/Bound").count() == pods.len(), "claims: {claims}");
    Ok(())
}
