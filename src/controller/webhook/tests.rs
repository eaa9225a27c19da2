use kube::runtime::reflector::Lookup;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::observe::scripted::{Asked, Log, api_server};

mod two;

/// A keeper, what it sees, and what it asked for.
struct Scene {
    keeper: Keeper,
    seen: Stores,
    log: Log,
    secrets: Writer<Secret>,
    endpoints: Writer<EndpointSlice>,
    mutating: Writer<MutatingWebhookConfiguration>,
    validating: Writer<ValidatingWebhookConfiguration>,
}

fn show<K>(writer: &mut Writer<K>, objects: impl IntoIterator<Item = Value>)
where
    K: Lookup + Clone + DeserializeOwned + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    writer.apply_watcher_event(&Event::Init);
    for object in objects {
        writer.apply_watcher_event(&Event::InitApply(serde_json::from_value(object).unwrap()));
    }
    writer.apply_watcher_event(&Event::InitDone);
}

impl Scene {
    /// The Service of the webhook is there, and nothing else.
    fn new() -> Self {
        // Whatever is written is taken.
        let (client, log) = api_server(|asked| (200, asked.body.clone()));
        let (services, mut service) = reflector::store();
        show(&mut service, [json!({ "metadata": { "name": "isbsvc-webhook", "namespace": "numaflow-system" } })]);
        let (secret_store, secrets) = reflector::store();
        let (endpoint_store, endpoints) = reflector::store();
        let (mutating_store, mutating) = reflector::store();
        let (validating_store, validating) = reflector::store();
        let seen = Stores {
            secrets: secret_store,
            services,
            endpoints: endpoint_store,
            mutating: mutating_store,
            validating: validating_store,
            configurations: true,
        };
        let webhook = Webhook { namespace: "numaflow-system".to_owned(), service: "isbsvc-webhook".to_owned(), configurations: true };
        let keeper = Keeper { client, webhook, metrics: Arc::default(), said: String::new() };
        Self { keeper, seen, log, secrets, endpoints, mutating, validating }
    }

    /// One replica, ready or not.
    fn replica(&mut self, ready: bool) {
        let endpoint = json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } });
        show(
            &mut self.endpoints,
            [
                json!({ "metadata": { "name": "isbsvc-webhook-x", "namespace": "numaflow-system" }, "addressType": "IPv4", "endpoints": [endpoint] }),
            ],
        );
    }

    /// One look: what it says, and what it wrote.
    async fn look(&mut self) -> (String, Vec<Asked>) {
        let words = self.keeper.look(&self.seen, jiff::Timestamp::now()).await.unwrap();
        (words, std::mem::take(&mut *self.log.lock().unwrap()))
    }
}

/// A configuration without a replica that answers would refuse every service of the cluster.
#[tokio::test]
async fn the_configurations_are_installed_only_after_a_replica_is_ready() {
    let mut scene = Scene::new();
    let (_, written) = scene.look().await;
    let [certificate] = written.as_slice() else { panic!("the certificate comes first: {written:?}") };
    assert!(certificate.method == "POST" && certificate.path.contains("/secrets"), "{certificate:?}");
    show(&mut scene.secrets, [certificate.body.clone()]);

    let waiting = "the webhook has its certificate; its configurations are installed once a replica is ready";
    assert_eq!(scene.look().await, (waiting.to_owned(), Vec::new()), "no replica at all");
    scene.replica(false);
    assert_eq!(scene.look().await, (waiting.to_owned(), Vec::new()), "none that is ready");

    scene.replica(true);
    let (words, written) = scene.look().await;
    assert_eq!(words, "the webhook has its certificate and its configurations");
    let paths: Vec<_> =
        written.iter().map(|asked| format!("{} {}", asked.method, asked.path.split('?').next().unwrap_or_default())).collect();
    let of = |kind: &str| format!("PATCH /apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations/isbsvc-webhook");
    assert_eq!(paths, [of("mutating"), of("validating")]);
    assert!(written.iter().all(|asked| asked.body["webhooks"][0]["clientConfig"]["caBundle"].as_str().is_some_and(|pem| pem.len() > 100)));

    // What stands is kept, also while no replica is ready: taking it away would let everything through.
    show(&mut scene.mutating, [written[0].body.clone()]);
    show(&mut scene.validating, [written[1].body.clone()]);
    scene.replica(false);
    assert_eq!(scene.look().await, (words, Vec::new()));
    // An edit of what stands is put back, in either entry; and one that an earlier version of ours did not have comes.
    let whole = written[1].body.clone();
    let edits: [fn(&mut Value); 5] = [
        |body| body["webhooks"][0]["failurePolicy"] = json!("Ignore"),
        |body| body["webhooks"][0]["clientConfig"]["caBundle"] = json!(""),
        |body| body["webhooks"][1]["failurePolicy"] = json!("Fail"),
        |body| body["webhooks"][1]["clientConfig"]["caBundle"] = json!(""),
        |body| drop(body["webhooks"].as_array_mut().unwrap().pop()),
    ];
    for edit in edits {
        let mut edited = whole.clone();
        edit(&mut edited);
        show(&mut scene.validating, [edited]);
        let (_, written) = scene.look().await;
        let [put_back] = written.as_slice() else { panic!("one write: {written:?}") };
        assert_eq!(put_back.body, whole);
    }
}
