//! What is kept of each cluster: its folder, its record (index, nodes, phase), and the registry that gives out indexes.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::addresses::{Addresses, MAX_CLUSTERS};
use super::kernel;

/// How far a cluster has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// `up` has begun and has not ended: after a crash this stays, and the next `up` cleans it away.
    Starting,
    /// `up` has ended well.
    Running,
    /// `down --keep` stopped it; its data are here.
    Kept,
}

/// The record of one cluster, `cluster.json` in its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Fixes all addresses; see [`Addresses`].
    pub index: u8,
    /// Number of nodes.
    pub nodes: u8,
    /// How far it has come.
    pub phase: Phase,
}

// Its lock lies beside those of the clusters, and none of them may have its name.
const REGISTRY: &str = "registry";

/// The user's cache folder for this project: programs and images, shared by all clusters.
pub fn cache() -> Result<PathBuf> {
    from_environment("XDG_CACHE_HOME", ".cache").map(|folder| folder.join("isbsvc"))
}

/// The folder that holds a folder for each cluster.
pub fn clusters() -> Result<PathBuf> {
    match std::env::var_os("XDG_STATE_HOME") {
        Some(folder) if Path::new(&folder).is_absolute() => Ok(PathBuf::from(folder).join("isbsvc/clusters")),
        _ => Ok(cache()?.join("clusters")),
    }
}

fn from_environment(variable: &str, below_home: &str) -> Result<PathBuf> {
    match std::env::var_os(variable) {
        Some(folder) if Path::new(&folder).is_absolute() => Ok(PathBuf::from(folder)),
        _ => {
            let home = std::env::home_dir().filter(|home| home.is_absolute());
            Ok(home.context("neither HOME nor XDG_CACHE_HOME names a folder to keep things in")?.join(below_home))
        }
    }
}

/// The folder of a cluster, checking its name.
pub fn folder(name: &str) -> Result<PathBuf> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 40 || !name.chars().all(fine) || name.starts_with('-') {
        bail!("a cluster's name is 1 to 40 characters of a-z, 0-9 and '-', not {name:?}");
    }
    if name == REGISTRY {
        bail!("a cluster cannot be called {REGISTRY}; give another --name");
    }
    Ok(clusters()?.join(name))
}

