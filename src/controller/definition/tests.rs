use super::*;

/// A definition that was made thin, with the schema that is given for `spec`.
fn definition(spec: &Value) -> DynamicObject {
    let schema = json!({ "type": "object", "properties": { "spec": spec, "status": { "type": "object" } } });
    let mut object = DynamicObject::new(&name(), &resource())
        .data(json!({ "spec": { "versions": [{ "name": "v1alpha1", "schema": { "openAPIV3Schema": schema } }] } }));
    thin(&mut object);
    object
}

fn ours() -> DynamicObject {
    let mut object: DynamicObject = serde_json::from_value(json!(crate::api::crd())).unwrap();
    thin(&mut object);
    object
}

fn known(object: &DynamicObject) -> Definition {
    let definition = Definition::default();
    assert!(definition.learn(Fact::Known(schema(object))));
    definition
}

fn service(spec: &Value, status: &Value) -> InterStepBufferService {
    crate::api::decode(&json!({ "metadata": { "name": "default" }, "spec": spec, "status": status })).unwrap()
}

fn runs_by(spec: &Value) -> Observed {
    let set = json!({ "metadata": { "name": "isbsvc-default-js", "annotations": { names::ACCEPTED_SPEC_ANNOTATION: spec.to_string() } } });
    Observed { stateful_set: Fact::Known(Some(serde_json::from_value(set).unwrap())), ..Observed::nothing() }
}

/// Numaflow's of today, in short: structural, without `redis`, with free maps and embedded Kubernetes types.
fn numaflows() -> DynamicObject {
    let words = json!({ "type": "string" });
    let container = json!({ "type": "object", "properties": { "resources": { "type": "object", "properties": {
        "limits": { "type": "object", "additionalProperties": { "x-kubernetes-int-or-string": true } } } } } });
    let tolerations = json!({ "type": "array", "items": { "type": "object", "properties": { "key": words } } });
    definition(&json!({ "type": "object", "properties": { "jetstream": { "type": "object", "properties": {
        "version": words, "replicas": { "type": "integer" }, "containerTemplate": container, "tolerations": tolerations,
        "nodeSelector": { "type": "object", "additionalProperties": words } } } } }))
}

#[test]
fn ours_loses_nothing_that_a_spec_can_say() {
    let spec = json!({ "jetstream": { "version": "2.12.7", "replicas": 3, "encryption": true, "tls": true, "settings": "max_payload: 1",
        "persistence": { "volumeSize": "10Gi", "storageClassName": "fast" },
        "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 1, "podAffinityTerm": {
            "topologyKey": "zone", "labelSelector": { "matchLabels": { "a.b/c": "d" } } } }] } },
        "tolerations": [{ "key": "a", "operator": "Exists" }], "nodeSelector": { "kubernetes.io/os": "linux" },
        "metadata": { "labels": { "team": "a" }, "annotations": { "b": "c" } },
        "containerTemplate": { "resources": { "limits": { "memory": "1Gi" } }, "env": [{ "name": "A", "value": "b" }] } } });
    assert_eq!(lost(&schema(&ours()), &spec), Vec::<String>::new());
    assert_eq!(known(&ours()).has_redis(), Some(true));
    let redis = json!({ "redis": { "native": { "version": "7.0.15", "settings": { "redis": "maxmemory 1gb" } } } });
    assert_eq!(lost(&schema(&ours()), &redis), Vec::<String>::new());
}

#[test]
fn what_a_schema_drops_is_named() {
    let schema = schema(&numaflows());
    let spec = json!({ "jetstream": { "version": "2.12.7", "encryption": true, "nodeSelector": { "a": "b" },
        "tolerations": [{ "key": "a" }, { "key": "b", "operator": "Exists" }],
        "containerTemplate": { "resources": { "limits": { "memory": "1Gi" }, "requests": { "cpu": 1 } } } }, "redis": {} });
    assert_eq!(
        lost(&schema, &spec),
        [
            "spec.jetstream.containerTemplate.resources.requests",
            "spec.jetstream.encryption",
            "spec.jetstream.tolerations[1].operator",
            "spec.redis"
        ]
    );
}

