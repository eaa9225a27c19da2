//! Every service in a line, from API objects alone and with the same few requests for any number of services.

use std::collections::BTreeMap;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use isbsvc::api::names;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};

use super::TableFormat;
use crate::connection::{Asked, Connection, Session};
use crate::exit::{Code, Failure, Outcome};
use crate::model::Gap;
use crate::model::list::{Beside, ServiceList};
use crate::render::{self, list::Shape};
use crate::services::{self, DEFAULT_NAME};
use crate::terminal::{note, print};

/// Flags of `list`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  kubectl isbsvc list
  kubectl isbsvc list -A -o wide
  kubectl isbsvc list -l team=payments -o name

HEALTH is what the controller says, and never better than the pods are; `status` asks the servers.
Exit codes: 0 answered, 1 could not answer, 130 interrupted.")]
pub struct List {
    /// In all namespaces
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Only services with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    /// How they are shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    /// Without the line of headings
    #[arg(long)]
    pub no_headers: bool,
}

/// Forms of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line each, or data.
    Shown(TableFormat),
    /// `type/name`, for kubectl.
    Name,
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        use TableFormat::{Json, Table, Wide, Yaml};
        &[Self::Shown(Table), Self::Shown(Wide), Self::Shown(Json), Self::Shown(Yaml), Self::Name]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Shown(format) => format.to_possible_value(),
            Self::Name => Some(PossibleValue::new("name").help("type/name, for kubectl")),
        }
    }
}

impl List {
    /// Carries it out.
    pub fn run(self, connection: &Connection, colours: bool) -> Outcome {
        // clap sees it only where both stand on one side of the command.
        if self.all_namespaces && connection.namespace.is_some() {
            return Err(Failure::no_answer("--all-namespaces and --namespace exclude each other; leave one out"));
        }
        connection.run(async move |session| self.answer(&session, colours).await)
    }

    async fn answer(self, session: &Session, colours: bool) -> Outcome {
        let namespace = (!self.all_namespaces).then_some(session.namespace.as_str());
        let (found, ready, pipelines) = futures::join!(
            services::list(session, namespace, self.selector.as_deref()),
            ready(session, namespace),
            pipelines(session, namespace)
        );
        let services: Vec<_> = found?.into_iter().map(|found| found.service).collect();
        let mut errors = Vec::new();
        let mut known = |source: &str, result: Result<_, Failure>| match result {
            Ok(map) => Some(map),
            Err(failure) => {
                errors.push(Gap { source: source.to_owned(), message: failure.message });
                None
            }
        };
        let ready = known("statefulsets", ready);
        let pipelines = known("pipelines", pipelines)
            .map(|counts| counts.into_iter().map(|(key, count)| (key, usize::try_from(count).unwrap_or(0))).collect());
        let list = ServiceList::new(&services, &Beside { ready, pipelines }, errors, jiff::Timestamp::now());
        let table = |wide| {
            let shape = Shape { wide, namespaces: self.all_namespaces, headings: !self.no_headers, colours };
            if list.items.is_empty() { String::new() } else { render::list::table(&list, shape) }
        };
        print(&match self.output {
            Format::Shown(format) => format.draw(&list, table)?,
            Format::Name => {
                let lines: Vec<_> =
                    list.items.iter().map(|row| format!("interstepbufferservice.{}/{}\n", names::GROUP, row.name)).collect();
                lines.concat()
            }
        })?;
        if matches!(self.output, Format::Shown(TableFormat::Table | TableFormat::Wide)) {
            if list.items.is_empty() {
                let place = namespace.map_or_else(|| "the cluster".to_owned(), |namespace| format!("namespace {namespace:?}"));
                note(&format!("no inter-step buffer services in {place}"));
            }
            for gap in &list.errors {
                note(&format!("{} could not be read: {}", gap.source, gap.message));
            }
        }
        Ok(Code::Fine)
    }
}

type Counts = BTreeMap<(String, String), i32>;

async fn ready(session: &Session, namespace: Option<&str>) -> Result<Counts, Failure> {
    let api: Api<StatefulSet> =
        namespace.map_or_else(|| Api::all(session.client.clone()), |namespace| Api::namespaced(session.client.clone(), namespace));
    let asked = Asked { verb: "list", resource: "statefulsets.apps", namespace, name: None };
    let parameters = ListParams::default().labels(&format!("{}={}", names::COMPONENT_LABEL, names::COMPONENT));
    let sets = session.ask(&asked, api.list(&parameters)).await?;
    let key = |set: &StatefulSet| Some((set.namespace()?, set.labels().get(names::NAME_LABEL)?.clone()));
    Ok(sets.items.iter().filter_map(|set| Some((key(set)?, set.status.as_ref()?.ready_replicas.unwrap_or_default()))).collect())
}

/// How many Pipelines use each service. A cluster without Pipelines has none.
async fn pipelines(session: &Session, namespace: Option<&str>) -> Result<Counts, Failure> {
    let resource = ApiResource {
        group: names::GROUP.to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: names::API_VERSION.to_owned(),
        kind: "Pipeline".to_owned(),
        plural: "pipelines".to_owned(),
    };
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(session.client.clone(), namespace, &resource),
        None => Api::all_with(session.client.clone(), &resource),
    };
    let asked = Asked { verb: "list", resource: "pipelines.numaflow.numaproj.io", namespace, name: None };
    let no_such_type = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 404);
    let answer = async {
        match api.list(&ListParams::default()).await {
            Ok(list) => Ok(list.items),
            Err(error) if no_such_type(&error) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    };
    let mut counts = Counts::new();
    for pipeline in session.ask(&asked, answer).await? {
        let service =
            pipeline.data.pointer("/spec/interStepBufferServiceName").and_then(serde_json::Value::as_str).filter(|name| !name.is_empty());
        let key = (pipeline.namespace().unwrap_or_default(), service.unwrap_or(DEFAULT_NAME).to_owned());
        *counts.entry(key).or_default() += 1;
    }
    Ok(counts)
}
