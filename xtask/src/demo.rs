//! `cargo xtask demo`: sets up all that is needed, runs a buffer service, and shows it.

mod before;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use before::Before;

use crate::cluster::{self, Load, catalogue, catalogue::Profile, prerequisites, progress::Step};
use crate::install::{Images, Kubectl, NAMESPACE, install};
use crate::repository::{self, PLUGIN};
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
/// What the names of kind's contexts begin with.
const KIND: &str = "kind-";

/// Runs it.
pub fn run(options: &Options) -> Result<()> {
    match &options.context {
        Some(context) => on_a_cluster_of_yours(options, context),
        None => on_the_local_cluster(),
    }
}

fn build_the_plugin() -> Result<PathBuf> {
    println!("$ cargo build --release -p kubectl-isbsvc");
    repository::shown("build the plugin (minutes the first time, seconds later)", PLUGIN, "kubectl-isbsvc")
}

fn on_the_local_cluster() -> Result<()> {
    if !prerequisites::is_root() {
        bail!(
            "the local cluster needs root, for namespaces and mounts; run `cargo xtask demo` as root, or `cargo xtask demo --context NAME` on a cluster of yours"
        );
    }
    let plugin = build_the_plugin()?;
    let typed = Typed { context: None };
    typed.show("cargo xtask cluster up");
    let running = cluster::up(&cluster::Options { name: CLUSTER.to_owned(), nodes: 1 })?;
    let kubeconfig = format!("export KUBECONFIG={}", running.kubeconfig.display());
    let path = format!("export PATH={}:{}:$PATH", folder(&plugin).display(), running.bin.display());
    typed.show(&kubeconfig);
    typed.show(&path);
    typed.show("cargo xtask cluster load");
    cluster::load(CLUSTER, &Load::Own(Profile::Release))?;
    let kubectl = Kubectl::with_kubeconfig(running.bin.join("kubectl"), &running.kubeconfig);
    let images = Images { prefix: "localhost/".to_owned(), tag: "dev".to_owned() };
    install(&kubectl, &images, Some(&local_config()), |line| typed.show(line), |object| before::mark(&kubectl, &typed, object))?;
    walk_through(&kubectl, &plugin, &typed, &["--kubeconfig".to_owned(), running.kubeconfig.display().to_string()])?;
    println!("\nThe cluster stays. To go on:\n\n  {kubeconfig}\n  {path}\n");
    typed.next();
    println!("To remove every trace of it: cargo xtask cluster down");
    Ok(())
}

fn on_a_cluster_of_yours(options: &Options, context: &str) -> Result<()> {
    let kubectl = Kubectl::with_context(context);
    kubectl
        .output(&["version"])
        .with_context(|| format!("the context {context} cannot be used; `kubectl config get-contexts` lists yours"))?;
    let before = Before::of(&kubectl)?;
    if options.images.is_none() && !context.starts_with(KIND) {
        println!("{context} is no kind context, so our images have to be pushed where its nodes find them:");
        for archive in own_images()? {
            println!("  skopeo copy oci-archive:{} docker://PREFIX/NAME:dev", archive.display());
        }
        bail!("nothing was installed; push the two images as isbsvc-controller:dev and isbsvc-webhook:dev, and give --images PREFIX");
    }
    println!("This installs into the context {context}:");
    println!(
        "  the definition of InterStepBufferService{}",
        if before.definition.is_there() { ", in place of the one that is there" } else { "" }
    );
    println!("  in the namespace {NAMESPACE} the controller and the webhook, and what they may do");
    println!("  the namespace {PLACE} with one buffer service");
    println!("To undo it afterwards:");
    let undo: Vec<String> = before.undo().iter().map(|line| Typed { context: Some(context) }.line(line)).collect();
    for line in &undo {
        println!("  {line}");
    }
    if !options.yes && !confirmed()? {
        bail!("nothing was installed");
    }
    let done = install_and_show(options, context, &kubectl);
    println!("\nTo undo it:");
    for line in &undo {
        println!("  {line}");
    }
    done
}

fn own_images() -> Result<Vec<PathBuf>> {
    let step = Step::begin_long("build the controller and the webhook, make their images");
    let archives = catalogue::own(Profile::Release, |far| step.say(far))?;
    step.done();
    Ok(archives)
}

