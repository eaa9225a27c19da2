use jiff::Timestamp;
use kube::Client;

use super::lease::Permit;
use super::{ApplyError, Category, Outcome, execute, material};
use crate::api::InterStepBufferService;
use crate::controller_config::ControllerConfig;
use crate::observe::{self, Options};
use crate::observed::Observed;
use crate::plan::{self, Input, Material, Plan, needs, readable, refused};
use crate::servers::Reach;

/// Whether passwords, keys and certificates that are missing are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are, because the plan is to be carried out.
    Drawn,
    /// Words stand in their place: `diff` and `--dry-run`. Such a plan must not be carried out.
    Placeholders,
}

/// A service, what was found of it, and what follows.
#[derive(Clone, Debug)]
pub struct Look {
    /// The service.
    pub service: InterStepBufferService,
    /// What was found.
    pub observed: Observed,
    /// What follows.
    pub plan: Plan,
}

/// Why a service could not be reconciled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileError {
    /// There is no such service.
    #[error("interstepbufferservice {namespace}/{name} does not exist")]
    NotFound {
        /// Namespace that was looked in.
        namespace: String,
        /// Name that was looked for.
        name: String,
    },
    /// The service could not be read.
    #[error("interstepbufferservice {namespace}/{name}: {why}")]
    Unreadable {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// A write failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// Looks at a service by direct reads and plans the next step. Writes nothing.
pub async fn look(
    client: &Client,
    namespace: &str,
    name: &str,
    config: &ControllerConfig,
    servers: Option<Reach>,
    secrets: Secrets,
) -> Result<Look, ReconcileError> {
    let unreadable = |why| ReconcileError::Unreadable { namespace: namespace.to_owned(), name: name.to_owned(), why };
    let found = observe::service(client, namespace, name).await.map_err(unreadable)?;
    let object = found.ok_or_else(|| ReconcileError::NotFound { namespace: namespace.to_owned(), name: name.to_owned() })?;
    let (service, refusal) = match readable(&object) {
        Ok(service) => (service, None),
        Err(undecodable) => (undecodable.service.clone(), Some(undecodable.words())),
    };
    let observed = observe::read(client, &service, &Options { secrets: true, servers, streams: false, pipelines: true }).await;
    let now = Timestamp::now();
    let input = Input { service: &service, config, now };
    let plan = next(&input, &observed, refusal.as_deref(), secrets)?;
    Ok(Look { service, observed, plan })
}

/// Looks at a service and carries the next step out. Whoever calls it holds the Lease (`super::lease`).
pub async fn reconcile_once(
    client: &Client,
    permit: &Permit,
    namespace: &str,
    name: &str,
    config: &ControllerConfig,
    servers: Option<Reach>,
) -> Result<(Look, Outcome), ReconcileError> {
    let look = Box::pin(look(client, namespace, name, config, servers, Secrets::Drawn)).await?;
    let outcome = execute(client, permit, &look.service, &look.plan).await?;
    Ok((look, outcome))
}

/// The plan for what was found. A spec that is refused from outside, such as one that cannot be read, is held back (`refusal` says why).
pub(crate) fn next(input: &Input<'_>, observed: &Observed, refusal: Option<&str>, secrets: Secrets) -> Result<Plan, ApplyError> {
    let material = match secrets {
        Secrets::Drawn => draw(input, observed)?,
        Secrets::Placeholders => Material::placeholders(),
    };
    Ok(match refusal {
        None => plan::plan(input, observed, &material),
        Some(why) => refused(input, why, observed, &material),
    })
}

/// Draws what the plan will need, which is nothing for a service that has its Secrets.
fn draw(input: &Input<'_>, observed: &Observed) -> Result<Material, ApplyError> {
    let (name, namespace) = (input.service.name(), input.service.namespace_or_empty());
    material::draw(&needs(input, observed), name, namespace, input.now).map_err(|error| ApplyError {
        attempted: format!("issue the certificates of interstepbufferservice {namespace}/{name}"),
        category: Category::Material,
        why: error.to_string(),
        kind: Some(plan::ChildKind::Secret),
        unseen: false,
    })
}

#[cfg(test)]
mod tests;
