//! The nodes of a native Redis as ordinary processes on addresses of the loopback network, run by the scripts that run in a pod.

// What cannot be set up or asked is a failed test.
#![allow(clippy::missing_panics_doc, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The password of every service here: in no argument and in no output may it be seen.
pub const PASSWORD: &str = "se\"cret\\word-4711";

/// The scripts, as a pod finds them.
pub const SCRIPTS: [(&str, &str); 8] = [
    ("common.sh", include_str!("../../src/plan/redis/assets/common.sh")),
    ("health.sh", include_str!("../../src/plan/redis/assets/health.sh")),
    ("record.sh", include_str!("../../src/plan/redis/assets/record.sh")),
    ("redis.sh", include_str!("../../src/plan/redis/assets/redis.sh")),
    ("sentinel.sh", include_str!("../../src/plan/redis/assets/sentinel.sh")),
    ("stop.sh", include_str!("../../src/plan/redis/assets/stop.sh")),
    ("texts.sh", include_str!("../../src/plan/redis/assets/texts.sh")),
    ("waiting.sh", include_str!("../../src/plan/redis/assets/waiting.sh")),
];

/// What the scripts may use beside the programs of Redis.
const TOOLS: [&str; 12] = ["awk", "cat", "date", "find", "grep", "kill", "mkdir", "mv", "rm", "sed", "sleep", "sh"];

/// What a node runs with.
pub enum Image {
    /// The shell and tools of this machine, and the Redis in a folder.
    Plain(PathBuf),
    /// Busybox alone, and the Redis in a folder under Valkey's names.
    Busybox(PathBuf),
}

/// The folders with a redis-server and a redis-cli: those that the environment names, otherwise that of the machine's own.
pub fn folders() -> Vec<PathBuf> {
    match std::env::var("ISBSVC_TEST_REDIS") {
        Ok(folders) => folders.split(':').map(PathBuf::from).collect(),
        Err(_) => vec![program("redis-server").parent().expect("a folder").to_owned()],
    }
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var("PATH").expect("a PATH");
    let found = path.split(':').map(|folder| Path::new(folder).join(name)).find(|file| file.exists());
    found.unwrap_or_else(|| panic!("{name} is not on the PATH; `cargo xtask test` brings it"))
}

/// A service of three nodes, whose processes end with it.
pub struct Service {
    network: u8,
    root: PathBuf,
    programs: PathBuf,
    nodes: Vec<Node>,
    named: bool,
}

#[derive(Default)]
struct Node {
    redis: Option<Child>,
    sentinel: Option<Child>,
    /// How often it was started; where nodes have names, each start has an address of its own, as a new pod has.
    starts: u8,
}

