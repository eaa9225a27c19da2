//! What must be on the machine: root, Debian's packages, Go. Missing packages are installed where that is possible.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::outside::{command, output};

/// The folders that programs of the machine are looked for in, whatever the caller's PATH says.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Debian package, and a program or file that it brings.
const PACKAGES: [(&str, &str); 13] = [
    ("runc", "runc"),
    ("containernetworking-plugins", "/usr/lib/cni/bridge"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("iproute2", "ip"),
    ("busybox-static", "busybox"),
    ("socat", "socat"),
    ("ethtool", "ethtool"),
    ("util-linux", "nsenter"),
    ("mount", "umount"),
    ("procps", "sysctl"),
    ("procps", "kill"),
    // What the server is, too, under the name redis-check-rdb; unlike redis-server it starts none on this machine.
    ("redis-tools", "redis-cli"),
];

/// Whether this process is root.
pub fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Uid:")).and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

/// An error unless this process is root.
pub fn require_root(verb: &str) -> Result<()> {
    if !is_root() {
        bail!(
            "`cargo xtask cluster {verb}` needs root, for namespaces and mounts; without root, use a cluster of yours: `cargo xtask demo --context NAME`"
        );
    }
    Ok(())
}

/// Installs the packages that are missing, or names the command that does.
pub fn packages(say: impl Fn(String)) -> Result<()> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !is_root() || !present("apt-get") {
        bail!("missing on this machine: {list}; on Debian install them with `sudo apt-get install {list}`");
    }
    say(format!("apt-get install {list}"));
    install(&missing).with_context(|| format!("cannot install {list}"))?;
    match missing_packages() {
        left if left.is_empty() => Ok(()),
        left => bail!("installed, but still missing: {}", left.join(" ")),
    }
}

/// Installs Debian's packages.
pub fn install(packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| output(command("apt-get", arguments).env("DEBIAN_FRONTEND", "noninteractive"));
    let install = [&["-q", "-y", "--no-install-recommends", "install"], packages].concat();
    // An old package list names versions that are gone: the first failure asks for a new one.
    if apt(&install).is_err() {
        apt(&["-q", "update"])?;
        apt(&install)?;
    }
    Ok(())
}

/// An error unless a Go that can build the programs is there; otherwise its version, such as `go1.26.8`. `module` is one of theirs: a Go from 1.21 on fetches
/// the newer one that a module asks for, and says so only there.
pub fn go(module: &Path) -> Result<String> {
    let version = match output(command("go", &["env", "GOVERSION"]).current_dir(module)) {
        Ok(version) => version,
        Err(error) if error.is::<std::io::Error>() => bail!("`go` is not on the PATH; {}", how_to_get_go()),
        Err(error) => bail!("{error:#}; {}", how_to_get_go()),
    };
    let version = version.trim();
    if !new_enough(version) {
        bail!("`go` here is {version}; {}", how_to_get_go());
    }
    Ok(version.to_owned())
}

fn how_to_get_go() -> String {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!(
        "Go 1.26 or newer is needed to build the local cluster's programs, and Debian's golang-go may be older: \
         `curl -L https://go.dev/dl/go1.26.0.linux-{machine}.tar.gz | tar -xz -C /usr/local && export PATH=/usr/local/go/bin:$PATH` installs it"
    )
}

fn missing_packages() -> Vec<&'static str> {
    let mut missing: Vec<_> = PACKAGES.iter().filter(|(_, brings)| !present(brings)).map(|(package, _)| *package).collect();
    missing.dedup();
    missing
}

fn present(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    PATH.split(':').any(|folder| Path::new(folder).join(program).exists())
}

fn new_enough(version: &str) -> bool {
    let mut parts = version.trim_start_matches("go").split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (1, 26)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_no_go_is_told_the_command_that_installs_it_in_one_line() {
        let said = how_to_get_go();
        assert!(!said.contains('\n') && !said.contains("  ") && said.contains("| tar -xz -C /usr/local"), "{said}");
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(new_enough("go1.26.8") && new_enough("go1.27rc1") && new_enough("go2.0"));
        assert!(!new_enough("go1.9.9") && !new_enough("go1.25.12") && !new_enough(""));
    }
}
