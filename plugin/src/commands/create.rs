//! Create a service.

mod external;
mod spec;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use isbsvc::api::{self, names};
use isbsvc::controller_config::{ControllerConfig, newest_fixed};
use isbsvc::rules::{self, Levels, Request};
use isbsvc::{api::InterStepBufferService, defaults};
use kube::api::{DynamicObject, PostParams};
use serde_json::Value;

pub use spec::Spec;

use super::render::{refusal, settle_namespace};
use super::{ConfigSource, DryRun, WaitFor, status};
use crate::args::duration;
use crate::connection::{Asked, Connection, Session};
use crate::exit::{Code, Failure, Outcome};
use crate::services::{self, Found};
use crate::terminal::{note, print, warn};

/// Field manager of what people create with us.
const MANAGER: &str = "kubectl-isbsvc";

/// Flags of `create`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  kubectl isbsvc create --volume-size 20Gi --wait           \"default\", three servers, the newest fixed version
  kubectl isbsvc create prod --replicas 5 --tls --storage-class fast --settings max_payload=4MB
  kubectl isbsvc create --type redis-external --url redis:6379 --redis-user numaflow --password-secret redis/password
  kubectl isbsvc create --dry-run=client -o yaml > isbsvc.yaml
  kubectl isbsvc create -f isbsvc.yaml --wait --timeout 3m

Exit codes: 0 created (and healthy, with --wait), 1 not created, 124 created but not healthy in time, 130 interrupted.")]
pub struct Create {
    /// Name; Pipelines that name none use "default" [default: default]
    #[arg(conflicts_with = "file")]
    pub name: Option<String>,
    /// A file with the service, or - for standard input, instead of the flags below
    #[arg(short, long = "filename", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What the service shall be.
    #[command(flatten)]
    pub spec: Spec,
    /// Where the controller configuration is.
    #[command(flatten)]
    pub config: ConfigSource,
    /// Only show what would be created: client asks no cluster, server has it checked there
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_value = "none", default_missing_value = "client")]
    pub dry_run: DryRun,
    /// Print the service instead of a line
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// Wait until the service is healthy
    #[arg(long, value_enum, value_name = "FOR", num_args = 0..=1, require_equals = true, default_missing_value = "healthy")]
    pub wait: Option<WaitFor>,
    /// Longest wait with --wait
    #[arg(long, value_name = "DURATION", default_value = status::DEFAULT_WAIT, requires = "wait", value_parser = duration::parse_positive, allow_hyphen_values = true)]
    pub timeout: Duration,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The object.
    Yaml,
    /// The object.
    Json,
    /// `type/name`.
    Name,
}

impl Create {
    /// Carries it out.
    pub fn run(self, connection: &Connection, program: &str) -> Outcome {
        if self.file.is_some() && self.spec != Spec::default() {
            return Err(Failure::no_answer("-f and flags that describe the service exclude each other; write what they say into the file"));
        }
        self.no_idle_flag()?;
        self.config.one_source()?;
        // Whatever is wrong with files and flags is told before a cluster is asked.
        self.name.as_deref().map(services::check_name).transpose()?;
        let from_file = self.file.as_deref().map(services::read_file).transpose()?;
        let config = self.config.from_file()?;
        if self.dry_run == DryRun::Client {
            let config = config.unwrap_or_else(|| {
                note("no cluster is asked: the built-in controller configuration holds; name another with --controller-config");
                ControllerConfig::built_in()
            });
            let mut found = self.wanted(from_file, &config)?;
            settle_namespace(&mut found, connection.namespace.as_deref())?;
            Self::check(&found, &config)?;
            return self.show(&found.object);
        }
        connection.run(async move |mut session| {
            let config = self.config.settle(config, &session).await?;
            let mut found = self.wanted(from_file, &config)?;
            let has_namespace = found.service.metadata.namespace.is_some();
            let namespace = if has_namespace { connection.namespace.as_deref() } else { Some(session.namespace.as_str()) };
            settle_namespace(&mut found, namespace)?;
            Self::check(&found, &config)?;
            found.service.namespace_or_empty().clone_into(&mut session.namespace);
            Box::pin(self.create(&session, &found, program)).await
        })
    }

