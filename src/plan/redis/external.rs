//! A Redis that exists already: nothing is made for it. What was accepted stands in the status, whose bytes are the pipelines' (law *same-bytes*).

use super::super::{Input, Plan, deletion, status};
use crate::api::{
    BufferServiceConfig, CONDITION_CHILDREN_HEALTHY, CONDITION_CONFIGURED, CONDITION_DEPLOYED, ExternalRedis, InterStepBufferService,
    InterStepBufferServiceSpec, InterStepBufferServiceStatus, Phase, RedisBufferService, RedisConfig, ServiceType,
};
use crate::health::{self, Level, Verdict};
use crate::limits;
use crate::observed::Observed;

/// The service by the spec that was accepted last, where that was of an external Redis; whichever controller accepted it.
pub(in crate::plan) fn before(service: &InterStepBufferService) -> Option<InterStepBufferService> {
    let config = service.status.as_ref()?.config.as_ref()?.redis.clone()?;
    if super::is_native(service, &config) {
        return None;
    }
    let RedisConfig { url, sentinel_url, master_name, user, password, sentinel_password } = config;
    let external = ExternalRedis { url, sentinel_url, master_name, user, password, sentinel_password };
    let redis = RedisBufferService { native: None, external: Some(external) };
    Some(InterStepBufferService { spec: InterStepBufferServiceSpec { jetstream: None, redis: Some(redis) }, ..service.clone() })
}

/// The external Redis that a service uses: the accepted one, else the one that its spec names.
pub fn external_of(service: &InterStepBufferService) -> Option<ExternalRedis> {
    let of = |service: &InterStepBufferService| service.spec.redis.as_ref()?.external.clone();
    let alone = service.spec.types().as_slice() == [ServiceType::RedisExternal];
    before(service).as_ref().and_then(of).or_else(|| of(service).filter(|_| alone))
}

/// What is to be done for a service that runs by this spec: the finalizer, so that it goes no sooner than its Pipelines, and the status.
pub(in crate::plan) fn plan(
    input: &Input<'_>,
    observed: &Observed,
    effective: &InterStepBufferService,
    refusals: &[String],
    tolerated: &[String],
) -> Plan {
    let service = input.service;
    let mut plan = Plan::default();
    plan.actions.extend(deletion::held(service));
    let before = service.status.clone().unwrap_or_default();
    let verdict = health::verdict(effective, observed, input.now);
    // No condition waits for what somebody else runs: each that is not True blocks every Pipeline (defect 45).
    let stands = vec![
        status::Stand::successful(CONDITION_CONFIGURED),
        status::Stand::successful(CONDITION_DEPLOYED),
        status::Stand::new(CONDITION_CHILDREN_HEALTHY, "True", "Successful", condition(&before, observed, &verdict)),
    ];
    let after = InterStepBufferServiceStatus {
        conditions: status::merged(&before.conditions, stands, input.now),
        phase: Some(Phase::Running),
        message: message(refusals, tolerated, &warned(&before, observed, &verdict)),
        config: Some(BufferServiceConfig {
            jetstream: None,
            redis: effective.spec.redis.as_ref().and_then(|redis| redis.external.as_ref()).map(config),
        }),
        type_: Some(ServiceType::RedisExternal.as_str().to_owned()),
        observed_generation: if refusals.is_empty() { service.metadata.generation } else { before.observed_generation },
    };
    plan.events.extend(status::refusal(&before, refusals));
    status::settle(&mut plan, service, after);
    plan.verdict = Some(verdict);
    plan.next_look = Some(limits::ENDPOINT_LOOK);
    plan
}

/// What is said of a Redis that nothing is made for.
const USED: &str = "the external Redis is used as it is; nothing is made for it";

/// What the condition says, also that the Redis is not asked: that is nobody's fault, and no warning.
fn condition(before: &InterStepBufferServiceStatus, observed: &Observed, verdict: &Verdict) -> String {
    if observed.endpoint.known().is_none() {
        let said = before.condition(CONDITION_CHILDREN_HEALTHY).map(|condition| &condition.message);
        return said.filter(|message| message.starts_with(USED)).cloned().unwrap_or_else(|| USED.to_owned());
    }
    let unknown: Vec<_> =
        verdict.reasons.iter().filter(|reason| reason.level == Level::Unknown).map(|reason| reason.message.as_str()).collect();
    status::bounded(&[&[USED], unknown.as_slice()].concat().join("; "))
}

/// What is wrong with the Redis; where it was not looked at, what was said before, because a look from elsewhere unsays nothing.
fn warned(before: &InterStepBufferServiceStatus, observed: &Observed, verdict: &Verdict) -> Vec<String> {
    if observed.endpoint.known().is_none() {
        let said = before.message.as_deref().and_then(|message| message.split_once(status::WARNING));
        return said.map(|(_, said)| said.to_owned()).filter(|said| !said.contains(status::TOLERATED)).into_iter().collect();
    }
    verdict.reasons.iter().filter(|reason| reason.level == Level::Warning).map(|reason| reason.message.clone()).collect()
}

fn message(refusals: &[String], tolerated: &[String], warned: &[String]) -> Option<String> {
    let warnings = status::tolerated(tolerated).into_iter().chain(warned.iter().cloned()).collect();
    let parts: Vec<_> = status::refused(refusals).into_iter().chain(status::warnings(warnings)).collect();
    (!parts.is_empty()).then(|| status::bounded(&parts.join("; ")))
}

fn config(external: &ExternalRedis) -> RedisConfig {
    let ExternalRedis { url, sentinel_url, master_name, user, password, sentinel_password } = external.clone();
    RedisConfig { url, sentinel_url, master_name, user, password, sentinel_password }
}