fn install_and_show(options: &Options, context: &str, kubectl: &Kubectl) -> Result<()> {
    let typed = Typed { context: Some(context) };
    if options.images.is_none() {
        let kind = context.strip_prefix(KIND).unwrap_or(context);
        for archive in own_images()? {
            typed.show(&format!("kind load image-archive {} --name {kind}", archive.display()));
            let status =
                Command::new("kind").args(["load", "image-archive"]).arg(&archive).args(["--name", kind]).stdin(Stdio::null()).status();
            if !status.context("cannot run kind; install it, or give --images PREFIX")?.success() {
                bail!("kind could not load {}", archive.display());
            }
        }
    }
    let prefix = options.images.as_deref().unwrap_or("localhost");
    let images = Images { prefix: format!("{}/", prefix.trim_end_matches('/')), tag: "dev".to_owned() };
    let plugin = build_the_plugin()?;
    install(kubectl, &images, None, |line| typed.show(line), |object| before::mark(kubectl, &typed, object))?;
    walk_through(kubectl, &plugin, &typed, &["--context".to_owned(), context.to_owned()])?;
    println!("\nTo go on:\n\n  export PATH={}:$PATH\n", folder(&plugin).display());
    typed.next();
    Ok(())
}

/// Commands as a person would type them.
struct Typed<'a> {
    /// Where it is not the current one.
    context: Option<&'a str>,
}

impl Typed<'_> {
    /// kubectl gives its own flags to no plugin, so there they come last.
    fn line(&self, line: &str) -> String {
        match self.context {
            None => line.to_owned(),
            Some(context) if line.starts_with("kubectl isbsvc ") => format!("{line} --context {context}"),
            Some(context) => line.replace("kubectl ", &format!("kubectl --context {context} ")),
        }
    }

    fn show(&self, line: &str) {
        println!("$ {}", self.line(line));
    }

    /// The three commands to try next.
    fn next(&self) {
        println!("  {}", self.line(&format!("kubectl isbsvc status -n {PLACE} --watch")));
        println!("  {}", self.line(&format!("kubectl isbsvc describe -n {PLACE}")));
        println!("  kubectl isbsvc render -f manifests/samples/persistent.yaml\n");
    }
}

/// The main job: a service is applied, filled in, becomes healthy, refuses what would lose data, and shows how it is.
fn walk_through(kubectl: &Kubectl, plugin: &Path, typed: &Typed<'_>, connection: &[String]) -> Result<()> {
    if !kubectl.there(&["namespace", PLACE])? {
        typed.show(&format!("kubectl create namespace {PLACE}"));
        kubectl.run(&["create", "namespace", PLACE])?;
        before::mark(kubectl, typed, &["namespace", PLACE])?;
    }
    let isbsvc = |arguments: &[&str]| -> Result<()> {
        typed.show(&format!("kubectl isbsvc {} -n {PLACE}", arguments.join(" ")));
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
    typed.show(&format!("kubectl apply -n {PLACE} -f manifests/samples/default.yaml"));
    kubectl.run(&["apply", "-n", PLACE, "-f", "manifests/samples/default.yaml"])?;
    typed.show(&format!("kubectl get isbsvc default -n {PLACE} -o jsonpath={{.spec}}"));
    println!("{}", kubectl.output(&["get", "isbsvc", "default", "-n", PLACE, "-o", "jsonpath={.spec}"])?);
    println!("\nIt becomes healthy once its servers agree on a leader:");
    isbsvc(&["status", "--wait", "--timeout", "180s"])?;
    println!("\nA change that would lose messages is refused, with the way that works:");
    let patch = r#"{"spec":{"jetstream":{"encryption":true}}}"#;
    typed.show(&format!("kubectl patch isbsvc default -n {PLACE} --type merge -p '{patch}'"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_typed() {
        let typed = Typed { context: Some("mine") };
        assert_eq!(
            typed.line("kubectl create x | kubectl apply -f -"),
            "kubectl --context mine create x | kubectl --context mine apply -f -"
        );
        assert_eq!(typed.line("kubectl isbsvc status -n demo"), "kubectl isbsvc status -n demo --context mine");
        assert_eq!(Typed { context: None }.line("kubectl get pods"), "kubectl get pods");
    }
}
