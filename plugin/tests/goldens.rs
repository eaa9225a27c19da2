//! What people and programs see, compared with what is committed in `snapshots/`.

// A test that cannot go on fails, and says where.
#![allow(clippy::assigning_clones, clippy::panic, clippy::unwrap_used)]

#[path = "goldens/fixtures.rs"]
mod fixtures;

use std::collections::BTreeMap;

use fixtures::{Case, now};
use isbsvc::health::{self, Level};
use isbsvc::observed::{Fact, Observed};
use kubectl_isbsvc::commands::status::FailOn;
use kubectl_isbsvc::exit::Code;
use kubectl_isbsvc::model::Gap;
use kubectl_isbsvc::model::description::Description;
use kubectl_isbsvc::model::difference::Difference;
use kubectl_isbsvc::model::list::{Beside, ServiceList};
use kubectl_isbsvc::model::status::ServiceStatus;
use kubectl_isbsvc::render;
use serde_json::json;

fn plain(status: &ServiceStatus) -> String {
    render::status::sections(status, render::status::Shape { wide: false, colours: false })
}

/// One pod crashes; its server does not answer, and the others see it gone.
fn one_pod_down() -> Case {
    let mut case = Case::healthy("default");
    let pod = case.pod(2);
    let status = pod.status.as_mut().unwrap();
    status.conditions.as_mut().unwrap()[0].status = "False".to_owned();
    let main = &mut status.container_statuses.as_mut().unwrap()[0];
    main.ready = false;
    main.restart_count = 5;
    main.state =
        serde_json::from_value(json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting" } })).unwrap();
    case.observed.servers.insert("isbsvc-default-js-2".to_owned(), Fact::Unknown("pod isbsvc-default-js-2: connection refused".to_owned()));
    let jetstream = case.server("default", 1).jetstream.as_mut().unwrap();
    for peer in [&mut jetstream.meta.as_mut().unwrap().peers[1], &mut jetstream.stream_details[0].peers[1]] {
        (peer.current, peer.offline, peer.lag, peer.active) = (false, true, 40, 90_000_000_000);
    }
    case
}

fn no_meta_leader() -> Case {
    let mut case = Case::healthy("default");
    for ordinal in 0..3 {
        let server = case.server("default", ordinal);
        server.healthz.ok = false;
        server.healthz.error = Some("JetStream has not established contact with a meta leader".to_owned());
        let jetstream = server.jetstream.as_mut().unwrap();
        let meta = jetstream.meta.as_mut().unwrap();
        meta.leader = None;
        meta.peers.clear();
        jetstream.stream_details[0].leader = None;
    }
    case
}

fn silent_pod() -> Case {
    let mut case = Case::healthy("default");
    case.observed
        .servers
        .insert("isbsvc-default-js-0".to_owned(), Fact::Unknown("pod isbsvc-default-js-0: no answer within 3 s".to_owned()));
    case.observed.pipelines = Fact::Unknown("may not list pipelines in namespace work".to_owned());
    case
}

fn huge_names() -> Case {
    let mut case = Case::healthy(&"n".repeat(42));
    case.object["status"]["message"] = json!(format!("Warning: \u{1b}[31m{}\nsecond line", "long ".repeat(50)));
    case.pod(0).spec.as_mut().unwrap().node_name = Some(format!("ip-10-0-0-1.{}.internal", "region".repeat(10)));
    case
}

#[test]
fn a_healthy_service() {
    let case = Case::healthy("default");
    let status = case.status();
    assert!(status.is_healthy());
    insta::assert_snapshot!("status_healthy", plain(&status));
    insta::assert_snapshot!("status_healthy_wide", render::status::sections(&status, render::status::Shape { wide: true, colours: false }));
    insta::assert_snapshot!("status_healthy_json", render::json(&status).unwrap());
    insta::assert_snapshot!("status_healthy_yaml", render::yaml(&status).unwrap());
}

/// Nothing of it runs here.
fn external_redis() -> Case {
    let mut case = Case::healthy("default");
    case.object["spec"] =
        json!({ "redis": { "external": { "sentinelUrl": "sentinel:26379", "masterName": "mymaster", "user": "numaflow" } } });
    case.object["status"]["type"] = json!("redis");
    case.object["status"]["config"] = json!({ "redis": case.object["spec"]["redis"]["external"].clone() });
    case.observed = Observed { pipelines: case.observed.pipelines.clone(), ..Observed::nothing() };
    case
}

#[test]
fn an_external_redis() {
    let case = external_redis();
    let status = case.status();
    assert!(status.is_healthy(), "{:?}", status.verdict);
    insta::assert_snapshot!("status_external_redis", plain(&status));
    let mut case = external_redis();
    case.object["status"]["message"] = json!("Warning: sentinel:26379: refuses the connection");
    let status = case.status();
    assert_eq!((status.verdict.level, status.verdict.reasons[0].id), (Level::Warning, "ControllerSays"));
    assert_eq!(status.verdict.reasons[0].message, "sentinel:26379: refuses the connection");
    let mut case = external_redis();
    case.object["status"]["conditions"][0]["message"] =
        json!("the external Redis is used as it is; nothing is made for it; redis:6379 is not asked: nobody may");
    let status = case.status();
    assert_eq!((status.verdict.level, status.verdict.reasons[0].id, status.is_healthy()), (Level::Unknown, "RedisNotAsked", true));
    let status = external_redis().status();
    insta::assert_snapshot!("status_external_redis_json", render::json(&status).unwrap());
}

#[test]
fn a_pod_is_down() {
    let status = one_pod_down().status();
    assert_ne!(status.verdict.level, Level::Healthy);
    insta::assert_snapshot!("status_one_pod_down", plain(&status));
    insta::assert_snapshot!("status_one_pod_down_json", render::json(&status).unwrap());
}

#[test]
fn there_is_no_meta_leader() {
    let status = no_meta_leader().status();
    assert_eq!(status.verdict.level, Level::Critical);
    assert!(status.servers.iter().all(|row| row.role.is_none()), "nobody leads, whatever one server thinks");
    insta::assert_snapshot!("status_no_meta_leader", plain(&status));
}

#[test]
fn a_service_that_pipelines_may_not_use_is_not_healthy() {
    let mut case = Case::healthy("default");
    case.object["status"]["conditions"][0]["status"] = json!("False");
    case.object["status"]["message"] = json!("Unavailable: waiting for 1 pod");
    let status = case.status();
    assert_eq!((status.verdict.level, status.verdict.reasons[0].id), (Level::Critical, "NotUsable"));
    let mut case = Case::healthy("default");
    case.object["metadata"]["generation"] = json!(3);
    let status = case.status();
    assert_eq!((status.verdict.level, status.verdict.reasons[0].id), (Level::Warning, "NotCarriedOut"));
    assert!(!status.is_healthy());
}

#[test]
fn a_silent_pod_costs_one_row() {
    let status = silent_pod().status();
    assert_eq!(status.servers.len(), 3);
    insta::assert_snapshot!("status_silent_pod", plain(&status));
}

/// Law honest-health: every pod is ready, and not one server says that it is well.
#[test]
fn nobody_answers() {
    let mut case = Case::healthy("default");
    for ordinal in 0..3 {
        let pod = format!("isbsvc-default-js-{ordinal}");
        case.observed.servers.insert(pod.clone(), Fact::Unknown(format!("pod {pod}: no answer on port 8222 within 3 s")));
    }
    let status = case.status();
    assert_eq!((status.verdict.level, FailOn::Critical.code(status.verdict.level)), (Level::Unknown, Code::NoAnswer));
    assert!(!status.is_healthy());
    insta::assert_snapshot!("status_nobody_answers", plain(&status));
    // What is known to be bad is an answer.
    case.pod(1).status.as_mut().unwrap().conditions.as_mut().unwrap()[0].status = "False".to_owned();
    case.pod(2).status.as_mut().unwrap().conditions.as_mut().unwrap()[0].status = "False".to_owned();
    assert_eq!(FailOn::Critical.code(case.status().verdict.level), Code::NotAsItShould);
}

#[test]
fn huge_names_and_hostile_text_stay_in_line() {
    let text = plain(&huge_names().status());
    assert!(!text.contains('\u{1b}'));
    insta::assert_snapshot!("status_huge_names", text);
}

#[test]
fn a_service_that_was_just_created() {
    let mut case = Case::healthy("default");
    case.object["status"] = json!({});
    case.observed = Observed::nothing();
    case.events = Fact::Unknown("permission missing: you may not list events in namespace \"work\"".to_owned());
    let status = case.status();
    assert!(!status.is_healthy());
    insta::assert_snapshot!("status_just_created", plain(&status));
    insta::assert_snapshot!("progress_just_created", status.progress());
}

#[test]
fn colours_change_nothing_but_colours() {
    let status = one_pod_down().status();
    let coloured = render::status::sections(&status, render::status::Shape { wide: false, colours: true });
    assert!(coloured.contains("\u{1b}["));
    let mut bare = String::new();
    let mut escape = false;
    for character in coloured.chars() {
        match character {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            other => bare.push(other),
        }
    }
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(&bare), trimmed(&plain(&status)));
}

