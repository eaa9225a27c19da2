use super::{Input, Plan, status};
use crate::api::{CONDITION_CHILDREN_HEALTHY, CONDITION_CONFIGURED, CONDITION_DEPLOYED, InterStepBufferServiceStatus, Phase};

/// What this release does for a Redis service: it says that it does not serve it, and touches nothing of it, so that nothing is lost.
pub(super) fn plan(input: &Input<'_>) -> Plan {
    const WORDS: &str = "this release does not serve Redis yet; use spec.jetstream";
    let before = input.service.status.clone().unwrap_or_default();
    if before.config.as_ref().is_some_and(|config| config.redis.is_some()) {
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
        type_: Some("redis".to_owned()),
        observed_generation: input.service.metadata.generation,
        config: None,
    };
    let mut plan = Plan::default();
    status::settle(&mut plan, input.service, after);
    plan
}
