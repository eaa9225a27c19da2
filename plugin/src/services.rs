//! Services in the cluster and in files, and the controller configuration: found, or missed with a hint.

use std::io::Read as _;
use std::path::Path;

use isbsvc::api::{self, InterStepBufferService, names};
use isbsvc::controller_config::ControllerConfig;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use serde_json::Value;

use crate::connection::{Asked, Session};
use crate::exit::Failure;
use crate::terminal::note;

/// Name of a service where a Pipeline names none, and ours.
pub const DEFAULT_NAME: &str = "default";
/// `ConfigMap` of the controller configuration, and its key.
const CONFIG_MAP: &str = "numaflow-controller-config";
const CONFIG_KEY: &str = "controller-config.yaml";
/// Largest file that is read as a service, bytes: the API server takes no larger request (etcd's limit is 1.5 MiB).
const FILE: u64 = 3 * 1024 * 1024;
/// Services in one answer of the API server.
const PAGE: u32 = 500;
/// Names in one error line.
const SUGGESTIONS: usize = 10;

/// The resource, for requests that keep every field.
pub fn resource() -> ApiResource {
    ApiResource {
        group: names::GROUP.to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: names::API_VERSION.to_owned(),
        kind: names::KIND.to_owned(),
        plural: names::PLURAL.to_owned(),
    }
}

/// Services of one namespace, every field kept.
pub fn api(session: &Session, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(session.client.clone(), namespace, &resource())
}

/// A service as the API server holds it.
#[derive(Clone, Debug)]
pub struct Found {
    /// As we read it.
    pub service: InterStepBufferService,
    /// Every field of it.
    pub object: Value,
}

impl Found {
    fn new(object: &DynamicObject) -> Result<Self, Failure> {
        let object = serde_json::to_value(object).map_err(|error| Failure::no_answer(format!("cannot read the service: {error}")))?;
        let service = api::decode(&object).map_err(|error| {
            let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            Failure::no_answer(format!("the service {name:?} in the cluster cannot be read: {error}"))
        })?;
        Ok(Self { service, object })
    }
}

/// The service of this name.
pub async fn get(session: &Session, name: &str) -> Result<Option<Found>, Failure> {
    let asked = Asked::service("get", Some(&session.namespace), Some(name));
    let found = session.ask_for(&asked, api(session, &session.namespace).get(name)).await?;
    found.as_ref().map(Found::new).transpose()
}

/// The service of this name; without one, `default`, or the only service of the namespace.
pub async fn find(session: &Session, name: Option<&str>) -> Result<Found, Failure> {
    let wanted = name.unwrap_or(DEFAULT_NAME);
    check_name(wanted)?;
    if let Some(found) = get(session, wanted).await? {
        return Ok(found);
    }
    let existing = list(session, Some(&session.namespace), None).await.unwrap_or_default();
    match (name, existing.as_slice()) {
        (None, [only]) => {
            note(&format!(
                "there is no service {DEFAULT_NAME:?}; this is {:?}, the only one in namespace {:?}",
                only.service.name(),
                session.namespace
            ));
            Ok(only.clone())
        }
        _ => Err(Failure::no_answer(missed(session, wanted, &existing).await)),
    }
}

