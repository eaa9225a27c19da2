//! `cargo xtask demo`: sets up all that is needed, runs a buffer service, and shows it.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cluster::{self, Load, catalogue, catalogue::Profile, prerequisites};
use crate::install::{Images, Kubectl, NAMESPACE, install};
use crate::repository;
use crate::test::local_config;

/// Where to show it.
#[derive(clap::Args)]
pub struct Options {
    /// Use this context of your kubeconfig instead of a local cluster
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// With --context: our images are at PREFIX/isbsvc-controller:dev and PREFIX/isbsvc-webhook:dev; a kind context needs none
    #[arg(long, value_name = "PREFIX", requires = "context")]
    images: Option<String>,
    /// With --context: install without asking
    #[arg(long, requires = "context")]
    yes: bool,
}

/// The namespace that the demo works in.
const PLACE: &str = "isbsvc-demo";
/// The local cluster of the demo.
const CLUSTER: &str = "isbsvc";

/// Runs it.
pub fn run(options: &Options) -> Result<()> {
    println!("Building the plugin (minutes the first time, seconds later)");
    show("cargo build --release -p kubectl-isbsvc");
    let plugin = repository::compile("kubectl-isbsvc", "", "kubectl-isbsvc", true)?;
    match &options.context {
        Some(context) => on_a_cluster_of_yours(options, context, &plugin),
        None => on_the_local_cluster(&plugin),
    }
}

fn on_the_local_cluster(plugin: &Path) -> Result<()> {
    if !prerequisites::is_root() {
        bail!(
            "the local cluster needs root, for namespaces and mounts; run `cargo xtask demo` as root, or `cargo xtask demo --context NAME` on a cluster of yours"
        );
    }
    show("cargo xtask cluster up");
    let running = cluster::up(&cluster::Options { name: CLUSTER.to_owned(), nodes: 1 })?;
    show("cargo xtask cluster load");
    cluster::load(CLUSTER, &Load::Own(Profile::Release))?;
    let kubectl = Kubectl::with_kubeconfig(running.bin.join("kubectl"), &running.kubeconfig);
    let images = Images { prefix: "localhost/".to_owned(), tag: "dev".to_owned() };
    install(&kubectl, &images, Some(&local_config()), show)?;
    walk_through(&kubectl, plugin, &["--kubeconfig".to_owned(), running.kubeconfig.display().to_string()])?;
    println!("\nThe cluster stays. To go on:\n");
    println!("  export KUBECONFIG={}", running.kubeconfig.display());
    println!("  export PATH={}:{}:$PATH\n", folder(plugin).display(), running.bin.display());
    println!("  kubectl isbsvc status -n {PLACE} --watch");
    println!("  kubectl isbsvc describe -n {PLACE}");
    println!("  kubectl isbsvc render -f manifests/samples/persistent.yaml\n");
    println!("To remove every trace of it: cargo xtask cluster down");
    Ok(())
}

