use super::*;

mod clocks;

const DAY: Duration = Duration::from_hours(24);

fn start() -> Timestamp {
    "2026-08-01T12:00:00Z".parse().unwrap()
}

fn names() -> Vec<String> {
    vec!["isbsvc-webhook.numaflow-system.svc".to_owned(), "isbsvc-webhook.numaflow-system.svc.cluster.local".to_owned()]
}

/// A Secret and what is published, as the cluster would hold them.
#[derive(Clone, Default)]
struct Cluster {
    data: BTreeMap<String, Vec<u8>>,
    bundle: String,
}

impl Cluster {
    fn decide_for(&self, names: &[String], now: Timestamp) -> Decision {
        let held = Held::read(|key| self.data.get(key).map(Vec::as_slice), self.bundle.as_bytes());
        decide(&held, &Wanted { authority_name: "isbsvc-webhook-ca", leaf_name: "isbsvc-webhook", dns_names: names }, now).unwrap()
    }

    /// Decides and carries it out; gives the reason where something was written.
    fn look(&mut self, now: Timestamp) -> Option<String> {
        match self.decide_for(&names(), now) {
            Decision::Keep { ca_bundle, look_again_at } => {
                assert!(now < look_again_at, "would look again at once");
                self.bundle = ca_bundle;
                None
            }
            Decision::Write { data, ca_bundle, reason } => {
                (self.data, self.bundle) = (data, ca_bundle);
                Some(reason)
            }
        }
    }

    fn fresh() -> Self {
        let mut cluster = Self::default();
        assert!(cluster.look(start()).is_some());
        cluster
    }

    fn leaf(&self) -> &[u8] {
        &self.data[key::LEAF]
    }

    /// What a client does: one of the authorities that it trusts has signed, and all are valid now.
    fn trusts(&self, leaf: &[u8], now: Timestamp) -> bool {
        Facts::read(leaf).unwrap().is_valid(now) && trusted(self.bundle.as_bytes(), now).iter().any(|one| one.has_signed(leaf))
    }

    fn authorities(&self) -> usize {
        trusted(self.bundle.as_bytes(), Timestamp::MIN).len()
    }
}

#[test]
fn an_empty_secret_gets_all_and_then_is_left_alone() {
    let mut cluster = Cluster::fresh();
    assert_eq!(cluster.data.keys().map(String::as_str).collect::<Vec<_>>(), [key::AUTHORITY, key::AUTHORITY_KEY, key::LEAF, key::LEAF_KEY]);
    assert!(cluster.trusts(cluster.leaf(), start()));
    let before = cluster.data.clone();
    assert_eq!(cluster.look(start()), None);
    assert_eq!(cluster.look(start() + 59 * DAY), None);
    assert_eq!(cluster.data, before);
}

#[test]
fn a_leaf_is_renewed_at_two_thirds_and_the_authority_stays() {
    let mut cluster = Cluster::fresh();
    let before = cluster.clone();
    let Decision::Keep { look_again_at, .. } = cluster.decide_for(&names(), start()) else { panic!("writes") };
    assert!((start() + 59 * DAY..start() + 60 * DAY).contains(&look_again_at), "{look_again_at}");
    let reason = cluster.look(look_again_at).unwrap();
    assert!(reason.contains("two thirds"), "{reason}");
    assert_ne!(cluster.leaf(), before.leaf());
    assert_ne!(cluster.data[key::LEAF_KEY], before.data[key::LEAF_KEY]);
    assert_eq!(cluster.data[key::AUTHORITY_KEY], before.data[key::AUTHORITY_KEY]);
    assert_eq!(cluster.bundle, before.bundle);
}

#[test]
fn over_fifteen_years_no_client_ever_meets_a_leaf_it_does_not_trust() {
    let mut cluster = Cluster::fresh();
    let (mut now, mut authorities, mut most) = (start(), 0, 0);
    let end = start() + 15 * 365 * DAY;
    while now < end {
        let before = cluster.clone();
        match cluster.decide_for(&names(), now) {
            Decision::Keep { look_again_at, ca_bundle } => {
                cluster.bundle = ca_bundle;
                assert!(cluster.trusts(cluster.leaf(), now));
                assert!(now < look_again_at);
                now = look_again_at;
            }
            Decision::Write { data, ca_bundle, .. } => {
                authorities += usize::from(data[key::AUTHORITY] != before.data[key::AUTHORITY]);
                (cluster.data, cluster.bundle) = (data, ca_bundle);
                // Whichever of the two is written first, and whichever leaf a replica still shows.
                assert!(before.trusts(cluster.leaf(), now), "a client with the old bundle meets the new leaf");
                assert!(cluster.trusts(before.leaf(), now), "a client with the new bundle meets the old leaf");
            }
        }
        most = most.max(cluster.authorities());
    }
    assert_eq!((authorities, most, cluster.authorities()), (1, 2, 1));
}

#[test]
fn the_steps_of_a_new_authority_are_far_enough_apart() {
    let mut cluster = Cluster::fresh();
    let due = start() + 9 * 365 * DAY;
    assert!(cluster.look(due - DAY).unwrap().contains("certificate"), "leaf of the old authority");
    let old_leaf = cluster.leaf().to_vec();

    let reason = cluster.look(due).unwrap();
    assert!(reason.contains("the authority ends"), "{reason}");
    assert_eq!(cluster.leaf(), old_leaf, "the leaf waits");
    assert_eq!(cluster.look(due + SETTLE - Duration::from_secs(1)), None);
    let reason = cluster.look(due + SETTLE).unwrap();
    assert!(reason.contains("moves to the new authority"), "{reason}");
    assert_eq!(cluster.authorities(), 2);
    assert_eq!(cluster.look(due + SETTLE + MOVED - Duration::from_secs(1)), None);
    let reason = cluster.look(due + SETTLE + MOVED).unwrap();
    assert!(reason.contains("no longer needed"), "{reason}");
    assert_eq!(cluster.authorities(), 1);
    assert!(!cluster.data.contains_key(key::PREVIOUS));
}

