//! One reconciliation from here, by the controller's own code.

use std::io::{BufRead as _, IsTerminal as _};

use clap::Args;
use isbsvc::api::names;
use isbsvc::apply::lease::{Held, Lease, LeaseError};
use isbsvc::apply::{self, Look};
use isbsvc::controller_config::ControllerConfig;
use isbsvc::servers::Reach;

use super::ConfigSource;
use super::diff::{foreign, instance, paused, prepare};
use crate::connection::{Connection, Session};
use crate::exit::{Code, Failure, Outcome};
use crate::model::difference::Difference;
use crate::render;
use crate::services::{self, Found};
use crate::terminal::{clean, note, print, say};

/// Flags of `reconcile`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  kubectl isbsvc reconcile --dry-run=client     show what would be written
  kubectl isbsvc reconcile prod -n pipelines
  kubectl isbsvc reconcile --yes --force        take the lease from a controller that does not answer any more

It writes as the controller does, and only while no controller holds the lease; a service of another instance, or a paused one, it leaves alone.
Exit codes: 0 done (or nothing to do), 1 not done (also while a controller holds the lease), 130 interrupted.")]
pub struct Reconcile {
    /// Name of the service [default: default]
    pub name: Option<String>,
    /// Where the controller configuration is.
    #[command(flatten)]
    pub config: ConfigSource,
    /// Only show what would be written
    #[arg(long, value_parser = ["none", "client"], value_name = "HOW", num_args = 0..=1, require_equals = true, default_value = "none", default_missing_value = "client")]
    pub dry_run: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Take the lease over from whoever holds it, and wait until it would have run out
    #[arg(long)]
    pub force: bool,
}

impl Reconcile {
    /// Carries it out.
    pub fn run(self, connection: &Connection, colours: bool) -> Outcome {
        let config = self.config.from_file()?;
        connection.run(async move |session| Box::pin(self.answer(&session, config, colours)).await)
    }

    async fn answer(self, session: &Session, config: Option<ControllerConfig>, colours: bool) -> Outcome {
        // What is written to is named or has the default name; no guess is made.
        let name = self.name.as_deref().unwrap_or(services::DEFAULT_NAME);
        let found = services::find(session, Some(name)).await?;
        let config = self.config.settle(config, session).await?;
        self.may_write(session, &found, &config)?;
        let Look { service, observed, plan } = prepare(session, &found, &config).await?;
        if let Some(why) = observed.pods.unknown() {
            // No pod that is seen would be written down as no server that is ready, which keeps every pipeline from the service.
            return Err(Failure::no_answer(format!("how the servers are cannot be told, and nothing is written without that: {why}")));
        }
        if let Some(accepted) = observed.recorded(names::ACCEPTED_INSTANCE_ANNOTATION).filter(|accepted| *accepted != config.instance) {
            return Err(Failure::no_answer(format!(
                "the controller {} looks after the service, which holds another Lease, whatever the service's own annotation says by now; nothing was written",
                instance(accepted)
            )));
        }
        let difference = Difference::new(&service, &observed, &plan, jiff::Timestamp::now());
        let outline = render::difference::outline(&difference, colours);
        if let Some(why) = &plan.held {
            note(&format!("held back: {why}"));
        }
        if self.dry_run == "client" {
            print(&outline)?;
            return Ok(Code::Fine);
        }
        if plan.actions.is_empty() {
            note(&format!("nothing to do for {}/{name}", session.namespace));
            return Ok(Code::Fine);
        }
        say(outline.trim_end());
        session.stands("nothing was written");
        if !self.yes && !confirmed(&format!("Write {} changes to {}/{name}?", plan.actions.len(), session.namespace)).await? {
            return Err(Failure::no_answer("not confirmed; nothing was written"));
        }
        let lease = Lease::new(session.client.clone(), self.config.namespace(), &config.instance, identity());
        let held = self.take(session, &lease).await?;
        let written = Box::pin(self.write(session, name, &config, held)).await;
        session.stands("what was written stands");
        written
    }

