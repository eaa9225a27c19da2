//! The rules as a person meets them: kubectl, a real API server, the definition and the webhook.

use isbsvc::api::names;
use isbsvc::rules::{self, About, Example, Level, Rule};
use isbsvc_tests::cluster::{Cluster, Namespace, Said};
use serde_json::{Value, json};

/// Whether the definition's own bounds refuse an example before the webhook is asked, so that the API server's words stand instead of the rule's.
fn refused_by_schema(example: &Example) -> bool {
    example.new.is_some_and(|new| new.contains("replicas: 10"))
}

/// The object, which no controller makes anything of.
fn paused(mut object: Value, name: Option<&str>) -> Value {
    object["metadata"]["annotations"][names::PAUSED_ANNOTATION] = json!("true");
    if let Some(name) = name {
        object["metadata"]["name"] = json!(name);
    }
    object
}

fn ask(namespace: &Namespace<'_>, rule: &Rule, example: &Example, number: usize) -> Option<Said> {
    let new = example.new_object().unwrap_or_else(|error| panic!("{}: {error}", rule.name))?;
    let Some(old) = example.old_object().unwrap_or_else(|error| panic!("{}: {error}", rule.name)) else {
        return Some(namespace.kubectl_stdin(&["create", "--dry-run=server", "-f", "-"], &paused(new, None).to_string()));
    };
    let name = format!("{}-{number}", rule.name);
    namespace.apply(&paused(old, Some(&name)).to_string()).ok();
    Some(namespace.kubectl_stdin(&["apply", "--dry-run=server", "-f", "-"], &paused(new, Some(&name)).to_string()))
}

/// Law one-verdict, through everything that stands between kubectl and etcd.
#[test]
fn every_example_of_every_rule_is_answered_as_the_page_of_the_rules_says() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-rules");
    let mut asked = 0;
    for rule in rules::ALL.iter().filter(|rule| rule.about != About::Deletion) {
        for (number, example) in rule.examples.iter().enumerate() {
            let Some(said) = ask(&namespace, rule, example, number) else { continue };
            asked += 1;
            let named = said.err.contains(&format!("({})", rule.name));
            let (refused, told) = match (example.faulty, rule.level) {
                (false, _) | (true, Level::Audit) => (false, false),
                (true, Level::Warn) => (false, true),
                (true, Level::Deny) => (true, !refused_by_schema(example)),
            };
            assert_eq!((said.code != 0, named), (refused, told), "{}: {example:?}: {said:?}", rule.name);
        }
    }
    println!("{asked} examples of {} rules asked through kubectl", rules::ALL.len());
}

/// A row of the table of changes (`isb-operations.md`, section 3): what it is called there, the change, and the rule that refuses or warns.
type Row = (&'static str, Value, Option<&'static str>);

fn table() -> Vec<(Value, Vec<Row>)> {
    let plain = json!({ "version": "2.12.7", "replicas": 3 });
    let with = |more: Value| {
        let mut spec = plain.clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        spec
    };
    let settings = |text: &str| json!({ "settings": text });
    vec![
        (
            plain.clone(),
            vec![
                ("resources", json!({ "containerTemplate": { "resources": { "limits": { "memory": "1Gi" } } } }), None),
                ("affinity", json!({ "affinity": { "nodeAffinity": {} } }), Some("no-spread")),
                ("tolerations", json!({ "tolerations": [{ "operator": "Exists" }] }), None),
                ("probes", json!({ "containerTemplate": { "livenessProbe": { "failureThreshold": 9 } } }), None),
                ("annotations", json!({ "metadata": { "annotations": { "a": "b" } } }), None),
                ("images of sidecars", json!({ "reloaderContainerTemplate": { "imagePullPolicy": "Always" } }), None),
                ("version down > one patch", json!({ "version": "2.10.29" }), Some("version-downgrade")),
                ("replicas up, from 3", json!({ "replicas": 5 }), None),
                ("replicas 3 -> 1", json!({ "replicas": 1 }), Some("replicas-cluster-switch")),
                ("stream replicas > servers", json!({ "bufferConfig": "stream:\n  replicas: 5\n" }), Some("buffer-replicas")),
                ("persistence none -> PVC", json!({ "persistence": {} }), Some("persistence-change")),
                ("settings.max_payload up", settings("max_payload: 2MB"), None),
                ("settings.max_payload down", settings("max_payload: 1000"), Some("payload-shrink")),
                ("max_memory_store from -1", settings("max_memory_store: 1G"), Some("store-shrink")),
                ("max_file_store up", settings("max_file_store: 2TB"), Some("store-grow")),
                ("max_file_store down", settings("max_file_store: 1G"), Some("store-shrink")),
                ("bufferConfig", json!({ "bufferConfig": "stream:\n  maxMsgs: 50000\n" }), Some("buffer-config-change")),
                ("encryption off -> on", json!({ "encryption": true }), Some("encryption-toggle")),
                ("tls off -> on", json!({ "tls": true }), Some("tls-toggle")),
                ("startArgs, logging", json!({ "startArgs": ["-D"] }), None),
                ("startArgs, others", json!({ "startArgs": ["-m=1"] }), Some("start-args")),
            ],
        ),
        (
            with(json!({ "version": "2.10.29", "replicas": 5, "encryption": true, "tls": true })),
            vec![
                ("version up", json!({ "version": "2.12.7" }), None),
                ("replicas down, >= 3 result", json!({ "replicas": 3 }), Some("replicas-shrink")),
                ("encryption on -> off", json!({ "encryption": false }), Some("encryption-toggle")),
                ("tls on -> off", json!({ "tls": null }), Some("tls-toggle")),
            ],
        ),
        (with(json!({ "replicas": 1 })), vec![("replicas 1 -> 3", json!({ "replicas": 3 }), Some("replicas-cluster-switch"))]),
        (
            with(json!({ "persistence": { "volumeSize": "20Gi", "storageClassName": "standard" } })),
            vec![
                ("PVC -> none", json!({ "persistence": null }), Some("persistence-change")),
                ("volumeSize up", json!({ "persistence": { "volumeSize": "30Gi" } }), Some("persistence-change")),
                ("volumeSize, the same", json!({ "persistence": { "volumeSize": "20480Mi" } }), None),
                ("storageClass", json!({ "persistence": { "storageClassName": "fast" } }), Some("persistence-change")),
                ("accessMode", json!({ "persistence": { "accessMode": "ReadWriteMany" } }), Some("persistence-change")),
            ],
        ),
    ]
}