    /// Refuses flags that would do nothing beside a dry run, which clap cannot tell from `--dry-run=none`.
    fn no_idle_flag(&self) -> Result<(), Failure> {
        let why = if self.dry_run != DryRun::None && self.wait.is_some() {
            "--wait and --dry-run exclude each other: what is not created never becomes healthy"
        } else if self.dry_run == DryRun::Client && self.config.controller_namespace.is_some() {
            "--controller-namespace and --dry-run=client exclude each other: no cluster is asked; name a file with --controller-config"
        } else {
            return Ok(());
        };
        Err(Failure::no_answer(why))
    }

    fn wanted(&self, from_file: Option<Found>, config: &ControllerConfig) -> Result<Found, Failure> {
        if let Some(found) = from_file {
            if found.service.name().is_empty() {
                return Err(Failure::no_answer("the file gives the service no name; add metadata.name"));
            }
            return Ok(found);
        }
        let version = match &self.spec.version {
            Some(version) => version.clone(),
            None if !self.spec.has_version() => String::new(),
            None => newest_fixed(config).map(|entry| entry.version.clone()).ok_or_else(|| {
                Failure::no_answer("the controller configuration lists no fixed version; name one of its versions with --version")
            })?,
        };
        let name = self.name.as_deref().unwrap_or(services::DEFAULT_NAME);
        let object = self.spec.object(name, &version)?;
        let service = decode(&object)?;
        Ok(Found { service, object })
    }

    /// Asks the webhook's own rules, with the webhook's defaults filled in.
    fn check(found: &Found, config: &ControllerConfig) -> Result<(), Failure> {
        let mut filled = found.object.clone();
        defaults::fill(&mut filled);
        let service = decode(&filled)?;
        let findings = rules::check(Request::create(&service), config, &Levels::default());
        if let Some(failure) = refusal(&findings) {
            return Err(failure);
        }
        for finding in rules::warnings(&findings) {
            warn(&finding.to_string());
        }
        Ok(())
    }

    async fn create(self, session: &Session, found: &Found, program: &str) -> Outcome {
        let (name, namespace) = (found.service.name(), session.namespace.as_str());
        let object: DynamicObject = serde_json::from_value(found.object.clone())
            .map_err(|error| Failure::no_answer(format!("the service cannot be sent: {error}")))?;
        let parameters = PostParams { dry_run: self.dry_run == DryRun::Server, field_manager: Some(MANAGER.to_owned()) };
        let asked = Asked::service("create", Some(namespace), Some(name));
        session.stands(format!("whether {namespace}/{name} was created is not known; see: {program} status {name} -n {namespace}"));
        let api = services::api(session, namespace);
        let created = session.ask(&asked, api.create(&parameters, &object)).await.map_err(|failure| explain(failure, name, namespace))?;
        session.stands(format!("{namespace}/{name} was created and stands; see: {program} status {name} -n {namespace}"));
        let created = serde_json::to_value(created)
            .map_err(|error| Failure::no_answer(format!("the API server's answer cannot be read: {error}")))?;
        self.show(&created)?;
        if self.wait.is_none() || self.dry_run == DryRun::Server {
            return Ok(Code::Fine);
        }
        status::wait_for(session, name, self.timeout, program, "the service was created and stands").await
    }

    fn show(&self, object: &Value) -> Outcome {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let subject = format!("interstepbufferservice.{}/{name}", names::GROUP);
        let how = match self.dry_run {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        };
        print(&match self.output {
            None => format!("{subject} created{how}\n"),
            Some(Format::Name) => format!("{subject}\n"),
            Some(Format::Json) => crate::render::json(&presentable(object))?,
            Some(Format::Yaml) => crate::render::yaml(&presentable(object))?,
        })?;
        Ok(Code::Fine)
    }
}

/// The object without the bookkeeping that kubectl does not show either.
fn presentable(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

fn decode(object: &Value) -> Result<InterStepBufferService, Failure> {
    api::decode(object).map_err(|error| Failure::no_answer(error.to_string()))
}

fn explain(failure: Failure, name: &str, namespace: &str) -> Failure {
    let more = if failure.message.contains("exists already") {
        format!("; see it with: kubectl isbsvc describe {name} -n {namespace}, change it with kubectl apply")
    } else {
        String::new()
    };
    Failure { message: failure.message + &more, ..failure }
}
