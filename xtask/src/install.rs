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

    /// Whether an object is there. What cannot be asked is an error, and not an absence.
    pub fn there(&self, object: &[&str]) -> Result<bool> {
        Ok(!self.output(&[&["get", "--ignore-not-found", "-o", "name"], object].concat())?.trim().is_empty())
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

/// The definition of `InterStepBufferService`, as kubectl names it.
pub const DEFINITION: &str = "crd/interstepbufferservices.numaflow.numaproj.io";
/// Our controller, in [`NAMESPACE`].
pub const CONTROLLER: &str = "deployment/isbsvc-controller";

/// Installs definition, controller and webhook, and waits until all of it serves. `config` is a controller configuration for a cluster that has none.
/// `made` hears of the definition, the namespace and the controller, each only where it was not there before.
pub fn install(
    kubectl: &Kubectl,
    images: &Images,
    config: Option<&Path>,
    show: impl Fn(&str),
    made: impl Fn(&[&str]) -> Result<()>,
) -> Result<()> {
    let new_definition = !kubectl.there(&[DEFINITION])?;
    // Whoever installed a definition before us owns its fields.
    show("kubectl apply --server-side --force-conflicts -k manifests/crd");
    kubectl.run(&["apply", "--server-side", "--force-conflicts", "-k", "manifests/crd"])?;
    // `kubectl wait` fails at once on a definition that has no conditions yet.
    let established = ["get", DEFINITION, "-o", "jsonpath={.status.conditions[?(@.type=='Established')].status}"];
    wait("the definition to be established", Duration::from_mins(1), Duration::from_millis(200), || {
        Ok(kubectl.output(&established).is_ok_and(|said| said == "True"))
    })?;
    if new_definition {
        made(&[DEFINITION])?;
    }
    let namespace = format!("namespace/{NAMESPACE}");
    if !kubectl.there(&[&namespace])? {
        // Unlike `apply`, it changes nothing where somebody else was quicker.
        let create = ["create", "-f", "manifests/namespace.yaml"];
        show(&format!("kubectl {}", create.join(" ")));
        kubectl.run(&create)?;
        made(&[&namespace])?;
    }
    let there = kubectl.there(&["-n", NAMESPACE, CONTROLLER])?;
    if let Some(config) = config {
        // Before the pods, so that they never run by the built-in configuration.
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
    show(&format!("kubectl apply -k manifests   # images {}isbsvc-*:{}", images.prefix, images.tag));
    let mut yaml = kubectl.output(&["kustomize", "manifests"])?;
    for program in ["isbsvc-controller", "isbsvc-webhook"] {
        yaml = yaml.replace(&format!("image: {program}"), &format!("image: {}{program}:{}", images.prefix, images.tag));
    }
    kubectl.apply(&yaml)?;
    if there {
        // Pods that were there already run the image of that tag that they started with; a new one has the same name.
        show(&format!("kubectl rollout restart -n {NAMESPACE} deployment/isbsvc-controller deployment/isbsvc-webhook"));
        kubectl.run(&["rollout", "restart", "-n", NAMESPACE, CONTROLLER, "deployment/isbsvc-webhook"])?;
    } else {
        made(&["-n", NAMESPACE, CONTROLLER])?;
    }
    for deployment in [CONTROLLER, "deployment/isbsvc-webhook"] {
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
