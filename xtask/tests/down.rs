//! `cargo xtask cluster down` after a crash of an earlier one, on a folder of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn down(state: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["cluster", "down"]).args(arguments).env("XDG_STATE_HOME", state).output().expect("the program runs")
}

/// The folder of a cluster goes before the machine's settings are put back and its lock goes: a crash in between leaves both for the next one.
#[test]
fn what_a_crash_of_down_left_goes_with_the_next_one() {
    for arguments in [["--name", "gone"].as_slice(), &["--all"]] {
        let state = tempfile::tempdir().expect("a folder");
        let clusters = state.path().join("isbsvc/clusters");
        fs::create_dir_all(&clusters).expect("a folder");
        fs::write(clusters.join("gone.lock"), "").expect("written");
        // Settings as they are: putting them back is to be seen by their file, and changes nothing.
        let setting = fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
        let settings = serde_json::json!({ "vm/overcommit_memory": setting });
        fs::write(clusters.join("settings-before.json"), settings.to_string()).expect("written");

        let said = down(state.path(), arguments);
        let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        if err.contains("needs root") {
            return;
        }
        assert!(said.status.success() && out.contains("finish the removal of the cluster gone"), "{out}{err}");
        assert!(!clusters.join("gone.lock").exists() && !clusters.join("settings-before.json").exists());
        let said = down(state.path(), arguments);
        assert!(said.status.success() && String::from_utf8_lossy(&said.stdout).contains("there is no cluster"), "{said:?}");
    }
}