/// The record of the cluster in `folder`: none when there is no such cluster.
pub fn read(folder: &Path) -> Result<Option<Record>> {
    let path = folder.join("cluster.json");
    match fs::read(&path) {
        Ok(text) => match serde_json::from_slice::<Record>(&text) {
            Ok(record) if record.index < MAX_CLUSTERS => Ok(Some(record)),
            _ => bail!("{} is damaged; `cargo xtask cluster down` for that name removes the cluster", path.display()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a record, whole or not at all.
pub fn write(folder: &Path, record: &Record) -> Result<()> {
    fs::create_dir_all(folder)?;
    let new = folder.join("cluster.json.new");
    fs::write(&new, serde_json::to_vec(record)?)?;
    fs::rename(&new, folder.join("cluster.json")).with_context(|| format!("cannot write the record in {}", folder.display()))
}

/// The names of all clusters that have a folder.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    if let Ok(entries) = fs::read_dir(clusters()?) {
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
    }
    names.sort();
    Ok(names)
}

/// The names of clusters that are gone but for their lock, which goes last: something cut their removal short, or their start before it had begun. A lock
/// that is held is of a cluster that comes or goes just now, and not among them.
pub fn half_removed() -> Result<Vec<String>> {
    half_removed_below(&clusters()?)
}

fn half_removed_below(root: &Path) -> Result<Vec<String>> {
    let mut left = Vec::new();
    if let Ok(entries) = fs::read_dir(root) {
        for entry in entries {
            let file = entry?.file_name();
            let lock = file.to_str().and_then(|file| file.strip_suffix(".lock"));
            let held = |name: &str| {
                let file = File::open(root.join(format!("{name}.lock")));
                file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
            };
            // The lock comes first: who lets go of it afterwards has made the folder, or removed it, before.
            left.extend(lock.filter(|name| *name != REGISTRY && !held(name) && !root.join(name).exists()).map(str::to_owned));
        }
    }
    left.sort();
    Ok(left)
}

/// Whether anything is there of a cluster, if only its lock: one whose start is being prepared has no folder yet.
pub fn is_there(name: &str) -> Result<bool> {
    Ok(folder(name)?.exists() || clusters()?.join(format!("{name}.lock")).exists())
}

/// Takes the lock of one cluster: `up`, `down` and `load` of the same name exclude each other. Held until dropped, or until the process dies.
pub fn lock(name: &str) -> Result<File> {
    folder(name)?;
    let root = clusters()?;
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    let path = root.join(format!("{name}.lock"));
    loop {
        let file = File::create(&path)?;
        if file.try_lock().is_err() {
            eprintln!("waiting: another `cargo xtask` is at work on the cluster {name}");
            file.lock()?;
        }
        // `down` removes the file with the rest: a lock on a removed file excludes nobody.
        if fs::metadata(&path).is_ok_and(|now| file.metadata().is_ok_and(|held| held.ino() == now.ino())) {
            return Ok(file);
        }
    }
}

/// Takes the lock of the registry, until dropped. Its file and the folder of the clusters are made by the first who does, and stay.
pub fn registry() -> Result<File> {
    registry_below(&clusters()?)
}

fn registry_below(root: &Path) -> Result<File> {
    fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
    let path = root.join(format!("{REGISTRY}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.lock()?;
    Ok(file)
}

/// After a cluster is gone: puts the machine's settings back if it was the last one, and removes its lock, which the caller still holds.
pub fn release(name: &str) -> Result<()> {
    let root = clusters()?;
    let _registry = registry()?;
    if names()?.is_empty() {
        kernel::restore()?;
    }
    let _ = fs::remove_file(root.join(format!("{name}.lock")));
    Ok(())
}

/// Records a new cluster under the lowest free index.
pub fn register(name: &str, nodes: u8) -> Result<Record> {
    let root = clusters()?;
    let _registry = registry()?;
    kernel::remember()?;
    let mut taken = Vec::new();
    for other in names()? {
        taken.extend(read(&root.join(other))?.map(|record| record.index));
    }
    let free = lowest_free(&taken, |index| Path::new("/sys/class/net").join(Addresses::new(index).host_interface()).exists());
    let Some(index) = free else {
        bail!(
            "all {MAX_CLUSTERS} places for clusters are taken ({}); `cargo xtask cluster down --name NAME` frees one",
            names()?.join(", ")
        );
    };
    let record = Record { index, nodes, phase: Phase::Starting };
    write(&folder(name)?, &record)?;
    Ok(record)
}

fn lowest_free(taken: &[u8], in_use: impl Fn(u8) -> bool) -> Option<u8> {
    (0..MAX_CLUSTERS).find(|index| !taken.contains(index) && !in_use(*index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_index_is_given_out() {
        assert_eq!(lowest_free(&[], |_| false), Some(0));
        assert_eq!(lowest_free(&[0, 2], |index| index == 1), Some(3));
        assert_eq!(lowest_free(&(0..MAX_CLUSTERS).collect::<Vec<_>>(), |_| false), None);
    }

    #[test]
    fn the_registry_can_be_locked_on_a_bare_machine_and_stays() {
        let state = tempfile::tempdir().unwrap();
        let root = state.path().join("isbsvc/clusters");
        let lock = registry_below(&root).unwrap();
        assert!(File::open(root.join("registry.lock")).unwrap().try_lock().is_err(), "nobody holds it");
        drop(lock);
        drop(registry_below(&root).unwrap());
        let left: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["registry.lock"]);
    }

    #[test]
    fn a_lock_without_a_folder_is_a_removal_that_was_cut_short() {
        let root = tempfile::tempdir().unwrap();
        assert!(half_removed_below(&root.path().join("nothing")).unwrap().is_empty());
        fs::create_dir(root.path().join("lives")).unwrap();
        for file in ["lives.lock", "gone.lock", "registry.lock", "settings-before.json"] {
            fs::write(root.path().join(file), "").unwrap();
        }
        assert_eq!(half_removed_below(root.path()).unwrap(), ["gone"]);
    }

    #[test]
    fn a_cluster_that_is_just_starting_is_not_half_removed() {
        let root = tempfile::tempdir().unwrap();
        let starting = File::create(root.path().join("starting.lock")).unwrap();
        starting.lock().unwrap();
        assert!(half_removed_below(root.path()).unwrap().is_empty());
        drop(starting);
        assert_eq!(half_removed_below(root.path()).unwrap(), ["starting"]);
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for bad in ["", "..", "a/b", "A", "-a", "a b", REGISTRY] {
            assert!(folder(bad).is_err(), "{bad:?}");
        }
        assert!(folder("isbsvc-test1").is_ok());
    }
}
