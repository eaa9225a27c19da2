use std::time::Duration;

use async_nats::jetstream::{self, consumer::pull, stream};
use futures::StreamExt as _;
use isbsvc_tests::cluster::{Cluster, MINUTE, eventually, service};
use serde_json::json;

/// Ten thousand messages on three replicas, read back; then a pod dies under load, and no acknowledged message is lost.
#[test]
fn messages_live() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-messages");
    namespace.apply(&service("default", &json!({ "persistence": { "volumeSize": "1Gi" } }))).ok();
    let status = namespace.healthy("default");
    let auth = &status["config"]["jetstream"]["auth"]["basic"];
    let (user, password) = (namespace.secret(&auth["user"]), namespace.secret(&auth["password"]));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(async {
        // The host reaches pods by address; DNS names of the cluster it does not know.
        let servers: Vec<String> = (0..3)
            .map(|ordinal| {
                let pod = namespace.get(&format!("pod/isbsvc-default-js-{ordinal}"));
                format!("nats://{}:4222", pod["status"]["podIP"].as_str().unwrap_or_default())
            })
            .collect();
        let options =
            async_nats::ConnectOptions::with_user_and_password(user, password).ignore_discovered_servers().retry_on_initial_connect();
        let client = options.connect(servers).await.unwrap_or_else(|error| panic!("{error}"));
        let jetstream = jetstream::new(client);
        let name = "test-messages-pipeline-vertex-0";
        let stream = jetstream
            .create_stream(stream::Config {
                name: name.to_owned(),
                subjects: vec![name.to_owned()],
                num_replicas: 3,
                ..stream::Config::default()
            })
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let consumer = stream
            .create_consumer(pull::Config { durable_name: Some(name.to_owned()), ..pull::Config::default() })
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        publish(&jetstream, name, 0..10_000).await;
        let mut seen = std::collections::BTreeSet::new();
        read(&consumer, &mut seen, 10_000).await;
        assert_eq!(seen.len(), 10_000);

        // A pod dies under load.
        let writer = tokio::spawn({
            let jetstream = jetstream.clone();
            async move { publish(&jetstream, name, 10_000..12_000).await }
        });
        namespace.kubectl(&["delete", "pod", "isbsvc-default-js-0", "--grace-period=1", "--wait=false"]).ok();
        let acknowledged = writer.await.unwrap_or_else(|error| panic!("{error}"));
        assert!(acknowledged.len() > 1_900, "the service goes on: {} of 2000 were acknowledged", acknowledged.len());
        read(&consumer, &mut seen, 10_000 + acknowledged.len()).await;
        let lost: Vec<_> = acknowledged.iter().filter(|number| !seen.contains(number)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        println!("{} acknowledged while a pod died, none lost", acknowledged.len());
    });
    namespace.healthy("default");
    eventually("every replica is current again", 2 * MINUTE, || {
        let said = namespace.isbsvc(&["status"]);
        if said.code == 0 && !said.out.contains("Replica") { Ok(()) } else { Err(said.out) }
    });
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=180s"]).ok();
    let claims = namespace.kubectl(&["get", "persistentvolumeclaim", "-o", "name"]).ok();
    assert_eq!(claims.trim(), "", "the claims went with the service");
}

/// Publishes numbers, each until it is acknowledged or given up after a while; gives those that were acknowledged.
async fn publish(jetstream: &jetstream::Context, subject: &'static str, numbers: std::ops::Range<u32>) -> Vec<u32> {
    let window = 256;
    futures::stream::iter(numbers)
        .map(|number| async move {
            for _ in 0..10 {
                let sent = jetstream.publish(subject, number.to_string().into()).await;
                if let Ok(acknowledgement) = sent
                    && acknowledgement.await.is_ok()
                {
                    return Some(number);
                }
            }
            None
        })
        .buffer_unordered(window)
        .filter_map(|number| async move { number })
        .collect()
        .await
}

/// Reads until this many numbers were seen, or nothing more comes for a while.
async fn read(consumer: &jetstream::consumer::Consumer<pull::Config>, seen: &mut std::collections::BTreeSet<u32>, until: usize) {
    let mut messages = consumer.messages().await.unwrap_or_else(|error| panic!("{error}"));
    while seen.len() < until {
        let Ok(Some(message)) = tokio::time::timeout(Duration::from_secs(30), messages.next()).await else { return };
        // A message that is lost on the way is asked for again by the iterator.
        let Ok(message) = message else { continue };
        if let Ok(number) = String::from_utf8_lossy(&message.payload).parse() {
            seen.insert(number);
        }
        let _ = message.ack().await;
    }
}
