//! Clocks that are a day off, on whichever machine.

use super::*;

const HOUR: Duration = Duration::from_hours(1);
/// By how many days a clock is ahead.
const CLOCKS: [i64; 3] = [-1, 0, 1];

/// What such a clock shows.
fn shown(days: i64, now: Timestamp) -> Timestamp {
    now + jiff::SignedDuration::from_hours(24 * days)
}

#[test]
fn what_a_clock_that_is_a_day_off_makes_every_other_takes_and_leaves_as_it_is() {
    for maker in CLOCKS {
        let mut cluster = Cluster::default();
        assert!(cluster.look(shown(maker, start())).is_some());
        for reader in CLOCKS {
            let now = shown(reader, start());
            assert!(cluster.trusts(cluster.leaf(), now), "made by a clock {maker} days ahead, read by one {reader} days ahead");
            assert_eq!(cluster.look(now), None, "made by a clock {maker} days ahead, looked at by one {reader} days ahead");
        }
    }
}

/// Each look is one of another clock: a leader that changes with every look.
#[test]
fn rotators_with_three_clocks_rotate_no_more_often_than_one_and_never_what_is_newer() {
    let one = writes_over(290, &[0]);
    assert_eq!(one.len(), 5, "what one clock does: {one:?}");
    let three = writes_over(290, &CLOCKS);
    assert_eq!(three.len(), one.len(), "{three:?}");
    assert!(three[1..].iter().all(|reason| reason.contains("two thirds")), "{three:?}");
}

/// The reasons of all writes, with four looks a day, each of the next clock.
fn writes_over(days: u32, clocks: &[i64]) -> Vec<String> {
    let mut cluster = Cluster::default();
    let looks = (0..4 * days).zip(clocks.iter().cycle());
    looks.filter_map(|(look, clock)| cluster.look(shown(*clock, start() + DAY / 4 * look))).collect()
}

/// A bundle reaches every API server within the hour, a leaf every replica within a day; whatever each of their clocks shows.
#[test]
fn while_an_authority_changes_no_client_meets_a_leaf_it_does_not_trust_by_any_clock() {
    for first in 0..CLOCKS.len() {
        let mut cluster = Cluster::fresh();
        let due = start() + 9 * 365 * DAY;
        cluster.look(due - 5 * DAY);
        let before = cluster.leaf().to_vec();
        // Newest last.
        let (mut leaves, mut bundles) = (vec![before.clone()], vec![cluster.bundle.clone()]);
        let mut writes = 0;
        for hour in 0..24 * 14 {
            let now = due - 2 * DAY + HOUR * hour;
            let clock = CLOCKS[(first + hour as usize) % CLOCKS.len()];
            writes += usize::from(cluster.look(shown(clock, now)).is_some());
            leaves.push(cluster.leaf().to_vec());
            bundles.push(cluster.bundle.clone());
            let (old_leaf, old_bundle) = (&leaves[leaves.len().saturating_sub(25)], &bundles[bundles.len() - 2]);
            for (leaf, bundle) in [(old_leaf, &cluster.bundle), (old_leaf, old_bundle), (&cluster.leaf().to_vec(), old_bundle)] {
                let client = Cluster { bundle: bundle.clone(), ..Cluster::default() };
                for reader in CLOCKS {
                    assert!(client.trusts(leaf, shown(reader, now)), "hour {hour}, first clock {first}, a reader {reader} days ahead");
                }
            }
        }
        assert_eq!((writes, cluster.authorities()), (3, 1), "made, moved, dropped");
        assert_ne!(cluster.leaf(), before);
    }
}

#[test]
fn a_leaf_from_farther_in_the_future_than_clocks_are_apart_is_replaced_once() {
    let mut cluster = Cluster::fresh();
    let now = start() - 3 * DAY;
    let reason = cluster.look(now).unwrap();
    assert!(reason.contains("valid from"), "{reason}");
    assert!(cluster.trusts(cluster.leaf(), now));
    assert_eq!(cluster.look(now), None);
    // The one that made it looks again, by whose clock all has long moved.
    let reason = cluster.look(start()).unwrap();
    assert_eq!(reason, "an old authority is no longer needed");
    assert_eq!(cluster.look(now), None);
}
