//! The spec by which something runs that somebody else made.

use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Map, Value, json};

use crate::api::{ContainerTemplate, InterStepBufferService, InterStepBufferServiceSpec, JetStreamBufferService, Metadata, PodTemplate};
use crate::controller_config::{ControllerConfig, Settings, quantity_bytes, stream_config};

/// What of a service is read besides its `StatefulSet`.
pub(super) struct Beside<'a> {
    /// The servers' configuration.
    pub config: Option<&'a str>,
    /// `status.config.jetstream.streamConfig`.
    pub stream_config: Option<&'a str>,
}

/// The spec by which something runs: `spec`, but where it speaks of what decides over stored messages, what really runs. Numaflow's controller may not
/// have carried out a change that was made while it was away; where it says so itself (`status.observedGeneration`), all else is read from what runs
/// as well, so that the change is judged and carried out like any other.
pub(super) fn as_it_runs(
    service: &InterStepBufferService,
    spec: &InterStepBufferServiceSpec,
    set: &StatefulSet,
    beside: &Beside<'_>,
    configuration: &ControllerConfig,
) -> InterStepBufferServiceSpec {
    let mut runs = spec.clone();
    let (Some(jetstream), Some(live)) = (&mut runs.jetstream, &set.spec) else { return runs };
    let config = beside.config;
    if let Some(replicas) = live.replicas
        && jetstream.server_count() != replicas
    {
        jetstream.replicas = Some(replicas);
    }
    if let Some(config) = config {
        let has = |start: &str| config.lines().any(|line| line.trim_start().starts_with(start));
        if jetstream.encrypted() != has("key:") {
            jetstream.encryption = Some(has("key:"));
        }
    }
    // Without certificates in the pod no server speaks TLS; the text does not tell, because that of clients may stand in the Secret.
    let certificates = json!(live.template)["spec"]["volumes"].to_string().contains("\"server-cert.pem\"");
    if jetstream.tls_enabled() != certificates {
        jetstream.tls = Some(certificates);
    }
    let claim = live.volume_claim_templates.as_ref().and_then(|claims| claims.first()).and_then(|claim| claim.spec.as_ref());
    match (claim, &mut jetstream.persistence) {
        (None, persistence) => *persistence = None,
        (Some(claim), persistence) => {
            let mut found = persistence.clone().unwrap_or_default();
            let size = claim.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
            if let Some(size) = size.filter(|size| quantity_bytes(&size.0) != quantity_bytes(&found.volume_size())) {
                found.volume_size = Some(size.clone());
            }
            if claim.storage_class_name != found.storage_class_name {
                found.storage_class_name.clone_from(&claim.storage_class_name);
            }
            if let Some(mode) = claim.access_modes.as_ref().and_then(|modes| modes.first()).filter(|mode| **mode != found.access_mode()) {
                found.access_mode = Some(mode.clone());
            }
            *persistence = Some(found);
        }
    }
    if is_pending(service) {
        the_rest(jetstream, &json!(live.template), beside, configuration);
    }
    runs
}

/// Whether there is a change that its controller had not carried out.
fn is_pending(service: &InterStepBufferService) -> bool {
    let carried_out = service.status.as_ref().and_then(|status| status.observed_generation);
    carried_out.zip(service.metadata.generation).is_some_and(|(carried_out, generation)| carried_out < generation)
}

fn the_rest(spec: &mut JetStreamBufferService, template: &Value, beside: &Beside<'_>, configuration: &ControllerConfig) {
    let pod = &template["spec"];
    let container = |name: &str| pod["containers"].as_array().into_iter().flatten().find(|container| container["name"] == name);
    let defaults = &configuration.jetstream;
    if let Some(main) = container("main") {
        let image = main["image"].as_str().unwrap_or_default();
        let asked = spec.version.as_deref().and_then(|version| configuration.jetstream_version(version));
        let mut listed = defaults.versions.iter().filter(|entry| entry.nats_image == image);
        if asked.is_none_or(|asked| asked.nats_image != image)
            && let Some(runs) = listed.next()
        {
            spec.version = Some(runs.version.clone());
        }
        let args: Option<Vec<String>> = main.get("args").and_then(|args| serde_json::from_value(args.clone()).ok());
        if spec.start_args.clone().unwrap_or_default() != args.clone().unwrap_or_default() {
            spec.start_args = args;
        }
    }
    if let (Some(runs), Some(asked)) =
        (beside.config.map(settings), Settings::merged_where_usable(&defaults.settings, spec.settings.as_deref()))
        && Settings::merged(&defaults.settings, Some(&runs)).is_ok_and(|runs| {
            (runs.max_payload.bytes, runs.max_memory_store.bytes, runs.max_file_store.bytes)
                != (asked.max_payload.bytes, asked.max_memory_store.bytes, asked.max_file_store.bytes)
        })
    {
        spec.settings = Some(runs);
    }
    if let Some(runs) = beside.stream_config
        && stream_config(&defaults.buffer_config, spec.buffer_config.as_deref(), spec.server_count()).is_ok_and(|asked| asked != runs)
    {
        spec.buffer_config = Some(runs.to_owned());
    }
    let templates = [
        (&mut spec.container_template, "main"),
        (&mut spec.reloader_container_template, "reloader"),
        (&mut spec.metrics_container_template, "metrics"),
    ];
    for (asked, name) in templates {
        if let Some(live) = container(name) {
            container_template(asked, live);
        }
    }
    let metadata = spec.pod.metadata.take().map(|asked| metadata(asked, &template["metadata"]));
    if let Some(runs) = pod_template(&spec.pod, pod) {
        spec.pod = runs;
    }
    spec.pod.metadata = metadata;
}

