//! A real cluster with our controller and webhook in it, which `cargo xtask test` makes: kubectl, the built plugin, a namespace for each test.
//!
//! Tests run side by side, so none stops or changes what is in the cluster for all. One that needs a controller of its own runs it on this machine
//! ([`Controller`]), for the services of an instance of its own.

mod controller;
mod messages;
mod pods;
mod reviews;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use controller::Controller;
pub use messages::{Load, Messages, Outcome};
pub use pods::Pods;
pub use reviews::{Answers, Reviews};

/// What most things on the cluster are given at most.
pub const MINUTE: Duration = Duration::from_mins(1);

/// The cluster, from the environment that `cargo xtask test` sets.
pub struct Cluster {
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    kubectl: PathBuf,
    plugin: PathBuf,
    controller: PathBuf,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Its standard output, where it went well.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }
}

impl Cluster {
    /// The cluster of this run.
    ///
    /// # Panics
    /// Without one: these tests are run by `cargo xtask test`.
    pub fn from_environment() -> Self {
        let path =
            |name: &str| PathBuf::from(std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set; run `cargo xtask test`")));
        Self {
            kubeconfig: path("ISBSVC_TEST_KUBECONFIG"),
            kubectl: path("ISBSVC_TEST_KUBECTL"),
            plugin: path("ISBSVC_TEST_PLUGIN"),
            controller: path("ISBSVC_TEST_CONTROLLER"),
        }
    }

    /// kubectl.
    pub fn kubectl(&self, arguments: &[&str]) -> Said {
        said(Command::new(&self.kubectl).arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).stdin(Stdio::null()).output())
    }

    /// kubectl that reads an object.
    ///
    /// # Panics
    /// Where kubectl cannot be run.
    pub fn kubectl_stdin(&self, arguments: &[&str], input: &str) -> Said {
        use std::io::Write as _;
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("kubectl: {error}"));
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).unwrap_or_else(|error| panic!("kubectl: {error}"));
        }
        said(child.wait_with_output())
    }

    /// `kubectl isbsvc`, as built.
    pub fn isbsvc(&self, arguments: &[&str]) -> Said {
        said(Command::new(&self.plugin).args(arguments).arg("--kubeconfig").arg(&self.kubeconfig).stdin(Stdio::null()).output())
    }

    /// An empty namespace of this name; one that an earlier run left is removed first.
    pub fn namespace(&self, name: &str) -> Namespace<'_> {
        let namespace = Namespace { cluster: self, name: name.to_owned(), only: None };
        if self.kubectl(&["get", "namespace", name]).code == 0 {
            namespace.free();
            self.kubectl(&["delete", "namespace", name, "--ignore-not-found", "--wait=true", "--timeout=180s"]).ok();
        }
        self.kubectl(&["create", "namespace", name]).ok();
        namespace
    }

    /// The namespace of the control plane, which the webhook is not asked about, for a test of this one service, which alone goes when the test ends.
    pub fn kube_system(&self, service: &str) -> Namespace<'_> {
        let namespace = Namespace { cluster: self, name: "kube-system".to_owned(), only: Some(service.to_owned()) };
        namespace.free();
        namespace.kubectl(&["delete", "isbsvc", service, "--ignore-not-found", "--timeout=120s"]).ok();
        namespace
    }
}

/// A namespace that a test works in.
pub struct Namespace<'a> {
    cluster: &'a Cluster,
    /// Its name.
    pub name: String,
    /// The one service that is the test's, where the namespace is not.
    only: Option<String>,
}

