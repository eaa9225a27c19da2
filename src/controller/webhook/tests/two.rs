//! Two rotators at once: a leader that has lost the Lease and has not noticed yet, beside its follower.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use proptest::prelude::*;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::*;
use crate::observe::scripted::failure;

const HOUR: Duration = Duration::from_hours(1);
/// From one handful of steps to the next.
const PAUSE: Duration = Duration::from_hours(6);
/// For how many pauses a leaf that was replaced may still be shown, and what a rotator sees may be old: a day.
const LAG: usize = 4;
const SECRET: &str = "secrets/isbsvc-webhook-tls";

/// What the API server stores, by the last part of the path; of what is not the newest, nothing is overwritten.
#[derive(Default)]
struct Stored {
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Places of writes that were taken, and of those that were not.
    taken: Vec<String>,
    refused: Vec<String>,
}

impl Stored {
    fn answer(&mut self, asked: &Asked) -> (u16, Value) {
        let path = asked.path.split('?').next().unwrap_or_default().trim_start_matches('/');
        let place = match asked.method.as_str() {
            "POST" => format!("{path}/isbsvc-webhook-tls"),
            _ => path.to_owned(),
        };
        let is = self.objects.get(&place).map(|object| &object["metadata"]["resourceVersion"]);
        let named = asked.body["metadata"].get("resourceVersion");
        if (asked.method == "POST" && is.is_some()) || (named.is_some() && named != is) {
            self.refused.push(place);
            return failure(409, "Conflict", "not the newest");
        }
        assert!(is.is_none() || named.is_some(), "{place} is overwritten, whatever it is");
        self.version += 1;
        let mut object = asked.body.clone();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(place.clone(), object.clone());
        self.taken.push(place);
        (200, object)
    }

    /// The object whose path ends so, if there is one.
    fn one(&self, end: &str) -> Option<Value> {
        self.objects.iter().find(|(place, _)| place.ends_with(end)).map(|(_, object)| object.clone())
    }

    fn leaf(&self) -> Option<Vec<u8>> {
        let secret: Secret = serde_json::from_value(self.one(SECRET)?).unwrap();
        Some(secret.data?.remove("tls.crt")?.0)
    }

    /// What API servers trust, by each entry of both configurations.
    fn bundles(&self) -> Vec<Vec<u8>> {
        let configurations =
            ["mutating", "validating"].into_iter().filter_map(|kind| self.one(&format!("{kind}webhookconfigurations/isbsvc-webhook")));
        let entries = configurations.flat_map(|one| one["webhooks"].as_array().cloned().unwrap_or_default());
        entries.map(|entry| serde_json::from_value::<ByteString>(entry["clientConfig"]["caBundle"].clone()).unwrap().0).collect()
    }
}

/// Whether an API server that trusts this takes a connection to a replica that shows that.
fn trusts(bundle: &[u8], leaf: &[u8], now: Timestamp) -> bool {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle) {
        roots.add(root.unwrap()).unwrap();
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(rustls::crypto::aws_lc_rs::default_provider())).build();
    let name = "isbsvc-webhook.numaflow-system.svc".try_into().unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().unsigned_abs()));
    verifier.unwrap().verify_server_cert(&CertificateDer::from_pem_slice(leaf).unwrap(), &[], &name, &[], now).is_ok()
}

/// One step of one of the two.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Its watch of the Secret catches up.
    SeesSecret,
    /// Its watches of the configurations catch up.
    SeesConfigurations,
    /// It looks.
    Looks,
}
use Step::{Looks, SeesConfigurations, SeesSecret};

impl Scene {
    fn beside(stored: &Arc<Mutex<Stored>>) -> Self {
        let stored = Arc::clone(stored);
        let (client, log) = api_server(move |asked| stored.lock().unwrap().answer(asked));
        let mut scene = Self::new();
        (scene.keeper.client, scene.log) = (client, log);
        scene.replica(true);
        scene
    }

    async fn step(&mut self, step: Step, stored: &Mutex<Stored>, now: Timestamp) {
        let one = |end: &str| stored.lock().unwrap().one(end);
        match step {
            SeesSecret => show(&mut self.secrets, one(SECRET)),
            SeesConfigurations => {
                show(&mut self.mutating, one("mutatingwebhookconfigurations/isbsvc-webhook"));
                show(&mut self.validating, one("validatingwebhookconfigurations/isbsvc-webhook"));
            }
            // What is refused is said, and tried again at the next look.
            Looks => drop(self.keeper.look(&self.seen, now).await),
        }
    }
}

/// Two rotators and what they write.
struct Pair {
    stored: Arc<Mutex<Stored>>,
    rotators: [Scene; 2],
    now: Timestamp,
}

impl Pair {
    /// Both have seen all that there is to be made.
    async fn settled() -> Self {
        let stored = Arc::default();
        let rotators = [Scene::beside(&stored), Scene::beside(&stored)];
        let mut pair = Self { stored, rotators, now: Timestamp::from_second(1_800_000_000).unwrap() };
        pair.both_catch_up().await;
        pair
    }

    async fn step(&mut self, (who, step): (usize, Step)) {
        self.rotators[who].step(step, &self.stored, self.now).await;
    }

    async fn both_catch_up(&mut self) {
        for who in [0, 1, 0, 1] {
            for step in [SeesSecret, SeesConfigurations, Looks, SeesSecret, Looks, SeesConfigurations] {
                self.step((who, step)).await;
            }
        }
    }

