//! What users write and read: the `InterStepBufferService` resource, its conditions, and the names and labels of what is made for it.
//!
//! Group `numaflow.numaproj.io`, version `v1alpha1`. The types are a drop-in for Numaflow's: every field that it publishes is here.

mod container_template;
mod crd;
mod decode;
mod jetstream;
pub mod names;
mod pipeline;
mod pod_template;
mod redis;
mod resource;
mod status;

pub use container_template::{ContainerTemplate, Probe};
pub use crd::crd;
pub use decode::{DecodeError, decode};
pub use jetstream::{JetStreamBufferService, Persistence};
pub use pipeline::{Pipeline, service_of_pipeline};
pub use pod_template::{Metadata, PodTemplate};
pub use redis::{ExternalRedis, NativeRedis, RedisBufferService, RedisMode, RedisSettings};
pub use resource::{InterStepBufferService, InterStepBufferServiceSpec, ServiceType};
pub use status::{
    BufferServiceConfig, CONDITION_CHILDREN_HEALTHY, CONDITION_CONFIGURED, CONDITION_DEPLOYED, InterStepBufferServiceStatus, JetStreamAuth,
    JetStreamBasicAuth, JetStreamConfig, Phase, RedisConfig,
};

/// Number of servers when the user names none (manual, "Replicas").
pub const DEFAULT_REPLICAS: i32 = 3;
/// Access mode of a volume claim when the user names none (manual, "Persistence").
pub const DEFAULT_ACCESS_MODE: &str = "ReadWriteOnce";
/// Size of a volume claim when the user names none (manual, "Persistence").
pub const DEFAULT_VOLUME_SIZE: &str = "20Gi";

// The schemas publish the default, so that a cluster without our webhook fills it in as well; the types keep what was written.
#[allow(clippy::unnecessary_wraps)]
fn default_replicas() -> Option<i32> {
    Some(DEFAULT_REPLICAS)
}
