//! Objects that the watches do not show because somebody took their labels away. One that is to be made is looked for by its name first: it may be ours,
//! and then its labels are put back; or somebody else's, and then it is never written over.

use std::fmt::Debug;

use futures::join;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::api::{InterStepBufferService, names};
use crate::limits;
use crate::observed::{Fact, Observed};
use crate::plan::ownership::{foreign, is_client_secret, is_configuration, is_server_secret};
use crate::plan::{Action, ChildKind, Plan};

/// Why it cannot be gone on.
#[derive(Debug)]
pub enum Hindrance {
    /// The name is taken by an object of somebody else.
    Foreign {
        /// What it is.
        kind: ChildKind,
        /// Its name.
        name: String,
        /// Whose it is, and what to do.
        why: String,
    },
    /// It could not be found out whether it is there.
    Unseen {
        /// What it is.
        kind: ChildKind,
        /// Its name.
        name: String,
        /// The client's error; none where there was no answer in time.
        error: Option<kube::Error>,
    },
}

/// Whether the watches do not show all that a service has.
pub fn incomplete(observed: &Observed) -> bool {
    lacks(&observed.stateful_set)
        || lacks(&observed.service)
        || lacks(&observed.config_map)
        || lacks(&observed.server_secret)
        || lacks(&observed.client_secret)
}

/// Whether something that the watches do not show could matter to this plan: it makes an object, takes the service down, or waits for a person.
/// `recently` says that there was a look a moment ago, which is enough for one that waits.
pub fn matters(plan: &Plan, recently: bool) -> bool {
    let makes = |action: &Action| match action {
        Action::Create { .. } => true,
        Action::Apply { precondition, .. } => precondition.uid.is_none(),
        // With these a service that is deleted gives up what it has.
        Action::Delete { kind, .. } => *kind == ChildKind::PersistentVolumeClaim,
        Action::SetFinalizers { finalizers, .. } => !finalizers.iter().any(|finalizer| finalizer == names::FINALIZER),
        Action::Patch { .. } | Action::ApplyStatus { .. } => false,
    };
    plan.actions.iter().any(makes) || (plan.held.is_some() && !recently)
}

/// What a look by name came to.
#[derive(Debug, Default)]
pub struct Found {
    /// Whether there was something of ours; it stands in what is observed from then on.
    pub any: bool,
    /// What stands in the way.
    pub hindrances: Vec<Hindrance>,
}

/// Looks for what is not in the watches, by name: at most five requests, side by side.
pub async fn look(client: &Client, service: &InterStepBufferService, observed: &mut Observed) -> Found {
    let name = service.name();
    let (stateful_set, headless, config_map, server_secret, client_secret) = join!(
        one::<StatefulSet>(client, service, ChildKind::StatefulSet, names::stateful_set(name), &observed.stateful_set, |_| false),
        one::<Service>(client, service, ChildKind::Service, names::service(name), &observed.service, |_| false),
        one::<ConfigMap>(client, service, ChildKind::ConfigMap, names::config_map(name), &observed.config_map, is_configuration),
        one::<Secret>(client, service, ChildKind::Secret, names::server_secret(name), &observed.server_secret, is_server_secret),
        one::<Secret>(client, service, ChildKind::Secret, names::client_secret(name), &observed.client_secret, is_client_secret),
    );
    let mut found = Found::default();
    found.put(&mut observed.stateful_set, stateful_set);
    found.put(&mut observed.service, headless);
    found.put(&mut observed.config_map, config_map);
    found.put(&mut observed.server_secret, server_secret);
    found.put(&mut observed.client_secret, client_secret);
    found
}

impl Found {
    fn put<K>(&mut self, fact: &mut Fact<Option<K>>, found: Result<Option<K>, Hindrance>) {
        match found {
            Ok(None) => {}
            Ok(found) => {
                self.any = true;
                *fact = Fact::Known(found);
            }
            Err(hindrance) => self.hindrances.push(hindrance),
        }
    }
}

fn lacks<K>(fact: &Fact<Option<K>>) -> bool {
    matches!(fact, Fact::Known(None))
}

/// A list of one name needs no permission beyond the one that the watches have.
async fn one<K>(
    client: &Client,
    service: &InterStepBufferService,
    kind: ChildKind,
    name: String,
    known: &Fact<Option<K>>,
    reads_like_ours: fn(&K) -> bool,
) -> Result<Option<K>, Hindrance>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    if !lacks(known) {
        return Ok(None);
    }
    let api: Api<K> = Api::namespaced(client.clone(), service.namespace_or_empty());
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = match timeout(limits::API_REQUEST, api.list(&params)).await {
        Ok(Ok(list)) => list.items.into_iter().next(),
        Ok(Err(error)) => return Err(Hindrance::Unseen { kind, name, error: Some(error) }),
        Err(_) => return Err(Hindrance::Unseen { kind, name, error: None }),
    };
    let Some(found) = found else { return Ok(None) };
    match foreign(found.meta(), service, reads_like_ours(&found)) {
        None => Ok(Some(found)),
        Some(why) => Err(Hindrance::Foreign { kind, name, why }),
    }
}

#[cfg(test)]
mod tests;
