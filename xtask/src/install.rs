//! Putting isbsvc into a cluster with kubectl, each step shown as a person would type it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cluster::{outside, progress::wait};
use crate::repository;

/// The namespace that everything of ours lives in.
pub const NAMESPACE: &str = "numaflow-system";

/// kubectl for one cluster.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    connection: Vec<String>,
}

impl Kubectl {
    /// kubectl with a kubeconfig of its own.
    pub fn with_kubeconfig(program: PathBuf, kubeconfig: &Path) -> Self {
        Self { program, connection: vec!["--kubeconfig".to_owned(), kubeconfig.display().to_string()] }
    }

    /// The user's kubectl with one of the user's contexts.
    pub fn with_context(context: &str) -> Self {
        Self { program: PathBuf::from("kubectl"), connection: vec!["--context".to_owned(), context.to_owned()] }
    }

    /// A command.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.connection).args(arguments).current_dir(repository::root()).stdin(Stdio::null());
        command
    }

    /// Runs a command for its effect, its output where the person sees it.
    pub fn run(&self, arguments: &[&str]) -> Result<()> {
        let status = self.command(arguments).status().context("cannot run kubectl")?;
        if !status.success() {
            bail!("`kubectl {}` failed ({status})", arguments.join(" "));
        }
        Ok(())
    }

    /// Runs a command for what it prints.
    pub fn output(&self, arguments: &[&str]) -> Result<String> {
        outside::output(&mut self.command(arguments))
    }

    /// Applies text.
    pub fn apply(&self, yaml: &str) -> Result<()> {
        outside::feed(&mut self.command(&["apply", "-f", "-"]), yaml)
    }
}

/// Where the cluster finds our images.
#[derive(Clone, Debug)]
pub struct Images {
    /// Without tag, such as `localhost/isbsvc-controller`.
    pub prefix: String,
    /// Tag.
    pub tag: String,
}

/// Installs definition, controller and webhook, and waits until all of it serves. `config` is a controller configuration for a cluster that has none.
pub fn install(kubectl: &Kubectl, images: &Images, config: Option<&Path>, show: impl Fn(&str)) -> Result<()> {
    // Whoever installed a definition before us owns its fields.
    show("kubectl apply --server-side --force-conflicts -k manifests/crd");
    kubectl.run(&["apply", "--server-side", "--force-conflicts", "-k", "manifests/crd"])?;
    // `kubectl wait` fails at once on a definition that has no conditions yet.
    let established = [
        "get",
        "crd",
        "interstepbufferservices.numaflow.numaproj.io",
        "-o",
        "jsonpath={.status.conditions[?(@.type=='Established')].status}",
    ];
    wait("the definition to be established", Duration::from_mins(1), Duration::from_millis(200), || {
        Ok(kubectl.output(&established).is_ok_and(|said| said == "True"))
    })?;
    let there = kubectl.output(&["get", "-n", NAMESPACE, "deployment/isbsvc-controller"]).is_ok();
    let shared = kubectl.output(&["get", "namespace", NAMESPACE]).is_ok();
    if let Some(config) = config {
        // Before the pods, so that they never run by the built-in configuration.
        show("kubectl apply -f manifests/controller/namespace.yaml");
        kubectl.run(&["apply", "-f", "manifests/controller/namespace.yaml"])?;
        show(&format!(
            "kubectl create configmap numaflow-controller-config -n {NAMESPACE} --from-file=controller-config.yaml={} --dry-run=client -o yaml | kubectl apply -f -",
            config.strip_prefix(repository::root()).unwrap_or(config).display()
        ));
        let from = format!("--from-file=controller-config.yaml={}", config.display());
        let yaml = kubectl.output(&[
            "create",
            "configmap",
            "numaflow-controller-config",
            "-n",
            NAMESPACE,
            &from,
            "--dry-run=client",
            "-o",
            "yaml",
        ])?;
        kubectl.apply(&yaml)?;
    }
    let without = if shared { ", without the namespace, which is there" } else { "" };
    show(&format!("kubectl apply -k manifests   # images {}isbsvc-*:{}{without}", images.prefix, images.tag));
    let mut yaml = kubectl.output(&["kustomize", "manifests"])?;
    for program in ["isbsvc-controller", "isbsvc-webhook"] {
        yaml = yaml.replace(&format!("image: {program}"), &format!("image: {}{program}:{}", images.prefix, images.tag));
    }
    if shared {
        // Whose pods else are in it is not known, and our Pod Security level might refuse them.
        let objects: Vec<&str> = yaml.split("\n---\n").filter(|object| !object.contains("\nkind: Namespace\n")).collect();
        yaml = objects.join("\n---\n");
    }
    kubectl.apply(&yaml)?;
    if there {
        // Pods that were there already run the image of that tag that they started with; a new one has the same name.
        show(&format!("kubectl rollout restart -n {NAMESPACE} deployment/isbsvc-controller deployment/isbsvc-webhook"));
        kubectl.run(&["rollout", "restart", "-n", NAMESPACE, "deployment/isbsvc-controller", "deployment/isbsvc-webhook"])?;
    }
    for deployment in ["deployment/isbsvc-controller", "deployment/isbsvc-webhook"] {
        show(&format!("kubectl rollout status -n {NAMESPACE} {deployment}"));
        kubectl.run(&["rollout", "status", "-n", NAMESPACE, deployment, "--timeout=180s"])?;
    }
    let wait = [
        "wait",
        "--for=create",
        "--timeout=60s",
        "validatingwebhookconfiguration/isbsvc-webhook",
        "mutatingwebhookconfiguration/isbsvc-webhook",
    ];
    show(&format!("kubectl {}", wait.join(" ")));
    kubectl.run(&wait)
}