#[test]
fn every_row_of_the_table_of_changes_is_answered_by_its_rule() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-changes");
    let service = |name: &str, spec: &Value| {
        let object = json!({ "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": { "name": name }, "spec": spec });
        namespace.apply(&paused(object, None).to_string()).ok();
    };
    let patch = |name: &str, patch: &Value| {
        namespace.kubectl(&["patch", "isbsvc", name, "--dry-run=server", "--type", "merge", "-p", &patch.to_string()])
    };
    let judged = |row: &str, said: &Said, rule: Option<&str>| {
        let level = rule.and_then(rules::find).map(|rule| rule.level);
        assert_eq!(said.code != 0, level == Some(Level::Deny), "{row}: {said:?}");
        assert!(rule.is_none_or(|rule| said.err.contains(&format!("({rule})"))), "{row}: {said:?}");
    };
    for (index, (spec, rows)) in table().into_iter().enumerate() {
        let name = format!("base-{index}");
        service(&name, &json!({ "jetstream": spec }));
        for (row, change, rule) in rows {
            judged(row, &patch(&name, &json!({ "spec": { "jetstream": change } })), rule);
        }
    }
    service("typed", &json!({ "jetstream": { "version": "2.12.7" } }));
    let redis = json!({ "spec": { "jetstream": null, "redis": { "external": { "url": "redis:6379" } } } });
    judged("type change", &patch("typed", &redis), Some("type-change"));
    let instance = json!({ "metadata": { "annotations": { names::INSTANCE_ANNOTATION: "blue" } } });
    judged("instance annotation", &patch("typed", &instance), Some("instance-change"));
    service("outside", &json!({ "redis": { "external": { "url": "redis-a:6379" } } }));
    for (row, change, rule) in [
        ("external: url", json!({ "url": "redis-b:6379" }), Some("external-endpoint-change")),
        ("external: sentinelUrl", json!({ "sentinelUrl": "redis-b:26379" }), Some("external-endpoint-change")),
        ("external: masterName", json!({ "masterName": "other" }), Some("external-endpoint-change")),
        ("external: user", json!({ "user": "numaflow" }), None),
    ] {
        judged(row, &patch("outside", &json!({ "spec": { "redis": { "external": change } } })), rule);
    }

    // Several at once: each on a line of its own, and in the API's own list of causes.
    let several = json!({ "spec": { "jetstream": { "encryption": true, "tls": true, "version": "2.10.29" } } });
    let said = patch("base-0", &several);
    for rule in ["encryption-toggle", "tls-toggle", "version-downgrade"] {
        let line = said.err.lines().find(|line| line.contains(&format!("({rule})"))).unwrap_or_else(|| panic!("{rule}: {said:?}"));
        assert!(line.contains("spec.jetstream."), "{line}");
    }
}

