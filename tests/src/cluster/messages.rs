use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::{self, stream};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{MINUTE, Namespace, eventually};

/// Messages under way at once.
const WINDOW: usize = 256;
/// Between two messages of a [`Load`]: enough to notice any gap, and no contest for the processors.
const PACE: Duration = Duration::from_millis(5);
/// Between two tries to publish one message: an election refuses at once.
const RETRY: Duration = Duration::from_millis(100);

/// One stream of a service, as a Pipeline has it, and a client with the user and password of the service.
pub struct Messages {
    runtime: Runtime,
    jetstream: jetstream::Context,
    name: String,
}

impl Messages {
    /// Makes the stream with this many replicas.
    ///
    /// # Panics
    /// Where it cannot be made.
    #[track_caller]
    pub fn open(namespace: &Namespace<'_>, service: &str, replicas: usize) -> Self {
        let status = namespace.get(&format!("isbsvc/{service}"))["status"].clone();
        let auth = &status["config"]["jetstream"]["auth"]["basic"];
        let (user, password) = (namespace.secret(&auth["user"]), namespace.secret(&auth["password"]));
        let address = address(namespace, service);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
        // As Numaflow names them.
        let name = format!("{}-pipeline-vertex-0", namespace.name);
        let jetstream = runtime.block_on(async {
            let options = async_nats::ConnectOptions::with_user_and_password(user, password);
            let client = options.ignore_discovered_servers().retry_on_initial_connect().connect(address);
            let jetstream = jetstream::new(client.await.unwrap_or_else(|error| panic!("{error}")));
            let config =
                stream::Config { name: name.clone(), subjects: vec![name.clone()], num_replicas: replicas, ..stream::Config::default() };
            jetstream.create_stream(config).await.unwrap_or_else(|error| panic!("{error}"));
            jetstream
        });
        Self { runtime, jetstream, name }
    }

    /// Publishes numbers as fast as it goes; gives those that were acknowledged.
    pub fn publish(&self, numbers: Range<u32>) -> BTreeSet<u32> {
        self.runtime.block_on(
            futures::stream::iter(numbers)
                .map(|number| publish(self.jetstream.clone(), self.name.clone(), number))
                .buffer_unordered(WINDOW)
                .filter_map(|number| async move { number })
                .collect(),
        )
    }

    /// Begins to publish so many messages of so many bytes into the same stream, as fast as it goes; they are no numbers, so [`Self::read`] passes over
    /// them. How many were acknowledged.
    pub fn bulk(&self, messages: u32, bytes: usize) -> JoinHandle<usize> {
        let (jetstream, subject, payload) = (self.jetstream.clone(), self.name.clone(), vec![b'x'; bytes]);
        let sent = futures::stream::iter(0..messages).map(move |_| {
            let (jetstream, subject, payload) = (jetstream.clone(), subject.clone(), payload.clone());
            async move { jetstream.publish(subject, payload.into()).await.ok()?.await.ok() }
        });
        self.runtime.spawn(sent.buffer_unordered(WINDOW).filter(|one| std::future::ready(one.is_some())).count())
    }

    /// Whether some replica of the stream does not hold everything, by the words of its leader; nothing where it has none at the moment.
    pub fn behind(&self) -> Option<bool> {
        let cluster =
            self.runtime.block_on(async { self.jetstream.get_stream(&self.name).await.ok()?.info().await.ok()?.cluster.clone() })?;
        cluster.leader.as_ref()?;
        Some(cluster.replicas.iter().any(|replica| !replica.current))
    }

