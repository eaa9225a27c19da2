//! What `manifests/` lets the controller and the webhook do is what the code asks for: no verb more, and none less.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

const FULL: [&str; 2] =
    [include_str!("../../manifests/controller/cluster-role.yaml"), include_str!("../../manifests/controller/role.yaml")];
const NAMESPACED: [&str; 1] = [include_str!("../../manifests/namespaced/role.yaml")];
const REVIEWS: [&str; 1] = [include_str!("../../manifests/webhook/cluster-role.yaml")];
const GUARD: [&str; 2] = [include_str!("../../manifests/guard/cluster-role.yaml"), include_str!("../../manifests/guard/role.yaml")];

/// Where the controller runs; or the webhook.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Full,
    Namespaced,
    Guard,
    Reviews,
}
use Mode::{Full, Guard, Namespaced, Reviews};

/// Every mode that looks after services.
const SERVICES: &[Mode] = &[Full, Namespaced];
/// Every mode whose webhook gets its configurations.
const WEBHOOK: &[Mode] = &[Full, Guard];
const EVERY: &[Mode] = &[Full, Namespaced, Guard];

/// A resource, verbs, the modes in which they are used, and the words in a file of ours that show the use.
type Use = (&'static str, &'static [&'static str], &'static [Mode], &'static str, &'static str);

const USED: &[Use] = &[
    ("numaflow.numaproj.io/interstepbufferservices", &["list", "watch"], SERVICES, "src/controller/watches.rs", "follow(names::PLURAL"),
    ("numaflow.numaproj.io/interstepbufferservices", &["patch"], SERVICES, "src/apply/execute.rs", "/metadata/finalizers"),
    ("numaflow.numaproj.io/interstepbufferservices/status", &["patch"], SERVICES, "src/apply/execute.rs", "patch_subresource(\"status\""),
    // No request: OwnerReferencesPermissionEnforcement asks for it where an owner reference blocks the owner's deletion.
    (
        "numaflow.numaproj.io/interstepbufferservices/finalizers",
        &["update"],
        SERVICES,
        "src/plan/jetstream/metadata.rs",
        "\"blockOwnerDeletion\": true",
    ),
    ("numaflow.numaproj.io/pipelines", &["list", "watch"], SERVICES, "src/controller/watches.rs", "follow(\"pipelines\""),
    (
        "apiextensions.k8s.io/customresourcedefinitions[interstepbufferservices.numaflow.numaproj.io]",
        &["list", "watch"],
        &[Full],
        "src/controller/watches.rs",
        "followed(enough, \"customresourcedefinitions\"",
    ),
    ("secrets", &["list", "watch"], SERVICES, "src/controller/watches.rs", "children(\"secrets\""),
    ("secrets", &["create", "patch"], SERVICES, "src/plan/jetstream/secrets.rs", "Action::Create { kind: ChildKind::Secret"),
    ("configmaps", &["list", "watch"], SERVICES, "src/controller/watches.rs", "children(\"configmaps\""),
    ("configmaps", &["create", "patch"], SERVICES, "src/plan/children.rs", "ChildKind::ConfigMap, built"),
    ("services", &["list", "watch"], SERVICES, "src/controller/watches.rs", "children(\"services\""),
    ("services", &["create", "patch"], SERVICES, "src/plan/children.rs", "ChildKind::Service, jetstream::service"),
    ("apps/statefulsets", &["list", "watch"], SERVICES, "src/controller/watches.rs", "children(\"statefulsets\""),
    ("apps/statefulsets", &["create", "patch"], SERVICES, "src/plan/children.rs", "ChildKind::StatefulSet, built"),
    ("apps/statefulsets", &["delete"], SERVICES, "src/plan/deletion.rs", "delete(ChildKind::StatefulSet"),
    ("policy/poddisruptionbudgets", &["list", "watch"], SERVICES, "src/controller/watches.rs", "follow(\"poddisruptionbudgets\""),
    ("policy/poddisruptionbudgets", &["create", "patch"], SERVICES, "src/plan/children.rs", "ChildKind::PodDisruptionBudget, object"),
    ("policy/poddisruptionbudgets", &["delete"], SERVICES, "src/plan/children.rs", "Action::Delete { kind: ChildKind::PodDisruptionBudget"),
    ("pods", &["list", "watch"], SERVICES, "src/controller/watches.rs", "children(\"pods\""),
    ("persistentvolumeclaims", &["list", "watch"], SERVICES, "src/controller/watches.rs", "children(\"persistentvolumeclaims\""),
    ("persistentvolumeclaims", &["delete"], SERVICES, "src/plan/deletion.rs", "delete(ChildKind::PersistentVolumeClaim"),
    // The policy; elsewhere it comes with all of the namespace.
    ("configmaps[isbsvc-policy]", &["list", "watch"], &[Guard], "src/controller/policy.rs", "follow(\"configmaps\""),
    ("events.k8s.io/events", &["create", "patch"], EVERY, "src/controller/events.rs", "Patch::Merge(&series)"),
    ("coordination.k8s.io/leases", &["create"], EVERY, "src/apply/lease.rs", "self.api.create("),
    ("coordination.k8s.io/leases[isbsvc-controller-lock]", &["get", "update"], EVERY, "src/apply/lease.rs", "self.api.replace("),
    ("secrets", &["create"], &[Guard], "src/controller/webhook/certificate.rs", "api.create("),
    ("secrets[isbsvc-webhook-tls]", &["list", "watch"], &[Guard], "src/controller/webhook.rs", "watch!(\"secrets\""),
    ("secrets[isbsvc-webhook-tls]", &["update"], EVERY, "src/controller/webhook/certificate.rs", "api.replace("),
    ("services[isbsvc-webhook]", &["list", "watch"], &[Guard], "src/controller/webhook.rs", "watch!(\"services\""),
    ("discovery.k8s.io/endpointslices", &["list", "watch"], WEBHOOK, "src/controller/webhook.rs", "watch!(\"endpointslices\""),
    ("namespaces", &["list", "watch"], &[Reviews], "webhook/src/cluster.rs", "Api<PartialObjectMeta<Namespace>> = Api::all("),
    ("numaflow.numaproj.io/pipelines", &["list", "watch"], &[Reviews], "webhook/src/cluster.rs", "Api<Pipeline> = Api::all("),
    ("authorization.k8s.io/subjectaccessreviews", &["create"], &[Reviews], "webhook/src/cluster/permission.rs", "api.create("),
    (
        "admissionregistration.k8s.io/mutatingwebhookconfigurations",
        &["create"],
        WEBHOOK,
        "src/controller/webhook/configurations.rs",
        "Patch::Apply(object)",
    ),
    (
        "admissionregistration.k8s.io/validatingwebhookconfigurations",
        &["create"],
        WEBHOOK,
        "src/controller/webhook/configurations.rs",
        "Patch::Apply(object)",
    ),
    (
        "admissionregistration.k8s.io/mutatingwebhookconfigurations[isbsvc-webhook]",
        &["list", "watch", "patch"],
        WEBHOOK,
        "src/controller/webhook.rs",
        "watch!(\"mutatingwebhookconfigurations\"",
    ),
    (
        "admissionregistration.k8s.io/validatingwebhookconfigurations[isbsvc-webhook]",
        &["list", "watch", "patch"],
        WEBHOOK,
        "src/controller/webhook.rs",
        "watch!(\"validatingwebhookconfigurations\"",
    ),
];

/// Every verb that the roles grant, as `verb group/resource[name]`.
fn granted(manifests: &[&str]) -> BTreeSet<String> {
    let strings =
        |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect() };
    let documents = manifests.iter().flat_map(|text| serde_saphyr::from_multiple::<Value>(text).expect("YAML"));
    let mut granted = BTreeSet::new();
    for rule in documents.flat_map(|document| document["rules"].as_array().cloned().unwrap_or_default()) {
        let names: Vec<_> = match strings(&rule["resourceNames"]) {
            names if names.is_empty() => vec![String::new()],
            names => names.iter().map(|name| format!("[{name}]")).collect(),
        };
        for group in strings(&rule["apiGroups"]) {
            for resource in strings(&rule["resources"]) {
                let resource = if group.is_empty() { resource } else { format!("{group}/{resource}") };
                for verb in strings(&rule["verbs"]) {
                    granted.extend(names.iter().map(|name| format!("{verb} {resource}{name}")));
                }
            }
        }
    }
    granted
}

#[test]
fn every_mode_is_granted_what_it_uses_and_nothing_else() {
    for (mode, manifests) in [(Full, &FULL[..]), (Namespaced, &NAMESPACED), (Guard, &GUARD), (Reviews, &REVIEWS)] {
        let used = USED.iter().filter(|(_, _, modes, ..)| modes.contains(&mode));
        let used: BTreeSet<_> = used.flat_map(|(resource, verbs, ..)| verbs.iter().map(move |verb| format!("{verb} {resource}"))).collect();
        let granted = granted(manifests);
        let too_much: Vec<_> = granted.difference(&used).collect();
        let too_little: Vec<_> = used.difference(&granted).collect();
        assert!(too_much.is_empty() && too_little.is_empty(), "{manifests:?}\ntoo much: {too_much:?}\ntoo little: {too_little:?}");
    }
}

/// A use that went away takes its line here with it, and then its verb.
#[test]
fn every_use_is_in_the_code() {
    for (resource, verbs, _, file, words) in USED {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).expect("a file of ours");
        assert!(text.contains(words), "{verbs:?} {resource}: {file} holds no {words:?}");
    }
}
