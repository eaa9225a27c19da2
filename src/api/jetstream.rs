use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ContainerTemplate, DEFAULT_ACCESS_MODE, DEFAULT_REPLICAS, DEFAULT_VOLUME_SIZE, PodTemplate};

/// An inter-step buffer service on NATS `JetStream`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JetStreamBufferService {
    /// Version, one of those listed in the controller configuration. Required; use a fixed one, not `latest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Number of servers: 1, or from 3 to 9, best an odd number: one more tolerates no more losses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(default = "super::default_replicas")]
    pub replicas: Option<i32>,
    /// Volumes for the servers; without it, messages live and die with the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// NATS settings `max_payload`, `max_memory_store`, `max_file_store`, merged over the controller configuration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub settings: Option<String>,
    /// Properties of the streams, consumers and buckets to be created, as YAML, merged over the controller configuration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub buffer_config: Option<String>,
    /// Encryption at rest. Cannot be toggled on a running service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<bool>,
    /// TLS between servers, and from clients to servers. Cannot be toggled on a running service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// Further arguments of `nats-server`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub start_args: Option<Vec<String>>,
    /// The container `main`: the NATS server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_template: Option<ContainerTemplate>,
    /// The container `reloader`: tells the server when its configuration changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reloader_container_template: Option<ContainerTemplate>,
    /// The container `metrics`: the Prometheus exporter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_container_template: Option<ContainerTemplate>,
    /// Fields of the pods.
    #[serde(flatten)]
    pub pod: PodTemplate,
}

impl JetStreamBufferService {
    /// Servers that run: what was asked for, 3 where nothing was, and 2 counted as 3 as Numaflow does (two servers have no more quorum than one).
    pub fn server_count(&self) -> i32 {
        match self.replicas.unwrap_or(DEFAULT_REPLICAS) {
            2 => 3,
            count => count,
        }
    }

    /// Whether messages are encrypted at rest.
    pub fn encrypted(&self) -> bool {
        self.encryption.unwrap_or(false)
    }

    /// Whether servers and clients speak TLS.
    pub fn tls_enabled(&self) -> bool {
        self.tls.unwrap_or(false)
    }
}

/// Volumes of the servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Persistence {
    /// Storage class; the cluster's default class where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// `ReadWriteOnce` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_mode: Option<String>,
    /// Size of each server's volume, `20Gi` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_size: Option<Quantity>,
}

impl Persistence {
    /// The access mode that holds.
    pub fn access_mode(&self) -> &str {
        self.access_mode.as_deref().unwrap_or(DEFAULT_ACCESS_MODE)
    }

    /// The size that holds, as a Kubernetes quantity.
    pub fn volume_size(&self) -> String {
        self.volume_size.as_ref().map_or(DEFAULT_VOLUME_SIZE, |size| size.0.as_str()).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_size_may_be_any_number_that_the_definition_takes_and_stays_the_same() {
        for (written, size) in [
            (json!(10), "10"),
            (json!(2_147_483_648_i64), "2147483648"),
            (json!(21_474_836_480_i64), "21474836480"),
            (json!(i64::MAX), "9223372036854775807"),
            (json!(-1), "-1"),
            (json!("20Gi"), "20Gi"),
        ] {
            let read = |value: serde_json::Value| serde_json::from_value::<Persistence>(json!({ "volumeSize": value }));
            let once = read(written.clone()).expect("a size");
            assert_eq!(once.volume_size(), size);
            // What is kept as the accepted spec is read again.
            assert_eq!(read(json!(once)["volumeSize"].clone()).expect("a size"), once, "{written}");
        }
    }
}
