use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;

use super::{Action, ChildKind, Input, Plan, Precondition, status};
use crate::api::{InterStepBufferServiceStatus, Phase, names};
use crate::limits;
use crate::observed::{Fact, Observed};

/// Takes a service down: nothing while a Pipeline uses it; then the `StatefulSet`, then the claims, then the finalizer; the rest goes with its owner.
pub(super) fn plan(input: &Input<'_>, observed: &Observed) -> Plan {
    let service = input.service;
    let mut plan = Plan::default();
    if !service.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER) {
        return plan;
    }
    match &observed.pipelines {
        Fact::Unknown(why) => return waiting(input, plan, &format!("cannot tell which Pipelines use the service: {why}")),
        Fact::Known(pipelines) if !pipelines.is_empty() => {
            let names: Vec<_> = pipelines.iter().map(|pipeline| pipeline.name.as_str()).collect();
            return waiting(
                input,
                plan,
                &format!("waiting for {} that use the service to be deleted: {}", count(names.len(), "Pipeline"), names.join(", ")),
            );
        }
        Fact::Known(_) => {}
    }
    match &observed.stateful_set {
        Fact::Unknown(why) => return waiting(input, plan, why),
        Fact::Known(Some(stateful_set)) => {
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
    let keep = service.annotations().get(names::KEEP_VOLUMES_ANNOTATION).is_some_and(|value| value == "true");
    match &observed.claims {
        Fact::Unknown(why) if !keep => return waiting(input, plan, why),
        Fact::Known(claims) if !keep && !claims.is_empty() => {
            let standing = claims.iter().filter(|claim| claim.metadata.deletion_timestamp.is_none());
            plan.actions.extend(standing.map(|claim| delete(ChildKind::PersistentVolumeClaim, &claim.metadata)));
            return waiting(input, plan, &format!("waiting for {} to be deleted", count(claims.len(), "volume claim")));
        }
        _ => {}
    }
    let finalizers =
        service.finalizers().iter().filter(|finalizer| ![names::FINALIZER, names::LEGACY_FINALIZER].contains(&finalizer.as_str()));
    plan.actions.push(Action::SetFinalizers { finalizers: finalizers.cloned().collect(), precondition: seen(&service.metadata) });
    plan
}

fn waiting(input: &Input<'_>, mut plan: Plan, why: &str) -> Plan {
    let before = input.service.status.clone().unwrap_or_default();
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
