use isbsvc_tests::cluster::{Cluster, MINUTE, Namespace, eventually, service};
use serde_json::{Value, json};

const NAME: &str = "test-refused";

/// What a refused change must leave as it is.
#[derive(Debug, PartialEq)]
struct Standing {
    conditions: Value,
    phase: Value,
    config: Value,
    observed: Value,
    stateful_set: Value,
    configuration: Value,
    pod: Value,
}

impl Standing {
    fn of(namespace: &Namespace<'_>) -> Self {
        let status = namespace.get(&format!("isbsvc/{NAME}"))["status"].clone();
        let stateful_set = namespace.get(&format!("statefulset/isbsvc-{NAME}-js"));
        Self {
            conditions: status["conditions"].clone(),
            phase: status["phase"].clone(),
            config: status["config"].clone(),
            observed: status["observedGeneration"].clone(),
            stateful_set: json!([stateful_set["metadata"]["generation"], stateful_set["spec"]]),
            configuration: namespace.get(&format!("configmap/isbsvc-{NAME}-js-config"))["data"].clone(),
            pod: namespace.get(&format!("pod/isbsvc-{NAME}-js-0"))["metadata"]["uid"].clone(),
        }
    }
}

/// Law refuse-without-harm: a change that came past the webhook, which is never asked about the namespace of the control plane, is held back whole by
/// the controller. What runs stays as it is and stays repaired, and taking the change back is all that is needed.
#[test]
fn a_change_past_the_webhook_is_refused_without_harm() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.kube_system(NAME);
    let this = format!("isbsvc/{NAME}");
    let patch = |spec: Value| {
        let patch = json!({ "spec": { "jetstream": spec } }).to_string();
        namespace.kubectl(&["patch", "isbsvc", NAME, "--type", "merge", "-p", &patch]).ok();
    };
    namespace.apply(&service(NAME, &json!({ "replicas": 1 }))).ok();
    namespace.healthy(NAME);
    let before = Standing::of(&namespace);

    // An allowed change beside the dangerous one is held back with it.
    patch(json!({ "encryption": true, "metadata": { "annotations": { "beside": "it" } } }));
    eventually("the controller refuses", MINUTE, || {
        let message = namespace.get(&this)["status"]["message"].to_string();
        if message.starts_with("\"Refused:") && message.contains("encryption-toggle") { Ok(()) } else { Err(message) }
    });
    assert_eq!(Standing::of(&namespace), before, "nothing but the message changes");
    assert_ne!(namespace.get(&this)["metadata"]["generation"], before.observed, "observedGeneration stays behind");
    let shown: Value = serde_json::from_str(&namespace.isbsvc(&["status", NAME, "-o", "json"]).out).unwrap_or_default();
    assert!(shown["summary"]["message"].as_str().is_some_and(|message| message.starts_with("Refused:")), "{shown}");
    let events = namespace.kubectl(&["get", "events", "--field-selector", &format!("involvedObject.name={NAME}")]).ok();
    assert!(events.contains("SpecRefused"), "{events}");

    // Drift is repaired from the accepted spec, not from the refused one.
    let (config, headless) = (format!("isbsvc-{NAME}-js-config"), format!("isbsvc-{NAME}-js-svc"));
    namespace.kubectl(&["delete", "service", &headless]).ok();
    namespace.kubectl(&["patch", "configmap", &config, "--type", "merge", "-p", r#"{"data":{"nats-js":"port: 1"}}"#]).ok();
    eventually("what was deleted and edited comes back", MINUTE, || {
        let said = namespace.kubectl(&["get", "service", &headless]);
        let text = namespace.get(&format!("configmap/{config}"))["data"].clone();
        if said.code == 0 && text == before.configuration { Ok(()) } else { Err(format!("{} {text}", said.err)) }
    });
    assert_eq!(Standing::of(&namespace), before);

    patch(json!({ "encryption": null, "metadata": null }));
    namespace.healthy(NAME);
    let status = namespace.get(&this)["status"].clone();
    assert_eq!(status["message"], Value::Null, "the refusal is gone");
    let after = Standing::of(&namespace);
    assert_eq!(Standing { observed: before.observed.clone(), ..after }, before, "and nothing was restarted for it");
    namespace.kubectl(&["delete", "isbsvc", NAME, "--timeout=120s"]).ok();
}
