//! Whose an object is that has the name of one of the service's: what is somebody else's is never written over.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use super::ChildKind;
use crate::api::{InterStepBufferService, names};
use crate::observed::{Fact, Observed};

/// What is found under the names of the service and belongs to somebody else, in words; the disruption budget apart, without which a service can be.
pub(super) fn stranger(service: &InterStepBufferService, observed: &Observed) -> Option<String> {
    fn of<K: Resource>(
        kind: ChildKind,
        found: &Fact<Option<K>>,
        service: &InterStepBufferService,
        reads_like_ours: impl Fn(&K) -> bool,
    ) -> Option<String> {
        let found = found.known()?.as_ref()?;
        let why = foreign(found.meta(), service, reads_like_ours(found))?;
        Some(format!("{} {}: {why}", kind.kind(), found.meta().name.as_deref().unwrap_or_default()))
    }
    of(ChildKind::StatefulSet, &observed.stateful_set, service, |_| false)
        .or_else(|| of(ChildKind::Service, &observed.service, service, |_| false))
        .or_else(|| of(ChildKind::ConfigMap, &observed.config_map, service, is_configuration))
        .or_else(|| of(ChildKind::Secret, &observed.server_secret, service, is_server_secret))
        .or_else(|| of(ChildKind::Secret, &observed.client_secret, service, is_client_secret))
}

/// Whether a `ConfigMap` holds what that of a service holds.
pub(crate) fn is_configuration(map: &ConfigMap) -> bool {
    map.data.as_ref().is_some_and(|data| data.contains_key(names::CONFIG_KEY))
}

/// Whether a Secret holds what the servers' holds.
pub(crate) fn is_server_secret(secret: &Secret) -> bool {
    holds(secret, &[names::server_secret_key::AUTH, names::server_secret_key::ENCRYPTION])
}

/// Whether a Secret holds what the clients' holds.
pub(crate) fn is_client_secret(secret: &Secret) -> bool {
    holds(secret, &[names::CLIENT_USER_KEY, names::CLIENT_PASSWORD_KEY])
}

fn holds(secret: &Secret, keys: &[&str]) -> bool {
    secret.data.as_ref().is_some_and(|data| keys.iter().any(|key| data.contains_key(*key)))
}

/// Whose an object is, where it is not the service's. One without an owner is the service's where it carries the service's labels, or holds what only
/// an object of a service would hold: a Secret that was put back from a backup.
pub(crate) fn foreign(found: &ObjectMeta, service: &InterStepBufferService, reads_like_ours: bool) -> Option<String> {
    let owners = found.owner_references.as_deref().unwrap_or_default();
    let ours = |owner: &OwnerReference| service.metadata.uid.as_ref() == Some(&owner.uid);
    let earlier = |owner: &OwnerReference| owner.kind == names::KIND && owner.name == service.name();
    let label = |name: &str| found.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    let labelled =
        label(names::COMPONENT_LABEL) == Some(names::COMPONENT) && label(names::NAME_LABEL).is_none_or(|name| name == service.name());
    match owners {
        owners if owners.iter().any(ours) => None,
        [] if reads_like_ours || labelled => None,
        [] => Some(
            "an object of that name is there without our labels and without an owner, and is left as it is; delete or rename it, or give it the label \
             app.kubernetes.io/component=isbsvc if it is this service's"
                .to_owned(),
        ),
        owners if owners.iter().any(earlier) => {
            Some("it belongs to an earlier service of this name, and Kubernetes has not cleared it away yet".to_owned())
        }
        [owner, ..] => Some(format!(
            "an object of that name belongs to {} {}, and is left as it is; delete or rename it, or give the service another name",
            owner.kind, owner.name
        )),
    }
}
