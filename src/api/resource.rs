use kube::{CustomResource, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{InterStepBufferServiceStatus, JetStreamBufferService, RedisBufferService, names};

/// Keeps the messages between the steps of Numaflow's pipelines: a NATS `JetStream` cluster, or Redis.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
// Each printed column names its own type.
#[allow(clippy::duplicated_attributes)]
#[kube(
    group = "numaflow.numaproj.io",
    version = "v1alpha1",
    kind = "InterStepBufferService",
    plural = "interstepbufferservices",
    shortname = "isbsvc",
    namespaced,
    status = "InterStepBufferServiceStatus",
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Type", type_ = "string", json_path = ".status.type"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message")
)]
#[serde(rename_all = "camelCase", default)]
pub struct InterStepBufferServiceSpec {
    /// A service on NATS `JetStream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<JetStreamBufferService>,
    /// A service on Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisBufferService>,
}

/// What a service runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceType {
    /// NATS `JetStream`.
    JetStream,
    /// Redis with Sentinel in the namespace.
    RedisNative,
    /// A Redis that exists already.
    RedisExternal,
}

impl ServiceType {
    /// The word in `status.type` and in the label `numaflow.numaproj.io/isbsvc-type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JetStream => "jetstream",
            Self::RedisNative | Self::RedisExternal => "redis",
        }
    }

    /// The field of the spec that names it.
    pub fn field(self) -> &'static str {
        match self {
            Self::JetStream => "spec.jetstream",
            Self::RedisNative => "spec.redis.native",
            Self::RedisExternal => "spec.redis.external",
        }
    }
}

impl InterStepBufferServiceSpec {
    /// Every type that the spec names; one that is right names exactly one.
    pub fn types(&self) -> Vec<ServiceType> {
        let redis = self.redis.as_ref();
        [
            self.jetstream.as_ref().map(|_| ServiceType::JetStream),
            redis.and_then(|redis| redis.native.as_ref()).map(|_| ServiceType::RedisNative),
            redis.and_then(|redis| redis.external.as_ref()).map(|_| ServiceType::RedisExternal),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The version that the spec names, of `JetStream` or of a native Redis.
    pub fn version(&self) -> Option<&str> {
        let jetstream = self.jetstream.as_ref().and_then(|jetstream| jetstream.version.as_deref());
        jetstream.or_else(|| self.redis.as_ref()?.native.as_ref()?.version.as_deref())
    }
}

impl InterStepBufferService {
    /// Name; empty where the object has none yet (`generateName`).
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Namespace; empty where it is not known, as in a file that names none.
    pub fn namespace_or_empty(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Whether the service is to be left alone for now.
    pub fn is_paused(&self) -> bool {
        self.annotations().get(names::PAUSED_ANNOTATION).is_some_and(|value| value == "true")
    }

    /// The controller instance that looks after the service: empty for the one that has no name.
    pub fn instance(&self) -> &str {
        self.annotations().get(names::INSTANCE_ANNOTATION).map_or("", String::as_str)
    }
}
