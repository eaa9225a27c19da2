//! One verb a file: what may be asked, and how it is answered.

pub mod completion;
pub mod create;
pub mod describe;
pub mod diff;
pub mod list;
pub mod reconcile;
pub mod render;
pub mod status;
pub mod version;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use isbsvc::controller_config::ControllerConfig;

use crate::connection::Session;
use crate::exit::Failure;
use crate::services;

/// Where the controller configuration is.
#[derive(Args, Clone, Debug)]
pub struct ConfigSource {
    /// Namespace of the controller, where its configuration and its Lease are [default: numaflow-system]
    #[arg(long, value_name = "NAMESPACE")]
    pub controller_namespace: Option<String>,
    /// Controller configuration from a file (controller-config.yaml, or its ConfigMap) instead of the cluster's
    #[arg(long, value_name = "FILE")]
    pub controller_config: Option<PathBuf>,
}

/// Whether anything is really changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is.
    #[default]
    None,
    /// Nothing is sent.
    Client,
    /// It is sent, checked by the API server and its webhooks, and not kept.
    Server,
}

/// What `--wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// Pipelines may use the service, and its servers say so too.
    Healthy,
}

/// A table, or data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people.
    Table,
    /// With further columns.
    Wide,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

impl TableFormat {
    /// A model in this form; `table` draws it for people, with further columns where it is told so.
    pub fn draw(self, model: &impl serde::Serialize, table: impl FnOnce(bool) -> String) -> Result<String, Failure> {
        match self {
            Self::Json => crate::render::json(model),
            Self::Yaml => crate::render::yaml(model),
            Self::Table | Self::Wide => Ok(table(self == Self::Wide)),
        }
    }
}

/// Text or data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TextFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// Namespace of the controller where none is named.
pub const CONTROLLER_NAMESPACE: &str = "numaflow-system";

impl ConfigSource {
    /// Namespace of the controller.
    pub fn namespace(&self) -> &str {
        self.controller_namespace.as_deref().unwrap_or(CONTROLLER_NAMESPACE)
    }

    /// Refuses a namespace beside a file: who needs no more than the configuration would not look there.
    pub fn one_source(&self) -> Result<(), Failure> {
        if self.controller_namespace.is_some() && self.controller_config.is_some() {
            return Err(Failure::no_answer(
                "--controller-namespace and --controller-config exclude each other: the configuration is in the one or in the other",
            ));
        }
        Ok(())
    }

    /// The configuration from the file that was named; `None` where none was.
    pub fn from_file(&self) -> Result<Option<ControllerConfig>, Failure> {
        let Some(path) = &self.controller_config else { return Ok(None) };
        let text = services::read_text(path, "--controller-config ", isbsvc::limits::CONFIG_FILE)?;
        let text = services::config_text(&text).unwrap_or(text);
        ControllerConfig::parse(&text)
            .map(Some)
            .map_err(|error| Failure::no_answer(format!("the controller configuration {} is not right: {error}", path.display())))
    }

    /// The configuration from the file, where one was named and read before the cluster was asked; else the cluster's.
    async fn settle(&self, from_file: Option<ControllerConfig>, session: &Session) -> Result<ControllerConfig, Failure> {
        match from_file {
            Some(config) => Ok(config),
            None => services::controller_config(session, self.namespace()).await,
        }
    }
}
