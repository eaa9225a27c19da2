use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::{MINUTE, Namespace, eventually};

/// Our controller as a process of this machine. It looks after the services of the instance that is named like the namespace of its test, and holds its
/// Lease there, so that it has nothing to do with the controller in the cluster.
pub struct Controller {
    name: String,
    process: Child,
    log: PathBuf,
    metrics: SocketAddr,
    health: SocketAddr,
}

impl Controller {
    /// Starts one and waits until it is ready. `name` is how the Lease and the log call it.
    ///
    /// # Panics
    /// Where it does not start.
    #[track_caller]
    pub fn start(namespace: &Namespace<'_>, name: &str, more: &[&str]) -> Self {
        Self::start_with(namespace, name, &Self::configuration(), more)
    }

    /// The file of the configuration that names the images of the local cluster.
    pub fn configuration() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/cluster/controller-config.yaml")
    }

    /// The same, with a configuration of its own.
    ///
    /// # Panics
    /// Where it does not start.
    #[track_caller]
    pub fn start_with(namespace: &Namespace<'_>, name: &str, config: &Path, more: &[&str]) -> Self {
        let log = std::env::temp_dir().join(format!("isbsvc-{}-{}-{name}.log", std::process::id(), namespace.name));
        let file = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        let (metrics, health) = (free(), free());
        let own = namespace.name.as_str();
        let process = Command::new(&namespace.cluster.controller)
            .arg("--kubeconfig")
            .arg(&namespace.cluster.kubeconfig)
            .arg("--controller-config")
            .arg(config)
            .args(["--instance", own, "--lease-namespace", own, "--webhook-namespace", own, "--webhook-configurations=false"])
            .args(["--metrics-listen", &metrics.to_string(), "--health-listen", &health.to_string()])
            .args(more)
            .env("HOSTNAME", name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("the controller: {error}"));
        let controller = Self { name: name.to_owned(), process, log, metrics, health };
        eventually(&format!("the controller {name} is ready"), MINUTE, || {
            let answer = get(controller.health, "/readyz");
            if answer.starts_with("HTTP/1.0 200") { Ok(()) } else { Err(format!("{answer:?}; its log: {}", controller.log())) }
        });
        controller
    }

    /// Whether it may write.
    pub fn leads(&self) -> bool {
        self.number("isbsvc_controller_leader") == Some(1)
    }

    /// How often it wrote to the API server.
    pub fn writes(&self) -> u64 {
        self.number("isbsvc_controller_writes_total").unwrap_or_default()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it as a power cut would.
    ///
    /// # Panics
    /// Where that cannot be done.
    pub fn kill(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).unwrap_or_else(|error| panic!("kill {}: {error}", self.name));
    }

    /// Tells it to stop; how it ended.
    ///
    /// # Panics
    /// Where it does not within half a minute, which is what Kubernetes gives it.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.process.id())]).status();
        assert!(kill.is_ok_and(|status| status.success()), "kill {}", self.name);
        let mut ended = None;
        eventually(&format!("the controller {} stops", self.name), Duration::from_secs(30), || {
            ended = self.process.try_wait().map_err(|error| error.to_string())?;
            ended.map(drop).ok_or_else(|| "it runs".to_owned())
        });
        ended.unwrap_or_default()
    }

    /// A metric, summed over its labels.
    fn number(&self, metric: &str) -> Option<u64> {
        let text = get(self.metrics, "/metrics");
        let value = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let name = series.split_once('{').map_or(series, |(name, _)| name);
            if name == metric { value.parse::<u64>().ok() } else { None }
        };
        text.lines().filter_map(value).reduce(|sum, value| sum + value)
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // One that ended already is fine.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the log of the controller {} is {}", self.name, self.log.display());
        } else {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// An address of this machine that nothing listens on: one of its own at each call, because between this look and the controller's start a client could
/// be given the port on the address that all others use.
fn free() -> SocketAddr {
    static CALLS: AtomicU8 = AtomicU8::new(1);
    let own = Ipv4Addr::new(127, 77, 0, CALLS.fetch_add(1, Ordering::Relaxed));
    let listener = TcpListener::bind((own, 0)).unwrap_or_else(|error| panic!("a free port: {error}"));
    listener.local_addr().unwrap_or_else(|error| panic!("a free port: {error}"))
}

/// The whole answer to a plain HTTP question; empty where nobody answers.
fn get(address: SocketAddr, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(3))?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().unwrap_or_default()
}
