//! Services of Redis: of an external one nothing is made, and a native one is not served yet.

mod external;

use kube::ResourceExt as _;
use serde_json::Value;

use super::{Input, Plan, status};
use crate::api::{
    CONDITION_CHILDREN_HEALTHY, CONDITION_CONFIGURED, CONDITION_DEPLOYED, InterStepBufferService, InterStepBufferServiceStatus, Phase,
    RedisConfig, ServiceType,
};

pub use external::external_of;
pub(super) use external::{before, plan as external};

/// Where `kubectl apply` keeps what it was given.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Why nothing may be written to a service that no longer names a type and was one of Redis: a definition without `spec.redis`, such as Numaflow's own
/// of today, drops the field from every object that is read.
pub fn vanished(service: &InterStepBufferService) -> Option<&'static str> {
    let nothing = service.spec.jetstream.is_none() && service.spec.redis.is_none();
    (nothing && is_or_was(service)).then_some(
        "spec.redis is gone from a service that was one of Redis; nothing of it is changed or deleted; if the installed definition no longer has the \
         field, apply manifests/crd again, else put spec.redis back",
    )
}

/// Whether the service is one of Redis, or was before its definition lost the field.
pub(super) fn is_or_was(service: &InterStepBufferService) -> bool {
    let status = service.status.as_ref();
    let applied = || {
        let applied: Value = serde_json::from_str(service.annotations().get(LAST_APPLIED)?).ok()?;
        Some(applied["spec"]["redis"].is_object() && applied["spec"]["jetstream"].is_null())
    };
    service.spec.jetstream.is_none()
        && (service.spec.redis.is_some()
            || status.and_then(|status| status.type_.as_deref()) == Some("redis")
            || served_elsewhere(service)
            || applied() == Some(true))
}

/// Whether another controller serves Redis for it.
pub(super) fn served_elsewhere(service: &InterStepBufferService) -> bool {
    service.status.as_ref().and_then(|status| status.config.as_ref()).is_some_and(|config| config.redis.is_some())
}

/// Whether clients of a Redis service are told the names of one that runs in the namespace, as Numaflow's controller makes them.
fn is_native(service: &InterStepBufferService, config: &RedisConfig) -> bool {
    let own = format!("isbsvc-{}-redis-svc.", service.name());
    [&config.url, &config.sentinel_url].into_iter().flatten().any(|url| url.starts_with(&own))
}

/// What this release does for a native Redis service: it says that it does not serve it, and touches nothing of it, so that nothing is lost.
pub(super) fn native(input: &Input<'_>) -> Plan {
    const WORDS: &str = "this release does not serve native Redis yet; use spec.jetstream, or spec.redis.external";
    let before = input.service.status.clone().unwrap_or_default();
    if served_elsewhere(input.service) {
        // Another controller serves it; its words stand.
        return Plan::default();
    }
    let stands = vec![
        status::Stand::successful(CONDITION_CONFIGURED),
        status::Stand::new(CONDITION_DEPLOYED, "False", "NotServed", WORDS),
        status::Stand::new(CONDITION_CHILDREN_HEALTHY, "False", "NotServed", WORDS),
    ];
    let after = InterStepBufferServiceStatus {
        conditions: status::merged(&before.conditions, stands, input.now),
        phase: Some(Phase::Pending),
        message: Some(format!("NotServed: {WORDS}")),
        type_: Some(ServiceType::RedisNative.as_str().to_owned()),
        observed_generation: input.service.metadata.generation,
        config: None,
    };
    let mut plan = Plan::default();
    status::settle(&mut plan, input.service, after);
    plan
}
