//! The parts of Numaflow's Pipeline that are read. The type is Numaflow's, and may not be installed at all.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::names;

/// Name of the service that a Pipeline uses when it names none (`spec.interStepBufferServiceName`).
const DEFAULT_SERVICE: &str = "default";

/// The service that a Pipeline uses, by what its `spec.interStepBufferServiceName` says.
pub fn service_of_pipeline(named: Option<&str>) -> &str {
    named.filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SERVICE)
}

/// A Pipeline of which everything but its name, its service and its end is thrown away while it is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Pipeline {
    /// Namespace, name, and what a watch needs.
    #[serde(deserialize_with = "few")]
    pub metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
}

/// One that cannot be read names no service, and breaks no watch.
#[derive(Clone, Debug, Default, PartialEq)]
struct Spec {
    service: Option<Box<str>>,
}

impl Pipeline {
    /// The service that it uses.
    pub fn service(&self) -> &str {
        service_of_pipeline(self.spec.service.as_deref())
    }
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any {
            Fields {
                #[serde(rename = "interStepBufferServiceName")]
                service: Option<Value>,
            },
            Other(serde::de::IgnoredAny),
        }
        Ok(match Any::deserialize(deserializer)? {
            Any::Fields { service: Some(Value::String(name)) } => Self { service: Some(name.into()) },
            Any::Fields { .. } | Any::Other(_) => Self::default(),
        })
    }
}

/// Reads the few fields of `metadata` that a watch and a rule need; labels, annotations and who wrote what may be large.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Few {
        name: Option<String>,
        namespace: Option<String>,
        resource_version: Option<String>,
        deletion_timestamp: Option<Time>,
    }
    let Few { name, namespace, resource_version, deletion_timestamp } = Few::deserialize(deserializer)?;
    Ok(ObjectMeta { name, namespace, resource_version, deletion_timestamp, ..ObjectMeta::default() })
}

impl Resource for Pipeline {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pipeline".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        names::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1alpha1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pipelines".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pipeline_keeps_its_name_its_service_and_its_end_and_nothing_else() {
        let read = |spec: Value| -> Pipeline {
            serde_json::from_value(json!({
                "apiVersion": "numaflow.numaproj.io/v1alpha1", "kind": "Pipeline",
                "metadata": {
                    "name": "orders", "namespace": "ns", "resourceVersion": "7", "deletionTimestamp": "2026-01-01T00:00:00Z",
                    "labels": { "a": "b" }, "annotations": { "a": "b" }, "managedFields": [{ "manager": "m" }],
                },
                "spec": spec, "status": { "phase": "Running" },
            }))
            .expect("a Pipeline")
        };
        let pipeline = read(json!({ "interStepBufferServiceName": "other", "vertices": [{ "name": "in" }] }));
        assert_eq!(pipeline.service(), "other");
        let metadata = serde_json::to_value(&pipeline.metadata).expect("metadata");
        assert_eq!(
            metadata,
            json!({ "name": "orders", "namespace": "ns", "resourceVersion": "7", "deletionTimestamp": "2026-01-01T00:00:00Z" })
        );
        for unnamed in
            [json!({}), json!({ "interStepBufferServiceName": "" }), json!({ "interStepBufferServiceName": 3 }), json!(3), json!(null)]
        {
            assert_eq!(read(unnamed.clone()).service(), "default", "{unnamed}");
        }
    }
}
