use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use super::InterStepBufferService;
use crate::limits;
use crate::rules::cel;

/// The resource's definition, as it is in `manifests/crd/`.
///
/// It holds the validation that has no level and no override: one type, a version, no change of type, ranges, enums and lengths. The descriptions of
/// Kubernetes' own types are left out, so that the definition stays below the 256 KiB that client-side apply can keep in an annotation.
pub fn crd() -> Value {
    let definition: CustomResourceDefinition = InterStepBufferService::crd();
    // The types come from k8s-openapi, and its values always serialise.
    let mut crd = serde_json::to_value(definition).unwrap_or_default();
    if let Some(schema) = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        if let Some(Value::Object(properties)) = schema.pointer_mut("/properties/spec/properties") {
            for (name, service) in properties {
                shorten(service, if name == "jetstream" { 1 } else { 2 });
            }
        }
        tidy(schema);
        if let Value::Object(root) = &mut *schema {
            root.insert("description".to_owned(), json!("Keeps the messages between the steps of Numaflow's pipelines."));
        }
        add_bounds(schema);
        add_validations(schema);
    }
    crd
}

/// Takes out descriptions deeper than our own fields.
fn shorten(schema: &mut Value, own_levels: usize) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for property in properties.values_mut() {
        if own_levels > 1 {
            shorten(property, own_levels - 1);
        } else {
            drop_descriptions(property);
        }
    }
}

fn drop_descriptions(schema: &mut Value) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            if let Value::Object(fields) = property {
                fields.remove("description");
            }
            drop_descriptions(property);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner @ Value::Object(_)) = schema.get_mut(key) {
            if let Value::Object(fields) = inner {
                fields.remove("description");
            }
            drop_descriptions(inner);
        }
    }
}

/// What Kubernetes' own definitions say and schemars cannot: quantities may be numbers, `name` of a reference may be left out, and a null means "not given"
/// and is dropped, as in Numaflow's definition.
fn tidy(schema: &mut Value) {
    if let Value::Object(fields) = schema {
        if fields.get("nullable") == Some(&Value::Bool(true)) {
            fields.remove("nullable");
            if let Some(Value::Array(words)) = fields.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
        }
        let is_selector =
            fields.get("properties").is_some_and(|properties| properties.get("key").is_some() && properties.get("optional").is_some());
        if is_selector && let Some(Value::Array(required)) = fields.get_mut("required") {
            required.retain(|name| name != "name");
        }
        if let Some(Value::Object(properties)) = fields.get_mut("properties") {
            for name in ["limits", "requests"] {
                if let Some(quantity) = properties.get_mut(name).and_then(|list| list.get_mut("additionalProperties")) {
                    *quantity = int_or_string();
                }
            }
            for name in ["divisor", "volumeSize"] {
                if let Some(quantity) = properties.get_mut(name) {
                    let description = quantity.get("description").cloned();
                    *quantity = int_or_string();
                    if let Some(description) = description {
                        quantity["description"] = description;
                    }
                }
            }
        }
        for value in fields.values_mut() {
            tidy(value);
        }
    }
}

fn int_or_string() -> Value {
    json!({ "anyOf": [{ "type": "integer" }, { "type": "string" }], "x-kubernetes-int-or-string": true })
}

/// Bounds on what has none of its own, for the cost of validation.
fn add_bounds(schema: &mut Value) {
    let spec = schema.pointer_mut("/properties/spec/properties");
    let Some(Value::Object(services)) = spec else { return };
    if let Some(Value::Object(args)) = services.get_mut("jetstream").and_then(|service| service.pointer_mut("/properties/startArgs")) {
        args.remove("maxLength");
        args.insert("maxItems".to_owned(), json!(64));
    }
    // 2 is left to the rule `replicas`, which says why; Redis counts less than 3 as 3.
    if let Some(replicas) = services.get_mut("jetstream").and_then(|service| service.pointer_mut("/properties/replicas")) {
        replicas["minimum"] = json!(1);
        replicas["maximum"] = json!(limits::SERVERS);
    }
    for service in services.values_mut() {
        bound_by_name(service);
    }
}

/// What Kubernetes itself takes in the fields that become part of its own objects; there, a wrong one would only show once pods are to be made.
fn bound_by_name(schema: &mut Value) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (name, property) in properties {
        match name.as_str() {
            "accessMode" => property["enum"] = json!(["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]),
            "imagePullPolicy" => property["enum"] = json!(["Always", "IfNotPresent", "Never"]),
            "dnsPolicy" => property["enum"] = json!(["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
            "initialDelaySeconds" => property["minimum"] = json!(0),
            "periodSeconds" | "timeoutSeconds" | "failureThreshold" | "successThreshold" => property["minimum"] = json!(1),
            _ => bound_by_name(property),
        }
    }
}

/// The rules that hold for everyone, always (`rules/cel.rs` says which).
fn add_validations(schema: &mut Value) {
    for validation in cel::definition() {
        for path in validation.fields {
            let mut pointer = "/properties/spec".to_owned();
            for part in *path {
                pointer = format!("{pointer}/properties/{part}");
            }
            if let Some(Value::Object(fields)) = schema.pointer_mut(&pointer)
                && let Value::Array(all) = fields.entry("x-kubernetes-validations").or_insert_with(|| json!([]))
            {
                all.push(json!({ "rule": validation.rule, "message": validation.message }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_small_enough_for_client_side_apply() {
        let size = serde_json::to_string(&crd()).expect("serialises").len();
        assert!(size < 200 * 1024, "{size} bytes");
    }

    #[test]
    fn a_quantity_may_be_a_number() {
        let crd = crd();
        let schema = |path: &str| {
            crd.pointer(&format!("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{path}")).cloned().unwrap_or_default()
        };
        for path in [
            "jetstream/properties/persistence/properties/volumeSize",
            "jetstream/properties/containerTemplate/properties/resources/properties/limits/additionalProperties",
        ] {
            assert_eq!(schema(path)["x-kubernetes-int-or-string"], json!(true), "{path}");
        }
        assert_eq!(schema("jetstream/properties/replicas")["default"], json!(3));
    }

    #[test]
    fn what_kubernetes_would_refuse_is_bounded() {
        let crd = crd();
        let schema = |path: &str| {
            crd.pointer(&format!("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{path}")).cloned().unwrap_or_default()
        };
        let replicas = schema("jetstream/properties/replicas");
        assert_eq!((&replicas["minimum"], &replicas["maximum"]), (&json!(1), &json!(9)));
        for service in ["jetstream", "redis/properties/native"] {
            assert_eq!(schema(&format!("{service}/properties/persistence/properties/accessMode/enum")).as_array().map(Vec::len), Some(4));
            assert_eq!(schema(&format!("{service}/properties/dnsPolicy/enum")).as_array().map(Vec::len), Some(4));
            let container = format!("{service}/properties/metricsContainerTemplate/properties");
            assert_eq!(schema(&format!("{container}/imagePullPolicy/enum")), json!(["Always", "IfNotPresent", "Never"]));
            assert_eq!(schema(&format!("{container}/livenessProbe/properties/initialDelaySeconds/minimum")), json!(0));
            for number in ["periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold"] {
                assert_eq!(schema(&format!("{container}/readinessProbe/properties/{number}/minimum")), json!(1), "{number}");
            }
        }
    }

    #[test]
    fn the_validations_are_there() {
        let crd = crd();
        let text = serde_json::to_string(&crd).expect("serialises");
        for rule in ["one-type", "type-change", "version-required"] {
            assert!(text.contains(rule), "{rule}");
        }
    }
}
