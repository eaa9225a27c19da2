use serde_json::{Value, json};

use super::*;
use crate::controller::reconcile::Ended;
use crate::controller::reconcile::simulated::Namespace;

fn allowed(all: &[&str]) -> Arc<[Allowed]> {
    all.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn services_of_the_namespace_are_asked_and_nothing_else() {
    let service = |name: &str, pod: Option<&str>| Ok((Target::Service { name: name.to_owned(), pod: pod.map(str::to_owned) }, 6379));
    for (host, expected) in [
        ("redis", service("redis", None)),
        ("redis.pl", service("redis", None)),
        ("redis.pl.svc", service("redis", None)),
        ("redis.pl.svc.cluster.local.", service("redis", None)),
        // What comes behind is resolved nowhere.
        ("redis.pl.svc.evil.example", service("redis", None)),
        ("redis-0.redis", service("redis", Some("redis-0"))),
        ("redis-0.redis.pl.svc.cluster.local", service("redis", Some("redis-0"))),
        // Another namespace's: a Service of that name is looked for in this one.
        ("redis.other", service("other", Some("redis"))),
    ] {
        assert_eq!(target(&format!("{host}:6379"), "pl", &allowed(&[])), expected, "{host}");
    }
    for host in ["redis.other.svc", "redis.other.svc.cluster.local", "redis.example.com", "10.0.0.1", "[fd00::1]", "1.2.3.4.5"] {
        assert!(target(&format!("{host}:6379"), "pl", &allowed(&[])).is_err(), "{host}");
    }
    let all = allowed(&["*.example.com", "redis"]);
    for text in ["redis://me:secret@redis.example.com:6379", "me:secret@redis:6379", "redis"] {
        assert_eq!(target(text, "pl", &all), Err("it is no address".to_owned()), "{text}");
    }
}

#[test]
fn an_administrator_can_list_more() {
    let list = allowed(&["redis.example.com:6379", "*.cache.example.com", "10.0.0.1", "[fd00::1]:7000"]);
    for (address, holds) in [
        ("redis.example.com:6379", true),
        ("REDIS.example.com:6379", true),
        ("redis.example.com:6380", false),
        ("a.cache.example.com:1", true),
        ("cache.example.com:1", false),
        ("evilcache.example.com:1", false),
        ("10.0.0.1:6379", true),
        ("10.0.0.11:6379", false),
        ("[fd00::1]:7000", true),
    ] {
        let listed = matches!(target(address, "pl", &list), Ok((Target::Listed { .. }, _)));
        assert_eq!(listed, holds, "{address}");
    }
    for wrong in ["", "*", "*example.com", "a:b", "a/b", "redis://a:1", "a b"] {
        assert!(wrong.parse::<Allowed>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn the_machine_itself_and_its_neighbours_are_never_asked() {
    for (address, may) in [
        ("127.0.0.1", false),
        ("127.8.8.8", false),
        ("169.254.169.254", false),
        ("0.0.0.0", false),
        ("224.0.0.1", false),
        ("::1", false),
        ("::ffff:127.0.0.1", false),
        ("fe80::1", false),
        ("fd00:ec2::254", false),
        ("10.96.0.10", true),
        ("fd00::1", true),
    ] {
        assert_eq!(may_be_asked(address.parse().unwrap()), may, "{address}");
    }
    assert!(matches!(listed("127.0.0.1", 6379).await, Err(Not::Asked(_))));
    assert!(matches!(listed("10.0.0.1", 6379).await, Ok(found) if found == "10.0.0.1:6379".parse().unwrap()));
}

fn external(more: &Value) -> Value {
    let mut external = json!({ "url": "redis:6379" });
    for (key, value) in more.as_object().into_iter().flatten() {
        external[key] = value.clone();
    }
    json!({ "redis": { "external": external } })
}

fn service_of(spec: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "redis", "namespace": "pl" }, "spec": spec })
}

fn secret(type_: &str, labels: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "type": type_, "metadata": { "name": "redis", "namespace": "pl", "labels": labels }, "data": { "password": "cGFzcw==" } })
}

/// What the status and the condition say after a look.
async fn said(namespace: &mut Namespace) -> String {
    assert!(matches!(namespace.settle().await, Ended::Done { .. }));
    let status = namespace.service()["status"].clone();
    let conditions = status["conditions"].as_array().unwrap();
    assert!(conditions.iter().all(|condition| condition["status"] == "True"), "{status}");
    format!("{} {}", status["message"], conditions[0]["message"])
}

