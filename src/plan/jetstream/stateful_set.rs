use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Baseline, Images, Subject, hash, metadata, server_config, twice::MEMORY_LIMIT};
use crate::api::names::{self, server_secret_key as key};
use crate::api::{ContainerTemplate, Probe};
use crate::controller_config::quantity_bytes;
use crate::plan::ChildKind;

/// Where the configuration is mounted.
pub(super) const CONFIG_DIR: &str = "/etc/nats-config";
/// Where the servers keep what they store.
pub(super) const STORE_DIR: &str = "/data/jetstream/store";
const DATA_DIR: &str = "/data/jetstream";
const PID_DIR: &str = "/var/run/nats";
/// User and group of the containers: not root, and in no image's passwd with another meaning.
const USER: i64 = 65532;
/// Lame duck grace (10 s) and duration (120 s) and 20 s to shut down (nats-io/k8s issue 460).
const GRACE_PERIOD: i64 = 150;

/// Seconds that a pod must have been ready before the next one is rolled.
const MIN_READY: u8 = 30;

/// The `StatefulSet`. `annotations` are ours that are no part of what is rolled out.
pub(in crate::plan) fn stateful_set(
    subject: Subject<'_>,
    baseline: &Baseline,
    annotations: impl IntoIterator<Item = (&'static str, String)>,
) -> Value {
    let spec = subject.spec;
    let mut body = json!({
        "spec": {
            // Retain: a deleted StatefulSet must never take the data with it. The finalizer deletes the claims.
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
            "podManagementPolicy": "Parallel",
            "replicas": spec.server_count(),
            "selector": { "matchLabels": metadata::labels(subject) },
            "serviceName": names::service(subject.name()),
            "template": baseline.template,
            "updateStrategy": { "type": "RollingUpdate" },
        },
    });
    if spec.server_count() > 2 {
        // Between two pods of a roll: a server answers before its streams have caught up (nats-server issue 4875).
        body["spec"]["minReadySeconds"] = json!(MIN_READY);
    }
    if !baseline.volume_claim_templates.is_empty() {
        body["spec"]["volumeClaimTemplates"] = json!(baseline.volume_claim_templates);
    }
    let hash = hash(&body);
    let mut object = metadata::object(subject, ChildKind::StatefulSet, &names::stateful_set(subject.name()), body);
    metadata::annotate_hash(&mut object, hash);
    metadata::annotate(&mut object, annotations);
    object
}

/// The claims of each server; none without persistence.
pub(super) fn volume_claim_templates(subject: Subject<'_>) -> Vec<Value> {
    let Some(persistence) = &subject.spec.persistence else { return Vec::new() };
    let mut claim = json!({
        // Without labels, which Numaflow's controller writes none of, and which nobody can change: handing back would fail. Kubernetes gives each claim
        // those of the selector.
        "metadata": { "name": names::claim_template(subject.name()) },
        "spec": {
            "accessModes": [persistence.access_mode()],
            "resources": { "requests": { "storage": persistence.volume_size() } },
        },
    });
    if let Some(class) = &persistence.storage_class_name {
        claim["spec"]["storageClassName"] = json!(class);
    }
    vec![claim]
}

/// Every label of the pods.
pub(in crate::plan) fn pod_labels(subject: Subject<'_>) -> BTreeMap<String, String> {
    let mut labels = subject.spec.pod.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    labels.extend(metadata::labels(subject));
    labels
}

/// The pod template that we make for a new service.
pub(super) fn template(subject: Subject<'_>, images: &Images) -> Value {
    let pod = &subject.spec.pod;
    let mut metadata = json!({ "labels": pod_labels(subject) });
    if let Some(annotations) = pod.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref()) {
        metadata["annotations"] = json!(annotations);
    }
    let mut containers = vec![main(subject, images)];
    if !images.reloader.is_empty() {
        containers.push(reloader(subject, images));
    }
    if !images.exporter.is_empty() {
        containers.push(metrics(subject, images));
    }
    let mut spec = json!({
        "automountServiceAccountToken": false,
        "containers": containers,
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            // A large store is not walked at every start.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        // The reloader and preStop signal the server.
        "shareProcessNamespace": true,
        "terminationGracePeriodSeconds": GRACE_PERIOD,
        "volumes": volumes(subject),
        "affinity": spread(subject),
    });
    let Value::Object(own) = json!(crate::api::PodTemplate { metadata: None, ..pod.clone() }) else { return json!({}) };
    for (field, value) in own {
        spec[field] = value;
    }
    json!({ "metadata": metadata, "spec": spec })
}