    /// What a task came to.
    ///
    /// # Panics
    /// Where it panicked.
    pub fn wait<T>(&self, task: JoinHandle<T>) -> T {
        self.runtime.block_on(task).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Begins to publish numbers, one every five milliseconds, until it is told to end.
    pub fn load(&self, first: u32) -> Load {
        let (end, ended) = watch::channel(false);
        let task = self.runtime.spawn(load(self.jetstream.clone(), self.name.clone(), first, ended));
        Load { end, task }
    }

    /// The outcome of a load.
    ///
    /// # Panics
    /// Where the task that published panicked.
    pub fn end(&self, load: Load) -> Outcome {
        load.end.send_replace(true);
        self.wait(load.task)
    }

    /// Every number that the stream holds. A client whose servers were all replaced finds them again in its own time, and has a minute for it.
    ///
    /// # Panics
    /// Where it cannot be read to its end.
    #[track_caller]
    pub fn read(&self) -> BTreeSet<u32> {
        self.runtime.block_on(async {
            let began = Instant::now();
            let (mut messages, mut pending) = loop {
                match self.reader().await {
                    Ok(reader) => break reader,
                    Err(error) => assert!(began.elapsed() < MINUTE, "{}: {error}", self.name),
                }
                tokio::time::sleep(RETRY).await;
            };
            let mut seen = BTreeSet::new();
            while pending > 0 {
                let next = tokio::time::timeout(MINUTE, messages.next()).await;
                let Ok(Some(Ok(message))) = next else { panic!("{}: {pending} messages cannot be read: {next:?}", self.name) };
                pending = message.info().unwrap_or_else(|error| panic!("{error}")).pending;
                seen.extend(String::from_utf8_lossy(&message.payload).parse::<u32>().ok());
            }
            seen
        })
    }

    /// All messages from the first one, and how many there are.
    async fn reader(&self) -> Result<(pull::Ordered, u64), async_nats::Error> {
        let stream = self.jetstream.get_stream(&self.name).await?;
        let consumer = stream.create_consumer(pull::OrderedConfig::default()).await?;
        Ok((consumer.messages().await?, stream.cached_info().state.messages))
    }
}

/// Messages that are published in the background.
pub struct Load {
    end: watch::Sender<bool>,
    task: JoinHandle<Outcome>,
}

/// What became of them.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The numbers that a server acknowledged.
    pub acknowledged: BTreeSet<u32>,
    /// How many were given up after a minute.
    pub given_up: usize,
    /// The longest time without an acknowledgement.
    pub longest_gap: Duration,
}

async fn load(jetstream: jetstream::Context, subject: String, first: u32, mut ended: watch::Receiver<bool>) -> Outcome {
    let pace = tokio::time::interval(PACE);
    let numbers = futures::stream::unfold((first, pace), |(number, mut pace)| async move {
        pace.tick().await;
        Some((number, (number + 1, pace)))
    });
    let until_ended = async move { ended.wait_for(|ended| *ended).await.is_ok() };
    let mut answers = std::pin::pin!(
        numbers.take_until(until_ended).map(|number| publish(jetstream.clone(), subject.clone(), number)).buffer_unordered(WINDOW)
    );
    let (mut outcome, mut last) = (Outcome::default(), Instant::now());
    while let Some(answer) = answers.next().await {
        match answer {
            Some(number) => {
                outcome.acknowledged.insert(number);
                outcome.longest_gap = outcome.longest_gap.max(last.elapsed());
                last = Instant::now();
            }
            None => outcome.given_up += 1,
        }
    }
    outcome
}

/// Publishes a number until it is acknowledged; nothing where it was not for a minute.
async fn publish(jetstream: jetstream::Context, subject: String, number: u32) -> Option<u32> {
    let tries = async {
        let mut pace = tokio::time::interval(RETRY);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            let sent = jetstream.publish(subject.clone(), number.to_string().into()).await;
            if let Ok(acknowledgement) = sent
                && acknowledgement.await.is_ok()
            {
                return number;
            }
        }
    };
    tokio::time::timeout(MINUTE, tries).await.ok()
}

/// An address of the service that stays while its pods come and go. The one of the service itself is a name that only the cluster knows.
fn address(namespace: &Namespace<'_>, service: &str) -> String {
    let selector = json!({ "numaflow.numaproj.io/isbsvc-name": service });
    let name = format!("clients-of-{service}");
    let object = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": { "selector": selector, "ports": [{ "port": 4222 }] } });
    namespace.apply(&object.to_string()).ok();
    let mut address = String::new();
    eventually("the service has an address", MINUTE, || {
        let ip = namespace.get(&format!("service/{name}"))["spec"]["clusterIP"].clone();
        address = format!("nats://{}:4222", ip.as_str().unwrap_or_default());
        if matches!(&ip, Value::String(ip) if !ip.is_empty()) { Ok(()) } else { Err(ip.to_string()) }
    });
    address
}
