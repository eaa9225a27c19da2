//! Settings of the whole machine that kubelet changes: remembered before the first cluster starts, put back after the last one is gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::state;

// kubelet's `protectKernelDefaults: false` writes these.
const CHANGED_BY_KUBELET: [&str; 6] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

/// The file among the clusters' folders in which they are remembered.
pub const REMEMBERED: &str = "settings-before.json";

/// The settings as they are now.
pub fn settings() -> BTreeMap<&'static str, String> {
    CHANGED_BY_KUBELET.iter().filter_map(|name| Some((*name, fs::read_to_string(setting(name)).ok()?))).collect()
}

/// Remembers the settings, unless they are remembered already.
pub fn remember() -> Result<()> {
    let path = file()?;
    if path.exists() {
        return Ok(());
    }
    fs::write(&path, serde_json::to_vec(&settings())?).with_context(|| format!("cannot write {}", path.display()))
}

/// Puts the remembered settings back, and forgets them. For when no cluster is left.
pub fn restore() -> Result<()> {
    let path = file()?;
    let Ok(text) = fs::read(&path) else { return Ok(()) };
    let settings: BTreeMap<String, String> = serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
    for (name, before) in settings {
        let known = CHANGED_BY_KUBELET.contains(&name.as_str());
        let setting = setting(&name);
        if known && fs::read_to_string(&setting).is_ok_and(|now| now != before) {
            fs::write(&setting, before).with_context(|| format!("cannot put back {}", setting.display()))?;
        }
    }
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
}

fn file() -> Result<PathBuf> {
    Ok(state::clusters()?.join(REMEMBERED))
}

fn setting(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name)
}
