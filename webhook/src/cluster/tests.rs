use std::time::Duration;

use isbsvc::rules::overrides::VERB;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use super::scripted::{Log, Reply, api_server, failure, list, watch};
use super::*;
use crate::admission::Asker;

/// Watches that are open, by kind, so that a test can send into them or end them.
type Open = Arc<std::sync::Mutex<BTreeMap<&'static str, UnboundedSender<Value>>>>;

/// What the API server holds.
#[derive(Clone, Default)]
struct World {
    namespaces: Vec<Value>,
    pipelines: Vec<Value>,
}

fn namespace(name: &str, more: &Value) -> Value {
    let mut metadata = json!({ "name": name, "resourceVersion": "2", "labels": { "stage": "live" }, "annotations": { "large": "text" } });
    for (key, value) in more.as_object().into_iter().flatten() {
        metadata[key] = value.clone();
    }
    json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata })
}

fn pipeline(namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "Pipeline",
        "metadata": { "name": name, "namespace": namespace, "resourceVersion": "3" }, "spec": spec,
    })
}

fn is_watch(path: &str) -> bool {
    path.contains("watch=true")
}

/// What an API server that works answers about the two kinds.
fn answered(world: &World, open: &Open, path: &str) -> Reply {
    let (kind, items) = if path.contains("/pipelines") { ("pipelines", &world.pipelines) } else { ("namespaces", &world.namespaces) };
    if !is_watch(path) {
        return list(items);
    }
    let (sender, reply) = watch();
    open.lock().unwrap().insert(kind, sender);
    reply
}

/// A cluster of an API server that works; each watch stays open.
fn serving(world: World) -> (Cluster, Arc<Metrics>, Open, Log) {
    let open = Open::default();
    let kept = Arc::clone(&open);
    let (client, log) = api_server(move |path, _| answered(&world, &kept, path));
    let metrics = Arc::new(Metrics::default());
    (Cluster::follow(client, &metrics), metrics, open, log)
}

/// Until the clock, which stands still while there is something to do, has moved: all that follows from what came before is done.
async fn settled() {
    sleep(Duration::from_millis(10)).await;
}