fn on_a_cluster_of_yours(options: &Options, context: &str, plugin: &Path) -> Result<()> {
    let kubectl = Kubectl::with_context(context);
    kubectl
        .output(&["version"])
        .with_context(|| format!("the context {context} cannot be used; `kubectl config get-contexts` lists yours"))?;
    println!("This installs into the context {context}:");
    println!("  the definition of InterStepBufferService (replacing Numaflow's, where it is there)");
    println!("  namespace {NAMESPACE} with the controller and the webhook");
    println!("  namespace {PLACE} with one buffer service");
    println!("To undo it afterwards:");
    for line in undo(context) {
        println!("  {line}");
    }
    if !options.yes && !confirmed()? {
        bail!("nothing was installed");
    }
    let images = match (&options.images, context.strip_prefix("kind-")) {
        (Some(prefix), _) => Images { prefix: format!("{}/", prefix.trim_end_matches('/')), tag: "dev".to_owned() },
        (None, Some(kind)) => {
            for archive in catalogue::own(Profile::Release, |line| println!("  {line}"))? {
                show(&format!("kind load image-archive {} --name {kind}", archive.display()));
                let status =
                    Command::new("kind").args(["load", "image-archive"]).arg(&archive).args(["--name", kind]).stdin(Stdio::null()).status();
                if !status.context("cannot run kind; install it, or give --images PREFIX")?.success() {
                    bail!("kind could not load {}", archive.display());
                }
            }
            Images { prefix: "localhost/".to_owned(), tag: "dev".to_owned() }
        }
        (None, None) => bail!("{context} is no kind context; push the two images where the cluster finds them and give --images PREFIX"),
    };
    install(&kubectl, &images, None, show)?;
    walk_through(&kubectl, plugin, &["--context".to_owned(), context.to_owned()])?;
    println!("\nTo go on:\n\n  export PATH={}:$PATH\n", folder(plugin).display());
    println!("  kubectl isbsvc status -n {PLACE} --context {context} --watch");
    println!("  kubectl isbsvc describe -n {PLACE} --context {context}");
    println!("  kubectl isbsvc render -f manifests/samples/persistent.yaml\n");
    println!("To undo it:");
    for line in undo(context) {
        println!("  {line}");
    }
    Ok(())
}

fn undo(context: &str) -> [String; 4] {
    [
        format!("kubectl --context {context} delete namespace {PLACE}"),
        format!("kubectl --context {context} delete validatingwebhookconfiguration,mutatingwebhookconfiguration isbsvc-webhook"),
        format!("kubectl --context {context} delete -k manifests"),
        format!("kubectl --context {context} delete -k manifests/crd   # only where Numaflow is not installed"),
    ]
}

/// The main job: a service is applied, filled in, becomes healthy, refuses what would lose data, and shows how it is.
fn walk_through(kubectl: &Kubectl, plugin: &Path, connection: &[String]) -> Result<()> {
    kubectl.apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {PLACE}\n"))?;
    let isbsvc = |arguments: &[&str]| -> Result<()> {
        show(&format!("kubectl isbsvc {} -n {PLACE}", arguments.join(" ")));
        let status = Command::new(plugin)
            .args(arguments)
            .args(["-n", PLACE])
            .args(connection)
            .stdin(Stdio::null())
            .status()
            .context("cannot run the plugin")?;
        if !status.success() {
            bail!("`kubectl isbsvc {}` ended with {status}", arguments.join(" "));
        }
        Ok(())
    };
    println!("\nA service as the manual has it; what was left out is filled in:");
    show(&format!("kubectl apply -n {PLACE} -f manifests/samples/default.yaml"));
    kubectl.run(&["apply", "-n", PLACE, "-f", "manifests/samples/default.yaml"])?;
    show(&format!("kubectl get isbsvc default -n {PLACE} -o jsonpath={{.spec}}"));
    println!("{}", kubectl.output(&["get", "isbsvc", "default", "-n", PLACE, "-o", "jsonpath={.spec}"])?);
    println!("\nIt becomes healthy once its servers agree on a leader:");
    isbsvc(&["status", "--wait", "--timeout", "180s"])?;
    println!("\nA change that would lose messages is refused, with the way that works:");
    let patch = r#"{"spec":{"jetstream":{"encryption":true}}}"#;
    show(&format!("kubectl patch isbsvc default -n {PLACE} --type merge -p '{patch}'"));
    let refused = kubectl
        .command(&["patch", "isbsvc", "default", "-n", PLACE, "--type", "merge", "-p", patch])
        .output()
        .context("cannot run kubectl")?;
    if refused.status.success() {
        bail!("the change was admitted, and should not have been");
    }
    print!("{}", String::from_utf8_lossy(&refused.stderr));
    Ok(())
}

fn confirmed() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("cannot ask without a terminal; give --yes");
    }
    print!("Install? [y/N] ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn folder(program: &Path) -> PathBuf {
    program.parent().map(Path::to_path_buf).unwrap_or_default()
}

fn show(line: &str) {
    println!("$ {line}");
}
