//! What reconciliation would change.

use clap::Args;
use isbsvc::api::{InterStepBufferService, names};
use isbsvc::apply::{self, Look, Secrets};
use isbsvc::controller_config::ControllerConfig;
use isbsvc::plan::Action;
use isbsvc::servers::Reach;

use super::{ConfigSource, TextFormat};
use crate::connection::{Connection, Session};
use crate::exit::{Code, Failure, Outcome};
use crate::model::difference::Difference;
use crate::render;
use crate::services::{self, Found};
use crate::terminal::{note, print, warn};

/// Flags of `diff`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  kubectl isbsvc diff
  kubectl isbsvc diff prod -n pipelines -o json
  kubectl isbsvc diff --status

It compares what a controller would write with what is there, and writes nothing. What Secrets hold is never shown.
Exit codes: 0 no difference, 2 differences, 1 could not answer, 130 interrupted. (kubectl diff says 1 for differences; here 1 is always a failure.)")]
pub struct Diff {
    /// Name of the service; "default" or the only one of the namespace where it is left out
    pub name: Option<String>,
    /// Where the controller configuration is.
    #[command(flatten)]
    pub config: ConfigSource,
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: TextFormat,
    /// Also what would be written into the status of the service
    #[arg(long)]
    pub status: bool,
}

impl Diff {
    /// Carries it out.
    pub fn run(self, connection: &Connection, colours: bool) -> Outcome {
        self.config.one_source()?;
        let config = self.config.from_file()?;
        connection.run(async move |session| Box::pin(self.answer(&session, config, colours)).await)
    }

    async fn answer(self, session: &Session, config: Option<ControllerConfig>, colours: bool) -> Outcome {
        let found = services::find(session, self.name.as_deref()).await?;
        let config = self.config.settle(config, session).await?;
        for why in [foreign(&found.service, &config), paused(&found.service)].into_iter().flatten() {
            warn(&why);
        }
        let Look { service, observed, mut plan } = prepare(session, &found, &config).await?;
        if !self.status {
            plan.actions.retain(|action| !matches!(action, Action::ApplyStatus { .. }));
        }
        let difference = Difference::new(&service, &observed, &plan, jiff::Timestamp::now());
        print(&match self.output {
            TextFormat::Text => render::difference::text(&difference, colours),
            TextFormat::Json => render::json(&difference)?,
            TextFormat::Yaml => render::yaml(&difference)?,
        })?;
        if !difference.changes.is_empty() {
            return Ok(Code::NotAsItShould);
        }
        // What holds it back may hide a difference.
        if let Some(why) = difference.held {
            return Err(Failure::no_answer(format!("cannot tell: {why}")));
        }
        if self.output == TextFormat::Text {
            note("no difference");
        }
        Ok(Code::Fine)
    }
}

/// Why the service is none of the controller's whose configuration this is.
pub(super) fn foreign(service: &InterStepBufferService, config: &ControllerConfig) -> Option<String> {
    (service.instance() != config.instance).then(|| {
        format!(
            "the service belongs to the controller {}, and the controller configuration is that of {}",
            instance(service.instance()),
            instance(&config.instance)
        )
    })
}

/// The controller of an instance, in words.
pub(super) fn instance(name: &str) -> String {
    if name.is_empty() { "without an instance name".to_owned() } else { format!("instance {name:?}") }
}

/// Why no controller would write. Deletion was asked for later than the pause, and goes through it.
pub(super) fn paused(service: &InterStepBufferService) -> Option<String> {
    let paused = service.is_paused() && service.metadata.deletion_timestamp.is_none();
    paused.then(|| format!("the service is paused (annotation {}): no controller writes until it is removed", names::PAUSED_ANNOTATION))
}

/// Plans one reconciliation, with words in place of what would be drawn.
pub(super) async fn prepare(session: &Session, found: &Found, config: &ControllerConfig) -> Result<Look, Failure> {
    let reach = Some(Reach::PortForward(session.client.clone()));
    let look = Box::pin(apply::look(&session.client, &session.namespace, found.service.name(), config, reach, Secrets::Placeholders)).await;
    let look = look.map_err(|error| Failure::no_answer(error.to_string()))?;
    // A refused change is not carried out, so it is no difference; it must not look like a change that took effect.
    let told = look.plan.status.as_ref().or(look.service.status.as_ref()).and_then(|status| status.message.as_deref());
    if let Some(refused) = told.filter(|message| message.starts_with("Refused:")) {
        warn(refused);
    }
    Ok(look)
}
