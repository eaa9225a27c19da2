//! Every object that a service consists of.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use clap::{Args, ValueEnum};
use isbsvc::api::{InterStepBufferService, ServiceType};
use isbsvc::controller_config::ControllerConfig;
use isbsvc::observed::Observed;
use isbsvc::plan::{self, Input, Material};
use isbsvc::rules::{self, Levels, Request};
use serde_json::{Value, json};

use super::ConfigSource;
use crate::connection::Connection;
use crate::exit::{Code, Failure, Outcome};
use crate::services::{self, Found};
use crate::terminal::{note, print, warn};

/// Flags of `render`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  kubectl isbsvc render                              of the service in the cluster
  kubectl isbsvc render -f isbsvc.yaml               no cluster is needed
  kubectl isbsvc render -f - --controller-config controller-config.yaml < isbsvc.yaml

Passwords, keys and certificates are shown as <generated>; they are drawn when the service is made.
Exit codes: 0 printed, 1 could not answer (also where a rule refuses the service), 130 interrupted.")]
pub struct Render {
    /// Name of the service; "default" or the only one of the namespace where it is left out
    #[arg(conflicts_with = "file")]
    pub name: Option<String>,
    /// A file with the service, or - for standard input
    #[arg(short, long = "filename", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Where the controller configuration is.
    #[command(flatten)]
    pub config: ConfigSource,
    /// How they are shown
    #[arg(short, long, value_enum, default_value = "yaml", value_name = "FORMAT")]
    pub output: Format,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One document an object.
    Yaml,
    /// One `List`.
    Json,
}

impl Render {
    /// Carries it out.
    pub fn run(self, connection: &Connection) -> Outcome {
        self.config.one_source()?;
        if let Some(file) = &self.file {
            if self.config.controller_namespace.is_some() {
                return Err(Failure::no_answer(
                    "--controller-namespace and -f exclude each other: no cluster is asked; name a file with --controller-config",
                ));
            }
            let mut found = services::read_file(file)?;
            let config = self.config.from_file()?.unwrap_or_else(ControllerConfig::built_in);
            let namespace = connection.namespace.as_deref();
            settle_namespace(&mut found, namespace)?;
            return show(&found, &config, self.output);
        }
        let config = self.config.from_file()?;
        connection.run(async move |session| {
            let found = services::find(&session, self.name.as_deref()).await?;
            let config = self.config.settle(config, &session).await?;
            show(&found, &config, self.output)
        })
    }
}

/// The namespace of a service from a file: its own, and no other than `-n` says; else `-n`, else `default`.
pub(super) fn settle_namespace(found: &mut Found, flag: Option<&str>) -> Result<(), Failure> {
    let own = found.service.metadata.namespace.clone();
    let namespace = match (own.as_deref(), flag) {
        (Some(own), Some(flag)) if own != flag => {
            return Err(Failure::no_answer(format!(
                "the file says namespace {own:?} and -n says {flag:?}; make them the same, or leave one out"
            )));
        }
        (Some(own), _) => own,
        (None, Some(flag)) => flag,
        (None, None) => "default",
    }
    .to_owned();
    found.object["metadata"]["namespace"] = json!(namespace);
    found.service.metadata.namespace = Some(namespace);
    Ok(())
}

fn show(found: &Found, config: &ControllerConfig, format: Format) -> Outcome {
    let objects = desired(&found.service, config)?;
    print(&match format {
        Format::Yaml => crate::render::yaml_documents(&objects)?,
        Format::Json => crate::render::json(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }))?,
    })?;
    Ok(Code::Fine)
}

/// Every object of a service that is made anew.
pub fn desired(service: &InterStepBufferService, config: &ControllerConfig) -> Result<Vec<Value>, Failure> {
    let findings = rules::check(Request::create(service), config, &Levels::default());
    if let Some(failure) = refusal(&findings) {
        return Err(failure);
    }
    for finding in rules::warnings(&findings) {
        warn(&finding.to_string());
    }
    if service.spec.types().as_slice() == [ServiceType::RedisExternal] {
        note("nothing is made for an external Redis");
        return Ok(Vec::new());
    }
    let mut service = service.clone();
    // What is being deleted is shown as it was wanted.
    service.metadata.deletion_timestamp = None;
    let input = Input { service: &service, config, now: jiff::Timestamp::UNIX_EPOCH };
    let plan = plan::plan(&input, &Observed::nothing(), &Material::placeholders());
    if plan.desired.is_empty() {
        let why = plan
            .held
            .or_else(|| plan.status.and_then(|status| status.message))
            .unwrap_or_else(|| "this release makes no objects for it".to_owned());
        return Err(Failure::no_answer(format!("nothing to render: {why}")));
    }
    Ok(plan.desired.into_iter().map(|desired| readable(desired.object)).collect())
}

/// The object as a person reads it and as `kubectl apply` takes it: the words of a Secret as text, and no owner that does not exist yet.
fn readable(mut object: Value) -> Value {
    if object["kind"] == "Secret"
        && let Some(data) = object["data"].as_object()
    {
        let text = |value: &Value| String::from_utf8(STANDARD.decode(value.as_str()?).ok()?).ok();
        let words: Option<serde_json::Map<_, _>> = data.iter().map(|(key, value)| Some((key.clone(), Value::from(text(value)?)))).collect();
        if let (Some(words), Some(fields)) = (words, object.as_object_mut()) {
            fields.remove("data");
            fields.insert("stringData".to_owned(), Value::Object(words));
        }
    }
    if object.pointer("/metadata/ownerReferences/0/uid").is_some_and(|uid| uid == "")
        && let Some(metadata) = object["metadata"].as_object_mut()
    {
        metadata.remove("ownerReferences");
    }
    object
}

/// The one line for findings that refuse a service; `None` where none does.
pub(super) fn refusal(findings: &[rules::Finding]) -> Option<Failure> {
    let refusals: Vec<_> = rules::denials(findings).map(ToString::to_string).collect();
    (!refusals.is_empty()).then(|| Failure::no_answer(format!("refused: {}", refusals.join("; "))))
}