/// Servers stay apart where the cluster has room: another node first, another zone too. Soft, so that a small cluster still runs them.
fn spread(subject: Subject<'_>) -> Value {
    let apart = |key: &str, weight: u8| json!({ "weight": weight, "podAffinityTerm": { "labelSelector": { "matchLabels": metadata::labels(subject) }, "topologyKey": key } });
    json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [apart("kubernetes.io/hostname", 100), apart("topology.kubernetes.io/zone", 50)] } })
}

fn volumes(subject: Subject<'_>) -> Value {
    let mut items = vec![json!({ "key": key::AUTH, "path": "auth.conf" })];
    if subject.spec.tls_enabled() {
        for (key, path) in [
            (key::CERT, server_config::CLIENT_FILES.cert),
            (key::PRIVATE_KEY, server_config::CLIENT_FILES.key),
            (key::CA_CERT, server_config::CLIENT_FILES.authority),
            (key::CLUSTER_CERT, server_config::CLUSTER_FILES.cert),
            (key::CLUSTER_PRIVATE_KEY, server_config::CLUSTER_FILES.key),
            (key::CLUSTER_CA_CERT, server_config::CLUSTER_FILES.authority),
        ] {
            items.push(json!({ "key": key, "path": path }));
        }
    }
    let mut volumes = vec![
        json!({ "name": "pid", "emptyDir": {} }),
        json!({
            "name": "config-volume",
            "projected": {
                "sources": [
                    { "configMap": { "name": names::config_map(subject.name()), "items": [{ "key": names::CONFIG_KEY, "path": "nats-js.conf" }] } },
                    { "secret": { "name": names::server_secret(subject.name()), "items": items } },
                ],
            },
        }),
    ];
    if subject.spec.persistence.is_none() {
        volumes.push(json!({ "name": "js-data", "emptyDir": {} }));
    }
    json!(volumes)
}

fn main(subject: Subject<'_>, images: &Images) -> Value {
    let name = subject.name();
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let mut env = vec![
        json!({ "name": "POD_NAME", "valueFrom": field("metadata.name") }),
        json!({ "name": "SERVER_NAME", "value": "$(POD_NAME)" }),
        json!({ "name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace") }),
        json!({ "name": "CLUSTER_ADVERTISE", "value": format!("$(POD_NAME).{}.$(POD_NAMESPACE).svc", names::service(name)) }),
    ];
    if let Some(bytes) = subject.spec.container_template.as_ref().and_then(memory_limit) {
        env.push(json!({ "name": MEMORY_LIMIT, "value": bytes.to_string() }));
    }
    env.push(json!({ "name": "JS_KEY", "valueFrom": { "secretKeyRef": { "name": names::server_secret(name), "key": key::ENCRYPTION } } }));
    let data = if subject.spec.persistence.is_some() { names::claim_template(name) } else { "js-data".to_owned() };
    let port = |name: &str, port: u16| json!({ "name": name, "containerPort": port, "protocol": "TCP" });
    let mut container = json!({
        "name": "main",
        "image": images.server,
        "imagePullPolicy": "IfNotPresent",
        "command": [images.command, "--config", format!("{CONFIG_DIR}/nats-js.conf")],
        "env": env,
        "ports": [port("client", names::CLIENT_PORT), port("cluster", names::CLUSTER_PORT), port("monitor", names::MONITOR_PORT)],
        "lifecycle": { "preStop": { "exec": { "command": [images.command, format!("-sl=ldm={PID_DIR}/nats.pid")] } } },
        // Only that the process answers: a large store is read back after that, and must not be interrupted. Half an hour, asked every second.
        "startupProbe": probe(server_health(images), 0, 1, 1800, 1),
        "readinessProbe": probe(server_health(images), 0, 5, 3, 5),
        "livenessProbe": probe(enabled_health(images), 10, 30, 3, 5),
        "securityContext": locked_down(),
        "volumeMounts": [
            { "name": "config-volume", "mountPath": CONFIG_DIR },
            { "name": "pid", "mountPath": PID_DIR },
            { "name": data, "mountPath": DATA_DIR },
        ],
    });
    // In `args`, where Numaflow's controller writes them too: a change of them replaces those that were found.
    if let Some(own) = subject.spec.start_args.as_ref().filter(|own| !own.is_empty()) {
        container["args"] = json!(own);
    }
    override_container(&mut container, subject.spec.container_template.as_ref());
    container
}