fn world() -> World {
    World {
        namespaces: vec![namespace("ns", &json!({})), namespace("ending", &json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" }))],
        pipelines: vec![
            pipeline("ns", "orders", &json!({})),
            pipeline("ns", "payments", &json!({ "interStepBufferServiceName": "other", "vertices": [1, 2, 3] })),
            pipeline("ending", "orders", &json!({})),
        ],
    }
}

fn users(cluster: &Cluster, namespace: &str, service: &str) -> Result<Vec<String>, String> {
    match cluster.surroundings(namespace, service).pipelines {
        Fact::Known(uses) => Ok(uses.into_iter().map(|one| one.name).collect()),
        Fact::Unknown(why) => Err(why),
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn namespaces_and_pipelines_are_known_from_one_list_and_one_watch_and_reviews_ask_nothing() {
    let (cluster, metrics, open, log) = serving(world());
    assert_eq!(users(&cluster, "ns", "default"), Err("the namespaces have not been read yet".to_owned()));
    assert!(cluster.not_ready().is_some() && cluster.labels("ns").is_none());
    settled().await;
    assert_eq!(cluster.not_ready(), None);
    let asked = log.lock().unwrap().len();
    assert_eq!(asked, 4, "{log:?}");
    for _ in 0..100 {
        assert_eq!(users(&cluster, "ns", "default").unwrap(), ["orders"]);
        assert_eq!(users(&cluster, "ns", "other").unwrap(), ["payments"]);
        assert_eq!(users(&cluster, "elsewhere", "default").unwrap(), Vec::<String>::new());
        assert_eq!(cluster.labels("ns"), Some(labels(&[("stage", "live")])));
        assert_eq!(cluster.labels("unheard-of"), None);
        assert!(cluster.surroundings("ending", "default").namespace_ends && !cluster.surroundings("ns", "default").namespace_ends);
    }
    // What changes is brought by the watches.
    let send = |kind: &str, event: Value| open.lock().unwrap()[kind].send(event).unwrap();
    send("pipelines", json!({ "type": "DELETED", "object": pipeline("ns", "orders", &json!({})) }));
    send("namespaces", json!({ "type": "MODIFIED", "object": namespace("ns", &json!({ "labels": { "stage": "test" } })) }));
    settled().await;
    assert_eq!(users(&cluster, "ns", "default").unwrap(), Vec::<String>::new());
    assert_eq!(cluster.labels("ns"), Some(labels(&[("stage", "test")])));
    assert_eq!(log.lock().unwrap().len(), asked, "no review and no change asked the API server anything");
    for store in ["namespaces", "pipelines"] {
        assert!(metrics.text().contains(&format!("isbsvc_webhook_store_current{{store=\"{store}\"}} 1")), "{}", metrics.text());
    }
}

#[tokio::test(start_paused = true)]
async fn without_numaflow_there_are_no_pipelines() {
    let (client, log) = api_server(|path, _| match path {
        path if path.contains("/pipelines") => failure(404, "NotFound", "the server could not find the requested resource"),
        path if is_watch(path) => Reply::Never,
        _ => list(&[namespace("ns", &json!({}))]),
    });
    let cluster = Cluster::follow(client, &Arc::default());
    settled().await;
    assert_eq!(users(&cluster, "ns", "default").unwrap(), Vec::<String>::new());
    assert_eq!(cluster.not_ready(), None);
    sleep(Duration::from_mins(10)).await;
    let asked = log.lock().unwrap().iter().filter(|(_, path, _)| path.contains("/pipelines")).count();
    assert!((10..=22).contains(&asked), "it may be installed any time, and is asked for every half minute: {asked}");
}

/// Without the right to read, the webhook is ready all the same: it says what it does not know, and nothing is refused for it.
#[tokio::test(start_paused = true)]
async fn what_may_not_be_read_is_not_known_and_holds_no_readiness() {
    let (client, log) = api_server(|path, _| {
        let what = if path.contains("/pipelines") { "pipelines" } else { "namespaces" };
        failure(403, "Forbidden", &format!("{what} is forbidden"))
    });
    let metrics = Arc::new(Metrics::default());
    let cluster = Cluster::follow(client, &metrics);
    settled().await;
    assert_eq!(cluster.not_ready(), None);
    assert_eq!(users(&cluster, "ns", "default"), Err("the namespaces cannot be read: namespaces is forbidden".to_owned()));
    assert_eq!(cluster.labels("ns"), None);
    assert!(metrics.text().contains("isbsvc_webhook_store_current{store=\"namespaces\"} 0"), "{}", metrics.text());
    sleep(Duration::from_mins(10)).await;
    let asked = log.lock().unwrap().len();
    assert!((40..=60).contains(&asked), "it is tried again with growing pauses: {asked}");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_not_reached_holds_readiness_for_a_bounded_time() {
    for broken in [true, false] {
        let (client, _) = api_server(move |_, _| if broken { Reply::Broken } else { Reply::Never });
        let cluster = Cluster::follow(client, &Arc::default());
        let begun = Instant::now();
        while cluster.not_ready().is_some() && begun.elapsed() < limits::STORES_WAIT * 2 {
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(begun.elapsed(), limits::STORES_WAIT);
        assert!(users(&cluster, "ns", "default").is_err() && cluster.labels("ns").is_none());
    }
}

/// A blip of the API server changes no decision; a long absence does, and its end brings everything back.
#[tokio::test(start_paused = true)]
async fn what_was_read_counts_for_a_while_when_it_cannot_be_followed() {
    let down = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (is_down, open) = (Arc::clone(&down), Open::default());
    let (kept, world) = (Arc::clone(&open), world());
    let (client, _) = api_server(move |path, _| {
        if is_down.load(std::sync::atomic::Ordering::Relaxed) {
            return Reply::Broken;
        }
        answered(&world, &kept, path)
    });
    let metrics = Arc::new(Metrics::default());
    let cluster = Cluster::follow(client, &metrics);
    settled().await;
    assert_eq!(users(&cluster, "ns", "default").unwrap(), ["orders"]);
    down.store(true, std::sync::atomic::Ordering::Relaxed);
    open.lock().unwrap().clear();
    sleep(Duration::from_secs(20)).await;
    assert_eq!(users(&cluster, "ns", "default").unwrap(), ["orders"], "for now");
    assert!(metrics.text().contains("isbsvc_webhook_store_current{store=\"pipelines\"} 0"), "{}", metrics.text());
    sleep(limits::STORE_STALE).await;
    assert!(users(&cluster, "ns", "default").unwrap_err().contains("cannot be read: the API server is not reached"));
    assert_eq!((cluster.labels("ns"), cluster.not_ready()), (None, None));
    down.store(false, std::sync::atomic::Ordering::Relaxed);
    sleep(limits::WATCH_RETRY_MOST).await;
    assert_eq!(users(&cluster, "ns", "default").unwrap(), ["orders"]);
    assert!(metrics.text().contains("isbsvc_webhook_store_current{store=\"pipelines\"} 1"), "{}", metrics.text());
}

/// One that accepts a connection and never says a word, as one that was stopped does.
#[tokio::test]
async fn an_api_server_that_falls_silent_is_lost() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    let client = Client::try_from(bounded(Config::new(address.parse().unwrap()), Duration::from_millis(100))).unwrap();
    let namespaces: Api<Namespace> = Api::all(client);
    let all = kube::api::ListParams::default();
    let asked = tokio::time::timeout(Duration::from_secs(20), namespaces.list(&all)).await;
    let error = asked.expect("it is not waited for for ever").unwrap_err();
    assert!(super::store::in_words(&error).starts_with("the API server is not reached"), "{error}");
    silent.abort();
}

/// A silence is found out only if it cannot be a watch on which nothing happens.
#[test]
fn a_watch_ends_before_its_silence_counts() {
    assert!(Duration::from_secs(limits::STORE_WATCH.into()) < limits::API_SILENCE);
}

fn access() -> Access {
    let asker: Asker = serde_json::from_value(json!({
        "username": "jane", "uid": "u-7", "groups": ["ops", "system:authenticated"], "extra": { "scopes": ["a", "b"] },
    }))
    .unwrap();
    Access { asker, namespace: "ns".to_owned(), name: "default".to_owned() }
}

async fn may(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Permission, Vec<Value>) {
    let (client, log) = api_server(move |path, _| if path.contains("subjectaccessreviews") { reply() } else { Reply::Never });
    let permission = Cluster::follow(client, &Arc::default()).may_override(&access()).await;
    let asked = log.lock().unwrap().iter().filter(|(method, ..)| method == "POST").map(|(.., body)| body.clone()).collect();
    (permission, asked)
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_asked_about_whole_and_only_a_clear_yes_is_a_permission() {
    let review = |status: Value| {
        move || {
            Reply::Now(201, json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {}, "status": status }))
        }
    };
    let (permission, asked) = may(review(json!({ "allowed": true }))).await;
    assert_eq!(permission, Permission::Granted);
    assert_eq!(
        asked[0]["spec"],
        json!({
            "user": "jane", "uid": "u-7", "groups": ["ops", "system:authenticated"], "extra": { "scopes": ["a", "b"] },
            "resourceAttributes": {
                "group": "numaflow.numaproj.io", "version": "v1alpha1", "resource": "interstepbufferservices", "verb": VERB, "namespace": "ns", "name": "default",
            },
        })
    );
    for no in [json!({ "allowed": false }), json!({ "allowed": false, "denied": true }), json!({ "allowed": true, "denied": true })] {
        assert_eq!(may(review(no.clone())).await.0, Permission::Refused, "{no}");
    }
    let unknown = async |reply: fn() -> Reply| match may(reply).await.0 {
        Permission::Unknown(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(unknown(|| Reply::Never).await, "no answer of the API server within 1500 ms");
    assert!(unknown(|| Reply::Broken).await.starts_with("the API server is not reached"));
    assert!(unknown(|| Reply::Now(200, json!("what?"))).await.contains("could not be read"));
    let quoting = unknown(|| failure(422, "Invalid", "jane is no user")).await;
    assert_eq!(quoting, "the API server refused the question (422)", "and never says who asked");
}

#[tokio::test(start_paused = true)]
async fn only_a_few_questions_are_asked_at_once() {
    let (client, log) = api_server(|_, _| Reply::Never);
    let cluster = Cluster::follow(client, &Arc::default());
    let (who, asked) = (access(), || log.lock().unwrap().iter().filter(|(method, ..)| method == "POST").count());
    let answers = futures::future::join_all((0..100).map(|_| cluster.may_override(&who))).await;
    assert_eq!(asked(), limits::ACCESS_REVIEWS_AT_ONCE);
    assert!(answers.iter().all(|answer| matches!(answer, Permission::Unknown(_))));
    cluster.may_override(&who).await;
    assert_eq!(asked(), limits::ACCESS_REVIEWS_AT_ONCE + 1, "the places are free again");
}

#[test]
fn who_asks_is_never_shown() {
    let shown = format!("{:?}", access());
    assert!(shown.contains("asker: Asker(..)") && !shown.contains("jane"), "{shown}");
}
