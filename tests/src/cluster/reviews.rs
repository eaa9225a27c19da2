use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use isbsvc::api::names;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Cluster, Namespace};

/// Between two requests of one caller: enough to notice any gap, and no contest for the processors.
const PACE: Duration = Duration::from_millis(50);
/// Longest time for one request; the webhook has five seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a load of requests came to, each of which the webhook is to refuse by one rule.
#[derive(Debug, Default)]
pub struct Answers {
    /// Refused by the rule, as it should be.
    pub refused: usize,
    /// Admitted, although the rule refuses: nobody was asked.
    pub admitted: usize,
    /// Neither: when after the beginning, and the API server's words.
    pub failed: Vec<(Duration, String)>,
}

/// Callers that go on asking the API server for something that a rule refuses, in dry runs.
pub struct Reviews {
    runtime: Runtime,
    end: watch::Sender<bool>,
    callers: Vec<JoinHandle<Answers>>,
    answered: Arc<AtomicUsize>,
}

impl Reviews {
    /// Begins with so many callers; without a pace each asks again as soon as it is answered.
    ///
    /// # Panics
    /// Where the cluster cannot be reached.
    pub fn begin(cluster: &Cluster, namespace: &Namespace<'_>, callers: usize, paced: bool, spec: &Value, rule: &'static str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
        let client = runtime.block_on(client(cluster));
        let resource = ApiResource {
            group: names::GROUP.to_owned(),
            version: "v1alpha1".to_owned(),
            api_version: names::API_VERSION.to_owned(),
            kind: names::KIND.to_owned(),
            plural: names::PLURAL.to_owned(),
        };
        let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace.name, &resource);
        let object =
            json!({ "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": { "generateName": "asked-" }, "spec": spec });
        let object: DynamicObject = serde_json::from_value(object).unwrap_or_else(|error| panic!("{error}"));
        let (end, ended) = watch::channel(false);
        let answered = Arc::default();
        let caller = || ask(api.clone(), object.clone(), paced, rule, ended.clone(), Arc::clone(&answered));
        let callers = (0..callers).map(|_| runtime.spawn(caller())).collect();
        Self { runtime, end, callers, answered }
    }

    /// How many requests have ended so far, in whatever way.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends; what it came to.
    ///
    /// # Panics
    /// Where a caller panicked.
    pub fn end(self) -> Answers {
        self.end.send_replace(true);
        let mut all = Answers::default();
        for answers in self.runtime.block_on(join_all(self.callers)) {
            let answers = answers.unwrap_or_else(|error| panic!("{error}"));
            all.refused += answers.refused;
            all.admitted += answers.admitted;
            all.failed.extend(answers.failed);
        }
        all.failed.sort();
        all
    }
}

async fn client(cluster: &Cluster) -> Client {
    let kubeconfig = Kubeconfig::read_from(&cluster.kubeconfig).unwrap_or_else(|error| panic!("{error}"));
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap_or_else(|error| panic!("{error}"));
    Client::try_from(config).unwrap_or_else(|error| panic!("{error}"))
}

async fn ask(
    api: Api<DynamicObject>,
    object: DynamicObject,
    paced: bool,
    rule: &'static str,
    ended: watch::Receiver<bool>,
    answered: Arc<AtomicUsize>,
) -> Answers {
    let (began, name) = (Instant::now(), format!("({rule})"));
    let parameters = PostParams { dry_run: true, field_manager: None };
    let mut answers = Answers::default();
    while !*ended.borrow() {
        match tokio::time::timeout(PATIENCE, api.create(&parameters, &object)).await {
            Ok(Ok(_)) => answers.admitted += 1,
            Ok(Err(kube::Error::Api(status))) if status.message.contains(&name) => answers.refused += 1,
            Ok(Err(error)) => answers.failed.push((began.elapsed(), error.to_string())),
            Err(_) => answers.failed.push((began.elapsed(), "no answer".to_owned())),
        }
        answered.fetch_add(1, Ordering::Relaxed);
        if paced {
            tokio::time::sleep(PACE).await;
        }
    }
    answers
}
