use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use serde_json::json;

use super::{Action, ChildKind, Input, Place, Plan, Precondition, ownership, reconcile, redis, status};
use crate::api::{InterStepBufferService, InterStepBufferServiceStatus, Phase, names};
use crate::limits;
use crate::observed::{Fact, Observed};

/// Finalizers that are ours to take away.
const OURS: [&str; 2] = [names::FINALIZER, names::LEGACY_FINALIZER];

/// Takes a service down: nothing while a Pipeline uses it; then the `StatefulSet`, then the claims, then the finalizer; the rest goes with its owner.
pub(super) fn plan(input: &Input<'_>, observed: &Observed) -> Plan {
    let service = input.service;
    let mut plan = Plan::default();
    if !service.finalizers().iter().any(|finalizer| OURS.contains(&finalizer.as_str())) {
        return plan;
    }
    match &observed.pipelines {
        Fact::Unknown(why) => return serving(input, observed, &format!("cannot tell which Pipelines use the service: {why}")),
        Fact::Known(pipelines) if !pipelines.is_empty() => {
            let names: Vec<_> = pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
            let pipelines = count(names.len(), "Pipeline");
            return serving(input, observed, &format!("waiting for {pipelines} that use the service to be deleted: {}", names.join(", ")));
        }
        Fact::Known(_) => {}
    }
    // Of a Redis service nothing is ours but the finalizer of Numaflow's, which has the same name; its objects go with their owner.
    if redis::is_or_was(service) && observed.stateful_set.known().is_some_and(Option::is_none) {
        return freed(input, plan);
    }
    let keep = service.annotations().get(names::KEEP_VOLUMES_ANNOTATION).is_some_and(|value| value == "true");
    match &observed.stateful_set {
        Fact::Unknown(why) => return waiting(input, plan, why),
        // What somebody else has under this name does not keep the service from being deleted.
        Fact::Known(Some(stateful_set)) if ownership::foreign(&stateful_set.metadata, service, false).is_some() => {}
        Fact::Known(Some(stateful_set)) => {
            if keep && !retains(stateful_set) {
                // Otherwise Kubernetes would delete the claims with it.
                let place =
                    Place { pointer: RETENTION.to_owned(), value: Some(json!({ "whenDeleted": "Retain", "whenScaled": "Retain" })) };
                let (kind, precondition) = (ChildKind::StatefulSet, seen(&stateful_set.metadata));
                plan.actions.push(Action::Patch { kind, name: stateful_set.name_any(), places: vec![place], precondition });
                return waiting(input, plan, "keeping the volumes");
            }
            let owned = |claims: &Vec<PersistentVolumeClaim>| claims.iter().any(|claim| !claim.owner_references().is_empty());
            if keep && observed.claims.known().is_none_or(owned) {
                return waiting(input, plan, "waiting for the volume claims to be let go of");
            }
            if stateful_set.metadata.deletion_timestamp.is_none() {
                plan.actions.push(delete(ChildKind::StatefulSet, &stateful_set.metadata));
            }
            return waiting(input, plan, "waiting for the servers to stop");
        }
        Fact::Known(None) => {}
    }
    match &observed.pods {
        Fact::Unknown(why) => return waiting(input, plan, why),
        Fact::Known(pods) if !pods.is_empty() => {
            return waiting(input, plan, &format!("waiting for {} to stop", count(pods.len(), "server")));
        }
        Fact::Known(_) => {}
    }
    match &observed.claims {
        Fact::Unknown(why) if !keep => return waiting(input, plan, why),
        Fact::Known(claims) if !keep && !claims.is_empty() => {
            let standing = claims.iter().filter(|claim| claim.metadata.deletion_timestamp.is_none());
            plan.actions.extend(standing.map(|claim| delete(ChildKind::PersistentVolumeClaim, &claim.metadata)));
            return waiting(input, plan, &format!("waiting for {} to be deleted", count(claims.len(), "volume claim")));
        }
        _ => {}
    }
    if keep && !let_go(&mut plan, observed) {
        return waiting(input, plan, "keeping the Secrets and the accepted spec beside the volumes");
    }
    freed(input, plan)
}

