//! promtool, which says whether Prometheus takes our alert rules: from the PATH, or out of Debian's package, which is unpacked and not installed, because it
//! would start a server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::outside::{command, output};
use crate::cluster::progress::step;
use crate::cluster::state;
use crate::repository::{Package, cargo};

/// The test that asks it, which runs only where it is named.
const TEST: &str = "promtool_takes_the_rules_and_they_fire_when_they_should";

/// Where promtool is.
pub fn find() -> Result<PathBuf> {
    let works = |path: &Path| output(command(&path.to_string_lossy(), &["--version"]).current_dir("/")).is_ok();
    let kept = state::cache()?.join("bin/promtool");
    if let Some(found) = [PathBuf::from("promtool"), kept.clone()].into_iter().find(|path| works(path)) {
        return Ok(found);
    }
    step("promtool out of Debian's package prometheus, 19 MB", |_| unpack(&kept))?;
    ensure!(works(&kept), "{} does not run", kept.display());
    Ok(kept)
}

fn unpack(kept: &Path) -> Result<()> {
    let half_made = kept.with_extension("new");
    let _ = fs::remove_dir_all(&half_made);
    fs::create_dir_all(&half_made).with_context(|| half_made.display().to_string())?;
    let apt = |arguments: &[&str]| output(command("apt-get", arguments).current_dir(&half_made));
    // An old package list names versions that are gone; as in the prerequisites of the cluster.
    if apt(&["-q", "download", "prometheus"]).is_err() {
        apt(&["-q", "update"])?;
        apt(&["-q", "download", "prometheus"])?;
    }
    let package = fs::read_dir(&half_made)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "deb"));
    let package = package.context("apt-get downloaded no package")?;
    output(command("dpkg-deb", &["-x"]).arg(&package).arg("x").current_dir(&half_made))?;
    fs::rename(half_made.join("x/usr/bin/promtool"), kept).with_context(|| format!("cannot make {}", kept.display()))?;
    fs::remove_dir_all(&half_made).with_context(|| half_made.display().to_string())
}

/// Runs the test with it.
pub fn check(promtool: &Path, tests: Package<'_>) -> Result<()> {
    let words = [
        "test",
        "--locked",
        "--quiet",
        "-p",
        tests.name,
        "--features",
        tests.features,
        "--test",
        "monitoring",
        "--",
        "--ignored",
        "--exact",
        TEST,
    ];
    let out = cargo(&words).env("ISBSVC_TEST_PROMTOOL", promtool).output().context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&out.stdout);
    if !out.status.success() || !said.contains("1 passed") {
        // What failed is told on standard output, what does not compile on standard error.
        println!("{said}");
        eprintln!("{}", String::from_utf8_lossy(&out.stderr));
        let rerun = format!("ISBSVC_TEST_PROMTOOL={} cargo {}", promtool.display(), words.join(" "));
        bail!("the test {TEST} did not pass ({}); `{rerun}` runs it again", out.status);
    }
    Ok(())
}
