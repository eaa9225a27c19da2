//! The programs of the cluster, built from pinned Go modules into the user's cache.
//!
//! `xtask/cluster/<program>/go.mod` names versions and, as `tool`s, the programs. A build is kept under a key of everything that decides its bytes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::outside::last_lines;
use super::progress::{Step, line};
use super::{prerequisites, state};
use crate::repository;

/// One wrapper module and how it is built.
pub struct Program {
    /// Its folder under `xtask/cluster/`.
    pub name: &'static str,
    files: &'static [&'static str],
    link_flags: &'static str,
    tags: &'static str,
    /// Seconds that the build took on two cores with nothing cached; what a person is told to expect.
    expected: u64,
}

// The server calls itself v0.0.0-master without these, and kubectl cannot parse that.
const KUBERNETES_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 \
-X k8s.io/component-base/version.gitMinor=36 -X k8s.io/component-base/version.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3";

/// All programs, the one that all else waits for first.
pub const ALL: [Program; 7] = [
    Program {
        name: "kubernetes",
        files: &["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet", "server"],
        link_flags: KUBERNETES_FLAGS,
        tags: "",
        expected: 305,
    },
    Program {
        name: "containerd",
        files: &["containerd", "containerd-shim-runc-v2", "ctr"],
        link_flags: "-s -w -X github.com/containerd/containerd/v2/version.Version=2.2.0",
        tags: "no_aufs,no_btrfs,no_devmapper,no_zfs",
        expected: 55,
    },
    Program { name: "coredns", files: &["coredns"], link_flags: "-s -w", tags: "", expected: 80 },
    Program { name: "local-path-provisioner", files: &["local-path-provisioner"], link_flags: "-s -w", tags: "", expected: 60 },
    Program { name: "nats-server-2.10", files: &["nats-server"], link_flags: "-s -w", tags: "", expected: 15 },
    Program { name: "nats-server-2.12", files: &["nats-server"], link_flags: "-s -w", tags: "", expected: 15 },
    Program {
        name: "config-reloader",
        files: &["nats-server-config-reloader"],
        link_flags: "-s -w -X main.Version=0.22.4",
        tags: "",
        expected: 5,
    },
];

/// Where each program was built to.
pub struct Built {
    folders: Vec<(&'static str, PathBuf)>,
}

impl Built {
    /// The folder of the program with this name.
    pub fn folder(&self, name: &str) -> Result<&Path> {
        let found = self.folders.iter().find(|(program, _)| *program == name);
        found.map(|(_, folder)| folder.as_path()).with_context(|| format!("no program is called {name}"))
    }

    /// All folders.
    pub fn folders(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|(_, folder)| folder.clone()).collect()
    }
}

/// Builds what is not in the cache yet.
pub fn build() -> Result<Built> {
    let bin = state::cache()?.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
    let go = prerequisites::go(&source(&ALL[0]))?;
    let mut folders = Vec::new();
    let mut missing = Vec::new();
    for program in &ALL {
        let folder = bin.join(key(program, &source(program), &go)?);
        if !complete(program, &folder) {
            missing.push((program, folder.clone()));
        }
        folders.push((program.name, folder));
    }
    let count = missing.len();
    if count > 0 {
        let lock = File::create(bin.join(".lock"))?;
        if lock.try_lock().is_err() {
            line("  waiting: another build of the cluster's programs is running");
            lock.lock()?;
        }
        let total: u64 = missing.iter().map(|(program, _)| program.expected).sum();
        line(format_args!(
            "  {count} programs are not built yet: about {} min on 2 cores, once; they are kept in {}",
            total.div_ceil(60),
            bin.display()
        ));
        for (number, (program, folder)) in (1..).zip(&missing) {
            if !complete(program, folder) {
                build_one(program, folder, number, count)?;
            }
        }
    }
    Ok(Built { folders })
}

fn source(program: &Program) -> PathBuf {
    repository::root().join("xtask/cluster").join(program.name)
}

fn complete(program: &Program, folder: &Path) -> bool {
    program.files.iter().all(|file| folder.join(file).is_file())
}

fn key(program: &Program, source: &Path, go: &str) -> Result<String> {
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        let path = source.join(file);
        hash.update(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        hash.update([0]);
    }
    for part in [go, program.link_flags, program.tags, std::env::consts::ARCH] {
        hash.update(part);
        hash.update([0]);
    }
    Ok(format!("{}-{}", program.name, &hex(&hash.finalize())[..16]))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn build_one(program: &Program, folder: &Path, number: usize, count: usize) -> Result<()> {
    let expected = Duration::from_secs(program.expected);
    let title = format!("build {} ({number} of {count}, expected {} s)", program.name, expected.as_secs());
    let step = Step::begin_long(title);
    let half_made = PathBuf::from(format!("{}.new", folder.display()));
    let _ = fs::remove_dir_all(&half_made);
    fs::create_dir_all(&half_made)?;
    let mut command = Command::new("nice");
    command.args(["-n", "5", "go", "build", "-v", "-trimpath", "-buildvcs=false", "-mod=readonly", "-tags", program.tags]);
    command.args(["-ldflags", program.link_flags, "-o"]).arg(format!("{}/", half_made.display())).arg("tool");
    command.current_dir(source(program)).env("CGO_ENABLED", "0").env("GOWORK", "off").env_remove("GOFLAGS");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run `go build`")?;
    let mut said = String::new();
    let mut packages = 0;
    for line in BufReader::new(child.stderr.take().context("no standard error")?).lines() {
        let line = line?;
        // -v prints one import path for each package that is compiled; anything with a space is a message.
        if line.contains(' ') {
            step.say(line.clone());
        } else {
            packages += 1;
            step.say(format!("{packages} packages compiled; {line}"));
        }
        said += &line;
        said.push('\n');
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the build of {} failed ({status}):\n{}", program.name, last_lines(&said, 12));
    }
    if !complete(program, &half_made) {
        bail!("the build of {} did not make all of: {}", program.name, program.files.join(", "));
    }
    let _ = fs::remove_dir_all(folder);
    fs::rename(&half_made, folder)?;
    step.done();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_its_pinned_module_and_a_key_of_its_own() {
        let mut keys: Vec<String> = ALL.iter().map(|program| key(program, &source(program), "go1.26.8").unwrap()).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), ALL.len());
        let changed = key(&ALL[0], &source(&ALL[0]), "go1.26.9").unwrap();
        assert!(!keys.contains(&changed), "another Go makes another build");
    }
}