async fn missed(session: &Session, wanted: &str, existing: &[Found]) -> String {
    let namespace = &session.namespace;
    let line = format!("there is no service {wanted:?} in namespace {namespace:?}");
    if !existing.is_empty() {
        let names = closest(wanted, existing.iter().map(|found| found.service.name()));
        return format!("{line}; there are: {}", names.join(", "));
    }
    // Not everybody may look at all namespaces; then there is nothing to suggest.
    let elsewhere = list(session, None, None).await.unwrap_or_default();
    let places: Vec<_> =
        elsewhere.iter().filter(|found| found.service.name() == wanted).map(|found| found.service.namespace_or_empty()).collect();
    match places.as_slice() {
        [] => format!("{line}, and no other; create it with: kubectl isbsvc create {wanted} -n {namespace}"),
        places => format!(
            "{line}; there is one in: {}; choose it with -n",
            places.iter().take(SUGGESTIONS).copied().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Names, the likest first.
fn closest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let alike = |name: &str| name.chars().zip(wanted.chars()).take_while(|(a, b)| a == b).count();
    let mut names: Vec<_> = names.collect();
    names.sort_by_key(|name| (std::cmp::Reverse(alike(name)), *name));
    let more = names.len().saturating_sub(SUGGESTIONS);
    names.truncate(SUGGESTIONS);
    if more > 0 {
        names.push("...");
    }
    names
}

fn is_possible_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.len() <= 253
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
}

/// Every service of a namespace, or of all.
pub async fn list(session: &Session, namespace: Option<&str>, selector: Option<&str>) -> Result<Vec<Found>, Failure> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => api(session, namespace),
        None => Api::all_with(session.client.clone(), &resource()),
    };
    let asked = Asked::service("list", namespace, None);
    let mut parameters = ListParams::default().limit(PAGE);
    if let Some(selector) = selector {
        parameters = parameters.labels(selector);
    }
    let mut found = Vec::new();
    loop {
        let page = session.ask(&asked, api.list(&parameters)).await?;
        for object in &page.items {
            found.push(Found::new(object)?);
        }
        match page.metadata.continue_ {
            Some(next) if !next.is_empty() => parameters = parameters.continue_token(&next),
            _ => return Ok(found),
        }
    }
}

/// The controller configuration of the cluster; the built-in one, with a note, where there is none or it may not be read.
pub async fn controller_config(session: &Session, namespace: &str) -> Result<ControllerConfig, Failure> {
    let asked = Asked { verb: "get", resource: "configmaps", namespace: Some(namespace), name: Some(CONFIG_MAP) };
    let api: Api<ConfigMap> = Api::namespaced(session.client.clone(), namespace);
    let why = match session.ask_for(&asked, api.get(CONFIG_MAP)).await {
        Ok(Some(map)) => match map.data.and_then(|mut data| data.remove(CONFIG_KEY)) {
            Some(text) => {
                return ControllerConfig::parse(&text).map_err(|error| {
                    Failure::no_answer(format!("the ConfigMap {CONFIG_MAP} in namespace {namespace:?} is not right: {error}"))
                });
            }
            None => format!("the ConfigMap {CONFIG_MAP} in namespace {namespace:?} has no {CONFIG_KEY}"),
        },
        Ok(None) => format!("there is no ConfigMap {CONFIG_MAP} in namespace {namespace:?} (see --controller-namespace)"),
        // Without an answer at all, the next request says it better.
        Err(failure) if failure.message.starts_with("permission missing") => failure.message,
        Err(failure) => return Err(failure),
    };
    note(&format!("{why}; the built-in controller configuration holds"));
    Ok(ControllerConfig::built_in())
}

/// The text of a controller configuration that is wrapped in its `ConfigMap`; `None` where it is not.
pub fn config_text(text: &str) -> Option<String> {
    let map: Value = serde_saphyr::from_str(text).ok()?;
    (map.get("kind")? == "ConfigMap").then_some(())?;
    map.get("data")?.get(CONFIG_KEY)?.as_str().map(str::to_owned)
}

/// Reads the one service that a file holds; `-` is standard input.
pub fn read_file(path: &Path) -> Result<Found, Failure> {
    if path == Path::new("-") {
        let shown = "standard input";
        let text = bounded(std::io::stdin().lock(), FILE).map_err(|why| Failure::no_answer(format!("cannot read {shown}: {why}")))?;
        return parse(&text, shown);
    }
    parse(&read_text(path, "", FILE)?, &path.display().to_string())
}

/// Reads a file of at most `limit` bytes. `flag` is said before its name, with a space behind it.
pub fn read_text(path: &Path, flag: &str, limit: u64) -> Result<String, Failure> {
    let text = std::fs::File::open(path).map_err(|error| error.to_string()).and_then(|file| bounded(file, limit));
    text.map_err(|why| Failure::no_answer(format!("cannot read {flag}{}: {why}", path.display())))
}

