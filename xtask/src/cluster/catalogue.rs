//! The images of the local cluster: those of its own, and those made from this repository's programs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::images::{Entry, Image, etc, prune};
use super::outside::output;
use super::programs::Built;
use super::state;
use crate::repository::{Package, compile};

/// How our own programs are compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// As shipped.
    #[default]
    Release,
    /// Quickly, and large.
    Dev,
}

// Each build of our own programs makes new archives.
const UNUSED: Duration = Duration::from_hours(48);

const BUSYBOX: [&str; 3] = ["/usr/bin/busybox", "/bin/busybox", "/usr/sbin/busybox"];

/// The images that every cluster has: pause, busybox, two versions of NATS, the configuration reloader, Debian's Redis. Gives their archives.
pub fn base(built: &Built) -> Result<Vec<PathBuf>> {
    let cache = state::cache()?.join("images");
    let busybox = BUSYBOX.iter().map(Path::new).find(|path| path.exists()).context("busybox is not installed")?;
    let mut images = vec![pause(busybox), shell(busybox)?];
    for (program, version) in [("nats-server-2.10", "2.10.29"), ("nats-server-2.12", "2.12.7")] {
        images.push(nats(version, &built.folder(program)?.join("nats-server")));
    }
    images.push(reloader(&built.folder("config-reloader")?.join("nats-server-config-reloader")));
    images.push(redis(busybox)?);
    let archives = images.iter().map(|image| image.archive(&cache)).collect::<Result<_>>()?;
    prune(&cache, UNUSED)?;
    Ok(archives)
}

// The first process of every pod. In a pod with one process namespace for all containers it is also the one that orphans go to: a shell reaps them.
fn pause(busybox: &Path) -> Image {
    let script = "trap 'exit 0' TERM INT; while :; do /busybox sleep 2147483647 & wait; done";
    Image {
        reference: "localhost/pause:1".into(),
        entries: vec![Entry::Program("busybox".into(), busybox.to_owned())],
        entrypoint: ["/busybox", "sh", "-c", script].map(str::to_owned).into(),
        user: "65535:65535".into(),
        ..Image::default()
    }
}

/// `/bin` with the tools of busybox, and `/tmp`.
fn tools(busybox: &Path) -> Result<Vec<Entry>> {
    let applets = output(Command::new(busybox).arg("--list").stdin(Stdio::null()))?;
    let mut entries = etc();
    entries.push(Entry::Folder("bin".into(), 0o755));
    entries.push(Entry::Folder("tmp".into(), 0o1777));
    entries.push(Entry::Program("bin/busybox".into(), busybox.to_owned()));
    let links = applets.lines().filter(|applet| !applet.is_empty() && *applet != "busybox");
    entries.extend(links.map(|applet| Entry::Link(format!("bin/{applet}"), "busybox".into())));
    Ok(entries)
}

/// Debian's Redis where the official image has it, with the shell of busybox instead of Debian's, and the libraries that it is linked with.
fn redis(busybox: &Path) -> Result<Image> {
    let (server, client) = (Path::new("/usr/bin/redis-check-rdb"), Path::new("/usr/bin/redis-cli"));
    let said = output(Command::new(client).arg("--version").stdin(Stdio::null()))?;
    let version = said.split_whitespace().nth(1).with_context(|| format!("redis-cli does not say its version: {said}"))?.to_owned();
    let mut entries = tools(busybox)?;
    let mut libraries = BTreeSet::new();
    for program in [server, client] {
        libraries.extend(linked(program)?);
    }
    let programs = [("redis-server", server), ("redis-cli", client)].map(|(name, from)| (format!("usr/local/bin/{name}"), from.to_owned()));
    let files: Vec<_> =
        libraries.into_iter().map(|path| (path.display().to_string().trim_start_matches('/').to_owned(), path)).chain(programs).collect();
    let mut folders = BTreeSet::from(["bin".to_owned(), "etc".to_owned(), "tmp".to_owned()]);
    for (path, from) in files {
        for (end, _) in path.match_indices('/') {
            if folders.insert(path[..end].to_owned()) {
                entries.push(Entry::Folder(path[..end].to_owned(), 0o755));
            }
        }
        entries.push(Entry::Program(path, from));
    }
    entries.push(Entry::Link("usr/local/bin/redis-sentinel".into(), "redis-server".into()));
    entries.push(Entry::Folder("data".into(), 0o1777));
    let entrypoint = vec!["redis-server".into()];
    Ok(Image {
        reference: format!("localhost/redis:{version}"),
        entries,
        entrypoint,
        path: "/usr/local/bin:/bin".into(),
        user: "999:999".into(),
        ..Image::default()
    })
}

/// The libraries that a program of this machine is linked with, and the loader, as it names them.
fn linked(program: &Path) -> Result<Vec<PathBuf>> {
    let said = output(Command::new("ldd").arg(program).stdin(Stdio::null()))?;
    Ok(said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

fn shell(busybox: &Path) -> Result<Image> {
    let entries = tools(busybox)?;
    Ok(Image { reference: "localhost/busybox:1".into(), entries, command: vec!["/bin/sh".into()], path: "/bin".into(), ..Image::default() })
}

// As the official image: the program at the root, and nothing else that matters.
fn nats(version: &str, program: &Path) -> Image {
    let mut entries = etc();
    entries.push(Entry::Program("nats-server".into(), program.to_owned()));
    let entrypoint = vec!["/nats-server".into()];
    Image { reference: format!("localhost/nats:{version}"), entries, entrypoint, path: "/".into(), ..Image::default() }
}

fn reloader(program: &Path) -> Image {
    let mut entries = etc();
    entries.extend(["usr", "usr/local", "usr/local/bin"].map(|folder| Entry::Folder(folder.into(), 0o755)));
    entries.push(Entry::Program("usr/local/bin/nats-server-config-reloader".into(), program.to_owned()));
    Image {
        reference: "localhost/nats-server-config-reloader:0.22.4".into(),
        entries,
        entrypoint: vec!["nats-server-config-reloader".into()],
        path: "/usr/local/bin".into(),
        ..Image::default()
    }
}

/// Compiles the controller and the webhook and gives the archives of their images, `localhost/<program>:dev`.
pub fn own(profile: Profile, say: impl Fn(String)) -> Result<Vec<PathBuf>> {
    let cache = state::cache()?.join("images");
    let mut archives = Vec::new();
    for (name, features, program) in [("isbsvc", "controller", "isbsvc-controller"), ("isbsvc-webhook", "", "isbsvc-webhook")] {
        let build = format!("cargo build -p {name} --bin {program}");
        say(build.clone());
        let far = |far| say(format!("{build}: {far}"));
        let binary = compile(Package { name, features }, program, profile == Profile::Release, &far)?;
        say(format!("localhost/{program}:dev"));
        archives.push(Image::of_program(format!("localhost/{program}:dev"), &binary)?.archive(&cache)?);
    }
    Ok(archives)
}
