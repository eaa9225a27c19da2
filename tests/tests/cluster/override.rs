use isbsvc_tests::cluster::{Cluster, MINUTE, Namespace, Said, eventually, service_of};
use serde_json::{Value, json};

const NAMED: &str = "numaflow.numaproj.io/override";
const RECORD: &str = "numaflow.numaproj.io/overridden";

/// Somebody who may change services, and nothing else.
const JANE: &str = "jane";

fn patch(namespace: &Namespace<'_>, who: Option<&str>, patch: &Value) -> Said {
    let text = patch.to_string();
    let mut arguments = vec!["patch", "isbsvc", "default", "--type=merge", "-p", &text];
    arguments.extend(who.into_iter().flat_map(|name| ["--as", name]));
    namespace.kubectl(&arguments)
}

fn replicas(count: i32, named: &Value) -> Value {
    json!({ "metadata": { "annotations": { NAMED: named } }, "spec": { "jetstream": { "replicas": count } } })
}

/// The record on the object.
fn record(namespace: &Namespace<'_>) -> Value {
    let object = namespace.get("isbsvc/default");
    object["metadata"]["annotations"][RECORD].as_str().map_or(Value::Null, |text| serde_json::from_str(text).expect("a record"))
}

/// What the record says of a change to three servers that has just been made.
fn of_now(namespace: &Namespace<'_>) -> Value {
    let metadata = namespace.get("isbsvc/default")["metadata"].clone();
    json!([{ "rule": "replicas-shrink", "target": "3", "generation": metadata["generation"], "uid": metadata["uid"] }])
}

/// No controller looks after the service: what the webhook accepts and records is asked here, and what the controller makes of it in `overridden.rs`.
#[test]
fn a_rule_is_overridden_by_whoever_may_and_that_is_recorded() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-override");
    namespace.apply(&service_of("nobody", "default", &json!({ "replicas": 5 }))).ok();
    let verbs = "--verb=get,list,watch,create,update,patch,delete";
    namespace.kubectl(&["create", "role", "editor", verbs, "--resource=interstepbufferservices.numaflow.numaproj.io"]).ok();
    namespace.kubectl(&["create", "rolebinding", "editor", "--role=editor", &format!("--user={JANE}")]).ok();
    let named = json!("replicas-shrink=3");

    // Without naming it nobody overrides anything, not even an administrator; and by naming it only who may.
    let said = patch(&namespace, None, &replicas(3, &Value::Null));
    assert!(said.code != 0 && said.err.contains("(replicas-shrink)"), "{said:?}");
    let forged = |more: &Value| {
        let mut change = replicas(3, &named);
        change["metadata"]["annotations"][RECORD] = more.clone();
        change
    };
    // To the byte what the webhook would write.
    let metadata = namespace.get("isbsvc/default")["metadata"].clone();
    let generation = metadata["generation"].as_i64().unwrap_or_default() + 1;
    let expected = format!(r#"[{{"rule":"replicas-shrink","target":"3","generation":{generation},"uid":{}}}]"#, metadata["uid"]);
    for change in [replicas(3, &named), forged(&json!(expected))] {
        let said = patch(&namespace, Some(JANE), &change);
        assert!(said.code != 0 && said.err.contains("(Forbidden)"), "{said:?}");
        let words = "the verb override on interstepbufferservices.numaflow.numaproj.io default in the namespace test-override";
        assert!(said.err.contains(words) && said.err.trim().lines().count() == 1, "{said:?}");
        let written = change["metadata"]["annotations"].get(RECORD).is_some();
        assert_eq!(said.err.contains("would lose what only the removed servers hold"), !written, "the reason, too: {said:?}");
    }
    let said = patch(&namespace, Some(JANE), &json!({ "metadata": { "annotations": { RECORD: "[]" } } }));
    assert!(said.code != 0 && said.err.contains("only the webhook writes it"), "also beside no change of the spec: {said:?}");
    assert_eq!((record(&namespace), &namespace.get("isbsvc/default")["spec"]["jetstream"]["replicas"]), (Value::Null, &json!(5)));

    namespace.kubectl(&["create", "rolebinding", "override", "--clusterrole=isbsvc-override", &format!("--user={JANE}")]).ok();
    let said = eventually("she may", MINUTE, || {
        let said = patch(&namespace, Some(JANE), &replicas(3, &named));
        if said.code == 0 { Ok(said) } else { Err(said.err) }
    });
    assert!(said.err.contains("Warning: overridden") && said.err.contains("replicas-shrink=3"), "{said:?}");
    let accepted = of_now(&namespace);
    assert_eq!(record(&namespace), accepted);
    assert!(!namespace.get("isbsvc/default")["metadata"]["annotations"][RECORD].to_string().contains(JANE), "nor who it was");

    // From then on it is inert: other changes ask nobody and keep the record, another target is refused, and growth needs none.
    namespace.kubectl(&["delete", "rolebinding", "override"]).ok();
    let said = patch(&namespace, Some(JANE), &json!({ "spec": { "jetstream": { "nodeSelector": { "disk": "fast" } } } }));
    assert!(said.code == 0 && !said.err.contains("overridden"), "{said:?}");
    assert_eq!(record(&namespace), accepted);
    let said = patch(&namespace, None, &json!({ "spec": { "jetstream": { "replicas": 1 } } }));
    assert!(said.code != 0, "{said:?}");
    patch(&namespace, Some(JANE), &json!({ "spec": { "jetstream": { "replicas": 5 } } })).ok();
    patch(&namespace, Some(JANE), &json!({ "metadata": { "annotations": { NAMED: null, RECORD: null } } })).ok();
    assert_eq!(record(&namespace), Value::Null, "taking it away is allowed");

    // An administrator may, whichever way the object is written; and whoever keeps it in Git and applies it again changes nothing about it.
    let mut applied: Value = serde_json::from_str(&service_of("nobody", "default", &json!({ "replicas": 3 }))).expect("ours");
    applied["metadata"]["annotations"][NAMED] = named;
    for way in [&["apply", "-f", "-"][..], &["apply", "--server-side", "--force-conflicts", "-f", "-"]] {
        let said = namespace.kubectl_stdin(way, &applied.to_string());
        assert_eq!((said.code, record(&namespace)), (0, of_now(&namespace)), "{way:?}: {said:?}");
        let before = record(&namespace);
        let said = namespace.kubectl_stdin(way, &applied.to_string());
        assert_eq!((said.code, record(&namespace)), (0, before), "again: {way:?}: {said:?}");
        patch(
            &namespace,
            None,
            &json!({ "metadata": { "annotations": { NAMED: null, RECORD: null } }, "spec": { "jetstream": { "replicas": 5 } } }),
        )
        .ok();
    }
}

