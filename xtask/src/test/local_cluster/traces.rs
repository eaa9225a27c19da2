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

/// What was found, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces(BTreeMap<&'static str, BTreeSet<String>>);

impl Traces {
    /// Looks, and leaves out what belongs to clusters other than `ours`, which come and go meanwhile.
    pub fn look(ours: &[&str]) -> Result<Self> {
        let clusters = state::clusters()?;
        let mut others = Vec::new();
        for name in state::names()?.into_iter().filter(|name| !ours.contains(&name.as_str())) {
            let folder = clusters.join(&name);
            let index = state::read(&folder).unwrap_or(None).map(|record| record.index);
            others.extend(marks(&folder, index));
        }
        let mut files = BTreeSet::new();
        for place in PLACES.iter().map(Path::new).chain([clusters.as_path()]) {
            files.extend(entries(place)?);
        }
        let found = BTreeMap::from([
            ("mounts", mounts(&fs::read_to_string("/proc/self/mountinfo")?)),
            ("interfaces", entries(Path::new("/sys/class/net"))?),
            ("routes", lines(&said("ip", &["route", "show", "table", "all"])?)),
            ("packet filter", packet_filter(&said("iptables-save", &[])?)),
            ("packet filter, version 6", packet_filter(&said("ip6tables-save", &[])?)),
            ("cgroups", cgroups()),
            ("settings", kernel::settings().into_iter().map(|(name, value)| format!("{name}={}", value.trim())).collect()),
            ("processes", processes(&clusters)),
            ("files", files),
        ]);
        let is_others = |line: &String| others.iter().any(|mark| line.contains(mark.as_str()));
        Ok(Self(found.into_iter().map(|(kind, lines)| (kind, lines.into_iter().filter(|line| !is_others(line)).collect())).collect()))
    }

    /// What differs, a line each: `+` is new, `-` is gone.
    pub fn changes(&self, after: &Self) -> Vec<String> {
        let none = BTreeSet::new();
        let of = |traces: &Self, kind| traces.0.get(kind).unwrap_or(&none).clone();
        let kinds: BTreeSet<&str> = self.0.keys().chain(after.0.keys()).copied().collect();
        let mut changes = Vec::new();
        for kind in kinds {
            let (before, after) = (of(self, kind), of(after, kind));
            changes.extend(after.difference(&before).map(|line| format!("+ {kind}: {line}")));
            changes.extend(before.difference(&after).map(|line| format!("- {kind}: {line}")));
        }
        changes
    }

    /// How many lines there are.
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }
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
        let of = |line: &str| Traces(BTreeMap::from([("mounts", mounts(line))]));
        let (one, two) = (of("31 1 0:4 net:[1] /s/x/ns/cp rw - nsfs nsfs rw\n"), of("99 7 0:4 net:[1] /s/x/ns/cp rw - nsfs nsfs rw\n"));
        assert!(one.changes(&two).is_empty(), "another id is the same mount");
        assert_eq!(Traces::default().changes(&one), ["+ mounts: net:[1] /s/x/ns/cp nsfs nsfs"]);
        assert_eq!(one.changes(&Traces::default()), ["- mounts: net:[1] /s/x/ns/cp nsfs nsfs"]);
    }

    #[test]
    fn lines_of_another_cluster_are_known_and_those_of_the_machine_are_not() {
        let marks = marks(Path::new("/s/demo"), Some(3));
        let is = |line: &str| marks.iter().any(|mark| line.contains(mark.as_str()));
        for line in ["10.103.1.0/24 via 10.99.3.11 dev isbsvc-3", "10.123.0.0/16 via x", "/s/demo/ns/cp nsfs", "/s/demo.lock"] {
            assert!(is(line), "{line}: {marks:?}");
        }
        for line in ["10.104.1.0/24 via 10.99.4.11 dev isbsvc-4", "/s/demo-2/ns/cp", "default via 172.16.0.1 dev eth0"] {
            assert!(!is(line), "{line}: {marks:?}");
        }
    }
}
