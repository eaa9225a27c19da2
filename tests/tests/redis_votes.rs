//! How the nodes of a native Redis decide after a full stop, without servers: the script's own decision, node by node, in whatever order, over whatever
//! connections are there.

// A test may panic; that is how it fails.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use isbsvc_tests::redis_nodes::SCRIPTS;
use proptest::prelude::*;

/// What a node has and says, and what others see of it.
#[derive(Clone, Debug)]
struct Node {
    mode: &'static str,
    data: bool,
    epoch: u64,
    offset: u64,
    term: u64,
    vote: Option<usize>,
}

/// What a node decides.
#[derive(Debug)]
struct Decision {
    verdict: String,
    leader: Option<usize>,
    epoch: u64,
    term: u64,
    vote: Option<usize>,
    why: String,
}

fn name(number: usize) -> String {
    format!("node-{number}")
}

fn number(name: &str) -> Option<usize> {
    name.strip_prefix("node-")?.parse().ok()
}

/// The scripts with a password, and with programs that are never run.
fn home() -> &'static Path {
    static HOME: OnceLock<PathBuf> = OnceLock::new();
    HOME.get_or_init(|| {
        let home = std::env::temp_dir().join(format!("isbsvc-redis-votes-{}", std::process::id()));
        for folder in ["auth", "bin", "data", "tmp"] {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
        for (name, text) in SCRIPTS {
            fs::write(home.join(name), text).unwrap();
        }
        fs::write(home.join("auth/redis-password"), "x").unwrap();
        for program in ["redis-cli", "redis-server"] {
            let path = home.join("bin").join(program);
            fs::write(&path, "#!/bin/sh\nexit 1\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        home
    })
}

/// The table that a node makes of what it reaches. `sentinels` says whom each node's Sentinel names, and since which epoch.
fn table(me: usize, nodes: &[Node], reach: impl Fn(usize) -> bool, sentinels: &[Option<(usize, u64)>]) -> String {
    let line = |(number, node): (usize, &Node)| {
        let seen = number == me || reach(number);
        let (named, at) = sentinels[number].filter(|_| seen).map_or(("-".to_owned(), 0), |(named, at)| (name(named), at));
        let mode = if seen { node.mode } else { "gone" };
        let vote = node.vote.map_or("-".to_owned(), name);
        let state = if mode == "waiting" {
            format!("{} {} {} {} {} {vote}", u8::from(node.data), node.epoch, node.offset, node.epoch.max(node.term), node.term)
        } else {
            "0 0 0 0 0 -".to_owned()
        };
        format!("{} {mode} - - {named} {at} {state}\n", name(number))
    };
    nodes.iter().enumerate().map(line).collect()
}

/// Asks the script. `new` is what the controller says of the service; `waited` is longer than the wait for peers, or nothing.
fn decide(me: usize, size: usize, table: &str, new: &str, waited: bool, hold: bool, force: bool) -> Decision {
    let home = home();
    let folder = home.join(format!("tmp/{:?}", std::thread::current().id()));
    fs::create_dir_all(folder.join("isbsvc-decide")).unwrap();
    fs::write(folder.join("isbsvc-decide/table"), table).unwrap();
    let flags = [u8::from(hold), u8::from(force)];
    let script = format!(". ./common.sh; . ./waiting.sh; decide {new} {} 60 {} {}", if waited { 61 } else { 0 }, flags[0], flags[1]);
    let nodes: Vec<String> = (0..size).map(name).collect();
    let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
    let out = Command::new("sh")
        .args(["-c", &script, "decide"])
        .current_dir(home)
        .env("PATH", path)
        .env("ISBSVC_NODE", name(me))
        .env("ISBSVC_NODES", nodes.join(" "))
        .env("ISBSVC_HOME", home)
        .env("ISBSVC_DATA", home.join("data"))
        .env("ISBSVC_TMP", &folder)
        .output()
        .unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{table}{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    let (leader, epoch) = lines[1].split_once(' ').unwrap();
    let (term, vote) = lines[2].split_once(' ').unwrap();
    Decision {
        verdict: lines[0].to_owned(),
        leader: number(leader),
        epoch: epoch.parse().unwrap(),
        term: term.parse().unwrap(),
        vote: number(vote),
        why: lines[3].to_owned(),
    }
}

fn waiting(epoch: u64, offset: u64) -> Node {
    Node { mode: "waiting", data: true, epoch, offset, term: 0, vote: None }
}

fn empty() -> Node {
    Node { data: false, ..waiting(0, 0) }
}

fn running(mode: &'static str) -> Node {
    Node { mode, ..waiting(0, 0) }
}

fn everything(_: usize) -> bool {
    true
}

const SILENT: [Option<(usize, u64)>; 3] = [None; 3];

#[test]
fn only_a_service_that_is_new_has_a_master_by_number() {
    let nodes = [empty(), empty(), empty()];
    let alone = table(0, &nodes, |_| false, &SILENT);
    assert_eq!(decide(0, 3, &alone, "false", false, true, false).verdict, "lead");
    for (new, waited) in [("true", true), ("unsaid", true), ("unsaid", false)] {
        assert_eq!(decide(0, 3, &alone, new, waited, true, false).verdict, "wait", "{new}");
    }
    assert_eq!(decide(1, 3, &table(1, &nodes, |_| false, &SILENT), "false", true, true, false).verdict, "wait", "not another one");
    // A volume that was emptied is no new service, whatever the controller said when it was made.
    let nodes = [empty(), waiting(100, 7), empty()];
    assert_eq!(decide(0, 3, &table(0, &nodes, everything, &SILENT), "false", true, true, false).verdict, "wait");
    // All are there and all are empty: nothing can be lost, and they agree by votes.
    let nodes = [empty(), empty(), empty()];
    let claim = decide(0, 3, &table(0, &nodes, everything, &SILENT), "true", false, true, false);
    assert_eq!((claim.verdict.as_str(), claim.term, claim.vote), ("wait", 100, Some(0)));
}

#[test]
fn empty_nodes_are_no_majority() {
    let nodes = [empty(), empty(), waiting(100, 7)];
    let two = table(0, &nodes, |node| node < 2, &SILENT);
    assert_eq!(decide(0, 3, &two, "true", true, true, false).vote, None, "the third may have what these have lost");
    let one = table(2, &nodes, |node| node != 1, &SILENT);
    let said = decide(2, 3, &one, "true", true, true, false);
    assert!(said.vote.is_none() && said.why.contains("1 of them with data") && said.why.contains("touch "), "{said:?}");
    // All are there: the one with data.
    assert_eq!(decide(2, 3, &table(2, &nodes, everything, &SILENT), "true", false, true, false).vote, Some(2));
}

#[test]
fn a_running_master_is_followed_only_where_a_majority_says_so_or_nothing_can_be_lost() {
    let nodes = [running("master"), waiting(100, 7), running("slave")];
    let named = [Some((0, 101)), None, Some((0, 101))];
    let decision = decide(1, 3, &table(1, &nodes, everything, &named), "true", false, true, false);
    assert_eq!((decision.verdict.as_str(), decision.leader, decision.epoch), ("follow", Some(0), 101));
    // Two that run as master, and each has one Sentinel.
    let nodes = [running("master"), waiting(100, 7), running("master")];
    let split = [Some((0, 101)), None, Some((2, 102))];
    assert_eq!(decide(1, 3, &table(1, &nodes, everything, &split), "true", true, true, false).verdict, "wait");
    let nodes = [running("master"), empty(), running("master")];
    assert_eq!(decide(1, 3, &table(1, &nodes, everything, &split), "true", true, true, false).verdict, "wait");
    // This node's data are newer than what the Sentinels speak of.
    let nodes = [running("master"), waiting(200, 7), running("slave")];
    assert_eq!(decide(1, 3, &table(1, &nodes, everything, &named), "true", true, true, false).verdict, "wait");
}

#[test]
fn who_was_master_gives_way_to_copies_that_never_stopped() {
    let nodes = [waiting(100, 7), running("slave"), running("slave")];
    let named = [Some((0, 100)); 3];
    let now = table(0, &nodes, everything, &named);
    assert_eq!(decide(0, 3, &now, "true", false, true, false).verdict, "wait");
    assert_eq!(decide(0, 3, &now, "true", true, true, false).verdict, "lead", "the Sentinels had their time");
    let nodes = [empty(), running("slave"), running("slave")];
    assert_eq!(decide(0, 3, &table(0, &nodes, everything, &named), "true", true, true, false).verdict, "wait", "never with nothing");
}

#[test]
fn a_vote_stands_while_its_candidate_may_still_win_by_it() {
    let candidate = |offset, term, number| Node { term, vote: Some(number), ..waiting(100, offset) };
    let voter = Node { term: 200, vote: Some(0), ..waiting(100, 3) };
    // Node 2 has more, and came later.
    let mut nodes = [candidate(5, 200, 0), voter, candidate(9, 202, 2)];
    let vote = |nodes: &[Node], first_is_here: bool, hold| {
        let seen = table(1, nodes, |node| node != 0 || first_is_here, &SILENT);
        let decision = decide(1, 3, &seen, "true", true, hold, false);
        assert_eq!(decision.verdict, "wait");
        decision.vote
    };
    assert_eq!(vote(&nodes, true, true), Some(0), "it may count this vote right now");
    assert_eq!(vote(&nodes, false, true), Some(0), "it may be on its way from waiting to running");
    assert_eq!(vote(&nodes, false, false), Some(2), "it had its time");
    nodes[0].vote = None;
    assert_eq!(vote(&nodes, true, true), Some(2), "it gave up");
    // Nobody votes for a copy that is behind its own.
    nodes[0] = waiting(100, 9);
    nodes[1] = waiting(100, 7);
    nodes[2] = candidate(6, 202, 2);
    assert_eq!(vote(&nodes, true, true), None);
    assert_eq!(vote(&nodes, false, true), Some(1), "without the first it is the most advanced itself");
    nodes[1] = waiting(100, 5);
    assert_eq!(vote(&nodes, false, true), Some(2));
}

#[test]
fn a_person_decides_for_more_than_any_election() {
    let nodes = [waiting(205, 7), waiting(100, 7), waiting(100, 7)];
    let decision = decide(0, 3, &table(0, &nodes, |_| false, &SILENT), "true", false, true, true);
    assert_eq!((decision.verdict.as_str(), decision.epoch), ("lead", 10_000));
    let nodes = [waiting(205, 7), running("master"), running("slave")];
    assert_eq!(decide(0, 3, &table(0, &nodes, everything, &SILENT), "true", true, true, true).verdict, "wait", "not beside a master");
}

#[derive(Clone, Debug)]
enum Event {
    /// A node looks at those that it reaches.
    Look { who: usize, reach: u8 },
    /// It decides by what it saw when it looked last.
    Decide { who: usize, waited: bool },
}

fn events(size: usize) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (0..size, any::<u8>(), any::<bool>()).prop_map(|(who, reach, all)| Event::Look { who, reach: if all { 0xff } else { reach } }),
        (0..size, prop::bool::weighted(0.7)).prop_map(|(who, waited)| Event::Decide { who, waited }),
    ];
    prop::collection::vec(event, 30..60)
}

fn at_most_one_master(start: &[(u64, u64)], events: &[Event]) -> Result<bool, TestCaseError> {
    let size = start.len();
    let sentinels = vec![None; size];
    let mut nodes: Vec<Node> =
        start.iter().map(|(epoch, offset)| if *epoch == 0 { empty() } else { waiting(100 * epoch, *offset) }).collect();
    let records = nodes.clone();
    let mut views: Vec<Option<String>> = vec![None; size];
    let mut master = None;
    for event in events {
        match *event {
            Event::Look { who, reach } => views[who] = Some(table(who, &nodes, |node| reach >> node & 1 == 1, &sentinels)),
            Event::Decide { who, waited } => {
                // A node looks anew before each decision.
                let Some(view) = views[who].take().filter(|_| nodes[who].mode == "waiting") else { continue };
                let decision = decide(who, size, &view, "true", waited, true, false);
                nodes[who].term = decision.term;
                nodes[who].vote = decision.vote;
                if decision.verdict == "lead" {
                    prop_assert_eq!(master, None, "a second master: {}\n{:?}", decision.why, nodes);
                    master = Some(who);
                    nodes[who].mode = "master";
                    let key = |node: &Node| (node.data, node.epoch, node.offset);
                    let behind = records.iter().filter(|node| key(node) <= key(&records[who])).count();
                    prop_assert!(behind > size / 2, "a majority is not behind it: {:?}", records);
                } else if decision.verdict == "follow" {
                    prop_assert_eq!(decision.leader, master);
                    nodes[who].mode = "slave";
                }
            }
        }
    }
    Ok(master.is_some())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn three_nodes_never_make_two_masters(start in prop::array::uniform3((0_u64..3, 0_u64..3)), events in events(3)) {
        at_most_one_master(&start, &events)?;
    }

    #[test]
    fn five_nodes_never_make_two_masters(start in prop::array::uniform5((0_u64..3, 0_u64..3)), events in events(5)) {
        at_most_one_master(&start, &events)?;
    }
}

#[test]
fn nodes_that_reach_each_other_do_agree() {
    for start in [[(1, 5), (1, 7), (1, 7)], [(2, 0), (1, 9), (0, 0)], [(1, 1), (1, 1), (2, 3)]] {
        let rounds: Vec<Event> =
            (0..5).flat_map(|_| (0..3).flat_map(|who| [Event::Look { who, reach: 0xff }, Event::Decide { who, waited: false }])).collect();
        assert!(at_most_one_master(&start, &rounds).unwrap(), "{start:?}");
    }
}
