//! Everything on this machine that a cluster could leave behind, as sets of lines that two looks can be compared by.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

use crate::cluster::addresses::Addresses;
use crate::cluster::outside::{command, output};
use crate::cluster::{kernel, node, prerequisites, state};

/// Where the programs of a node keep things; each cluster has mounts of its own there.
const PLACES: [&str; 10] = [
    "/etc/cni",
    "/opt/cni",
    "/run/cni-ipam",
    "/run/containerd",
    "/run/netns",
    "/run/runc",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/kubelet",
    "/var/log/pods",
];

/// The kind of what the first cluster of all changes and the last one puts back.
const SETTINGS: &str = "settings";

/// What was found, by kind, and whether no other cluster was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    kinds: BTreeMap<&'static str, BTreeSet<String>>,
    alone: bool,
}

impl Traces {
    /// Looks, and leaves out what belongs to clusters other than `ours`, which come and go meanwhile.
    pub fn look(ours: &[&str]) -> Result<Self> {
        let clusters = state::clusters()?;
        let mut others = Vec::new();
        let names = other_names(&entries(&clusters)?, &clusters, ours);
        for name in &names {
            let folder = clusters.join(name);
            let index = state::read(&folder).unwrap_or(None).map(|record| record.index);
            others.extend(marks(&folder, index));
        }
        let mut files = BTreeSet::new();
        for place in PLACES.iter().map(Path::new).chain([clusters.as_path()]) {
            files.extend(entries(place)?);
        }
        let mut settings: BTreeSet<String> =
            kernel::settings().into_iter().map(|(name, value)| format!("{name}={}", value.trim())).collect();
        // They are remembered in a file for as long as any cluster is there.
        settings.extend(files.take(&clusters.join(kernel::REMEMBERED).display().to_string()));
        let found = BTreeMap::from([
            ("mounts", mounts(&fs::read_to_string("/proc/self/mountinfo")?)),
            ("interfaces", entries(Path::new("/sys/class/net"))?),
            ("routes", lines(&said("ip", &["route", "show", "table", "all"])?)),
            ("packet filter", packet_filter(&said("iptables-save", &[])?)),
            ("packet filter, version 6", packet_filter(&said("ip6tables-save", &[])?)),
            ("cgroups", cgroups()),
            (SETTINGS, settings),
            ("processes", processes(&clusters)),
            ("files", files),
        ]);
        let of_ours = |lines: BTreeSet<String>| lines.into_iter().filter(|line| !is_marked(line, &others)).collect();
        Ok(Self { kinds: found.into_iter().map(|(kind, lines)| (kind, of_ours(lines))).collect(), alone: names.is_empty() })
    }

    /// What differs, a line each: `+` is new, `-` is gone. Settings of the machine only where no other cluster may have changed them.
    pub fn changes(&self, after: &Self) -> Vec<String> {
        let none = BTreeSet::new();
        let of = |traces: &Self, kind| traces.kinds.get(kind).unwrap_or(&none).clone();
        let kinds: BTreeSet<&str> = self.kinds.keys().chain(after.kinds.keys()).copied().collect();
        let settings = self.alone && after.alone;
        let mut changes = Vec::new();
        for kind in kinds.into_iter().filter(|kind| settings || *kind != SETTINGS) {
            let (before, after) = (of(self, kind), of(after, kind));
            changes.extend(after.difference(&before).map(|line| format!("+ {kind}: {line}")));
            changes.extend(before.difference(&after).map(|line| format!("- {kind}: {line}")));
        }
        changes
    }

    /// How many lines there are.
    pub fn count(&self) -> usize {
        self.kinds.values().map(BTreeSet::len).sum()
    }
}

// Of clusters that are not ours: by their folders, or by the lock alone while their start is being prepared.
fn other_names(files: &BTreeSet<String>, clusters: &Path, ours: &[&str]) -> BTreeSet<String> {
    let names = files.iter().filter_map(|file| Path::new(file).strip_prefix(clusters).ok()?.to_str());
    let names = names.map(|name| name.strip_suffix(".lock").unwrap_or(name));
    // The registry, and anything that is not named as a cluster, is of the machine.
    names.filter(|name| !ours.contains(name) && state::folder(name).is_ok()).map(str::to_owned).collect()
}

// The folder itself is a line that ends with it.
fn is_marked(line: &str, marks: &[String]) -> bool {
    let line = format!("{line}/");
    marks.iter().any(|mark| line.contains(mark.as_str()))
}

// What only that cluster's lines hold.
fn marks(folder: &Path, index: Option<u8>) -> Vec<String> {
    let folder = folder.display();
    let mut marks = vec![format!("{folder}/"), format!("{folder}.lock")];
    if let Some(index) = index {
        let addresses = Addresses::new(index);
        // 10.103.0.0/16 and 10.99.3.1: what comes before the part that counts pods, services or nodes.
        let (pods, services, nodes) = (addresses.pods(), addresses.services(), addresses.control_plane().to_string());
        marks.extend(
            [pods.strip_suffix("0.0/16"), services.strip_suffix("0.0/16"), nodes.strip_suffix('1')]
                .into_iter()
                .flatten()
                .map(str::to_owned),
        );
        marks.push(addresses.host_interface());
    }
    marks
}

// What cannot be looked at is an error: taken for a line, it would be the same before and after.
fn said(program: &str, arguments: &[&str]) -> Result<String> {
    output(command(program, arguments).env("PATH", prerequisites::PATH))
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(|line| line.trim().to_owned()).collect()
}

