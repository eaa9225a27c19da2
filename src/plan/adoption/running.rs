//! The spec by which something runs that somebody else made.

use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Map, Value, json};

use crate::api::{
    ContainerTemplate, InterStepBufferService, InterStepBufferServiceSpec, JetStreamBufferService, Metadata, PodTemplate, names,
};
use crate::controller_config::{ControllerConfig, NatsSize, Settings, image_tag, parse_version, quantity_bytes, stream_config};
use crate::plan::compare;
use crate::plan::jetstream::{CLIENT_FILES, MEMORY_LIMIT};

/// What of a service is read besides its `StatefulSet`.
pub(super) struct Beside<'a> {
    /// The servers' configuration.
    pub config: Option<&'a str>,
    /// `status.config.jetstream.streamConfig`.
    pub stream_config: Option<&'a str>,
}

/// The spec by which something runs: `spec`, but where it speaks of what decides over stored messages, what really runs. Numaflow's controller may not
/// have carried out a change that was made while it was away; where it says so itself (`status.observedGeneration`), the rest is read from what runs as
/// well, so that the change is judged and carried out like any other. What cannot be told from what others filled in is taken as carried out: labels and
/// annotations of the pods that were taken away, pull policies, the numbers of probes.
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
    let certificates = json!(live.template)["spec"]["volumes"].to_string().contains(&format!("\"{}\"", CLIENT_FILES.cert));
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
        if let Some(runs) = version(spec.version.as_deref(), image, configuration) {
            spec.version = runs;
        }
        let args: Option<Vec<String>> = main.get("args").and_then(|args| serde_json::from_value(args.clone()).ok());
        if spec.start_args.clone().unwrap_or_default() != args.clone().unwrap_or_default() {
            spec.start_args = args;
        }
    }
    if let Some(runs) = beside.config.and_then(|config| settings(config, spec.settings.as_deref(), &defaults.settings)) {
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

/// The version of the image that runs, where that is another than was asked for; the inner option is whether its release can be told.
#[expect(clippy::option_option, reason = "the same version, and one that has no name")]
fn version(asked: Option<&str>, image: &str, configuration: &ControllerConfig) -> Option<Option<String>> {
    let entry = asked.and_then(|asked| configuration.jetstream_version(asked))?;
    if entry.nats_image == image {
        return None;
    }
    if let Some(listed) = configuration.jetstream.versions.iter().find(|listed| listed.nats_image == image) {
        return Some(Some(listed.version.clone()));
    }
    let released = image_tag(image).and_then(|tag| Some((tag, parse_version(tag)?)));
    match released {
        // From another registry.
        Some((_, release)) if Some(release) == entry.release() => None,
        Some((tag, _)) => Some(Some(tag.to_owned())),
        None => Some(None),
    }
}

/// The user's settings with the values that the servers have in place of those that they do not have yet; `None` where they have all of them.
fn settings(config: &str, asked: Option<&str>, defaults: &str) -> Option<String> {
    const KEYS: [&str; 3] = ["max_payload", "max_memory_store", "max_file_store"];
    let wanted = Settings::merged_where_usable(defaults, asked)?;
    let wanted = [&wanted.max_payload, &wanted.max_memory_store, &wanted.max_file_store];
    let differing: Vec<(&str, NatsSize)> = KEYS
        .into_iter()
        .zip(wanted)
        .filter_map(|(key, wanted)| Some((key, NatsSize::configured(config, key).filter(|runs| runs.bytes != wanted.bytes)?)))
        .collect();
    let kept = asked.unwrap_or_default().lines().filter(|line| !differing.iter().any(|(key, _)| line.trim_start().starts_with(key)));
    let found = differing.iter().map(|(key, runs)| format!("{key}: {}", runs.text));
    let lines: Vec<String> = kept.map(str::to_owned).chain(found).collect();
    (!differing.is_empty()).then(|| lines.join("\n"))
}

/// Whether two values say the same, whatever the API server filled in or wrote in its own way.
fn same(one: &Value, other: &Value) -> bool {
    compare::differences(one, other).is_empty() && compare::differences(other, one).is_empty()
}

/// What the reference takes from a template, as it stands in the container; a pull policy and the numbers of probes are left as asked for, because the
/// API server and the reference have their own where nothing is.
fn container_template(asked: &mut Option<ContainerTemplate>, live: &Value) {
    let mut runs = json!(asked.clone().unwrap_or_default());
    let before = runs.clone();
    let Some(fields) = runs.as_object_mut() else { return };
    for field in ["resources", "securityContext", "envFrom"] {
        let none = |value: &&Value| value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        let live = live.get(field).filter(|value| !none(value));
        match (fields.get(field).filter(|value| !none(value)), live) {
            (Some(asked), Some(live)) if same(asked, live) => {}
            (None, None) => {}
            (_, Some(live)) => drop(fields.insert(field.to_owned(), live.clone())),
            (Some(_), None) => drop(fields.remove(field)),
        }
    }
    let variables = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (mut env, there) = (variables(fields.get("env")), variables(live.get("env")));
    env.retain(|asked| there.iter().any(|live| asked["name"] == live["name"] && compare::differences(asked, live).is_empty()));
    let own = |variable: &Value| names::SERVER_VARIABLES.iter().chain(&[MEMORY_LIMIT]).any(|own| variable["name"] == **own);
    let gone: Vec<_> = there.into_iter().filter(|live| !own(live) && !env.iter().any(|asked| asked["name"] == live["name"])).collect();
    env.extend(gone);
    if env.is_empty() {
        fields.remove("env");
    } else {
        fields.insert("env".to_owned(), Value::Array(env));
    }
    if runs != before
        && let Ok(runs) = serde_json::from_value(runs)
    {
        *asked = Some(runs);
    }
}

/// Of what was asked for, what is there. One that is there and was not asked for may be somebody else's (`kubectl rollout restart`), so it stays.
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
        // In the user's own words where it says the same.
        let value = live.map(|live| asked.get(field).filter(|asked| same(asked, live)).unwrap_or(live));
        runs.extend(value.map(|value| (field.to_owned(), value.clone())));
    }
    let runs = Value::Object(runs);
    (runs != asked).then(|| serde_json::from_value(runs).ok()).flatten()
}
