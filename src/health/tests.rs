//! One row per reason: what is found, and what is said of it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use serde_json::{Value, json};

use super::*;
use crate::api::{decode, names};
use crate::observed::{Consumer, Endpoint, Fact, Healthz, JetStream, Meta, Peer, Server, Stream};

const NOW: &str = "2026-11-23T12:00:00Z";
/// Ends on 2027-12-29T00:29:13Z.
const CERTIFICATE: &str = include_str!("fixtures/certificate.pem");

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn pod(ordinal: i32) -> String {
    names::pod("default", ordinal)
}

/// Three servers that are well, to be changed.
struct Case {
    spec: Value,
    observed: Observed,
    now: Timestamp,
}

const ADDRESS: &str = "redis:6379";

impl Case {
    /// An external Redis that answered so.
    fn external(&mut self, endpoint: Endpoint) {
        self.spec = json!({ "redis": { "external": { "url": ADDRESS } } });
        self.observed = Observed { endpoint: Fact::Known(endpoint), ..Observed::nothing() };
    }

    fn well() -> Self {
        let set = json!({
            "metadata": { "name": "isbsvc-default-js" },
            "spec": { "selector": {}, "serviceName": "s", "template": { "spec": { "containers": [{ "name": "main", "image": "nats:2.12.7" }] } } },
            "status": { "replicas": 3, "currentRevision": "b", "updateRevision": "b", "updatedReplicas": 3 },
        });
        let map = json!({ "data": { "nats-js": "port: 4222\nmax_payload: 1MB\njetstream {\n  max_file_store: 10000\n}\n" } });
        let observed = Observed {
            stateful_set: Fact::Known(Some(typed(set))),
            config_map: Fact::Known(Some(typed(map))),
            pods: Fact::Known((0..3).map(pod_object).collect()),
            claims: Fact::Known((0..3).map(claim).collect()),
            servers: (0..3).map(|ordinal| (pod(ordinal), Fact::Known(server(ordinal)))).collect(),
            ..Observed::nothing()
        };
        Self { spec: json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } }), observed, now: at(NOW) }
    }

    fn verdict(&self) -> Verdict {
        let object = json!({ "metadata": { "name": "default", "namespace": "work" }, "spec": self.spec });
        verdict(&decode(&object).unwrap(), &self.observed, self.now)
    }

    fn pods(&mut self) -> &mut Vec<Pod> {
        match &mut self.observed.pods {
            Fact::Known(pods) => pods,
            Fact::Unknown(_) => unreachable!("the pods are known"),
        }
    }

    /// Puts this in place of what the pod's status says.
    fn pod_status(&mut self, ordinal: usize, status: &Value) {
        self.pods()[ordinal].status = typed(status.clone());
    }

    /// The pod is not ready, and its container `main` is in this state.
    fn container(&mut self, ordinal: usize, name: &str, state: &Value) {
        let ready = condition("Ready", "False");
        self.pod_status(
            ordinal,
            &json!({ "phase": "Running", "conditions": [ready], "containerStatuses": [
                { "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 1, "state": state }] }),
        );
        self.observed.servers.remove(&pod(i32::try_from(ordinal).unwrap()));
    }

    fn server(&mut self, ordinal: i32) -> &mut Server {
        match self.observed.servers.get_mut(&pod(ordinal)) {
            Some(Fact::Known(server)) => server,
            _ => unreachable!("the server answered"),
        }
    }

    fn jetstream(&mut self, ordinal: i32) -> &mut JetStream {
        self.server(ordinal).jetstream.as_mut().unwrap()
    }

    fn each(&mut self, change: fn(&mut JetStream)) {
        (0..3).for_each(|ordinal| change(self.jetstream(ordinal)));
    }

    fn silence(&mut self, ordinals: impl IntoIterator<Item = i32>) {
        for ordinal in ordinals {
            let why = format!("pod {}: no answer on port 8222 within 3 s", pod(ordinal));
            self.observed.servers.insert(pod(ordinal), Fact::Unknown(why));
        }
    }
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn condition(type_: &str, status: &str) -> Value {
    json!({ "type": type_, "status": status })
}

fn pod_object(ordinal: i32) -> Pod {
    typed(json!({
        "metadata": { "name": pod(ordinal), "labels": { "controller-revision-hash": "b" } },
        "spec": { "containers": [{ "name": "main", "image": "nats:2.12.7" }] },
        "status": { "phase": "Running", "conditions": [condition("Ready", "True")], "containerStatuses": [
            { "name": "main", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": { "running": { "startedAt": NOW } } }] },
    }))
}

fn claim(ordinal: i32) -> k8s_openapi::api::core::v1::PersistentVolumeClaim {
    typed(
        json!({ "metadata": { "name": names::claim("default", ordinal) }, "status": { "phase": "Bound", "capacity": { "storage": "5k" } } }),
    )
}

fn server(ordinal: i32) -> Server {
    let leads = ordinal == 1;
    let peers = || {
        let peer = |ordinal| Peer { name: pod(ordinal), current: true, ..Peer::default() };
        if leads { vec![peer(0), peer(2)] } else { Vec::new() }
    };
    let consumer = Consumer { name: "reader".to_owned(), leader: Some(pod(1)), ..Consumer::default() };
    let stream = Stream {
        name: "orders".to_owned(),
        leader: Some(pod(1)),
        replicas: 3,
        peers: peers(),
        consumers: vec![consumer],
        ..Stream::default()
    };
    Server {
        name: pod(ordinal),
        version: "2.12.7".to_owned(),
        routes: (0..3).filter(|other| *other != ordinal).map(pod).collect(),
        healthz: Healthz { ok: true, error: None },
        max_payload: Some(1 << 20),
        jetstream: Some(JetStream {
            max_storage: 10_000,
            meta: Some(Meta { leader: Some(pod(1)), size: 3, pending: 0, peers: peers() }),
            stream_details: vec![stream],
            ..JetStream::default()
        }),
        ..Server::default()
    }
}

fn waiting(reason: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": "words of the kubelet" } })
}

/// What is found, the reason that it gives, and a part of its words.
type Row = (&'static Kind, Level, &'static str, fn(&mut Case));
use Level::{Critical, Unknown, Warning};
use reasons::{self as is, Kind};

const ROWS: &[Row] = &[
    (&is::NOT_LOOKED_AT, Unknown, "only the servers of JetStream", |case| {
        case.spec = json!({ "redis": { "native": { "version": "7.0.15" } } });
    }),
    (&is::NOT_MADE, Critical, "the StatefulSet does not exist", |case| case.observed.stateful_set = Fact::Known(None)),
    (&is::PODS_UNKNOWN, Unknown, "no permission to list pods", |case| {
        case.observed.pods = Fact::Unknown("no permission to list pods".to_owned());
    }),
    (&is::QUORUM_LOST, Critical, "waiting for 2 pods to be ready (1 of 3; a quorum is 2)", |case| drop(case.pods().drain(1..))),
    (&is::SERVERS_MISSING, Warning, "2 of 3 servers are ready", |case| drop(case.pods().pop())),
    (&is::POD_MISSING, Warning, "pod isbsvc-default-js-2 does not exist", |case| drop(case.pods().pop())),
    (&is::POD_STOPPING, Warning, "pod isbsvc-default-js-0 is being stopped", |case| {
        case.pods()[0].metadata.deletion_timestamp = typed(json!(NOW));
    }),
    (&is::POD_UNSCHEDULABLE, Warning, "cannot be scheduled: Insufficient cpu, node(s) had untolerated taint {a: b}", |case| {
        let words =
            "0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient cpu. preemption: 0/3 nodes are available.";
        case.pod_status(
            0,
            &json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words }] }),
        );
    }),
    (&is::POD_PENDING, Warning, "is not started yet: container main waits: ContainerCreating", |case| {
        case.container(0, "main", &json!({ "waiting": { "reason": "ContainerCreating" } }));
    }),
    (&is::POD_NOT_READY, Warning, "is not ready: container main does not pass its probe", |case| {
        case.container(0, "main", &json!({ "running": { "startedAt": NOW } }));
    }),
    (&is::POD_CRASH_LOOP, Critical, "container main: CrashLoopBackOff, last ended with OOMKilled", |case| {
        case.container(0, "main", &json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting" } }));
        let status = case.pods()[0].status.as_mut().unwrap();
        status.container_statuses.as_mut().unwrap()[0].last_state =
            typed(json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled", "finishedAt": NOW } }));
    }),
    (&is::POD_IMAGE_PULL_BACK_OFF, Warning, "container metrics: ImagePullBackOff: words of the kubelet", |case| {
        case.container(0, "metrics", &waiting("ImagePullBackOff"));
    }),
    (&is::POD_ERR_IMAGE_PULL, Critical, "container init: ErrImagePull: words of the kubelet", |case| {
        let init =
            json!({ "name": "init", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": waiting("ErrImagePull") });
        case.pod_status(0, &json!({ "phase": "Pending", "initContainerStatuses": [init] }));
    }),
    (&is::POD_CONTAINER_CONFIG, Critical, "container main: CreateContainerConfigError", |case| {
        case.container(0, "main", &waiting("CreateContainerConfigError"));
    }),
    (&is::POD_CONTAINER, Critical, "container main: CreateContainerError", |case| {
        case.container(0, "main", &waiting("CreateContainerError"));
    }),
    (&is::POD_IMAGE_NAME, Critical, "container main: InvalidImageName", |case| case.container(0, "main", &waiting("InvalidImageName"))),
    (&is::POD_IMAGE_NEVER_PULL, Critical, "ErrImageNeverPull", |case| case.container(0, "main", &waiting("ErrImageNeverPull"))),
    (&is::POD_REGISTRY, Critical, "RegistryUnavailable", |case| case.container(0, "main", &waiting("RegistryUnavailable"))),
    (&is::POD_RUN, Critical, "RunContainerError", |case| case.container(0, "main", &waiting("RunContainerError"))),
    (&is::POD_ERROR, Critical, "container main: ended with exit code 1", |case| {
        case.container(0, "main", &json!({ "terminated": { "exitCode": 1, "reason": "Error" } }));
    }),
    (&is::POD_RECENT_RESTART, Warning, "container main: started again a moment ago, after it had ended with OOMKilled", |case| {
        let status = case.pods()[0].status.as_mut().unwrap();
        status.container_statuses.as_mut().unwrap()[0].last_state =
            typed(json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-23T11:58:30Z" } }));
    }),
    (&is::ROLL_UNFINISHED, Warning, "has not reached isbsvc-default-js-0", |case| {
        let labels = case.pods()[0].metadata.labels.as_mut().unwrap();
        labels.insert("controller-revision-hash".to_owned(), "a".to_owned());
    }),
    (&is::IMAGE_NOT_WANTED, Warning, "runs image nats:2.10.29, the StatefulSet names nats:2.12.7", |case| {
        case.pods()[2].spec.as_mut().unwrap().containers[0].image = Some("nats:2.10.29".to_owned());
    }),
    (&is::SERVERS_NOT_ASKED, Unknown, "were not asked", |case| case.observed.servers.clear()),
    (&is::NO_SERVER_ANSWERS, Unknown, "no server answers", |case| case.silence(0..3)),
    (&is::SERVER_SILENT, Warning, "isbsvc-default-js-2: no answer on port 8222", |case| case.silence([2])),
    (&is::NO_META_LEADER, Critical, "no server that answered knows one; 3 of 3 answered", |case| {
        case.each(|jetstream| jetstream.meta.as_mut().unwrap().leader = None);
    }),
    (&is::META_LEADER_UNKNOWN, Unknown, "isbsvc-default-js-1 by 1; 1 of 3 answered", |case| case.silence([0, 2])),
    (&is::META_SIZE, Warning, "counts 5 servers in the meta group, not 3", |case| {
        case.jetstream(1).meta.as_mut().unwrap().size = 5;
    }),
    (&is::PEER_OFFLINE, Warning, "meta peer isbsvc-default-js-2 is offline", |case| {
        case.jetstream(1).meta.as_mut().unwrap().peers[1].offline = true;
    }),
    (&is::PEER_LAGGING, Warning, "meta peer isbsvc-default-js-2 is not current", |case| {
        case.jetstream(1).meta.as_mut().unwrap().peers[1].current = false;
    }),
    (&is::JETSTREAM_OFF, Critical, "server isbsvc-default-js-0 runs without JetStream", |case| case.server(0).jetstream = None),
    (&is::JETSTREAM_DISABLED, Critical, "turned JetStream off", |case| case.jetstream(0).disabled = true),
    (&is::SERVER_UNWELL, Warning, "JetStream is not current with the meta leader", |case| {
        case.server(0).healthz = Healthz { ok: false, error: Some("JetStream is not current with the meta leader".to_owned()) };
    }),
    (&is::ROUTES_MISSING, Warning, "server isbsvc-default-js-0 has no route to isbsvc-default-js-1, isbsvc-default-js-2", |case| {
        case.server(0).routes.clear();
    }),
    (&is::VERSIONS_DIFFER, Warning, "servers run different versions: 2.10.29, 2.12.7", |case| {
        case.server(0).version = "2.10.29".to_owned();
    }),
    (&is::CONFIG_NOT_LOADED, Warning, "server isbsvc-default-js-0 runs with max_payload 1000, its ConfigMap says 1MB", |case| {
        case.server(0).max_payload = Some(1000);
    }),
    (&is::CERTIFICATE_EXPIRED, Critical, "the certificate for servers has expired on 2026-11-23T11:00:00Z (isbsvc-default-js-0)", |case| {
        case.spec["jetstream"]["tls"] = json!(true);
        case.server(0).cluster_certificate_ends = Some(at("2026-11-23T11:00:00Z"));
    }),
    (&is::CERTIFICATE_EXPIRING, Critical, "expires on 2026-11-28T12:00:00Z (isbsvc-default-js-0, isbsvc-default-js-1)", |case| {
        case.spec["jetstream"]["tls"] = json!(true);
        (0..2).for_each(|ordinal| case.server(ordinal).certificate_ends = Some(at("2026-11-28T12:00:00Z")));
    }),
    (&is::CERTIFICATE_EXPIRING, Warning, "expires on 2027-12-29T00:29:13Z (Secret isbsvc-default-js-server)", |case| {
        case.spec["jetstream"]["tls"] = json!(true);
        case.now = at("2027-12-01T00:00:00Z");
        let data = BTreeMap::from([(names::server_secret_key::CA_CERT.to_owned(), ByteString(CERTIFICATE.as_bytes().to_vec()))]);
        case.observed.server_secret = Fact::Known(Some(Secret { data: Some(data), ..Secret::default() }));
    }),
    (&is::STREAM_WITHOUT_LEADER, Critical, "streams without a leader: orders", |case| {
        case.each(|jetstream| jetstream.stream_details[0].leader = None);
    }),
    (&is::STREAM_REPLICAS_MISSING, Warning, "streams with fewer replicas than they ask for: orders", |case| {
        drop(case.jetstream(1).stream_details[0].peers.pop());
    }),
    (&is::STREAM_REPLICA_LAGGING, Warning, "streams whose replica on isbsvc-default-js-0 is not current: orders", |case| {
        case.jetstream(1).stream_details[0].peers[0].current = false;
    }),
    (&is::CONSUMER_WITHOUT_LEADER, Critical, "streams with a consumer without a leader: orders", |case| {
        case.each(|jetstream| jetstream.stream_details[0].consumers[0].leader = None);
    }),
    (&is::STORE_FULL, Warning, "server isbsvc-default-js-0 uses more than 75 % of its file store", |case| {
        case.observed.claims = Fact::Known(Vec::new());
        case.jetstream(0).storage = 7_500;
    }),
    (&is::STORE_FULL, Critical, "more than 90 % of its file store", |case| {
        case.observed.claims = Fact::Known(Vec::new());
        case.jetstream(0).storage = 9_900;
    }),
    (&is::VOLUME_FULL, Critical, "server isbsvc-default-js-0 uses more than 90 % of its volume", |case| case.jetstream(0).storage = 4_600),
    (&is::VOLUME_LOST, Critical, "the volume of claim isbsvc-default-js-vol-isbsvc-default-js-1 is gone", |case| {
        let Fact::Known(claims) = &mut case.observed.claims else { return };
        claims[1].status.as_mut().unwrap().phase = Some("Lost".to_owned());
    }),
    (&is::REDIS_NOT_ASKED, Unknown, "redis:6379 is not asked: nobody may", |case| {
        case.external(Endpoint::NotAsked { address: ADDRESS.to_owned(), why: "nobody may".to_owned() });
    }),
    (&is::REDIS_NO_SECRET, Warning, "Secret redis with key password is not there", |case| {
        case.external(Endpoint::NoSecret { secret: "redis".to_owned(), key: "password".to_owned() });
    }),
    (&is::REDIS_WRONG_PASSWORD, Warning, "redis:6379 refuses user and password", |case| {
        case.external(Endpoint::WrongPassword { address: ADDRESS.to_owned() });
    }),
    (&is::REDIS_UNREACHABLE, Warning, "redis:6379: refuses the connection", |case| {
        case.external(Endpoint::Unreachable { address: ADDRESS.to_owned(), why: "refuses the connection" });
    }),
    (&is::REDIS_NO_CLUSTER, Warning, "redis:6379 is no node of one; give one address", |case| {
        case.external(Endpoint::NoCluster { address: ADDRESS.to_owned() });
    }),
    (&is::REDIS_IS_CLUSTER, Warning, "redis:6379 is a node of a cluster, which one address does not say; give it twice", |case| {
        case.external(Endpoint::IsCluster { address: ADDRESS.to_owned() });
    }),
    (&is::REDIS_CLUSTER_DOWN, Warning, "the cluster of redis:6379 serves nothing", |case| {
        case.external(Endpoint::ClusterDown { address: ADDRESS.to_owned() });
    }),
    (&is::REDIS_NO_MASTER, Warning, "the Sentinels know no master mymaster", |case| {
        case.external(Endpoint::NoMaster { name: "mymaster".to_owned() });
    }),
];

#[test]
fn what_is_well_has_no_reason() {
    assert_eq!(Case::well().verdict().reasons, []);
}

#[test]
fn each_state_is_seen_and_named() {
    for (kind, level, words, change) in ROWS {
        let mut case = Case::well();
        change(&mut case);
        let verdict = case.verdict();
        let reason = verdict.reasons.iter().find(|reason| reason.id == kind.id && reason.level == *level && reason.message.contains(words));
        assert!(reason.is_some(), "{} {level:?} {words:?}: {:#?}", kind.id, verdict.reasons);
        assert!(verdict.level >= *level, "{}: the verdict is {:?}", kind.id, verdict.level);
        assert_eq!(case.verdict(), verdict, "the same is found, the same is said");
    }
}

/// What only the plugin says, beside what the servers say.
const OF_THE_CONTROLLER: [&Kind; 3] = [&is::NOT_USABLE, &is::NOT_CARRIED_OUT, &is::CONTROLLER_SAYS];

#[test]
fn every_reason_has_a_name_of_its_own_a_sentence_and_a_row() {
    let mut ids = BTreeSet::new();
    for kind in REASONS {
        assert!(ids.insert(kind.id), "{} is there twice", kind.id);
        assert!(kind.id.starts_with(|c: char| c.is_ascii_uppercase()) && kind.id.chars().all(|c| c.is_ascii_alphanumeric()), "{}", kind.id);
        assert!(kind.summary.len() > 20 && !kind.summary.contains('\n') && !kind.summary.ends_with('.'), "{}", kind.id);
        let tried = ROWS.iter().any(|(tried, ..)| tried == kind) || OF_THE_CONTROLLER.contains(kind);
        assert!(tried, "{} is never given", kind.id);
    }
}

#[test]
fn an_external_redis_that_answers_or_is_not_asked_is_well() {
    let mut case = Case::well();
    case.external(Endpoint::Answers);
    assert_eq!((case.verdict().level, case.verdict().quorum_ready()), (Level::Healthy, true));
    case.observed.endpoint = Fact::Unknown("not asked".to_owned());
    assert_eq!(case.verdict().level, Level::Healthy);
}

#[test]
fn silence_of_all_servers_is_no_answer_and_known_harm_wins() {
    let mut case = Case::well();
    case.silence(0..3);
    assert_eq!((case.verdict().level, case.verdict().servers_answering), (Unknown, 0));
    case.pods().drain(1..);
    let verdict = case.verdict();
    assert_eq!((verdict.level, verdict.reasons[0].id), (Critical, "QuorumLost"));
    assert!(verdict.reasons.is_sorted_by(|one, next| one.level >= next.level), "worst first: {:?}", verdict.reasons);
}

#[test]
fn a_leader_is_missing_only_where_the_silent_could_not_outvote_it() {
    let mut case = Case::well();
    case.silence([0]);
    case.jetstream(1).meta.as_mut().unwrap().leader = None;
    // One knows a leader, one knows none, one is silent: with the silent one there may be a majority.
    assert_eq!(case.verdict().reasons[0].id, "MetaLeaderUnknown");
    case.jetstream(2).meta.as_mut().unwrap().leader = None;
    assert_eq!(case.verdict().reasons[0].id, "NoMetaLeader");
}

#[test]
fn one_server_that_does_not_know_is_not_the_word_of_all() {
    let mut case = Case::well();
    let stream = &mut case.jetstream(2).stream_details[0];
    stream.leader = None;
    stream.consumers[0].leader = None;
    assert_eq!(case.verdict().reasons, []);
}

#[test]
fn a_server_in_lame_duck_mode_has_no_full_disk() {
    let mut case = Case::well();
    case.jetstream(2).disabled = true;
    case.server(2).healthz = Healthz { ok: false, error: Some("failed to be ready for connections after 1ms".to_owned()) };
    case.pods()[2].metadata.deletion_timestamp = typed(json!(NOW));
    let ids: Vec<_> = case.verdict().reasons.iter().map(|reason| reason.id).collect();
    assert_eq!(ids, ["PodStopping", "ServersMissing"]);
}

#[test]
fn what_the_contract_counts_is_named_by_its_word() {
    let failure = |change: fn(&mut Case)| {
        let mut case = Case::well();
        change(&mut case);
        case.verdict().pod_failure
    };
    assert_eq!(failure(|_| {}), None);
    assert_eq!(failure(|case| case.container(0, "metrics", &waiting("ErrImagePull"))).as_deref(), Some("ErrImagePull"));
    assert_eq!(failure(|case| case.container(0, "main", &json!({ "waiting": { "reason": "ContainerCreating" } }))), None);
    assert_eq!(
        failure(|case| case.container(0, "main", &json!({ "terminated": { "exitCode": 1, "reason": "Error" } }))).as_deref(),
        Some("Error")
    );
    let of_three = failure(|case| {
        case.container(0, "main", &json!({ "terminated": { "exitCode": 1, "reason": "Error" } }));
        case.container(2, "main", &waiting("CrashLoopBackOff"));
    });
    assert_eq!(of_three.as_deref(), Some("CrashLoopBackOff"), "the gravest, whichever pod comes first");
    // The nine of the contract, by the names that its conditions bear.
    let nine = REASONS.iter().filter_map(|kind| kind.id.strip_prefix("Pod")).filter(|word| is::waiting(word).is_some()).count();
    assert_eq!(nine, 9);
}

#[test]
fn a_restart_is_told_for_two_minutes() {
    let restarted = |name: &str, code: i32, seconds: i64| {
        let mut case = Case::well();
        let finished = case.now - jiff::SignedDuration::from_secs(seconds);
        let container = &mut case.pods()[0].status.as_mut().unwrap().container_statuses.as_mut().unwrap()[0];
        container.name = name.to_owned();
        container.last_state = typed(json!({ "terminated": { "exitCode": code, "reason": "Error", "finishedAt": finished.to_string() } }));
        let verdict = case.verdict();
        (verdict.reasons.first().map(|reason| reason.id), verdict.pod_failure)
    };
    let counted = (Some("PodRecentRestart"), Some("RecentRestart".to_owned()));
    assert_eq!(restarted("main", 137, 119), counted);
    assert_eq!(restarted("main", 137, 121), (None, None));
    assert_eq!(restarted("metrics", 143, 1), counted);
    // A server that ended by itself is told, and not counted; a sidecar that did is nobody's business.
    assert_eq!(restarted("main", 1, 1), (Some("PodRecentRestart"), None));
    assert_eq!(restarted("metrics", 1, 1), (None, None));
    // The node's clock may be ahead of ours.
    assert_eq!(restarted("main", 137, -30), counted);
}

#[test]
fn mirrors_and_digests_are_the_same_image() {
    let differs = |image: &str| {
        let mut case = Case::well();
        case.pods()[0].spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
        !case.verdict().reasons.is_empty()
    };
    assert!(differs("nats:2.12.6") && differs("mirror.example/nats:2.12.6@sha256:00"));
    assert!(!differs("mirror.example:5000/library/nats:2.12.7") && !differs("nats:2.12.7@sha256:00") && !differs("nats@sha256:00"));
}

#[test]
fn texts_are_one_bounded_line() {
    let mut case = Case::well();
    case.server(0).healthz = Healthz { ok: false, error: Some("é\n ".repeat(500)) };
    let peers = &mut case.jetstream(1).meta.as_mut().unwrap().peers;
    peers.extend((0..1000).map(|number| Peer { name: format!("stranger-{number}"), ..Peer::default() }));
    let streams = &mut case.jetstream(0).stream_details;
    streams.extend((0..1000).map(|number| Stream { name: format!("s-{number:04}"), ..Stream::default() }));
    let verdict = case.verdict();
    assert_eq!(verdict.reasons.len(), crate::limits::REASONS);
    assert!(verdict.reasons.iter().all(|reason| reason.message.len() <= crate::limits::REASON && !reason.message.contains('\n')));
    assert_eq!(verdict.reasons[0].message, "streams without a leader: s-0000, s-0001, s-0002 and others");
}