#[test]
fn everything_that_the_text_shows_is_in_the_data() {
    for status in [Case::healthy("default").status(), one_pod_down().status(), silent_pod().status()] {
        let data = render::json(&status).unwrap();
        for row in &status.servers {
            for fact in
                [Some(&row.pod), row.role.as_ref(), row.node.as_ref(), row.version.as_ref(), row.silent.as_ref()].into_iter().flatten()
            {
                assert!(data.contains(fact.as_str()), "{fact}");
            }
        }
        for reason in &status.verdict.reasons {
            assert!(data.contains(&format!("\"id\": \"{}\"", reason.id)));
        }
    }
}

#[test]
fn a_list_of_services() {
    let service = |name: &str, change: fn(&mut serde_json::Value)| {
        let mut case = Case::healthy(name);
        change(&mut case.object);
        case.service()
    };
    let services = vec![
        service("prod", |_| {}),
        service("fresh", |object| object["status"] = json!({})),
        service("refused", |object| {
            object["metadata"]["generation"] = json!(3);
            object["status"]["message"] = json!("Refused: spec.jetstream.encryption: cannot be toggled");
        }),
        service("down", |object| object["status"]["conditions"][0]["status"] = json!("False")),
        service("degraded", |object| object["spec"]["jetstream"]["tls"] = json!(true)),
        service(&"n".repeat(42), |object| object["spec"]["jetstream"]["persistence"] = json!(null)),
    ];
    let key = |name: &str| ("work".to_owned(), name.to_owned());
    let all = ["prod", "refused", "down"].into_iter().map(|name| (key(name), 3)).chain([(key("degraded"), 2), (key(&"n".repeat(42)), 1)]);
    let beside = Beside { ready: Some(all.collect()), pipelines: Some(BTreeMap::from([(key("prod"), 12)])) };
    let list = ServiceList::new(&services, &beside, Vec::new(), now());
    let table = |wide, namespaces, headings| render::list::table(&list, render::list::Shape { wide, namespaces, headings, colours: false });
    insta::assert_snapshot!("list", table(false, false, true));
    insta::assert_snapshot!("list_wide_all_namespaces", table(true, true, true));
    insta::assert_snapshot!("list_no_headers", table(false, false, false));
    insta::assert_snapshot!("list_json", render::json(&list).unwrap());
}