#[tokio::test(start_paused = true)]
async fn only_pods_of_the_namespace_are_asked_and_only_with_passwords_of_people() {
    let selector = json!({ "app": "redis" });
    let own = json!({ "selector": selector, "clusterIP": "127.0.0.1" });
    let password = json!({ "password": { "name": "redis", "key": "password" } });
    for (spec, objects, words) in [
        (json!({}), vec![], "redis:6379: there is no Service of that name in the namespace"),
        (
            json!({}),
            vec![service_of(&json!({ "type": "ExternalName", "externalName": "example.com", "selector": selector }))],
            "redis:6379 is not asked: Service redis selects no pods",
        ),
        (json!({}), vec![service_of(&json!({ "clusterIP": "10.0.0.1" }))], "redis:6379 is not asked: Service redis selects no pods"),
        (json!({}), vec![service_of(&json!({ "clusterIP": "None", "selector": selector }))], "redis:6379: no pod is behind the name"),
        (json!({}), vec![service_of(&own)], "redis:6379 is not asked: it is the machine itself"),
        (json!({ "url": "redis.example.com:6379" }), vec![], "redis.example.com:6379 is not asked: it is no Service of the namespace"),
        (password.clone(), vec![service_of(&own)], "Secret redis with key password is not there"),
        (
            password.clone(),
            vec![service_of(&own), secret("kubernetes.io/service-account-token", &json!({}))],
            "redis is not asked: the Secret is not one for passwords",
        ),
        (
            password.clone(),
            vec![service_of(&own), secret("Opaque", &json!({ names::COMPONENT_LABEL: names::COMPONENT }))],
            "redis is not asked: the Secret is not one",
        ),
        (
            json!({ "sentinelUrl": "redis:1", "masterName": "m", "password": { "name": "redis", "key": "password" } }),
            vec![service_of(&own)],
            "Secret redis with key password is not there",
        ),
        (password, vec![service_of(&own), secret("Opaque", &json!({}))], "redis:6379 is not asked: it is the machine itself"),
    ] {
        let mut namespace = Namespace::with(&external(&spec));
        for object in &objects {
            namespace.put(if object["kind"] == "Secret" { "secrets" } else { "services" }, object);
        }
        let said = said(&mut namespace).await;
        assert!(said.contains(words), "{spec}: {said}");
        assert!(!said.contains("cGFzcw") && !said.contains("\"pass"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_once_a_minute_and_at_once_where_the_spec_changes() {
    let mut namespace = Namespace::with(&external(&json!({})));
    said(&mut namespace).await;
    let asked = |namespace: &Namespace| {
        namespace.log.lock().unwrap().iter().filter(|asked| asked.method == "GET" && asked.path.contains("metadata.name%3Dredis&")).count()
    };
    let first = asked(&namespace);
    assert!(first > 0);
    for _ in 0..5 {
        let Ended::Done { next_look, .. } = namespace.look().await else { unreachable!("it is done") };
        assert!(next_look.is_some_and(|next| next <= limits::ENDPOINT_LOOK));
    }
    assert_eq!(asked(&namespace), first);
    tokio::time::advance(limits::ENDPOINT_LOOK).await;
    namespace.look().await;
    let second = asked(&namespace);
    assert!(second > first);
    namespace.edit(names::PLURAL, "default", |service| service["spec"]["redis"]["external"]["user"] = json!("another"));
    namespace.settle().await;
    assert!(asked(&namespace) > second);
    // One that goes is asked nothing.
    let third = asked(&namespace);
    namespace.edit(names::PLURAL, "default", |service| service["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    tokio::time::advance(limits::ENDPOINT_LOOK).await;
    namespace.look().await;
    assert_eq!(asked(&namespace), third);
}

#[tokio::test(start_paused = true)]
async fn what_was_known_is_not_unsaid_by_an_api_server_that_is_away_for_a_moment() {
    let mut namespace = Namespace::with(&external(&json!({})));
    let before = said(&mut namespace).await;
    namespace.refusals.lock().unwrap().push(("GET", 503));
    tokio::time::advance(limits::ENDPOINT_LOOK).await;
    assert_eq!(said(&mut namespace).await, before);
}