#[test]
fn a_secret_made_again_empty_keeps_the_trust_in_what_replicas_still_show() {
    let mut cluster = Cluster::fresh();
    let shown = cluster.leaf().to_vec();
    cluster.data.clear();
    let now = start() + DAY;
    assert!(cluster.look(now).unwrap().contains("there was no authority"));
    assert!(cluster.trusts(&shown, now) && cluster.trusts(cluster.leaf(), now));
    assert!(cluster.look(now + MOVED).unwrap().contains("no longer needed"));
    assert!(!cluster.trusts(&shown, now + MOVED));
}

#[test]
fn a_lost_certificate_of_the_authority_is_made_again_from_its_key() {
    let mut cluster = Cluster::fresh();
    let before = cluster.clone();
    cluster.data.remove(key::AUTHORITY);
    assert!(cluster.look(start() + DAY).unwrap().contains("made again from its key"));
    assert_eq!(cluster.leaf(), before.leaf(), "nothing to be done about the leaf");
    assert_eq!(cluster.data[key::AUTHORITY_KEY], before.data[key::AUTHORITY_KEY]);
    assert!(cluster.trusts(before.leaf(), start() + DAY));
}

#[test]
fn a_lost_or_foreign_key_of_the_authority_makes_a_new_one_and_the_leaf_goes_on_serving() {
    for broken in [Vec::new(), b"rubbish".to_vec(), Cluster::fresh().data[key::AUTHORITY_KEY].clone()] {
        let mut cluster = Cluster::fresh();
        let before = cluster.clone();
        cluster.data.insert(key::AUTHORITY_KEY.to_owned(), broken);
        assert!(cluster.look(start() + DAY).unwrap().contains("the authority cannot be used"));
        assert_eq!(cluster.leaf(), before.leaf());
        assert!(cluster.trusts(cluster.leaf(), start() + DAY));
        assert!(cluster.look(start() + DAY + SETTLE).unwrap().contains("moves"));
        assert_eq!(cluster.look(start() + DAY + SETTLE), None);
    }
}

#[test]
fn a_broken_leaf_is_made_again_by_the_same_authority() {
    let other = Cluster::fresh();
    let cases: [(&str, &[u8], &str); 6] = [
        (key::LEAF, b"", "holds no PEM block"),
        (key::LEAF, b"rubbish", "holds no PEM block"),
        (key::LEAF, &[0xff, 0xfe], "holds no PEM block"),
        (key::LEAF_KEY, b"", "no private key"),
        (key::LEAF_KEY, &other.data[key::LEAF_KEY], "not a pair"),
        (key::LEAF, &other.data[key::AUTHORITY], "not a pair"),
    ];
    for (which, content, words) in cases {
        let mut cluster = Cluster::fresh();
        let before = cluster.clone();
        cluster.data.insert(which.to_owned(), content.to_vec());
        let reason = cluster.look(start() + DAY).unwrap();
        assert!(reason.contains(words), "{which}: {reason}");
        assert_eq!(cluster.bundle, before.bundle, "{which}");
        assert!(cluster.trusts(cluster.leaf(), start() + DAY));
        assert_eq!(cluster.look(start() + DAY), None);
    }
}

#[test]
fn a_leaf_of_a_stranger_is_replaced() {
    let (mut cluster, other) = (Cluster::fresh(), Cluster::fresh());
    for key in [key::LEAF, key::LEAF_KEY] {
        cluster.data.insert(key.to_owned(), other.data[key].clone());
    }
    let reason = cluster.look(start() + DAY).unwrap();
    assert!(reason.contains("signed by nobody who is trusted"), "{reason}");
    assert!(cluster.trusts(cluster.leaf(), start() + DAY));
}

#[test]
fn other_names_make_another_leaf() {
    let cluster = Cluster::fresh();
    let Decision::Write { data, reason, .. } = cluster.decide_for(&["other.ns.svc".to_owned()], start() + DAY) else { panic!("kept") };
    assert!(reason.contains("other names (isbsvc-webhook.numaflow-system.svc,"), "{reason}");
    assert_eq!(Facts::read(&data[key::LEAF]).unwrap().dns_names, ["other.ns.svc"]);
}

#[test]
fn after_years_of_absence_all_is_made_at_once() {
    let mut cluster = Cluster::fresh();
    let now = start() + 11 * 365 * DAY;
    let reason = cluster.look(now).unwrap();
    assert!(reason.contains("the authority is valid from") && reason.contains("the certificate is valid from"), "{reason}");
    assert!(cluster.trusts(cluster.leaf(), now));
    assert_eq!((cluster.authorities(), cluster.look(now)), (1, None));
}

#[test]
fn a_bundle_of_strangers_does_not_grow() {
    let mut cluster = Cluster { bundle: (0..10).map(|_| Cluster::fresh().bundle).collect(), ..Cluster::default() };
    cluster.look(start());
    assert_eq!(cluster.authorities(), 1 + PREVIOUS);
}

#[test]
fn no_debug_text_shows_a_key() {
    let cluster = Cluster::fresh();
    let held = Held::read(|key| cluster.data.get(key).map(Vec::as_slice), b"");
    assert!(!format!("{held:?}").contains("KEY"));
}