    fn all_trust(&self, leaf: &[u8]) -> bool {
        let bundles: BTreeSet<_> = self.stored.lock().unwrap().bundles().into_iter().collect();
        bundles.iter().all(|bundle| trusts(bundle, leaf, self.now))
    }

    fn leaf(&self) -> Vec<u8> {
        self.stored.lock().unwrap().leaf().unwrap()
    }

    /// All stands still, and every entry trusts the same, which is so many authorities.
    async fn ends_with(&mut self, authorities: usize) {
        let written = self.stored.lock().unwrap().taken.len();
        self.both_catch_up().await;
        let stored = self.stored.lock().unwrap();
        assert_eq!(stored.taken.len(), written, "nobody writes any more");
        let bundles = stored.bundles();
        assert!(bundles.len() == 3 && bundles.iter().all(|bundle| *bundle == bundles[0]), "one authority for all");
        assert_eq!(CertificateDer::pem_slice_iter(&bundles[0]).count(), authorities);
    }

    fn forget(&self) {
        let mut stored = self.stored.lock().unwrap();
        (stored.taken, stored.refused) = (Vec::new(), Vec::new());
    }

    fn writes_of_the_secret(&self) -> usize {
        self.stored.lock().unwrap().taken.iter().filter(|place| place.ends_with(SECRET)).count()
    }
}

fn steps(most: usize) -> impl Strategy<Value = Vec<(usize, Step)>> {
    prop::collection::vec((0..2_usize, prop_oneof![Just(SeesSecret), Just(SeesConfigurations), Just(Looks)]), 0..=most)
}

/// A case with its own runtime.
fn run(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(story);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// Over nine days, in whatever order they look and see; neither sees what is older than a day.
    #[test]
    fn an_authority_is_changed_once_and_every_leaf_is_trusted_at_every_moment(handfuls in prop::collection::vec(steps(6), 4 * 9)) {
        run(async {
            let mut pair = Pair::settled().await;
            // The last leaf of the old authority, half a day before that one is renewed.
            pair.now += HOUR * (9 * 365 * 24 - 12);
            pair.both_catch_up().await;
            pair.ends_with(1).await;
            pair.forget();
            let mut before = (pair.leaf(), 0);
            for (pause, steps) in handfuls.into_iter().enumerate() {
                for step in steps {
                    let is = pair.leaf();
                    pair.step(step).await;
                    let leaf = pair.leaf();
                    if leaf != is {
                        before = (is, pause + LAG);
                    }
                    assert!(pair.all_trust(&leaf), "the leaf, after {step:?}, pause {pause}");
                    assert!(before.1 < pause || pair.all_trust(&before.0), "the leaf before, after {step:?}, pause {pause}");
                }
                if pause % LAG == LAG - 1 {
                    pair.both_catch_up().await;
                }
                pair.now += PAUSE;
            }
            assert_eq!(pair.writes_of_the_secret(), 3, "made, moved, dropped");
            pair.ends_with(1).await;
        });
    }

    /// Replicas show the leaf that they have until kubelet brings another one.
    #[test]
    fn a_lost_secret_is_made_once_and_what_replicas_show_stays_trusted(steps in steps(40)) {
        run(async {
            let mut pair = Pair::settled().await;
            pair.forget();
            let shown = pair.leaf();
            pair.stored.lock().unwrap().objects.retain(|place, _| !place.ends_with(SECRET));
            for step in steps {
                pair.step(step).await;
                assert!(pair.all_trust(&shown), "after {step:?}");
            }
            pair.both_catch_up().await;
            assert_eq!(pair.writes_of_the_secret(), 1);
            assert!(pair.all_trust(&shown) && pair.all_trust(&pair.leaf()));
            pair.ends_with(2).await;
        });
    }
}

/// The one that has not seen the new authority yet: its write of the Secret and its bundle are refused, and its next look makes it right.
#[tokio::test]
async fn what_one_that_lags_behind_would_write_is_refused() {
    let mut pair = Pair::settled().await;
    let old = pair.stored.lock().unwrap().one(SECRET).unwrap();
    pair.forget();
    pair.stored.lock().unwrap().objects.retain(|place, _| !place.ends_with(SECRET));
    for step in [SeesSecret, Looks, SeesSecret, Looks] {
        pair.step((0, step)).await;
    }
    let made = pair.leaf();
    // The other one still sees the Secret that is gone; and then sees nothing, as the first one did.
    pair.rotators[1].step(Looks, &pair.stored, pair.now).await;
    show(&mut pair.rotators[1].secrets, []);
    pair.rotators[1].step(Looks, &pair.stored, pair.now).await;
    assert_eq!(pair.leaf(), made);
    assert!(pair.stored.lock().unwrap().refused.iter().any(|place| place.ends_with(SECRET)));
    // It saw a configuration edited away, and would put an old bundle in its place.
    show(&mut pair.rotators[1].secrets, [old]);
    let mut edited = pair.stored.lock().unwrap().one("validatingwebhookconfigurations/isbsvc-webhook").unwrap();
    edited["webhooks"][0]["failurePolicy"] = json!("Ignore");
    edited["metadata"]["resourceVersion"] = json!("1");
    show(&mut pair.rotators[1].validating, [edited]);
    let bundles = pair.stored.lock().unwrap().bundles();
    pair.rotators[1].step(Looks, &pair.stored, pair.now).await;
    assert_eq!(pair.stored.lock().unwrap().bundles(), bundles);
    pair.both_catch_up().await;
    pair.ends_with(2).await;
}