#[test]
fn what_could_not_be_read_is_unknown_and_not_zero() {
    let gap = Gap { source: "statefulsets".to_owned(), message: "permission missing".to_owned() };
    let list = ServiceList::new(&[Case::healthy("prod").service()], &Beside::default(), vec![gap], now());
    let shape = render::list::Shape { wide: false, namespaces: false, headings: true, colours: false };
    insta::assert_snapshot!("list_unknown", render::list::table(&list, shape));
}

#[test]
fn a_description() {
    let case = one_pod_down();
    let verdict = health::verdict(&case.service(), &case.observed, now());
    let description = Description::new(&case.found(), &case.observed, &verdict, &case.events, now());
    insta::assert_snapshot!("describe", render::description::sections(&description, false).unwrap());
    insta::assert_snapshot!("describe_json", render::json(&description).unwrap());
}

/// Law secret-silence: a plan that writes a Secret shows which keys it writes, and nothing that is in them.
#[test]
fn secret_silence_holds_for_differences() {
    let case = Case::healthy("default");
    let object = json!({ "data": { "encryption": "Z2VoZWlt", "auth": "Z2VoZWlt" } });
    let writes = |name: &str| isbsvc::plan::Action::Apply {
        kind: isbsvc::plan::ChildKind::Secret,
        name: name.to_owned(),
        object: object.clone(),
        precondition: isbsvc::plan::Precondition::default(),
        changed: vec!["/data/encryption".to_owned()],
    };
    let creates = isbsvc::plan::Action::Create { kind: isbsvc::plan::ChildKind::Secret, name: "client".to_owned(), object: object.clone() };
    let plan = isbsvc::plan::Plan { actions: vec![writes("server"), creates], ..isbsvc::plan::Plan::default() };
    let difference = Difference::new(&case.service(), &case.observed, &plan, now());
    let shown = render::json(&difference).unwrap() + &render::difference::text(&difference, true);
    assert!(shown.contains("/data/encryption") && shown.contains("<hidden>"), "{shown}");
    assert!(!shown.contains("Z2VoZWlt"), "{shown}");
}

#[test]
fn a_difference_is_shown_field_by_field_and_text_line_by_line() {
    let case = Case::healthy("default");
    let actions = vec![
        isbsvc::plan::Action::Apply {
            kind: isbsvc::plan::ChildKind::ConfigMap,
            name: "isbsvc-default-js-config".to_owned(),
            object: json!({ "data": { "nats-js": "port: 4222\nhttp: 8222\n" } }),
            precondition: isbsvc::plan::Precondition::default(),
            changed: vec!["/data/nats-js".to_owned()],
        },
        isbsvc::plan::Action::Apply {
            kind: isbsvc::plan::ChildKind::StatefulSet,
            name: "isbsvc-default-js".to_owned(),
            object: json!({ "spec": { "replicas": 5 } }),
            precondition: isbsvc::plan::Precondition::default(),
            changed: vec!["/spec/replicas".to_owned()],
        },
        isbsvc::plan::Action::Delete {
            kind: isbsvc::plan::ChildKind::PodDisruptionBudget,
            name: "isbsvc-default-js".to_owned(),
            precondition: isbsvc::plan::Precondition::default(),
        },
        isbsvc::plan::Action::ApplyStatus { status: json!({ "phase": "Failed", "type": "jetstream" }) },
    ];
    let plan = isbsvc::plan::Plan { actions, held: Some("a fact is not known".to_owned()), ..isbsvc::plan::Plan::default() };
    let difference = Difference::new(&case.service(), &case.observed, &plan, now());
    insta::assert_snapshot!("diff", render::difference::text(&difference, false));
    insta::assert_snapshot!("diff_json", render::json(&difference).unwrap());
}