/// Bytes from which Go collects: nine tenths of the limit, because at the whole of it the kernel kills the server first (nats-server issue 5739). `None`
/// where the user names the variable, whose value holds then.
fn memory_limit(template: &ContainerTemplate) -> Option<u64> {
    if template.env.iter().flatten().any(|variable| variable.name == MEMORY_LIMIT) {
        return None;
    }
    let limit = template.resources.as_ref()?.limits.as_ref()?.get("memory")?;
    // To Kubernetes 0 is no limit; to Go it would be one that never lets it stop collecting.
    Some(quantity_bytes(&limit.0)? / 10 * 9).filter(|bytes| *bytes > 0)
}

fn reloader(subject: Subject<'_>, images: &Images) -> Value {
    let mut container = json!({
        "name": "reloader",
        "image": images.reloader,
        "imagePullPolicy": "IfNotPresent",
        "command": ["nats-server-config-reloader", "-pid", format!("{PID_DIR}/nats.pid"), "-config", format!("{CONFIG_DIR}/nats-js.conf")],
        "securityContext": locked_down(),
        "volumeMounts": [{ "name": "config-volume", "mountPath": CONFIG_DIR }, { "name": "pid", "mountPath": PID_DIR }],
    });
    override_container(&mut container, subject.spec.reloader_container_template.as_ref());
    container
}

fn metrics(subject: Subject<'_>, images: &Images) -> Value {
    let monitor = format!("http://localhost:{}", names::MONITOR_PORT);
    let mut container = json!({
        "name": "metrics",
        "image": images.exporter,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-connz", "-routez", "-subz", "-varz", "-prefix=nats", "-use_internal_server_id", "-jsz=all", monitor],
        "ports": [{ "name": "metrics", "containerPort": names::METRICS_PORT, "protocol": "TCP" }],
        "securityContext": locked_down(),
    });
    override_container(&mut container, subject.spec.metrics_container_template.as_ref());
    container
}

/// What Pod Security `restricted` asks of a container.
fn locked_down() -> Value {
    json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } })
}

/// The process accepts connections (`js-server-only`, from 2.9.0; before, the question was not known and the full check would be made).
fn server_health(images: &Images) -> &'static str {
    if images.at_least((2, 9, 0)) { "/healthz?js-server-only=true" } else { "/" }
}

/// And `JetStream` was not turned off by a full disk (`js-enabled-only`, from 2.9.10).
fn enabled_health(images: &Images) -> &'static str {
    if images.at_least((2, 9, 10)) { "/healthz?js-enabled-only=true" } else { "/" }
}

fn probe(path: &str, delay: u16, period: u16, failures: u16, timeout: u16) -> Value {
    json!({
        "httpGet": { "path": path, "port": names::MONITOR_PORT, "scheme": "HTTP" },
        "initialDelaySeconds": delay,
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
        "successThreshold": 1,
    })
}

/// What the user set on a container.
fn override_container(container: &mut Value, template: Option<&ContainerTemplate>) {
    let Some(template) = template else { return };
    let mut set = |field: &str, value: Value| {
        if !value.is_null() {
            container[field] = value;
        }
    };
    set("resources", json!(template.resources));
    set("imagePullPolicy", json!(template.image_pull_policy));
    set("securityContext", json!(template.security_context));
    set("envFrom", json!(template.env_from));
    if let Some(own) = &template.env {
        let mut env = container["env"].as_array().cloned().unwrap_or_default();
        env.extend(own.iter().map(|variable| json!(variable)));
        container["env"] = json!(env);
    }
    let probes = [
        ("readinessProbe", &template.readiness_probe),
        ("livenessProbe", &template.liveness_probe),
        ("startupProbe", &template.startup_probe),
    ];
    for (field, own) in probes {
        override_probe(container, field, own.as_ref());
    }
}

/// Only the numbers of a probe that the container has already. A 0, which Numaflow's definition lets in, is to Kubernetes as if nothing were given: it
/// would put its own default there, and we ours, for ever.
fn override_probe(container: &mut Value, field: &str, own: Option<&Probe>) {
    let (Some(own), Some(Value::Object(probe))) = (own, container.get_mut(field)) else { return };
    if let Value::Object(numbers) = json!(own) {
        let numbers: Map<String, Value> = numbers;
        probe.extend(numbers.into_iter().filter(|(name, number)| name == "initialDelaySeconds" || *number != json!(0)));
    }
}