const RETENTION: &str = "/spec/persistentVolumeClaimRetentionPolicy";

fn retains(stateful_set: &StatefulSet) -> bool {
    let policy = stateful_set.spec.as_ref().and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    // Without a policy Kubernetes retains.
    policy.is_none_or(|policy| policy.when_deleted.as_deref().is_none_or(|word| word == "Retain"))
}

/// What kept volumes need goes on without its owner: the key that reads them, and the spec that they were written by. Whether all of it does already.
fn let_go(plan: &mut Plan, observed: &Observed) -> bool {
    fn one<K: kube::Resource>(plan: &mut Plan, kind: ChildKind, object: &Fact<Option<K>>) -> bool {
        let Fact::Known(object) = object else { return false };
        let Some(metadata) = object.as_ref().map(kube::Resource::meta) else { return true };
        if metadata.owner_references.as_ref().is_none_or(Vec::is_empty) {
            return true;
        }
        let places = vec![Place { pointer: "/metadata/ownerReferences".to_owned(), value: None }];
        plan.actions.push(Action::Patch { kind, name: metadata.name.clone().unwrap_or_default(), places, precondition: seen(metadata) });
        false
    }
    let secrets = [one(plan, ChildKind::Secret, &observed.server_secret), one(plan, ChildKind::Secret, &observed.client_secret)];
    one(plan, ChildKind::ConfigMap, &observed.config_map) && secrets.iter().all(|free| *free)
}

/// Holds a service from now on, so that it goes no sooner than its Pipelines; nothing where it is held already.
pub(super) fn held(service: &InterStepBufferService) -> Option<Action> {
    if service.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER) {
        return None;
    }
    let mut finalizers = service.finalizers().to_vec();
    finalizers.push(names::FINALIZER.to_owned());
    Some(Action::SetFinalizers { finalizers, precondition: seen(&service.metadata) })
}

/// Nothing holds the service any more.
fn freed(input: &Input<'_>, mut plan: Plan) -> Plan {
    let finalizers = input.service.finalizers().iter().filter(|finalizer| !OURS.contains(&finalizer.as_str()));
    plan.actions.push(Action::SetFinalizers { finalizers: finalizers.cloned().collect(), precondition: seen(&input.service.metadata) });
    plan
}

/// Waits for Pipelines, which the servers go on serving until then.
fn serving(input: &Input<'_>, observed: &Observed, why: &str) -> Plan {
    let mut plan = Plan::default();
    let mut before = input.service.status.clone().unwrap_or_default();
    reconcile::watch(input, observed, &mut plan, &mut before);
    deleting(input, plan, before, why)
}

fn waiting(input: &Input<'_>, plan: Plan, why: &str) -> Plan {
    deleting(input, plan, input.service.status.clone().unwrap_or_default(), why)
}

fn deleting(input: &Input<'_>, mut plan: Plan, before: InterStepBufferServiceStatus, why: &str) -> Plan {
    let after = InterStepBufferServiceStatus {
        phase: Some(Phase::Deleting),
        message: Some(status::bounded(&format!("Deleting: {why}"))),
        ..before
    };
    status::settle(&mut plan, input.service, after);
    plan.held = Some(why.to_owned());
    plan.next_look = Some(limits::LOOK_WHILE_WAITING);
    plan
}

fn delete(kind: ChildKind, metadata: &ObjectMeta) -> Action {
    Action::Delete {
        kind,
        name: metadata.name.clone().unwrap_or_default(),
        precondition: Precondition { resource_version: None, ..seen(metadata) },
    }
}

pub(super) fn seen(metadata: &ObjectMeta) -> Precondition {
    Precondition { uid: metadata.uid.clone(), resource_version: metadata.resource_version.clone() }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
