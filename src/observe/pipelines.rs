use kube::api::{ApiResource, DynamicObject};

use crate::api::{names, service_of_pipeline};
use crate::observed::{self, PipelineUse};

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
fn service_of(pipeline: &DynamicObject) -> &str {
    service_of_pipeline(pipeline.data["spec"]["interStepBufferServiceName"].as_str())
}

/// Those of the Pipelines that use the service, by name.
pub(super) fn uses<'a>(pipelines: impl IntoIterator<Item = &'a DynamicObject>, service: &str) -> Vec<PipelineUse> {
    observed::uses(pipelines.into_iter().map(|pipeline| (&pipeline.metadata, service_of(pipeline))), service)
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
