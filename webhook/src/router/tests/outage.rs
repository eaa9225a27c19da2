//! The API server goes away while reviews keep coming.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use isbsvc::limits;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep};

use super::*;
use crate::cluster::scripted::{list, watch};

/// Reviews of each kind at one moment.
const AT_ONCE: usize = 30;
/// A rule that warns by its own level, and refuses where the labels of the namespace say so, or are not known.
const POLICY: &str = "namespaces:\n  - selector: { matchLabels: { stage: live } }\n    rules: { buffer-size: enforce }\n";

/// An API server that can be stopped, and the webhook beside it.
struct Scene {
    down: Arc<AtomicBool>,
    watches: Arc<Mutex<Vec<UnboundedSender<Value>>>>,
    webhook: Arc<Webhook>,
}

impl Scene {
    /// While it is down, what is sent breaks, or is never answered.
    async fn new(silent: bool) -> Self {
        let (down, watches) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_down, open) = (Arc::clone(&down), Arc::clone(&watches));
        let (client, _) = api_server(move |path, _| {
            if is_down.load(Ordering::Relaxed) {
                // Of the watches, the client's own limit of silence ends what is never answered.
                return if silent && path.contains("subjectaccessreviews") { Reply::Never } else { Reply::Broken };
            }
            if path.contains("subjectaccessreviews") {
                let status = json!({ "allowed": true });
                return Reply::Now(
                    201,
                    json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}, "status": status }),
                );
            }
            if path.contains("watch=true") {
                let (sender, reply) = watch();
                open.lock().unwrap().push(sender);
                return reply;
            }
            if path.contains("/pipelines") {
                return list(&[json!({
                    "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "Pipeline", "spec": {},
                    "metadata": { "name": "orders", "namespace": "ns", "resourceVersion": "2" },
                })]);
            }
            let namespace = |name: &str, stage: &str| {
                json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                    "metadata": { "name": name, "resourceVersion": "2", "labels": { "stage": stage } },
                })
            };
            list(&[namespace("ns", "live"), namespace("other", "test")])
        });
        let measure = Measure { config: ControllerConfig::built_in(), policy: Policy::parse(POLICY).unwrap() };
        let certificate = Arc::new(CertificateReloader::new("tls.crt", "tls.key"));
        let webhook = Arc::new(Webhook::new(Bounds::default(), measure, Metrics::default(), certificate).with_cluster(client));
        // Time stands still while there is something to do.
        sleep(Duration::from_millis(10)).await;
        Self { down, watches, webhook }
    }

    fn stop(&self) {
        self.down.store(true, Ordering::Relaxed);
        self.watches.lock().unwrap().clear();
    }

    /// The answers to many reviews at once, by code and message: each the same for all of its kind. None takes longer than it may.
    async fn answers(&self) -> Answers {
        let began = Instant::now();
        let ask = async |text: String| {
            let mut request = post_to("/validate", text);
            *request.uri_mut() = "/validate?timeout=5s".parse().unwrap();
            let (code, _, body) = send(&self.webhook, request).await;
            assert_eq!(code, StatusCode::OK, "{body}");
            body["response"].clone()
        };
        let all = async |text: String| {
            let mut answers = join_all((0..AT_ONCE).map(|_| ask(text.clone()))).await;
            let first = answers.swap_remove(0);
            assert!(answers.iter().all(|answer| answer["allowed"] == first["allowed"]), "{first} {answers:?}");
            first
        };
        let (good, lossy, elsewhere, delete) =
            tokio::join!(all(review().to_string()), all(lossy("ns")), all(lossy("other")), all(deletion()));
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits for what is known");
        // Four at a time are asked; that the others are refused at once, without an answer, is no less of a refusal.
        let overrides = join_all((0..AT_ONCE).map(|_| ask(overriding()))).await;
        assert!(began.elapsed() <= limits::ACCESS_REVIEW, "{:?}", began.elapsed());
        assert!(overrides.iter().all(|answer| answer["allowed"] == false), "{overrides:?}");
        Answers { good, lossy, elsewhere, delete, overridden: overrides[0]["status"]["message"].as_str().unwrap().to_owned() }
    }
}

struct Answers {
    good: Value,
    lossy: Value,
    elsewhere: Value,
    delete: Value,
    overridden: String,
}

impl Answers {
    fn allowed(&self) -> [bool; 4] {
        [&self.good, &self.lossy, &self.elsewhere, &self.delete].map(|answer| answer["allowed"] == true)
    }
}

/// A new service whose buffers lose messages when they are full.
fn lossy(namespace: &str) -> String {
    let mut review = review();
    review["request"]["namespace"] = json!(namespace);
    review["request"]["object"]["metadata"]["namespace"] = json!(namespace);
    review["request"]["object"]["spec"]["jetstream"]["bufferConfig"] = json!("stream:\n  maxMsgs: 10\n");
    review.to_string()
}

/// Of a service that a Pipeline uses.
fn deletion() -> String {
    let mut review = review();
    let request = &mut review["request"];
    request["operation"] = json!("DELETE");
    request["oldObject"] = request["object"].take();
    review.to_string()
}

#[tokio::test(start_paused = true)]
async fn reviews_are_answered_on_by_what_is_known_and_nothing_passes_that_needs_an_answer() {
    for silent in [false, true] {
        let scene = Scene::new(silent).await;
        let before = scene.answers().await;
        assert_eq!(before.allowed(), [true, false, true, false], "by the labels and the Pipelines");
        assert!(before.overridden.contains("the webhook's own mutating step did not record it"), "{}", before.overridden);

        scene.stop();
        for _ in 0..5 {
            let now = scene.answers().await;
            assert_eq!(now.allowed(), before.allowed(), "what was read counts on");
            assert!(now.overridden.contains("could not be found out"), "{}", now.overridden);
            sleep(Duration::from_secs(10)).await;
        }
        sleep(limits::STORE_STALE).await;
        let now = scene.answers().await;
        assert_eq!(now.allowed(), [true, false, false, true], "without labels the strictest holds; a deletion is the finalizer's matter");
        assert!(now.delete["warnings"].to_string().contains("was not checked"), "{}", now.delete);
        assert!(now.overridden.contains("could not be found out"), "{}", now.overridden);

        scene.down.store(false, Ordering::Relaxed);
        sleep(limits::WATCH_RETRY_MOST).await;
        let again = scene.answers().await;
        assert_eq!((again.allowed(), again.overridden), (before.allowed(), before.overridden), "all is as before");
    }
}
