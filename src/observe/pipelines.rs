use kube::api::{ApiResource, DynamicObject};

use crate::api::names;
use crate::observed::PipelineUse;

/// Name of the service that a Pipeline uses when it names none (`spec.interStepBufferServiceName`).
const DEFAULT_SERVICE: &str = "default";

/// Numaflow's Pipelines. They are not ours: only the few fields that we need are read, and they may not be installed at all.
pub fn resource() -> ApiResource {
    ApiResource {
        group: names::GROUP.to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: names::API_VERSION.to_owned(),
        kind: "Pipeline".to_owned(),
        plural: "pipelines".to_owned(),
    }
}

/// A Pipeline as the controller keeps it: everything but its name and its service was thrown away.
#[cfg(feature = "controller")]
pub type Thin = DynamicObject;

/// The service that a Pipeline uses.
pub(super) fn service_of(pipeline: &DynamicObject) -> &str {
    pipeline.data["spec"]["interStepBufferServiceName"].as_str().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_SERVICE)
}

/// Those of the Pipelines that use the service, by name.
pub(super) fn uses<'a>(pipelines: impl IntoIterator<Item = &'a DynamicObject>, service: &str) -> Vec<PipelineUse> {
    let mut uses: Vec<_> = pipelines
        .into_iter()
        .filter(|pipeline| service_of(pipeline) == service)
        .map(|pipeline| PipelineUse {
            name: pipeline.metadata.name.clone().unwrap_or_default(),
            deleting: pipeline.metadata.deletion_timestamp.is_some(),
        })
        .collect();
    uses.sort_by(|one, other| one.name.cmp(&other.name));
    uses
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pipeline(name: &str, spec: &serde_json::Value) -> DynamicObject {
        DynamicObject::new(name, &resource()).data(json!({ "spec": spec }))
    }

    #[test]
    fn a_pipeline_that_names_no_service_uses_the_one_called_default() {
        let pipelines = [
            pipeline("b", &json!({})),
            pipeline("a", &json!({ "interStepBufferServiceName": "" })),
            pipeline("c", &json!({ "interStepBufferServiceName": "other" })),
        ];
        let names = |service| uses(&pipelines, service).into_iter().map(|one| one.name).collect::<Vec<_>>();
        assert_eq!(names("default"), ["a", "b"]);
        assert_eq!(names("other"), ["c"]);
    }
}