    /// Refuses what the controller would leave alone as well: another instance's services, whose Lease is another one, and paused ones.
    fn may_write(&self, session: &Session, found: &Found, config: &ControllerConfig) -> Result<(), Failure> {
        let (name, namespace) = (found.service.name(), &session.namespace);
        if let Some(why) = foreign(&found.service, config) {
            return Err(Failure::no_answer(format!(
                "{why}, which holds another Lease; name the namespace of the service's own controller with --controller-namespace (now {:?}), or \
                 its configuration with --controller-config as well",
                self.config.namespace()
            )));
        }
        match paused(&found.service) {
            Some(why) => Err(Failure::no_answer(format!(
                "{why}; remove it first: kubectl annotate isbsvc {name} -n {namespace} {}-",
                names::PAUSED_ANNOTATION
            ))),
            None => Ok(()),
        }
    }

    async fn take(&self, session: &Session, lease: &Lease) -> Result<Held, Failure> {
        if !self.force {
            return lease.take().await.map_err(|error| match error {
                LeaseError::HeldBy { lease, holder, ago } => Failure::no_answer(format!(
                    "a controller looks after this cluster: Lease {lease} is held by {:?}, renewed {ago} s ago; let it do the work, or take it over with --force",
                    clean(&holder)
                )),
                other => self.lease_failure(&other),
            });
        }
        session.stands("the Lease may be taken and lapses by itself; nothing else was written");
        note(&format!(
            "taking the Lease; this waits up to {} s, in which a controller that held it stops",
            isbsvc::limits::LEASE_TERM.as_secs()
        ));
        lease.take_over().await.map_err(|error| self.lease_failure(&error))
    }

    fn lease_failure(&self, error: &LeaseError) -> Failure {
        Failure::no_answer(format!(
            "{error}; nothing was written (the namespace of the controller is chosen by --controller-namespace {})",
            self.config.namespace()
        ))
    }

    /// Writes while the Lease is kept, and frees it whatever came of that.
    async fn write(&self, session: &Session, name: &str, config: &ControllerConfig, mut held: Held) -> Outcome {
        session.stands("what was written so far stands, and the Lease lapses by itself; run the command again to go on");
        let reach = Some(Reach::PortForward(session.client.clone()));
        let permit = held.permit();
        let work = async {
            // Between the plan and the answer of whoever was asked, somebody may have paused it.
            self.may_write(session, &services::find(session, Some(name)).await?, config)?;
            Box::pin(apply::reconcile_once(&session.client, &permit, &session.namespace, name, config, reach))
                .await
                .map_err(|error| Failure::no_answer(format!("{error}; what was written before stands, run the command again to go on")))
        };
        let outcome = tokio::select! {
            outcome = Box::pin(work) => outcome,
            lost = held.keep() => Err(Failure::no_answer(format!("{lost}; what was written before stands"))),
        };
        if let Err(error) = held.release().await {
            note(&format!("{error}; it lapses by itself"));
        }
        let (look, outcome) = outcome?;
        let lines: Vec<_> = outcome.carried.iter().map(|carried| format!("{}\n", clean(&carried.to_string()))).collect();
        print(&lines.concat())?;
        for event in &look.plan.events {
            note(&format!("{}: {}", event.reason, event.note));
        }
        if let Some(status) = look.plan.status.filter(|status| !status.is_healthy()) {
            let says = status.message.map(|message| format!(" ({message})")).unwrap_or_default();
            note(&format!(
                "the service is not healthy yet{says}; a controller would look again: run the command again once the servers are up"
            ));
        }
        Ok(Code::Fine)
    }
}

/// Who we are to others who want the Lease.
fn identity() -> String {
    let host =
        std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok()).unwrap_or_else(|| "somewhere".to_owned());
    let user = std::env::var("USER").unwrap_or_else(|_| "somebody".to_owned());
    format!("kubectl-isbsvc {user}@{} {}", host.trim(), std::process::id())
}

/// Asks on the terminal; anything but yes is no.
async fn confirmed(question: &str) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::no_answer(
            "nobody can be asked (standard input is no terminal); look at the plan above and run it again with --yes",
        ));
    }
    say(&format!("{question} [y/N]"));
    // On a thread of its own, so that Ctrl-C ends the wait.
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = answer
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|error| Failure::no_answer(format!("cannot read the answer: {error}")))?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}
