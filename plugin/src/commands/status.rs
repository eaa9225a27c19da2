//! How a service is, from inside its servers.

use std::time::Duration;

use clap::{Args, ValueEnum};
use isbsvc::health::Level;

use super::{TableFormat, WaitFor};
use crate::args::duration;
use crate::connection::{Connection, Session, silent_interruption};
use crate::exit::{Code, Failure, Outcome};
use crate::inspect::{self, Via};
use crate::model::status::ServiceStatus;
use crate::render::{self, status::Shape};
use crate::services;
use crate::terminal::{print, say};
use crate::watch;

/// Longest wait where none is named: an image that must be pulled, and an election after it.
pub(super) const DEFAULT_WAIT: &str = "5m";

/// Flags of `status`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  kubectl isbsvc status                         the service \"default\", or the only one
  kubectl isbsvc status prod -n pipelines -w    again every two seconds
  kubectl isbsvc status --wait --timeout 2m     until it is healthy
  kubectl isbsvc status -o json | jq .verdict

Exit codes: 0 healthy (or only warnings), 1 could not answer, 2 unhealthy, 124 not healthy in time, 130 interrupted.")]
pub struct Status {
    /// Name of the service; "default" or the only one of the namespace where it is left out
    pub name: Option<String>,
    /// How it is shown
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: TableFormat,
    /// Show it again and again
    #[arg(short, long, conflicts_with = "wait")]
    pub watch: bool,
    /// Between two looks with --watch
    #[arg(long, value_name = "DURATION", default_value = "2s", requires = "watch", value_parser = duration::parse_positive, allow_hyphen_values = true)]
    pub interval: Duration,
    /// Wait until the service is healthy, then show it
    #[arg(long, value_enum, value_name = "FOR", num_args = 0..=1, require_equals = true, default_missing_value = "healthy")]
    pub wait: Option<WaitFor>,
    /// Longest wait with --wait
    #[arg(long, value_name = "DURATION", default_value = DEFAULT_WAIT, requires = "wait", value_parser = duration::parse_positive, allow_hyphen_values = true)]
    pub timeout: Duration,
    /// From which verdict on the exit code is 2; --wait and --watch have exit codes of their own
    #[arg(long, value_enum, value_name = "LEVEL", default_value = "critical", conflicts_with_all = ["wait", "watch"])]
    pub fail_on: FailOn,
    /// How the servers are asked; port-forward, then proxy, where it is left out
    #[arg(long, value_enum, value_name = "WAY")]
    pub via: Option<Via>,
}

/// From which verdict on the exit code is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// It does not serve, or a further loss stops it.
    Critical,
    /// Something should be looked at.
    Warning,
    /// Never: whatever was answered is fine.
    Never,
}

impl FailOn {
    /// The exit code for a verdict. Where too little is known to judge, nothing was answered.
    pub fn code(self, level: Level) -> Code {
        match (self, level) {
            (Self::Never, _) | (_, Level::Healthy) | (Self::Critical, Level::Warning) => Code::Fine,
            (_, Level::Unknown) => Code::NoAnswer,
            (_, Level::Critical) | (Self::Warning, Level::Warning) => Code::NotAsItShould,
        }
    }
}

impl Status {
    /// Carries it out.
    pub fn run(self, connection: &Connection, colours: bool, program: &str) -> Outcome {
        let watching = self.watch;
        let outcome = connection.run(async move |session| self.answer(&session, colours, program).await);
        if watching { silent_interruption(outcome) } else { outcome }
    }

    async fn answer(self, session: &Session, colours: bool, program: &str) -> Outcome {
        if self.watch {
            return watch::repeat(self.interval, || async { self.draw(&look(session, self.name.as_deref(), self.via).await?, colours) })
                .await;
        }
        if self.wait.is_none() {
            let status = look(session, self.name.as_deref(), self.via).await?;
            print(&self.draw(&status, colours)?)?;
            return Ok(self.fail_on.code(status.verdict.level));
        }
        let name = services::find(session, self.name.as_deref()).await?.service.name().to_owned();
        let namespace = &session.namespace;
        session.stands(format!("the service goes on as it is; wait again with: {program} status {name} -n {namespace} --wait"));
        let (status, in_time) = watch::until_healthy(self.timeout, || look(session, Some(&name), self.via)).await?;
        if let Some(status) = &status {
            print(&self.draw(status, colours)?)?;
        }
        if in_time {
            return Ok(Code::Fine);
        }
        Err(not_in_time(&name, namespace, self.timeout, status.as_ref()))
    }

    fn draw(&self, status: &ServiceStatus, colours: bool) -> Result<String, Failure> {
        self.output.draw(status, |wide| render::status::sections(status, Shape { wide, colours }))
    }
}

/// Looks at a service once.
pub(super) async fn look(session: &Session, name: Option<&str>, via: Option<Via>) -> Result<ServiceStatus, Failure> {
    // A service with everything found of it is large, and is kept off the stack.
    let found = Box::new(Box::pin(services::find(session, name)).await?);
    let look = Box::new(Box::pin(inspect::look(session, &found, via)).await);
    Ok(ServiceStatus::new(&found.service, &look.observed, &look.verdict, &look.events, jiff::Timestamp::now()))
}

/// The line for a wait that was too short.
pub(super) fn not_in_time(name: &str, namespace: &str, timeout: Duration, status: Option<&ServiceStatus>) -> Failure {
    let why = status.map_or_else(|| "it did not answer".to_owned(), ServiceStatus::progress);
    Failure::timed_out(format!("{namespace}/{name} was not healthy within {}s: {why}", timeout.as_secs_f64()))
}

/// Waits for a service that was just written, with words on what stands.
pub(super) async fn wait_for(session: &Session, name: &str, timeout: Duration, program: &str, what_stands: &str) -> Outcome {
    let namespace = &session.namespace;
    session.stands(format!("{what_stands}; go on waiting with: {program} status {name} -n {namespace} --wait"));
    let (status, in_time) = watch::until_healthy(timeout, || look(session, Some(name), None)).await?;
    if !in_time {
        let failure = not_in_time(name, namespace, timeout, status.as_ref());
        return Err(Failure {
            message: format!("{}; {what_stands}, see: {program} status {name} -n {namespace}", failure.message),
            ..failure
        });
    }
    let leader = status.and_then(|status| status.meta?.leader).map(|leader| format!(", led by {leader}")).unwrap_or_default();
    say(&format!("{namespace}/{name} is healthy{leader}"));
    Ok(Code::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_unhealthy_from_not_answered() {
        use Level::{Critical, Healthy, Unknown, Warning};
        let codes = |fail_on: FailOn| [Healthy, Warning, Critical, Unknown].map(|level| fail_on.code(level) as u8);
        assert_eq!(codes(FailOn::Critical), [0, 0, 2, 1]);
        assert_eq!(codes(FailOn::Warning), [0, 2, 2, 1]);
        assert_eq!(codes(FailOn::Never), [0, 0, 0, 0]);
    }
}