/// Where the webhook is not asked, the record is guarded by a policy of the API server's own (`manifests/override`).
#[test]
fn where_no_webhook_is_asked_nobody_forges_a_record() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.kube_system("forged");
    let ask = |arguments: &[&str]| namespace.kubectl(arguments);
    namespace.apply(&service_of("nobody", "forged", &json!({ "replicas": 5 }))).ok();
    // What a run before this one may have left.
    ask(&["delete", "rolebinding,role", "isbsvc-editor", "--ignore-not-found"]).ok();
    ask(&["create", "role", "isbsvc-editor", "--verb=get,update,patch", "--resource=interstepbufferservices.numaflow.numaproj.io"]).ok();
    ask(&["create", "rolebinding", "isbsvc-editor", "--role=isbsvc-editor", &format!("--user={JANE}")]).ok();
    let write = |who: Option<&str>, record: &Value| {
        let change = json!({ "metadata": { "annotations": { RECORD: record } }, "spec": { "jetstream": { "replicas": 3 } } }).to_string();
        let mut arguments = vec!["patch", "isbsvc", "forged", "--type=merge", "-p", &change];
        arguments.extend(who.into_iter().flat_map(|name| ["--as", name]));
        ask(&arguments)
    };
    let said = write(Some(JANE), &json!("[]"));
    assert!(said.code != 0 && said.err.contains("(Forbidden)") && said.err.contains("'isbsvc-override'"), "{said:?}");
    assert!(said.err.contains("the verb override on") && said.err.contains("forged in the namespace kube-system"), "{said:?}");
    write(None, &json!("[]")).ok();
    write(Some(JANE), &json!("[]")).ok();
    write(Some(JANE), &Value::Null).ok();
    ask(&["delete", "rolebinding,role", "isbsvc-editor"]).ok();
}