/// Defaults stand beside whoever else writes: another manager of server-side apply, and another mutating step, whichever comes first.
#[test]
fn defaults_stand_beside_other_writers() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-defaults");
    let object = |spec: Value| {
        let object = json!({ "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": { "name": "default" }, "spec": { "jetstream": spec } });
        paused(object, None).to_string()
    };
    let server_side = |manager: &str, spec: Value| {
        let manager = format!("--field-manager={manager}");
        namespace.kubectl_stdin(&["apply", "--server-side", &manager, "-f", "-"], &object(spec))
    };
    let spec = || namespace.get("isbsvc/default")["spec"]["jetstream"].clone();

    // What a dry run shows is what is then made.
    let sample = json!({ "version": "2.12.7", "persistence": { "volumeSize": "10Gi" } });
    let dry = namespace.kubectl_stdin(
        &["apply", "--server-side", "--field-manager=one", "--dry-run=server", "-o", "json", "-f", "-"],
        &object(sample.clone()),
    );
    let dry: Value = serde_json::from_str(&dry.ok()).unwrap_or_else(|error| panic!("{error}"));
    server_side("one", sample.clone()).ok();
    assert_eq!(dry["spec"]["jetstream"], spec());
    assert_eq!(
        spec(),
        json!({ "version": "2.12.7", "replicas": 3, "persistence": { "volumeSize": "10Gi", "accessMode": "ReadWriteOnce" } })
    );

    // A default is nobody's: another manager sets the field without a conflict, and the first one applies again without taking it away.
    server_side("two", json!({ "replicas": 5 })).ok();
    server_side("one", sample).ok();
    assert_eq!(spec()["replicas"], json!(5));
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=60s"]).ok();

    // Another step that adds a part once ours has filled in the replicas: what that part lacks is filled in at the second round.
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": { "name": "isbsvc-test-defaults" },
        "spec": {
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace.name } },
                "resourceRules": [{ "apiGroups": [names::GROUP], "apiVersions": ["v1alpha1"], "resources": [names::PLURAL], "operations": ["CREATE"] }],
            },
            "matchConditions": [{ "name": "after-ours", "expression": "has(object.spec.jetstream.replicas) && !has(object.spec.jetstream.persistence)" }],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": "[JSONPatch{op: 'add', path: '/spec/jetstream/persistence', value: Object.spec.jetstream.persistence{}}]" } }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": { "name": "isbsvc-test-defaults" },
        "spec": { "policyName": "isbsvc-test-defaults" },
    });
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": [policy, binding] }).to_string();
    cluster.kubectl_stdin(&["apply", "-f", "-"], &list).ok();
    let made = isbsvc_tests::cluster::eventually("the other step takes part", isbsvc_tests::cluster::MINUTE, || {
        let said =
            namespace.kubectl_stdin(&["create", "--dry-run=server", "-o", "json", "-f", "-"], &object(json!({ "version": "2.12.7" })));
        let made: Value = serde_json::from_str(&said.out).map_err(|error| format!("{error}: {said:?}"))?;
        if made["spec"]["jetstream"]["persistence"].is_object() { Ok(made) } else { Err(made.to_string()) }
    });
    cluster.kubectl_stdin(&["delete", "--ignore-not-found", "-f", "-"], &list).ok();
    let persistence = json!({ "accessMode": "ReadWriteOnce", "volumeSize": "20Gi" });
    assert_eq!(made["spec"]["jetstream"], json!({ "version": "2.12.7", "replicas": 3, "persistence": persistence }));
}

/// What is being deleted can lose its finalizers and change its labels, whatever its spec says; which cannot change to what loses data, because its servers
/// run until its last finalizer is gone.
#[test]
fn metadata_of_what_is_being_deleted_can_always_change() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-terminating");
    let mut object = json!({ "apiVersion": names::API_VERSION, "kind": names::KIND, "metadata": { "name": "default" }, "spec": { "jetstream": { "version": "2.12.7" } } });
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    namespace.apply(&paused(object, None).to_string()).ok();
    namespace.kubectl(&["delete", "isbsvc", "default", "--wait=false"]).ok();
    let patch = |patch: &str| namespace.kubectl(&["patch", "isbsvc", "default", "--type", "merge", "-p", patch]);
    patch(r#"{"metadata":{"labels":{"a":"b"},"annotations":{"c":"d"}}}"#).ok();
    let said = patch(r#"{"spec":{"jetstream":{"encryption":true}}}"#);
    assert!(said.code != 0 && said.err.contains("(encryption-toggle)"), "{said:?}");
    patch(r#"{"metadata":{"finalizers":null}}"#).ok();
    let said = namespace.kubectl(&["get", "isbsvc", "default"]);
    assert!(said.code != 0 && said.err.contains("NotFound"), "{said:?}");
}