fn bounded(reader: impl std::io::Read, limit: u64) -> Result<String, String> {
    let mut bytes = Vec::new();
    reader.take(limit + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("it has more than {} KiB, and no API server would take it", limit / 1024));
    }
    String::from_utf8(bytes).map_err(|_| "it is no text (UTF-8)".to_owned())
}

/// Refuses what no object can be named, before a cluster is asked.
pub fn check_name(name: &str) -> Result<(), Failure> {
    if is_possible_name(name) {
        return Ok(());
    }
    Err(Failure::no_answer(format!("{name:?} cannot be the name of a service: lower-case letters, digits and hyphens, a letter first")))
}

fn parse(text: &str, shown: &str) -> Result<Found, Failure> {
    let wrong = |why: String| Failure::no_answer(format!("{shown}: {why}"));
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        let error = error.without_snippet();
        let place =
            error.location().map(|location| format!("line {}, column {}: ", location.line(), location.column())).unwrap_or_default();
        wrong(format!("{place}{}", complaint(&error.to_string())))
    })?;
    let documents: Vec<_> = documents.into_iter().filter(|document| !document.is_null()).collect();
    let object = match <[Value; 1]>::try_from(documents) {
        Ok([object]) => object,
        Err(documents) if documents.is_empty() => return Err(wrong("holds no object".to_owned())),
        Err(documents) => {
            return Err(wrong(format!(
                "holds {} objects; give one InterStepBufferService, or use kubectl apply -f for all of them",
                documents.len()
            )));
        }
    };
    let text_at = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text_at("/apiVersion"), text_at("/kind"));
    if kind != names::KIND || version != names::API_VERSION {
        return Err(wrong(format!("holds {version:?} {kind:?}; it must be {:?} {:?}", names::API_VERSION, names::KIND)));
    }
    let service = api::decode(&object).map_err(|error| wrong(error.to_string()))?;
    Ok(Found { service, object })
}

/// What the YAML reader complains of, without the place, which is said before, and without advice to programmers.
fn complaint(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    let line = line.rsplit_once(" at line ").map_or(line, |(words, _)| words);
    line.split_once(", set ").map_or(line, |(words, _)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_right_is_named_with_its_place() {
        let lines: Vec<_> = [
            "apiVersion: numaflow.numaproj.io/v1alpha1\nkind: InterStepBufferService\nspec: [\n  a: {\n",
            "apiVersion: numaflow.numaproj.io/v1alpha1\nkind: InterStepBufferService\nmetadata:\n  name: a\n  name: b\n",
            "apiVersion: v1\nkind: Pod\n",
            "",
            "# nothing\n---\n",
            "a: 1\n---\nb: 2\n",
            "apiVersion: numaflow.numaproj.io/v1alpha1\nkind: InterStepBufferService\nspec: {jetstream: {replicas: many}}\n",
            "just words",
        ]
        .into_iter()
        .map(|text| parse(text, "f.yaml").err().unwrap().message)
        .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn one_object_between_separators_is_one() {
        let text = "---\napiVersion: numaflow.numaproj.io/v1alpha1\nkind: InterStepBufferService\nmetadata: {name: a}\nspec: {}\n---\n";
        assert_eq!(parse(text, "f").unwrap().service.name(), "a");
    }

    #[test]
    fn the_likest_names_come_first_and_not_all_of_them() {
        assert_eq!(closest("prod", ["test", "prod-b", "prod-a"].into_iter()), ["prod-a", "prod-b", "test"]);
        let many: Vec<String> = (0..50).map(|n| format!("s{n}")).collect();
        assert_eq!(closest("x", many.iter().map(String::as_str)).len(), SUGGESTIONS + 1);
    }

    #[test]
    fn a_configuration_may_come_in_its_config_map() {
        let map = "kind: ConfigMap\ndata:\n  controller-config.yaml: |\n    instance: x\n";
        assert_eq!(config_text(map).as_deref(), Some("instance: x\n"));
        assert_eq!(config_text("instance: x\n"), None);
    }
}