impl Service {
    /// A service of so many nodes on 127.80.`network`.0/24 with Sentinels that take a node for down after two seconds; nothing runs yet.
    pub fn new(network: u8, image: &Image, size: usize) -> Self {
        // Memory where there is some: a disk that others keep busy would delay what the servers write, and no power is lost here.
        let shared = Path::new("/dev/shm");
        let base = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        let root = base.join(format!("isbsvc-redis-{}-{network}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let programs = root.join("bin");
        fs::create_dir_all(&programs).unwrap();
        let link = |target: &Path, name: &str| symlink(target, programs.join(name)).unwrap();
        let folder = match image {
            Image::Plain(folder) | Image::Busybox(folder) => folder,
        };
        for tool in TOOLS {
            match image {
                Image::Plain(_) => link(&program(tool), tool),
                Image::Busybox(_) => link(&program("busybox"), tool),
            }
        }
        for part in ["server", "cli"] {
            let maker = if matches!(image, Image::Busybox(_)) { "valkey" } else { "redis" };
            link(&folder.join(format!("redis-{part}")), &format!("{maker}-{part}"));
        }
        let service = Self { network, root, programs, nodes: (0..size).map(|_| Node::default()).collect(), named: false };
        for number in 0..size {
            let address = service.address(number);
            for port in [6379, 26379] {
                let left_over = std::net::TcpListener::bind((address.as_str(), port));
                left_over
                    .unwrap_or_else(|error| panic!("{address}:{port} is in use: {error}; a run that was broken off has left its servers"));
            }
            let home = service.folder(number).join("home");
            for folder in ["auth", "config", "scripts", "state"] {
                fs::create_dir_all(home.join(folder)).unwrap();
            }
            fs::create_dir_all(service.folder(number).join("tmp")).unwrap();
            fs::write(home.join("auth/redis-password"), PASSWORD).unwrap();
            for (name, text) in SCRIPTS {
                fs::write(home.join("scripts").join(name), text).unwrap();
            }
            fs::create_dir_all(service.data(number)).unwrap();
        }
        service.settings("sentinel", "sentinel down-after-milliseconds mymaster 2000\nsentinel failover-timeout mymaster 20000\n");
        service
    }

    /// Gives the nodes names as in a cluster, which no longer mean anything while a node is down, and another address after each start. Needs root.
    #[must_use]
    pub fn with_names(mut self) -> Self {
        self.named = true;
        self.write_hosts();
        self
    }

    /// How many nodes there are.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    fn write_hosts(&self) {
        let running = (0..self.size()).filter(|number| self.nodes[*number].redis.is_some());
        let lines: Vec<String> = running.map(|number| format!("{} {}\n", self.address(number), self.name(number))).collect();
        // The same file: it is mounted over /etc/hosts of each process.
        fs::write(self.root.join("hosts"), format!("127.0.0.1 localhost\n{}", lines.concat())).unwrap();
    }

    /// Starts all nodes of a new service and waits until it serves with all of them.
    pub fn begin(&mut self) -> usize {
        for number in 0..self.size() {
            fs::write(self.folder(number).join("home/state/initialised"), "false").unwrap();
            self.start(number);
        }
        let master = self.whole();
        for number in 0..self.size() {
            fs::write(self.folder(number).join("home/state/initialised"), "true").unwrap();
        }
        master
    }

    /// One of the users' texts, for all nodes; it counts from a node's next start.
    pub fn settings(&self, name: &str, text: &str) {
        for number in 0..self.size() {
            fs::write(self.folder(number).join(format!("home/config/{name}.conf")), text).unwrap();
        }
    }

    /// The address of a node.
    pub fn address(&self, number: usize) -> String {
        let life = if self.named { usize::from(self.nodes[number].starts) } else { 0 };
        format!("127.80.{}.{}", self.network, 10 * life + number + 1)
    }

    /// The name of a node: its address, unless nodes have names of their own.
    pub fn name(&self, number: usize) -> String {
        if self.named { format!("isbsvc-x-redis-{number}.isbsvc-x-redis-svc-headless.ns.svc") } else { self.address(number) }
    }

    fn folder(&self, number: usize) -> PathBuf {
        self.root.join(number.to_string())
    }

    /// The volume of a node.
    pub fn data(&self, number: usize) -> PathBuf {
        self.folder(number).join("data")
    }

    /// A command in the surroundings of a container of a node.
    fn script(&self, number: usize, words: &[&str]) -> Command {
        let folder = self.folder(number);
        let nodes: Vec<String> = (0..self.size()).map(|number| self.name(number)).collect();
        let shell = self.programs.join("sh");
        let mut command = if self.named {
            let mut command = Command::new(program("unshare"));
            let mount = format!("{} --bind {} /etc/hosts && exec \"$@\"", program("mount").display(), self.root.join("hosts").display());
            command.args(["--mount", "sh", "-c", &mount, "sh"]).arg(shell);
            command
        } else {
            Command::new(shell)
        };
        command
            .arg(folder.join("home/scripts").join(words[0]))
            .args(&words[1..])
            .env_clear()
            .env("PATH", &self.programs)
            .env("ISBSVC_NODE", self.name(number))
            .env("ISBSVC_NODES", nodes.join(" "))
            .env("ISBSVC_QUORUM", (self.size() / 2 + 1).to_string())
            .env("ISBSVC_HOME", folder.join("home"))
            .env("ISBSVC_DATA", folder.join("data"))
            .env("ISBSVC_TMP", folder.join("tmp"))
            .env("ISBSVC_BIND", self.address(number))
            .env("ISBSVC_LOCAL", self.address(number))
            .env("ISBSVC_PEER_WAIT", "6")
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    fn run(&self, number: usize, part: &str) -> Child {
        let log = fs::File::options().create(true).append(true).open(self.folder(number).join(format!("{part}.log"))).unwrap();
        let mut command = self.script(number, &[&format!("{part}.sh")]);
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// Starts both containers of a node.
    pub fn start(&mut self, number: usize) {
        self.nodes[number].starts += 1;
        self.nodes[number].redis = Some(self.run(number, "redis"));
        if self.named {
            self.write_hosts();
        }
        self.nodes[number].sentinel = Some(self.run(number, "sentinel"));
    }

    /// Ends all processes of a node at once, as a machine does that fails.
    pub fn kill(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        for mut child in [node.redis.take(), node.sentinel.take()].into_iter().flatten() {
            end(&mut child);
        }
        if self.named {
            self.write_hosts();
        }
    }

    /// Ends the container `redis` of a node, and starts it again.
    pub fn restart_redis(&mut self, number: usize) {
        end(self.nodes[number].redis.as_mut().expect("runs"));
        self.nodes[number].redis = Some(self.run(number, "redis"));
    }

    /// Ends the container `sentinel` of a node.
    pub fn kill_sentinel(&mut self, number: usize) {
        end(self.nodes[number].sentinel.as_mut().expect("runs"));
    }

    /// Starts the container `sentinel` of a node again.
    pub fn start_sentinel(&mut self, number: usize) {
        self.nodes[number].sentinel = Some(self.run(number, "sentinel"));
    }

    /// Stops a node as Kubernetes does: the hook first, then SIGTERM to both, the Sentinel before. What the hook said.
    pub fn terminate(&mut self, number: usize) -> String {
        let hook = self.script(number, &["stop.sh"]).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Kubernetes tells the container without a hook at the same time.
        let node = &mut self.nodes[number];
        let (mut redis, mut sentinel) = (node.redis.take().expect("runs"), node.sentinel.take().expect("runs"));
        signal("TERM", &sentinel.id().to_string());
        let said = hook.wait_with_output().unwrap();
        assert!(said.status.success());
        signal("TERM", &redis.id().to_string());
        for child in [&mut redis, &mut sentinel] {
            let status = until("the end of a stopped container", 20, || child.try_wait().unwrap());
            assert!(status.success(), "{status}");
        }
        String::from_utf8(said.stderr).unwrap()
    }

    /// Whether a probe of a node passes.
    pub fn probe(&self, number: usize, name: &str) -> bool {
        self.script(number, &["health.sh", name]).stderr(Stdio::null()).status().unwrap().success()
    }

    /// What both scripts of a node, and their servers, have said so far.
    pub fn said(&self, number: usize) -> String {
        ["redis", "sentinel"].map(|part| fs::read_to_string(self.folder(number).join(format!("{part}.log"))).unwrap_or_default()).concat()
    }

    /// The lines of a record: epoch, replication id, offset, time, role.
    pub fn record(&self, number: usize) -> Option<(u64, u64)> {
        let text = fs::read_to_string(self.data(number).join("isbsvc/record")).ok()?;
        let words: Vec<&str> = text.split_whitespace().collect();
        Some((words.first()?.parse().ok()?, words.get(2)?.parse().ok()?))
    }

    /// A client that outlives a borrow of the service.
    pub fn client(&self) -> Client {
        let mut programs = fs::read_dir(&self.programs).unwrap().map(|entry| entry.unwrap().path());
        let cli = programs.find(|path| path.to_string_lossy().ends_with("-cli")).expect("a redis-cli");
        Client { cli, addresses: (0..self.size()).map(|number| self.address(number)).collect() }
    }

    /// What redis-cli answers to commands, one a line, at a port of a node.
    pub fn ask(&self, number: usize, port: &str, commands: &str) -> String {
        self.client().ask(&self.address(number), port, commands)
    }

    /// What a node's Redis answers.
    pub fn redis(&self, number: usize, commands: &str) -> String {
        self.ask(number, "6379", commands)
    }

    /// A value of a running configuration.
    pub fn value(&self, number: usize, directive: &str) -> String {
        self.redis(number, &format!("CONFIG GET {directive}\n")).lines().nth(1).unwrap_or_default().to_owned()
    }

    /// Who is master in the eyes of a node's Sentinel.
    pub fn named(&self, number: usize) -> Option<usize> {
        let said = self.ask(number, "26379", "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster\n");
        (0..self.size()).find(|node| said.lines().next() == Some(&self.name(*node)))
    }

    fn is_master(&self, number: usize) -> bool {
        self.redis(number, "INFO replication\n").contains("role:master")
    }

    /// Waits until these nodes' Sentinels name one of them that runs as master, and gives it.
    pub fn master_of(&self, nodes: &[usize]) -> usize {
        until("a master that all Sentinels name", 60, || {
            let named: BTreeSet<Option<usize>> = nodes.iter().map(|node| self.named(*node)).collect();
            let master = (*named.first()?)?;
            (named.len() == 1 && nodes.contains(&master) && self.is_master(master)).then_some(master)
        })
    }

    /// Waits until all nodes run with one master and complete replicas that may be promoted, all Sentinels know each other and all records are of the
    /// same epoch; gives the master.
    pub fn whole(&self) -> usize {
        let others = (self.size() - 1).to_string();
        until("a whole service", 90, || {
            let master = self.master_of(&(0..self.size()).collect::<Vec<_>>());
            let whole = (0..self.size()).all(|node| {
                let said = self.redis(node, "INFO replication\n");
                let role = node == master
                    || said.contains("master_link_status:up") && said.contains(&format!("master_host:{}\r", self.name(master)));
                let sentinel =
                    self.ask(node, "26379", "SENTINEL MASTER mymaster\nSENTINEL CKQUORUM mymaster\nSENTINEL REPLICAS mymaster\n");
                let fields: Vec<&str> = sentinel.lines().collect();
                let field = |name: &str| fields.iter().position(|line| *line == name).and_then(|at| fields.get(at + 1)).copied();
                let epoch = |number| self.record(number).map(|(epoch, _)| epoch);
                role && epoch(node).is_some()
                    && epoch(node) == epoch(master)
                    && sentinel.contains(&format!("OK {} usable Sentinels", self.size()))
                    && field("num-other-sentinels") == Some(others.as_str())
                    && field("num-slaves") == Some(others.as_str())
                    && fields.windows(2).filter(|pair| pair == &["slave-priority", "100"]).count() == self.size() - 1
                    && self.probe(node, "redis-ready")
            });
            whole.then_some(master)
        })
    }

    /// Writes numbered entries at a node until as many replicas have acknowledged each; they. Right after a change of master some writes find no replica, and
    /// are sent again.
    ///
    /// # Panics
    /// After twenty seconds.
    pub fn write(&self, number: usize, entries: Range<u64>, replicas: usize) -> BTreeSet<u64> {
        let all: BTreeSet<u64> = entries.collect();
        let mut acknowledged = BTreeSet::new();
        until("all entries are acknowledged", 20, || {
            acknowledged.extend(self.write_once(number, all.difference(&acknowledged), replicas));
            (acknowledged == all).then_some(())
        });
        acknowledged
    }

    fn write_once<'a>(&self, number: usize, entries: impl Iterator<Item = &'a u64>, replicas: usize) -> BTreeSet<u64> {
        let commands: Vec<String> = entries.map(|entry| format!("ECHO e{entry}\nSADD entries {entry}\nWAIT {replicas} 1000\n")).collect();
        let said = self.redis(number, &commands.concat());
        let mut lines = said.lines();
        let mut acknowledged = BTreeSet::new();
        while let Some(line) = lines.next() {
            let Some(entry) = line.strip_prefix('e').and_then(|entry| entry.parse().ok()) else { continue };
            // None is added where it is there since the time before.
            if matches!(lines.next(), Some("0" | "1"))
                && lines.next().and_then(|count| count.parse::<usize>().ok()).is_some_and(|count| count >= replicas)
            {
                acknowledged.insert(entry);
            }
        }
        acknowledged
    }

    /// The entries that a node has.
    pub fn entries(&self, number: usize) -> BTreeSet<u64> {
        self.redis(number, "SMEMBERS entries\n").lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Ids of the processes of a node, with their arguments.
    pub fn command_lines(&self) -> Vec<String> {
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
        processes.map(|words| String::from_utf8_lossy(&words).replace('\0', " ")).collect()
    }
}

/// A client as a pipeline's: it asks a Sentinel for the master.
pub struct Client {
    cli: PathBuf,
    addresses: Vec<String>,
}

impl Client {
    fn ask(&self, address: &str, port: &str, commands: &str) -> String {
        let mut child = Command::new(&self.cli)
            .args(["-h", address, "-p", port])
            .env("REDISCLI_AUTH", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let commands = commands.to_owned();
        // From a thread: a long list fills the one pipe while the answers fill the other.
        let writer = std::thread::spawn(move || {
            let _ = stdin.write_all(commands.as_bytes());
        });
        let out = child.wait_with_output().unwrap();
        writer.join().unwrap();
        String::from_utf8(out.stdout).unwrap()
    }

    /// Writes an entry at the master that the Sentinel of this node names; whether it and a replica have it.
    pub fn write(&self, sentinel: usize, entry: u64) -> bool {
        let named = self.ask(&self.addresses[sentinel], "26379", "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster\n");
        let Some(master) = named.lines().next().filter(|line| line.starts_with("127.")) else { return false };
        let said = self.ask(master, "6379", &format!("SADD entries {entry}\nWAIT 1 1000\n"));
        let mut lines = said.lines();
        lines.next() == Some("1") && lines.next().is_some_and(|count| count != "0")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for number in 0..self.nodes.len() {
            if std::thread::panicking() {
                println!("── node {number}\n{}", self.said(number));
            }
            self.kill(number);
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Ends a script and all that it started.
fn end(child: &mut Child) {
    signal("KILL", &format!("-{}", child.id()));
    let _ = child.wait();
}

fn signal(name: &str, whom: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), "--", whom]).stderr(Stdio::null()).status();
}

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