/// The settings in the servers' configuration, as a user would write them.
fn settings(config: &str) -> String {
    let keys = ["max_payload", "max_memory_store", "max_file_store"];
    let lines = config.lines().map(str::trim).filter(|line| keys.iter().any(|key| line.starts_with(key)));
    lines.flat_map(|line| [line, "\n"]).collect()
}

fn container_template(asked: &mut Option<ContainerTemplate>, live: &Value) {
    let mut runs = json!(asked.clone().unwrap_or_default());
    let before = runs.clone();
    let Some(fields) = runs.as_object_mut() else { return };
    if *fields.get("resources").unwrap_or(&json!({})) != live["resources"] {
        match live.get("resources").filter(|resources| resources.as_object().is_some_and(|resources| !resources.is_empty())) {
            Some(resources) => drop(fields.insert("resources".to_owned(), resources.clone())),
            None => drop(fields.remove("resources")),
        }
    }
    // What the API server fills in is no wish of anybody's: only what was asked for is compared.
    for field in ["imagePullPolicy", "securityContext"] {
        if fields.get(field).is_some_and(|asked| live.get(field) != Some(asked)) {
            match live.get(field) {
                Some(runs) => drop(fields.insert(field.to_owned(), runs.clone())),
                None => drop(fields.remove(field)),
            }
        }
    }
    if let Some(Value::Array(env)) = fields.get_mut("env") {
        env.retain(|variable| live["env"].as_array().is_some_and(|live| live.contains(variable)));
    }
    if runs != before
        && let Ok(runs) = serde_json::from_value(runs)
    {
        *asked = Some(runs);
    }
}

/// Of what was asked for, what is there. An annotation that somebody else put there (`kubectl rollout restart`) is no change of the user's.
fn metadata(asked: Metadata, live: &Value) -> Metadata {
    let there = |asked: Option<std::collections::BTreeMap<String, String>>, live: &Value| {
        asked.map(|asked| asked.into_iter().filter(|(key, value)| live[key] == **value).collect())
    };
    Metadata { labels: there(asked.labels, &live["labels"]), annotations: there(asked.annotations, &live["annotations"]) }
}

/// The fields of the pods that the reference copies as they are; `None` where all of them are as asked for.
fn pod_template(asked: &PodTemplate, pod: &Value) -> Option<PodTemplate> {
    let fields = [
        ("nodeSelector", Value::Null),
        ("tolerations", Value::Null),
        // What the API server fills in where nothing was asked for.
        ("securityContext", json!({})),
        ("imagePullSecrets", Value::Null),
        ("priorityClassName", Value::Null),
        ("priority", Value::Null),
        ("affinity", Value::Null),
        ("serviceAccountName", Value::Null),
        ("runtimeClassName", Value::Null),
        ("automountServiceAccountToken", Value::Null),
        ("dnsPolicy", json!("ClusterFirst")),
        ("dnsConfig", Value::Null),
        ("resourceClaims", Value::Null),
    ];
    let asked = json!(asked);
    let mut runs = Map::new();
    for (field, filled_in) in fields {
        let live = pod.get(field).filter(|live| asked.get(field).is_some() || **live != filled_in);
        runs.extend(live.map(|live| (field.to_owned(), live.clone())));
    }
    let runs = Value::Object(runs);
    (runs != asked).then(|| serde_json::from_value(runs).ok()).flatten()
}
