//! Real use, on a real cluster, through the built binaries: `kubectl apply` -> webhook -> controller -> NATS -> `kubectl isbsvc status`.

// A test may panic; that is how it fails.
#![allow(clippy::panic)]

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, consumer::pull, stream};
use futures::StreamExt as _;
use isbsvc_tests::cluster::{Cluster, Namespace, eventually};
use serde_json::{Value, json};

const MINUTE: Duration = Duration::from_mins(1);

fn sample(name: &str, more: &Value) -> String {
    let mut spec = json!({ "version": "2.12.7" });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({ "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "InterStepBufferService", "metadata": { "name": name }, "spec": { "jetstream": spec } }).to_string()
}

/// Waits until the service is healthy by Numaflow's own reading; gives its status.
#[track_caller]
fn healthy(namespace: &Namespace<'_>, name: &str) -> Value {
    let what = format!("isbsvc/{name}");
    let mut status = json!(null);
    eventually(&format!("{what} becomes healthy"), 3 * MINUTE, || {
        let object = namespace.get(&what);
        status = object["status"].clone();
        let parsed: isbsvc::api::InterStepBufferServiceStatus = serde_json::from_value(status.clone()).unwrap_or_default();
        if parsed.is_healthy() && status["observedGeneration"] == object["metadata"]["generation"] {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    status
}

/// The manual's sample: defaulted, healthy, not to be lost, shown, deleted without a trace.
#[test]
fn the_manuals_sample() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-sample");
    let began = Instant::now();
    let said = namespace.apply(&sample("default", &json!({ "version": "latest" })));
    assert!(said.err.contains("version-floating"), "the warning reaches the person: {}", said.err);
    said.ok();
    assert_eq!(namespace.get("isbsvc/default")["spec"]["jetstream"]["replicas"], json!(3), "what was left out is filled in");
    let again = namespace.apply(&sample("default", &json!({ "version": "latest" }))).ok();
    assert!(again.contains("unchanged"), "{again}");
    let status = healthy(&namespace, "default");
    println!("from kubectl apply to healthy: {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(status["config"]["jetstream"]["url"], json!("nats://isbsvc-default-js-svc.test-sample.svc:4222"));

    // Refused, with the reason and a way that works, and nothing happens to what runs.
    let version = namespace.get("statefulset/isbsvc-default-js")["metadata"]["resourceVersion"].clone();
    for (patch, rule) in [
        (json!({ "encryption": true }), "encryption-toggle"),
        (json!({ "tls": true }), "tls-toggle"),
        (json!({ "replicas": 1 }), "replicas-cluster-switch"),
        (json!({ "persistence": {} }), "persistence-change"),
        (json!({ "version": "2.10.29" }), "version-downgrade"),
    ] {
        let patch = json!({ "spec": { "jetstream": patch } }).to_string();
        let said = namespace.kubectl(&["patch", "isbsvc", "default", "--type", "merge", "-p", &patch]);
        assert!(said.code != 0 && said.err.contains(rule), "{patch}: {}", said.err);
    }
    assert_eq!(namespace.get("statefulset/isbsvc-default-js")["metadata"]["resourceVersion"], version);

    // What status says: a leader, all servers, exit code 0.
    let said = namespace.isbsvc(&["status", "-o", "json"]);
    let shown: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {} {}", said.out, said.err));
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("isbsvc-default-js-"), "{shown}");
    assert_eq!(shown["verdict"]["level"], json!("healthy"), "{shown}");
    assert!(shown["meta"]["leader"].as_str().is_some_and(|leader| leader.starts_with("isbsvc-default-js-")), "{shown}");
    assert!(namespace.isbsvc(&["list"]).ok().contains("default"));
    namespace.isbsvc(&["diff"]).ok();

    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=120s"]).ok();
    eventually("nothing is left", MINUTE, || {
        let left = namespace
            .kubectl(&[
                "get",
                "statefulset,service,configmap,secret,poddisruptionbudget,pod,persistentvolumeclaim",
                "-l",
                "numaflow.numaproj.io/isbsvc-name=default",
                "-o",
                "name",
            ])
            .ok();
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    });
}

/// What somebody edits or deletes comes back; and the servers are not restarted for it.
#[test]
fn drift_is_repaired() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-drift");
    namespace.apply(&sample("default", &json!({ "replicas": 1 }))).ok();
    healthy(&namespace, "default");
    let pod = namespace.get("pod/isbsvc-default-js-0")["metadata"]["uid"].clone();
    let user = namespace.get("secret/isbsvc-default-js-client-auth")["data"].clone();
    for what in ["secret/isbsvc-default-js-client-auth", "configmap/isbsvc-default-js-config", "service/isbsvc-default-js-svc"] {
        namespace.kubectl(&["delete", what]).ok();
        eventually(&format!("{what} comes back"), MINUTE, || {
            let said = namespace.kubectl(&["get", what]);
            if said.code == 0 { Ok(()) } else { Err(said.err) }
        });
    }
    assert_eq!(namespace.get("secret/isbsvc-default-js-client-auth")["data"], user, "law keys-live-once");
    namespace
        .kubectl(&["patch", "configmap", "isbsvc-default-js-config", "--type", "merge", "-p", r#"{"data":{"nats-js":"port: 1"}}"#])
        .ok();
    eventually("the configuration is put back", MINUTE, || {
        let text = namespace.get("configmap/isbsvc-default-js-config")["data"]["nats-js"].to_string();
        if text.contains("port: 4222") { Ok(()) } else { Err(text) }
    });
    assert_eq!(namespace.get("pod/isbsvc-default-js-0")["metadata"]["uid"], pod, "no restart");
}

/// Ten thousand messages on three replicas, read back; then a pod dies under load, and no acknowledged message is lost.
#[test]
fn messages_live() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-messages");
    namespace.apply(&sample("default", &json!({ "persistence": { "volumeSize": "1Gi" } }))).ok();
    let status = healthy(&namespace, "default");
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
    healthy(&namespace, "default");
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

/// A wrong name, file or flag ends in one line and exit code 1.
#[test]
fn bad_input_is_one_line() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-bad-input");
    for arguments in [
        ["status", "nobody"].as_slice(),
        &["status", "-o", "nonsense"],
        &["create", "Bad_Name"],
        &["create", "-f", "/nonexistent.yaml"],
        &["list", "--context", "nowhere"],
        &["describe", "nobody"],
    ] {
        let said = namespace.isbsvc(arguments);
        assert_eq!(said.code, 1, "{arguments:?}: {said:?}");
        assert!(said.err.lines().next().is_some_and(|line| line.starts_with("error")), "{arguments:?}: {}", said.err);
    }
}
