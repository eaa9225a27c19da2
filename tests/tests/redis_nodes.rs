//! The scripts of a native Redis, with real servers: three nodes on the loopback network, killed, stopped and robbed of their volumes.

// A test may panic; that is how it fails.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use isbsvc_tests::redis_nodes::{Image, Service, folders, until};

/// The machine's own Redis.
fn plain() -> Image {
    Image::Plain(folders().remove(0))
}

fn nothing_lost(service: &Service, acknowledged: &BTreeSet<u64>) {
    for number in 0..service.size() {
        let entries = until("all entries", 20, || Some(service.entries(number)).filter(|entries| entries.is_superset(acknowledged)));
        println!("node {number} has {} entries; of {} that all had acknowledged 0 are lost", entries.len(), acknowledged.len());
    }
}

/// What every kind of image has to do: begin, lose its master, take it back, lose all, and nothing that was acknowledged.
fn begins_and_survives(network: u8, image: &Image) {
    let mut service = Service::new(network, image, 3);
    assert_eq!(service.begin(), 0, "only the first node of a new service may become master");
    let mut acknowledged = service.write(0, 1..201, 2);
    assert_eq!(acknowledged.len(), 200);

    let began = Instant::now();
    service.kill(0);
    let master = service.master_of(&[1, 2]);
    println!("{} ms from the death of the master to the next one", began.elapsed().as_millis());
    acknowledged.extend(service.write(master, 201..301, 1));
    assert_eq!(acknowledged.len(), 300);
    service.start(0);
    assert_eq!(service.whole(), master, "the old master comes back as a replica");
    nothing_lost(&service, &acknowledged);

    acknowledged.extend(service.write(master, 301..401, 2));
    for number in 0..3 {
        service.kill(number);
    }
    for number in 0..3 {
        service.start(number);
    }
    service.whole();
    nothing_lost(&service, &acknowledged);
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn every_version_begins_and_survives() {
    for (number, folder) in (0..).zip(folders()) {
        println!("{}", folder.display());
        begins_and_survives(10 + number, &Image::Plain(folder));
    }
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn busybox_with_the_names_of_valkey_is_enough() {
    begins_and_survives(20, &Image::Busybox(folders().remove(0)));
}

/// Kills all nodes of a service whose first node missed the last entries; `number` is that of the node with the most advanced copy.
fn killed_with_a_stale_node(network: u8) -> (Service, BTreeSet<u64>, usize) {
    let mut service = Service::new(network, &plain(), 3);
    service.begin();
    let mut acknowledged = service.write(0, 1..51, 2);
    service.kill(0);
    let master = service.master_of(&[1, 2]);
    acknowledged.extend(service.write(master, 51..101, 1));
    assert_eq!(acknowledged.len(), 100);
    let written = service.redis(master, "INFO replication\n");
    let offset: u64 = written.lines().find_map(|line| line.strip_prefix("master_repl_offset:")).unwrap().parse().unwrap();
    until("the record of the last entry", 20, || {
        let records = [service.record(1)?, service.record(2)?];
        (records.iter().all(|(epoch, at)| *epoch == records[0].0 && *at >= offset)).then_some(())
    });
    for number in [1, 2] {
        service.kill(number);
    }
    let at = |number| service.record(number).unwrap();
    assert!(at(0) < at(1) && at(0) < at(2), "{:?} {:?} {:?}", at(0), at(1), at(2));
    let best = if at(2) > at(1) { 2 } else { 1 };
    (service, acknowledged, best)
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn after_a_full_stop_the_most_advanced_copy_becomes_master_though_the_stale_one_comes_first() {
    let (mut service, acknowledged, best) = killed_with_a_stale_node(31);
    let epoch = service.record(best).unwrap().0;
    service.start(0);
    until("the stale node says that it waits for a majority", 20, || service.said(0).contains("1 of 3 nodes are here").then_some(()));
    assert!(service.probe(0, "redis-live") && !service.probe(0, "redis-ready"));
    assert!(service.redis(0, "SET stranger 1\nGET isbsvc:state\n").lines().all(|line| line.is_empty() || line.contains("NOAUTH")));
    service.start(1);
    service.start(2);
    assert_eq!(service.whole(), best);
    assert!(service.record(0).unwrap().0 > epoch, "a recovery is a new epoch, because its offsets begin anew");
    nothing_lost(&service, &acknowledged);
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn a_majority_goes_on_without_a_lost_volume_and_names_it_but_one_node_alone_waits_for_a_person() {
    let (mut service, acknowledged, best) = killed_with_a_stale_node(32);
    let other = 3 - best;
    // The stale node alone: longer than it would wait for the others.
    service.start(0);
    until("the time for others is over", 30, || service.said(0).contains("touch ").then_some(()));
    let began = Instant::now();
    let waited = Duration::from_secs(8);
    until("a wait longer than that for peers", 20, || {
        assert_eq!(service.said(0).matches("isbsvc: becomes").count(), 1, "only at the very first start: {}", service.said(0));
        (began.elapsed() > waited).then_some(())
    });
    // The most advanced one joins, the third never comes.
    service.start(best);
    assert_eq!(service.master_of(&[0, best]), best);
    let said = service.said(best);
    assert!(said.contains(&format!("2 of 3 nodes, and 2 voted for it; missing: {}", service.address(other))), "{said}");
    assert!(service.entries(best).is_superset(&acknowledged));
    // It comes back at last, with an empty volume.
    fs::remove_dir_all(service.data(other)).unwrap();
    fs::create_dir_all(service.data(other)).unwrap();
    service.start(other);
    assert_eq!(service.whole(), best);
    nothing_lost(&service, &acknowledged);
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn a_person_makes_a_lonely_node_the_master_and_the_others_follow_it() {
    let (mut service, _, best) = killed_with_a_stale_node(33);
    service.start(0);
    until("it says what a person can do", 20, || service.said(0).contains("touch ").then_some(()));
    fs::write(service.data(0).join("isbsvc/force-master"), "").unwrap();
    until("it runs", 20, || service.redis(0, "INFO replication\n").contains("role:master").then_some(()));
    assert!(service.said(0).contains("becomes master with epoch 10000: a person said so"));
    service.start(1);
    service.start(2);
    assert_eq!(service.whole(), 0, "{best} had more, and a person decided");
    assert_eq!(service.entries(best), service.entries(0));
    assert!(!service.data(0).join("isbsvc/force-master").exists());
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn a_master_hands_over_before_it_stops_and_one_that_died_for_a_moment_does_not_come_back_as_master() {
    let mut service = Service::new(34, &plain(), 3);
    let first = service.begin();
    let mut acknowledged = service.write(first, 1..101, 2);
    // A client that looks for the master at a Sentinel and writes one entry after the other.
    let stopping = AtomicBool::new(false);
    let stopped = &stopping;
    let (said, second, pause) = std::thread::scope(|scope| {
        let client = service.client();
        let client = scope.spawn(move || {
            let (mut entry, mut last, mut longest, mut written) = (1000, Instant::now(), Duration::ZERO, BTreeSet::new());
            // A test that fails does not stop it.
            let deadline = Instant::now() + Duration::from_secs(90);
            while !stopped.load(Ordering::Relaxed) && Instant::now() < deadline {
                if client.write((first + 1) % 3, entry) {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                    written.insert(entry);
                }
                entry += 1;
            }
            (longest, written)
        });
        let said = service.terminate(first);
        let others: Vec<usize> = (0..3).filter(|number| *number != first).collect();
        let second = service.master_of(&others);
        until("a write at the new master", 10, || (!service.write(second, 900..901, 1).is_empty()).then_some(()));
        stopping.store(true, Ordering::Relaxed);
        let (longest, written) = client.join().unwrap();
        acknowledged.extend(written);
        (said, second, longest)
    });
    assert!(said.contains(&format!("handed over to {}", service.address(second))), "{said}");
    println!("a graceful stop of the master paused writes for {} ms", pause.as_millis());
    assert!(pause < Duration::from_secs(8), "{pause:?}");
    service.start(first);
    assert_eq!(service.whole(), second);
    nothing_lost(&service, &acknowledged);

    // Its container alone ends and starts again at once: the copies that never stopped are the newer ones.
    acknowledged.extend(service.write(second, 201..301, 2));
    service.restart_redis(second);
    until("another master", 30, || service.named((second + 1) % 3).filter(|master| *master != second));
    assert_ne!(service.whole(), second);
    nothing_lost(&service, &acknowledged);
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn settings_are_those_of_the_role_and_follow_it() {
    let mut service = Service::new(35, &plain(), 3);
    service.settings("redis", "# ours win\nport 1\nmaxmemory 100mb\ntimeout 17\nsave 900 1\n");
    service.settings("master", "hz 20\ntimeout 18\nmaxmemory-policy volatile-ttl\n");
    service.settings("replica", "hz 30\nslowlog-max-len 77\nsave 60 5\nsave 70 6\nreplica-priority 100\nrequirepass stranger\n");
    let first = service.begin();
    let directives =
        ["hz", "timeout", "maxmemory-policy", "slowlog-max-len", "save", "maxmemory", "appendonly", "min-replicas-to-write", "port"];
    let values = |service: &Service, number| directives.map(|directive| service.value(number, directive));
    let master = ["20", "18", "volatile-ttl", "128", "900 1", "104857600", "yes", "1", "6379"].map(str::to_owned);
    let replica = ["30", "17", "noeviction", "77", "60 5 70 6", "104857600", "yes", "1", "6379"].map(str::to_owned);
    let all = |service: &Service, master_is: usize| {
        for number in 0..3 {
            let wanted = if number == master_is { &master } else { &replica };
            until(&format!("the settings of node {number}"), 20, || {
                let values = values(service, number);
                if values != *wanted {
                    println!("node {number}: {values:?}");
                }
                (values == *wanted).then_some(())
            });
        }
    };
    all(&service, first);
    let said = service.said(first);
    assert!(said.contains("isbsvc: redis.conf: port is set by isbsvc and is left out"), "{said}");
    assert!(said.contains("isbsvc: replica.conf: requirepass is set by isbsvc and is left out") && !said.contains("stranger"), "{said}");
    service.terminate(first);
    service.start(first);
    let second = service.whole();
    assert_ne!(first, second);
    all(&service, second);
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn a_lost_sentinel_comes_back_as_itself_and_an_emptied_volume_as_a_replica() {
    let mut service = Service::new(36, &plain(), 3);
    let master = service.begin();
    let acknowledged = service.write(master, 1..101, 2);
    let id = service.ask(1, "26379", "SENTINEL MYID\n");
    assert_eq!(id.trim().len(), 40);
    service.kill_sentinel(1);
    fs::remove_file(service.data(1).join("sentinel/sentinel.conf")).unwrap();
    service.settings(
        "sentinel",
        "sentinel down-after-milliseconds mymaster 2500\nsentinel monitor mymaster 1.2.3.4 1 1\nsentinel parallel-syncs other 3\n",
    );
    service.start_sentinel(1);
    assert_eq!(service.whole(), master);
    assert_eq!(service.ask(1, "26379", "SENTINEL MYID\n"), id);
    let view = service.ask(1, "26379", "SENTINEL MASTER mymaster\n");
    assert!(
        view.contains("down-after-milliseconds\n2500\n") && view.contains("quorum\n2\n"),
        "a changed line counts from the next start: {view}"
    );
    let said = service.said(1);
    assert!(
        said.contains("sentinel.conf: sentinel.monitor is set by isbsvc")
            && said.contains("sentinel parallel-syncs is of a master that is not"),
        "{said}"
    );

    for number in [2, master] {
        service.kill(number);
        fs::remove_dir_all(service.data(number)).unwrap();
        fs::create_dir_all(service.data(number)).unwrap();
        service.start(number);
        // An empty node must never become master by coming back in time.
        let now = service.whole();
        assert!(number != now && (number == master || now == master), "{now}");
        nothing_lost(&service, &acknowledged);
    }

    // As without persistence, when all pods were deleted: there is nothing left to lose, and all nodes are there to say so.
    for number in 0..3 {
        service.kill(number);
        fs::remove_dir_all(service.data(number)).unwrap();
        fs::create_dir_all(service.data(number)).unwrap();
    }
    for number in [2, 1] {
        service.start(number);
    }
    until("two of three wait", 20, || service.said(1).contains("2 of 3 nodes are here, 0 of them with data").then_some(()));
    service.start(0);
    assert_eq!(service.whole(), 0);
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn the_password_is_in_no_argument_and_in_no_output() {
    let mut service = Service::new(37, &plain(), 3);
    // While it starts, waits, runs and stops.
    let mut seen = 0;
    let mut look = |service: &Service| {
        for line in service.command_lines() {
            assert!(!line.contains("word-4711"), "{line}");
            seen += usize::from(line.contains("127.80.37."));
        }
    };
    service.start(1);
    until("its Sentinel says what it waits for", 20, || service.said(1).contains("no Sentinel knows a master yet").then_some(()));
    for (probe, passes) in [("redis-live", true), ("redis-ready", false), ("sentinel-live", true), ("sentinel-ready", false)] {
        until(probe, 10, || (service.probe(1, probe) == passes).then_some(()));
    }
    service.start(0);
    service.start(2);
    let began = Instant::now();
    until("five seconds of looking", 20, || {
        look(&service);
        (began.elapsed() > Duration::from_secs(5)).then_some(())
    });
    let master = service.whole();
    let said = service.terminate(master);
    look(&service);
    assert!(seen > 10, "{seen}");
    for text in [said, service.said(0), service.said(1), service.said(2)] {
        assert!(!text.contains("word-4711"), "{text}");
    }
    for number in 0..3 {
        for file in ["redis/redis.conf", "sentinel/sentinel.conf", "isbsvc/waiting.conf"] {
            use std::os::unix::fs::PermissionsExt;
            let path = service.data(number).join(file);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
        }
    }
}

#[test]
#[ignore = "needs redis-server and root; `cargo xtask test` runs it"]
fn names_stand_for_nodes_that_come_back_at_other_addresses() {
    for (number, folder) in (0..).zip(folders()) {
        println!("{}", folder.display());
        let mut service = Service::new(40 + number, &Image::Plain(folder), 3).with_names();
        let mut master = service.begin();
        let mut acknowledged = service.write(master, 1..101, 2);
        // Each node once, the master among them, as pods are replaced one after the other.
        for (round, node) in (0_u64..).zip([(master + 1) % 3, master, (master + 2) % 3]) {
            service.kill(node);
            if node == master {
                let began = Instant::now();
                master = service.master_of(&[(node + 1) % 3, (node + 2) % 3]);
                println!("{} ms from the death of the master to the next one", began.elapsed().as_millis());
            }
            service.start(node);
            assert_eq!(service.whole(), master);
            acknowledged.extend(service.write(master, 200 + 100 * round..250 + 100 * round, 2));
        }
        for node in 0..3 {
            service.kill(node);
        }
        for node in [2, 1, 0] {
            service.start(node);
        }
        service.whole();
        assert_eq!(acknowledged.len(), 250);
        nothing_lost(&service, &acknowledged);
    }
}

#[test]
#[ignore = "needs redis-server; `cargo xtask test` runs it"]
fn five_nodes_need_three() {
    let mut service = Service::new(38, &plain(), 5);
    let first = service.begin();
    let mut acknowledged = service.write(first, 1..51, 4);
    service.kill(first);
    service.kill((first + 1) % 5);
    let left = [(first + 2) % 5, (first + 3) % 5, (first + 4) % 5];
    let second = service.master_of(&left);
    acknowledged.extend(service.write(second, 51..101, 2));
    assert_eq!(acknowledged.len(), 100);
    for node in left {
        service.kill(node);
    }
    // Two are no majority of five, whatever they have.
    service.start(left[0]);
    service.start(left[1]);
    until("they say so", 30, || service.said(left[0]).contains("2 of 5 nodes are here").then_some(()));
    service.start(first);
    service.start((first + 1) % 5);
    service.start(left[2]);
    assert!(left.contains(&service.whole()));
    nothing_lost(&service, &acknowledged);
}