// Ids are given away again: what is mounted where is told by the root, the place, the kind and the source.
fn mounts(mountinfo: &str) -> BTreeSet<String> {
    let one = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').take(2).collect();
        Some(format!("{} {} {}", left.get(3)?, left.get(4)?, right.join(" ")))
    };
    mountinfo.lines().filter_map(one).collect()
}

// Comments hold the time, and counters count whatever passes.
fn packet_filter(text: &str) -> BTreeSet<String> {
    let rules = text.lines().filter(|line| !line.starts_with('#'));
    rules.map(|line| line.split(" [").next().unwrap_or_default().to_owned()).collect()
}

// The folder and what is in it; of one that is not there, nothing.
fn entries(folder: &Path) -> Result<BTreeSet<String>> {
    let found = match fs::read_dir(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot look into {}", folder.display())),
    };
    let mut entries = BTreeSet::from([folder.display().to_string()]);
    for entry in found {
        entries.insert(entry?.path().display().to_string());
    }
    Ok(entries)
}

// Two levels: hierarchies, and what stands at their roots.
fn cgroups() -> BTreeSet<String> {
    let folders = |folder: &Path| -> Vec<_> {
        let found = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        found.filter(|path| path.is_dir()).collect()
    };
    let tops = folders(Path::new("/sys/fs/cgroup"));
    let below = tops.iter().flat_map(|top| folders(top));
    below.chain(tops.clone()).map(|path| path.display().to_string()).collect()
}

// Of any cluster: by the folder that their programs name, or by the cgroup of the pods.
fn processes(clusters: &Path) -> BTreeSet<String> {
    let clusters = format!("{}/", clusters.display());
    let all = node::processes().into_iter().filter_map(|process| {
        let cgroup = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap_or_default();
        let place = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)).find(|path| path.starts_with("/isbsvc-"));
        let words = process.words.join(" ");
        (place.is_some() || words.contains(&clusters)).then(|| format!("{words} {}", place.unwrap_or_default()))
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_the_same_rule_whatever_passed_through_it() {
        let before = packet_filter("# Generated on Monday\n*nat\n:POSTROUTING ACCEPT [0:0]\n-A X -j Y\nCOMMIT\n");
        assert_eq!(before, packet_filter("# Generated on Tuesday\n*nat\n:POSTROUTING ACCEPT [7:420]\n-A X -j Y\nCOMMIT\n"));
        assert_ne!(before, packet_filter("*nat\n:POSTROUTING ACCEPT [0:0]\n-A X -j Z\nCOMMIT\n"));
    }

    #[test]
    fn what_cannot_be_looked_at_is_an_error() {
        assert!(said("false", &[]).is_err());
        assert!(entries(Path::new("/proc/self/status")).is_err(), "a file is no folder");
        assert!(entries(Path::new("/nonexistent")).unwrap().is_empty(), "what is not there is nothing");
    }

    #[test]
    fn what_is_left_and_what_is_gone_are_told_by_kind() {
        let of = |line: &str| Traces { kinds: BTreeMap::from([("mounts", mounts(line))]), alone: false };
        let (one, two) = (of("31 1 0:4 net:[1] /s/x/ns/cp rw - nsfs nsfs rw\n"), of("99 7 0:4 net:[1] /s/x/ns/cp rw - nsfs nsfs rw\n"));
        assert!(one.changes(&two).is_empty(), "another id is the same mount");
        assert_eq!(Traces::default().changes(&one), ["+ mounts: net:[1] /s/x/ns/cp nsfs nsfs"]);
        assert_eq!(one.changes(&Traces::default()), ["- mounts: net:[1] /s/x/ns/cp nsfs nsfs"]);
    }

    #[test]
    fn settings_are_compared_only_while_no_other_cluster_is_there() {
        let of = |value: &str, alone| Traces { kinds: BTreeMap::from([(SETTINGS, lines(value))]), alone };
        assert_eq!(of("a=1", true).changes(&of("a=2", true)).len(), 2);
        assert!(of("a=1", true).changes(&of("a=2", false)).is_empty(), "another cluster came");
        assert!(of("a=1", false).changes(&of("a=2", true)).is_empty(), "another cluster went");
    }

    #[test]
    fn other_clusters_are_those_with_a_folder_or_a_lock() {
        let files =
            ["/s", "/s/demo", "/s/demo.lock", "/s/soon.lock", "/s/ours", "/s/ours.lock", "/s/registry.lock", "/s/settings-before.json"];
        let files = files.map(str::to_owned).into();
        assert_eq!(other_names(&files, Path::new("/s"), &["ours"]), ["demo", "soon"].map(str::to_owned).into());
    }

    #[test]
    fn lines_of_another_cluster_are_known_and_those_of_the_machine_are_not() {
        let marks = marks(Path::new("/s/demo"), Some(3));
        let is = |line: &str| is_marked(line, &marks);
        for line in ["/s/demo", "10.103.1.0/24 via 10.99.3.11 dev isbsvc-3", "10.123.0.0/16 via x", "/s/demo/ns/cp nsfs", "/s/demo.lock"] {
            assert!(is(line), "{line}: {marks:?}");
        }
        for line in ["10.104.1.0/24 via 10.99.4.11 dev isbsvc-4", "/s/demo-2/ns/cp", "/s/demo-2", "default via 172.16.0.1 dev eth0"] {
            assert!(!is(line), "{line}: {marks:?}");
        }
    }
}
