use k8s_openapi::api::core::v1::SecretKeySelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The spec was understood and has no fault.
pub const CONDITION_CONFIGURED: &str = "Configured";
/// Every object of the service was written.
pub const CONDITION_DEPLOYED: &str = "Deployed";
/// The servers serve: a quorum of pods is ready, none crashes, and a meta leader was agreed once.
pub const CONDITION_CHILDREN_HEALTHY: &str = "ChildrenResourcesHealthy";

/// What the controller says of a service.
///
/// Numaflow calls a service healthy when the phase is `Running` or `Deleting` and every condition present is `True`; one that is not blocks every
/// pipeline of the service, so no further condition type is ever added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InterStepBufferServiceStatus {
    /// `Configured`, `Deployed`, `ChildrenResourcesHealthy`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Where in its life the service is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The most important thing to know, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How clients connect. Each changed byte restarts every pod of every pipeline on the service (law *same-bytes*).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<BufferServiceConfig>,
    /// `jetstream` or `redis`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Generation of the last spec that was carried out; stays behind while a change is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

impl InterStepBufferServiceStatus {
    /// The condition of this type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// Whether pipelines may use the service, by Numaflow's own reading.
    pub fn is_healthy(&self) -> bool {
        matches!(self.phase, Some(Phase::Running | Phase::Deleting))
            && !self.conditions.is_empty()
            && self.conditions.iter().all(|condition| condition.status == "True")
    }
}

/// Where in its life a service is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Not looked at yet.
    #[default]
    #[serde(rename = "")]
    Unknown,
    /// Being made.
    Pending,
    /// Made; says nothing of health.
    Running,
    /// The spec cannot be carried out, or an object could not be written.
    Failed,
    /// Being deleted.
    Deleting,
}

impl Phase {
    /// The word as the API holds it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
        }
    }
}

/// How clients connect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BufferServiceConfig {
    /// To a `JetStream` service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jetstream: Option<JetStreamConfig>,
    /// To a Redis service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisConfig>,
}

/// How clients connect to a `JetStream` service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JetStreamConfig {
    /// `nats://<service>.<namespace>.svc:4222`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where user and password are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<JetStreamAuth>,
    /// Properties for streams, consumers and buckets, as YAML with lower-case sorted keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_config: Option<String>,
    /// Whether clients must use TLS; absent when they must not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_enabled: Option<bool>,
}

/// How clients of `JetStream` say who they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JetStreamAuth {
    /// By user and password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<JetStreamBasicAuth>,
    /// By an `NKey` seed; never written by us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<SecretKeySelector>,
    /// By a token; never written by us.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretKeySelector>,
}

/// User and password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct JetStreamBasicAuth {
    /// Where the user is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<SecretKeySelector>,
    /// Where the password is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretKeySelector>,
}

/// How clients connect to Redis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RedisConfig {
    /// Address of Redis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Address of a Sentinel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_url: Option<String>,
    /// Name of the master that the Sentinels watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_name: Option<String>,
    /// Redis user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the password of Redis is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretKeySelector>,
    /// Where the password of the Sentinels is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_password: Option<SecretKeySelector>,
}
