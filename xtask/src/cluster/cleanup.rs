//! Removes every trace of a cluster: processes, mounts, the host's interface with its routes, cgroups, its folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::addresses::Addresses;
use super::node;
use super::outside::{command, output, run};
use super::progress::wait;

/// Stops the cluster in `state` and undoes all that it did to the machine; its folder stays.
///
/// It works from what is found on the machine, not from what was recorded, so that it also cleans what a crash left.
pub fn stop(state: &Path, addresses: Option<Addresses>) -> Result<()> {
    kill(state)?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read the list of mounts")?;
    for mount in mounts_below(&mounts, state) {
        run("umount", &["-l", &mount])?;
    }
    let _ = fs::remove_dir_all(state.join("ns"));
    if let Some(addresses) = addresses {
        let interface = addresses.host_interface();
        if Path::new("/sys/class/net").join(&interface).exists() {
            // It goes by itself with the other end's namespace, perhaps between the look and the command.
            let removed = run("ip", &["link", "delete", &interface]);
            if Path::new("/sys/class/net").join(&interface).exists() {
                removed?;
            }
        }
        remove_cgroups(&addresses.cgroup())?;
    }
    Ok(())
}

/// Removes the cluster's folder.
pub fn forget(state: &Path) -> Result<()> {
    match fs::remove_dir_all(state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", state.display()))
        }
        _ => Ok(()),
    }
}

// Found by the command line in this same look, so that a process id that was given away again is not hit.
fn kill(state: &Path) -> Result<()> {
    let look = || node::roots(&node::processes(), state);
    // Some go with their parents before their turn comes, and `kill` calls that a failure: it is one when they do not end.
    let mut refused = None;
    let ended = wait("the cluster's processes to end", Duration::from_secs(20), Duration::from_millis(50), || {
        let roots = look();
        let same = |process: &node::Process| node::words(process.pid).as_ref() == Some(&process.words);
        let pids: Vec<String> = roots.iter().filter(|(_, process)| same(process)).map(|(_, process)| process.pid.to_string()).collect();
        if !pids.is_empty() {
            refused = output(command("kill", &["-9"]).args(&pids)).err();
            if let Some(error) = refused.take_if(|error| error.is::<std::io::Error>()) {
                return Err(error);
            }
        }
        Ok(roots.is_empty() && node::programs(&node::processes(), state).is_empty())
    });
    match (ended, refused) {
        (Err(late), Some(refused)) => Err(refused.context(late)),
        (ended, _) => ended,
    }
}

fn mounts_below(mountinfo: &str, state: &Path) -> Vec<String> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| point.replace("\\040", " "));
    let mut mounts: Vec<String> = points.filter(|point| Path::new(point).starts_with(state)).collect();
    mounts.reverse();
    mounts
}

/// The folders of a cgroup in all hierarchies, deepest first.
fn cgroup_folders(cgroup: &str) -> Vec<PathBuf> {
    let name = cgroup.trim_start_matches('/');
    let mut tops = vec![Path::new("/sys/fs/cgroup").join(name)];
    if let Ok(entries) = fs::read_dir("/sys/fs/cgroup") {
        tops.extend(entries.filter_map(Result::ok).map(|entry| entry.path().join(name)));
    }
    let mut folders = Vec::new();
    for top in tops.into_iter().filter(|top| top.is_dir()) {
        depth_first(&top, &mut folders);
    }
    folders
}

fn depth_first(folder: &Path, into: &mut Vec<PathBuf>) {
    if let Ok(entries) = fs::read_dir(folder) {
        for entry in entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            depth_first(&entry.path(), into);
        }
    }
    into.push(folder.to_owned());
}

// The kernel empties a cgroup some time after its last process was killed.
fn remove_cgroups(cgroup: &str) -> Result<()> {
    for _ in 0..50 {
        let folders = cgroup_folders(cgroup);
        if folders.is_empty() {
            return Ok(());
        }
        for folder in folders {
            let _ = fs::remove_dir(folder);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    match cgroup_folders(cgroup) {
        left if left.is_empty() => Ok(()),
        left => bail!("{} cgroup folders cannot be removed, such as {}", left.len(), left[0].display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_the_cluster_ends_and_another_ones_does_not() {
        let [ours, others] = ["/nonexistent/isbsvc-killed", "/nonexistent/isbsvc-killed-2"].map(|state| {
            let script = format!("{state}/scripts/node.sh");
            let words = ["-c", "while :; do sleep 0.1; done", &script, state, "n1"];
            std::process::Command::new("bash").args(words).spawn().unwrap()
        });
        let (mut ours, mut others) = (ours, others);
        // A process that has just begun has no arguments yet.
        for process in [&ours, &others] {
            let shown = || Ok(fs::read_to_string(format!("/proc/{}/cmdline", process.id())).is_ok_and(|words| words.contains("node.sh")));
            wait("its arguments to be seen", Duration::from_secs(10), Duration::from_millis(10), shown).unwrap();
        }
        let said = kill(Path::new("/nonexistent/isbsvc-killed"));
        let other_lives = others.try_wait().unwrap().is_none();
        others.kill().unwrap();
        others.wait().unwrap();
        let limit = Duration::from_secs(10);
        let ended = wait("our process to end", limit, Duration::from_millis(10), || Ok(ours.try_wait()?.is_some()));
        ours.kill().unwrap();
        ours.wait().unwrap();
        said.unwrap();
        // Whoever finds no process has nothing to end, and calls that well done.
        ended.unwrap();
        assert!(other_lives);
    }

    #[test]
    fn mounts_of_this_cluster_only_and_the_newest_first() {
        let mountinfo = "31 1 0:4 net:[1] /s/isbsvc/ns/cp rw - nsfs nsfs rw\n\
                         32 1 0:4 net:[2] /s/isbsvc/ns/n1 rw - nsfs nsfs rw\n\
                         33 1 0:4 net:[3] /s/isbsvc-2/ns/n1 rw - nsfs nsfs rw\n\
                         34 1 8:1 / / rw - ext4 /dev/a rw\n";
        assert_eq!(mounts_below(mountinfo, Path::new("/s/isbsvc")), ["/s/isbsvc/ns/n1", "/s/isbsvc/ns/cp"]);
    }
}