#[test]
fn a_definition_that_keeps_what_it_does_not_know_drops_nothing() {
    // Numaflow's minimal one.
    let minimal = definition(&json!({ "type": "object", PRESERVE: true }));
    assert_eq!(lost(&schema(&minimal), &json!({ "jetstream": { "a": 1 }, "redis": {} })), Vec::<String>::new());
    assert_eq!(known(&minimal).has_redis(), Some(true));
}

#[test]
fn a_service_of_redis_is_left_alone_where_the_definition_lost_it() {
    let redis = service(&json!({ "redis": { "external": { "url": "redis:6379" } } }), &json!({}));
    let nothing = Observed::nothing();
    assert_eq!(known(&ours()).follows(&redis, &nothing), Follows::Nothing);
    let Follows::Leave(words) = known(&numaflows()).follows(&redis, &nothing) else { panic!("it was Redis") };
    assert!(words.contains("no longer has spec.redis") && words.contains("apply manifests/crd"), "{words}");
    assert_eq!(known(&numaflows()).has_redis(), Some(false));
    // As it is read once the definition was replaced; also where the definition may not be read.
    let pruned = service(&json!({}), &json!({ "type": "redis", "phase": "Running" }));
    for definition in [known(&numaflows()), Definition::default()] {
        assert!(matches!(definition.follows(&pruned, &nothing), Follows::Leave(_)));
    }
    let mut deleted = pruned;
    deleted.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
    assert_eq!(known(&numaflows()).follows(&deleted, &nothing), Follows::Nothing);
}

#[test]
fn a_field_that_the_definition_lost_is_no_change_of_the_users() {
    let was =
        json!({ "jetstream": { "version": "2.12.7", "replicas": 3, "tls": true, "encryption": true, "startArgs": ["-D"], "priority": 1 } });
    let now = service(&json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } }), &json!({}));
    assert_eq!(known(&ours()).follows(&now, &runs_by(&was)), Follows::Nothing, "then it is one, and the rules judge it");
    let Follows::Refuse(words) = known(&numaflows()).follows(&now, &runs_by(&was)) else { panic!("it is held back") };
    assert!(
        words.contains("no longer has spec.jetstream.encryption, spec.jetstream.priority, spec.jetstream.startArgs and 1 more"),
        "{words}"
    );
    // The field of container templates that only ours has.
    let probe = json!({ "jetstream": { "version": "2.12.7", "containerTemplate": { "startupProbe": { "failureThreshold": 720 } } } });
    assert_eq!(known(&ours()).follows(&now, &runs_by(&probe)), Follows::Nothing);
    let Follows::Refuse(words) = known(&numaflows()).follows(&now, &runs_by(&probe)) else { panic!("it is held back") };
    assert!(words.contains("no longer has spec.jetstream.containerTemplate.startupProbe,"), "{words}");
    let used = json!({ "jetstream": { "version": "2.12.7", "replicas": 3 } });
    assert_eq!(known(&numaflows()).follows(&now, &runs_by(&used)), Follows::Nothing, "it uses none of them");
    assert_eq!(Definition::default().follows(&now, &runs_by(&was)), Follows::Nothing, "what is not known has lost nothing");
}

#[test]
fn what_was_known_holds_while_it_cannot_be_read() {
    let definition = known(&numaflows());
    assert!(!definition.learn(Fact::Unknown("API server not reached".to_owned())));
    assert_eq!(definition.has_redis(), Some(false));
    assert!(definition.learn(Fact::Known(schema(&ours()))));
}

#[tokio::test(start_paused = true)]
async fn it_is_waited_for_only_a_moment() {
    let definition = Definition::default();
    let begun = tokio::time::Instant::now();
    definition.looked_at().await;
    assert_eq!(begun.elapsed(), limits::DEFINITION_WAIT);
    definition.learn(Fact::Unknown("no permission".to_owned()));
    definition.looked_at().await;
    assert_eq!(begun.elapsed(), limits::DEFINITION_WAIT);
}
