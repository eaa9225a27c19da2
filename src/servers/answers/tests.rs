//! What real servers wrote (`../fixtures/`): NATS 2.12.7, three servers with one stream of three replicas and its consumer; the same after two of
//! them were stopped; NATS 2.10.29 alone.

use super::*;

const ALL: Questions = Questions { streams: true };

fn answer(text: &'static str) -> Answer {
    Answer { status: 200, body: Bytes::from_static(text.as_bytes()) }
}

fn page(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn leader(questions: Questions) -> Server {
    server(
        &page(include_str!("../fixtures/2.12.7-leader-varz.json")),
        &answer(include_str!("../fixtures/2.12.7-leader-jsz.json")),
        &page(include_str!("../fixtures/2.12.7-leader-routez.json")),
        &Ok(answer(include_str!("../fixtures/2.12.7-leader-healthz.json"))),
        questions,
    )
    .unwrap()
}

#[test]
fn a_meta_leader_knows_its_peers() {
    let server = leader(ALL);
    assert_eq!((server.name.as_str(), server.version.as_str()), ("isbsvc-default-js-0", "2.12.7"));
    assert!(server.config_digest.as_deref().unwrap().starts_with("sha256:"));
    assert_eq!(server.healthz, Healthz { ok: true, error: None });
    let names: Vec<_> = server.routes.iter().map(String::as_str).collect();
    assert_eq!(names, ["isbsvc-default-js-1", "isbsvc-default-js-2"], "several routes to one server count once");
    let jetstream = server.jetstream.unwrap();
    assert!(!jetstream.disabled);
    assert_eq!((jetstream.storage, jetstream.max_storage, jetstream.messages, jetstream.ha_assets), (630, 1_099_511_627_776, 10, 3));
    let meta = jetstream.meta.unwrap();
    assert_eq!((meta.leader.as_deref(), meta.size), (Some("isbsvc-default-js-0"), 3));
    assert_eq!(meta.peers.len(), 2);
    assert!(meta.peers.iter().all(|peer| peer.current && !peer.offline && peer.active > 0));
}

#[test]
fn a_follower_of_a_stream_says_nothing_of_its_peers() {
    let streams = leader(ALL).jetstream.unwrap().stream_details;
    assert_eq!(streams.len(), 1);
    let stream = &streams[0];
    assert_eq!(
        (stream.name.as_str(), stream.leader.as_deref(), stream.replicas),
        ("pl-simple-pipeline-cat-0", Some("isbsvc-default-js-2"), 3)
    );
    assert!(stream.peers.is_empty(), "a follower calls every other follower not current");
}

#[test]
fn the_leader_of_a_stream_knows_peers_and_consumers() {
    let mut pages = leader(ALL);
    let jsz: Jsz = read("/jsz", &page(include_str!("../fixtures/2.12.7-stream-leader-jsz.json"))).unwrap();
    pages.jetstream = Some(jetstream(jsz, "isbsvc-default-js-2", ALL));
    let stream = pages.jetstream.unwrap().stream_details.remove(0);
    assert_eq!(
        stream.peers.iter().map(|peer| (peer.name.as_str(), peer.current)).collect::<Vec<_>>(),
        [("isbsvc-default-js-0", true), ("isbsvc-default-js-1", true)]
    );
    assert_eq!((stream.messages, stream.bytes), (10, 630));
    assert_eq!(
        stream.consumers,
        [Consumer {
            name: "pl-simple-pipeline-cat-0".to_owned(),
            leader: Some("isbsvc-default-js-2".to_owned()),
            pending: 9,
            ack_pending: 1,
            redelivered: 0,
        }]
    );
}

#[test]
fn a_follower_knows_the_meta_leader_only() {
    let jsz: Jsz = read("/jsz", &page(include_str!("../fixtures/2.12.7-follower-jsz.json"))).unwrap();
    let meta = jetstream(jsz, "isbsvc-default-js-1", Questions::default()).meta.unwrap();
    assert_eq!((meta.leader.as_deref(), meta.size, meta.peers.len()), (Some("isbsvc-default-js-0"), 3, 0));
}

#[test]
fn streams_that_were_not_asked_for_are_not_there() {
    assert!(leader(Questions::default()).jetstream.unwrap().stream_details.is_empty());
}

#[test]
fn a_server_without_quorum_has_no_meta_leader_and_says_why() {
    let alone = Answer { status: 503, ..answer(include_str!("../fixtures/2.12.7-alone-healthz.json")) };
    let server = server(
        &page(include_str!("../fixtures/2.12.7-alone-varz.json")),
        &answer(include_str!("../fixtures/2.12.7-alone-jsz.json")),
        &page(include_str!("../fixtures/2.12.7-alone-routez.json")),
        &Ok(alone),
        ALL,
    )
    .unwrap();
    assert_eq!(server.healthz.error.as_deref(), Some("JetStream has not established contact with a meta leader"));
    assert!(server.routes.is_empty());
    let meta = server.jetstream.unwrap().meta.unwrap();
    assert_eq!((meta.leader, meta.size), (None, 3));
}

#[test]
fn a_single_server_leads_all_that_it_has() {
    let server = server(
        &page(include_str!("../fixtures/2.10.29-single-varz.json")),
        &answer(include_str!("../fixtures/2.10.29-single-jsz.json")),
        &page(include_str!("../fixtures/2.10.29-single-routez.json")),
        &Ok(answer(include_str!("../fixtures/2.10.29-single-healthz.json"))),
        ALL,
    )
    .unwrap();
    assert_eq!((server.version.as_str(), server.config_digest), ("2.10.29", None));
    let jetstream = server.jetstream.unwrap();
    assert_eq!(jetstream.meta, None);
    let stream = &jetstream.stream_details[0];
    assert_eq!((stream.leader.as_deref(), stream.replicas), (Some("isbsvc-single-js-0"), 1));
    assert_eq!(stream.consumers[0].leader.as_deref(), Some("isbsvc-single-js-0"));
}

#[test]
fn nulls_and_missing_fields_are_empty() {
    let jsz = answer(r#"{"disabled":true,"config":null,"api":null,"account_details":null}"#);
    let server = server(&page("{}"), &jsz, &page(r#"{"routes":null}"#), &Ok(answer("{}")), ALL).unwrap();
    assert!(server.jetstream.unwrap().disabled);
    assert!(server.healthz.ok);
}

#[test]
fn a_health_check_that_does_not_answer_is_not_ok() {
    let healthz = health(&Err(AskError::silent()));
    assert_eq!((healthz.ok, healthz.error.as_deref()), (false, Some("no answer on port 8222 within 3 s")));
    assert_eq!(health(&Ok(Answer { status: 500, body: Bytes::new() })).error.as_deref(), Some("answered 500"));
}

#[test]
fn what_is_not_nats_is_named_with_its_field() {
    let error = server(&page(r#"{"connections":"many"}"#), &answer("{}"), &page("{}"), &Ok(answer("{}")), ALL).unwrap_err();
    assert!(error.to_string().starts_with("/varz: the answer is not what NATS writes: connections:"), "{error}");
}
