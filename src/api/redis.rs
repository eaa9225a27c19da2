use k8s_openapi::api::core::v1::SecretKeySelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ContainerTemplate, Persistence, PodTemplate};

/// An inter-step buffer service on Redis: one of ours, or an existing one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RedisBufferService {
    /// A Redis with Sentinel that runs in the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native: Option<NativeRedis>,
    /// A Redis that exists already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalRedis>,
}

/// A Redis with Sentinel in the namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NativeRedis {
    /// Version, one of those listed in the controller configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Number of nodes; less than 3 counts as 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default = "super::default_replicas")]
    pub replicas: Option<i32>,
    /// Volumes of the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// Configuration texts, merged over the controller configuration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<RedisSettings>,
    /// The container `redis`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_container_template: Option<ContainerTemplate>,
    /// The container `sentinel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_container_template: Option<ContainerTemplate>,
    /// The container `metrics`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_container_template: Option<ContainerTemplate>,
    /// The init container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_container_template: Option<ContainerTemplate>,
    /// Fields of the pods.
    #[serde(flatten)]
    pub pod: PodTemplate,
}

/// Configuration texts of a native Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RedisSettings {
    /// For every Redis node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub redis: Option<String>,
    /// For the master only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub master: Option<String>,
    /// For replicas only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub replica: Option<String>,
    /// For the Sentinels.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub sentinel: Option<String>,
}

/// A Redis that exists already.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExternalRedis {
    /// Address, `host:port`; several separated by commas (the same one twice included) mean cluster mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Address of a Sentinel, `host:port`.
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

/// How clients find the master of an external Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RedisMode {
    /// It is the one address.
    Single,
    /// Sentinels are asked for it, by the name of the master.
    Sentinel,
    /// Two or more addresses: a Redis Cluster, whose nodes are asked.
    Cluster,
}

impl RedisMode {
    /// One word, for people and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        }
    }
}

impl ExternalRedis {
    /// How clients find the master, as Numaflow's client decides: by Sentinels where a master is named, else by the number of addresses, the same one
    /// twice included (go-redis, `NewUniversalClient`).
    pub fn mode(&self) -> RedisMode {
        if self.master_name.as_deref().is_some_and(|name| !name.is_empty()) {
            RedisMode::Sentinel
        } else if self.url.as_deref().is_some_and(|url| url.split(',').count() > 1) {
            RedisMode::Cluster
        } else {
            RedisMode::Single
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_addresses_mean_a_cluster_unless_a_master_is_named() {
        let external = |url: &str, master: Option<&str>| ExternalRedis {
            url: Some(url.to_owned()),
            master_name: master.map(str::to_owned),
            ..ExternalRedis::default()
        };
        assert_eq!(external("a:1", None).mode(), RedisMode::Single);
        assert_eq!(external("a:1", Some("")).mode(), RedisMode::Single);
        assert_eq!(external("a:1,a:1", None).mode(), RedisMode::Cluster);
        assert_eq!(external("a:1,b:1", Some("m")).mode(), RedisMode::Sentinel);
    }
}
