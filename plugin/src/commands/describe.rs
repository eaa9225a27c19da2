//! A service, its settings, its objects and its events.

use clap::Args;

use super::TextFormat;
use crate::connection::Connection;
use crate::exit::{Code, Outcome};
use crate::inspect::{self, Via};
use crate::model::description::Description;
use crate::render;
use crate::services;
use crate::terminal::print;

/// Flags of `describe`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  kubectl isbsvc describe
  kubectl isbsvc describe prod -n pipelines -o yaml

Servers are not asked and Secrets are not read; see `status` for how the servers are.
Exit codes: 0 shown, 1 could not answer, 130 interrupted.")]
pub struct Describe {
    /// Name of the service; "default" or the only one of the namespace where it is left out
    pub name: Option<String>,
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: TextFormat,
}

impl Describe {
    /// Carries it out.
    pub fn run(self, connection: &Connection, colours: bool) -> Outcome {
        connection.run(async move |session| {
            let found = services::find(&session, self.name.as_deref()).await?;
            let look = inspect::look(&session, &found, Some(Via::None)).await;
            let description = Description::new(&found, &look.observed, &look.verdict, &look.events, jiff::Timestamp::now());
            print(&match self.output {
                TextFormat::Text => render::description::sections(&description, colours)?,
                TextFormat::Json => render::json(&description)?,
                TextFormat::Yaml => render::yaml(&description)?,
            })?;
            Ok(Code::Fine)
        })
    }
}
