//! What the rules about a change compare.

use super::Asked;
use crate::api::JetStreamBufferService;

/// Both sides of a change within a `JetStream` service.
pub(super) fn jetstream<'a>(asked: &Asked<'a>) -> Option<(&'a JetStreamBufferService, &'a JetStreamBufferService)> {
    Some((asked.old?.spec.jetstream.as_ref()?, asked.new.spec.jetstream.as_ref()?))
}

/// The way to another value of something that cannot change in place. Each step passes our own rules: a service that no Pipeline uses may be deleted,
/// and a new one may be anything.
pub(super) const RECREATE: &str =
    "delete the Pipelines that use the service, then the service; create it anew, then create the Pipelines again";