impl Namespace<'_> {
    /// kubectl in the namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Said {
        self.cluster.kubectl(&[&["-n", &self.name], arguments].concat())
    }

    /// The same, not run yet.
    fn kubectl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cluster.kubectl);
        command.arg("--kubeconfig").arg(&self.cluster.kubeconfig).args(["-n", &self.name]).args(arguments).stdin(Stdio::null());
        command
    }

    /// kubectl in the namespace that reads an object.
    pub fn kubectl_stdin(&self, arguments: &[&str], input: &str) -> Said {
        self.cluster.kubectl_stdin(&[&["-n", &self.name], arguments].concat(), input)
    }

    /// `kubectl apply` of this YAML.
    pub fn apply(&self, yaml: &str) -> Said {
        self.cluster.kubectl_stdin(&["-n", &self.name, "apply", "-f", "-"], yaml)
    }

    /// `kubectl isbsvc` in the namespace.
    pub fn isbsvc(&self, arguments: &[&str]) -> Said {
        self.cluster.isbsvc(&[arguments, &["-n", &self.name]].concat())
    }

    /// An object.
    ///
    /// # Panics
    /// Where it is not there.
    #[track_caller]
    pub fn get(&self, what: &str) -> Value {
        let text = self.kubectl(&["get", what, "-o", "json"]).ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Waits until the service is healthy by Numaflow's own reading; gives its status.
    ///
    /// # Panics
    /// After three minutes.
    #[track_caller]
    pub fn healthy(&self, name: &str) -> Value {
        let what = format!("isbsvc/{name}");
        let mut status = json!(null);
        eventually(&format!("{what} becomes healthy"), 3 * MINUTE, || {
            let object = self.get(&what);
            status = object["status"].clone();
            let parsed: isbsvc::api::InterStepBufferServiceStatus = serde_json::from_value(status.clone()).unwrap_or_default();
            if parsed.is_healthy() && status["observedGeneration"] == object["metadata"]["generation"] {
                Ok(())
            } else {
                Err(status.to_string())
            }
        });
        status
    }

    /// The value of a key of a Secret.
    ///
    /// # Panics
    /// Where it is not there.
    #[track_caller]
    pub fn secret(&self, reference: &Value) -> String {
        use base64::Engine as _;
        let (name, key) = (reference["name"].as_str().unwrap_or_default(), reference["key"].as_str().unwrap_or_default());
        let secret = self.get(&format!("secret/{name}"));
        let encoded = secret["data"][key].as_str().unwrap_or_default();
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap_or_else(|error| panic!("{name} {key}: {error}"));
        String::from_utf8(bytes).unwrap_or_else(|error| panic!("{name} {key}: {error}"))
    }
}

impl Namespace<'_> {
    /// Lets go of services whose controller may not live any more: its finalizer would hold the namespace for ever.
    fn free(&self) {
        let which = self.only.as_deref().unwrap_or("--all");
        self.kubectl(&["delete", "isbsvc", which, "--wait=false"]);
        let mut left = vec!["get", "isbsvc", "-o", "name"];
        left.extend(self.only.as_deref());
        for service in self.kubectl(&left).out.split_whitespace() {
            self.kubectl(&["patch", service, "--type", "merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
        }
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        self.free();
        if self.only.is_none() {
            // Not waited for: the next test has a namespace of its own, and the cluster goes at the end.
            self.kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
        }
    }
}

/// A service as the manual's sample has it, of a fixed version, with more in its `spec.jetstream`.
pub fn service(name: &str, more: &Value) -> String {
    let mut spec = json!({ "version": "2.12.7" });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({ "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService", "metadata": { "name": name }, "spec": { "jetstream": spec } }).to_string()
}

/// The same, for the controller of an instance.
///
/// # Panics
/// Never: the text is ours.
pub fn service_of(instance: &str, name: &str, more: &Value) -> String {
    let mut service: Value = serde_json::from_str(&service(name, more)).unwrap_or_else(|error| panic!("{error}"));
    service["metadata"]["annotations"] = json!({ "numaflow.numaproj.io/instance": instance });
    service.to_string()
}

/// Asks until the answer is yes.
///
/// # Panics
/// After `limit`, with what was waited for and the last answer.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(found) => return found,
            Err(last) => assert!(began.elapsed() < limit, "{what}: not within {} s: {last}", limit.as_secs()),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn said(output: std::io::Result<Output>) -> Said {
    let output = output.unwrap_or_else(|error| panic!("a command of the test cannot be run: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}
