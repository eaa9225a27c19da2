//! What is installed fits what runs.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use isbsvc::api::names;
use isbsvc::limits;
use isbsvc::rules::Policy;
use isbsvc_certs::rotation::key;
use serde_json::{Value, json};

const MUTATING: &str = include_str!("../../manifests/webhook/configurations/mutating.yaml");
const VALIDATING: &str = include_str!("../../manifests/webhook/configurations/validating.yaml");
const DEPLOYMENT: &str = include_str!("../../manifests/webhook/deployment.yaml");

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn both_configurations_ask_about_the_same_and_differ_only_in_what_a_failure_means() {
    let (mutating, validating) = (yaml(MUTATING), yaml(VALIDATING));
    for (configuration, path, failure) in [(&mutating, "/mutate", "Ignore"), (&validating, "/validate", "Fail")] {
        assert_eq!(configuration["metadata"]["name"], "isbsvc-webhook");
        let webhook = &configuration["webhooks"][0];
        let service = json!({ "namespace": "numaflow-system", "name": "isbsvc-webhook", "path": path, "port": 443 });
        assert_eq!(webhook["clientConfig"], json!({ "caBundle": "", "service": service }));
        assert_eq!(webhook["failurePolicy"], failure);
        assert_eq!((&webhook["sideEffects"], &webhook["timeoutSeconds"]), (&json!("None"), &json!(5)));
        let rule = json!({
            "apiGroups": [names::GROUP], "apiVersions": ["v1alpha1"], "resources": [names::PLURAL], "operations": ["CREATE", "UPDATE"], "scope": "Namespaced",
        });
        assert_eq!(webhook["rules"], json!([rule]));
        let conditions = webhook["matchConditions"].as_array().unwrap();
        for annotation in [names::INSTANCE_ANNOTATION, names::OVERRIDE_ANNOTATION, names::OVERRIDDEN_ANNOTATION] {
            let quoted = format!("'{annotation}'");
            assert!(conditions.iter().any(|condition| condition["expression"].as_str().unwrap().contains(&quoted)), "{annotation}");
        }
    }
    for same in ["matchConditions", "namespaceSelector", "rules", "matchPolicy"] {
        assert_eq!(mutating["webhooks"][0][same], validating["webhooks"][0][same], "{same}");
    }
}

/// A cluster without a webhook is asked about the same requests.
#[test]
fn the_policies_are_asked_when_the_webhook_is() {
    let conditions = |conditions: &Value| {
        let words = |text: &Value| text.as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        let conditions = conditions.as_array().unwrap().iter();
        conditions.map(|condition| (words(&condition["name"]), words(&condition["expression"]))).collect::<Vec<_>>()
    };
    let webhook = &yaml(VALIDATING)["webhooks"][0];
    for manifest in isbsvc::rules::cel::manifests() {
        let spec = &manifest.object["spec"];
        let (asked, ours) = (conditions(&spec["matchConditions"]), conditions(&webhook["matchConditions"]));
        let (mut rules, mut expected) = (spec["matchConstraints"]["resourceRules"].clone(), webhook["rules"].clone());
        if manifest.path == "override/policy.yaml" {
            // Less often: of changes that name an override.
            assert_eq!((asked.len(), &asked[..ours.len()]), (ours.len() + 1, ours.as_slice()));
            assert_eq!(rules[0]["operations"].take(), json!(["UPDATE"]));
            expected[0]["operations"].take();
        } else {
            assert_eq!(asked, ours, "{}", manifest.path);
        }
        assert_eq!(rules, expected, "{}", manifest.path);
    }
}

/// The finalizer guards a deletion as well, so a webhook that is down holds none.
#[test]
fn deletions_have_an_entry_of_their_own_that_fails_open() {
    let validating = yaml(VALIDATING);
    let [check, in_use] = validating["webhooks"].as_array().unwrap().as_slice() else { panic!("two entries") };
    assert_eq!(yaml(MUTATING)["webhooks"].as_array().unwrap().len(), 1, "a patch of what goes would be an error");
    assert_eq!(in_use["name"], "in-use.isbsvc.numaflow.numaproj.io");
    assert_eq!((&in_use["failurePolicy"], &in_use["sideEffects"]), (&json!("Ignore"), &json!("None")));
    assert!(in_use["timeoutSeconds"].as_u64() < check["timeoutSeconds"].as_u64());
    let mut rule = check["rules"][0].clone();
    rule["operations"] = json!(["DELETE"]);
    assert_eq!(in_use["rules"], json!([rule]));
    for same in ["clientConfig", "namespaceSelector", "matchPolicy", "admissionReviewVersions"] {
        assert_eq!(in_use[same], check[same], "{same}");
    }
    assert!(in_use.get("matchConditions").is_none());
}

/// A question about permissions is asked once in each step of a change, and leaves more than half of its time for the rest.
#[test]
fn questions_about_permissions_fit_into_the_time_of_a_review() {
    for configuration in [yaml(MUTATING), yaml(VALIDATING)] {
        let seconds = configuration["webhooks"][0]["timeoutSeconds"].as_u64().unwrap();
        assert!(limits::ACCESS_REVIEW * 2 + limits::REVIEW_MARGIN < std::time::Duration::from_secs(seconds));
    }
}

/// The token of a pod is worth what its role grants, and only the flag that needs it asks for it.
#[test]
fn a_pod_has_a_token_because_it_asks_the_api_server_and_a_way_to_it() {
    let pod = &yaml(DEPLOYMENT)["spec"]["template"]["spec"];
    let args = pod["containers"][0]["args"].as_array().unwrap();
    assert_eq!((args.contains(&json!("--cluster")), &pod["automountServiceAccountToken"]), (true, &json!(true)));
    let account = yaml(include_str!("../../manifests/webhook/serviceaccount.yaml"));
    assert_eq!(account["automountServiceAccountToken"], json!(false), "nobody else gets one");
    let policy = yaml(include_str!("../../manifests/webhook/network-policy.yaml"));
    assert_eq!(policy["spec"]["egress"], json!([{ "ports": [{ "port": 443 }, { "port": 6443 }] }]));
}

#[test]
fn a_pod_has_time_for_its_goodbye_and_never_sees_the_key_of_the_authority() {
    let deployment = yaml(DEPLOYMENT);
    let pod = &deployment["spec"]["template"]["spec"];
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > (limits::DRAIN_NOTICE + limits::DRAIN).as_secs());
    let tls = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "tls").unwrap();
    assert_eq!((&tls["secret"]["secretName"], &tls["secret"]["optional"]), (&json!("isbsvc-webhook-tls"), &json!(true)));
    let keys: Vec<_> = tls["secret"]["items"].as_array().unwrap().iter().map(|item| item["key"].as_str().unwrap()).collect();
    assert_eq!(keys, [key::LEAF, key::LEAF_KEY]);
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().all(|mount| mount.get("subPath").is_none()), "kubelet would never update it");
}

/// What Pod Security `restricted` asks, and a root file system that cannot be written beyond it.
#[test]
fn a_pod_can_do_nothing_but_serve_and_is_reached_by_its_two_ports_alone() {
    let pod = &yaml(DEPLOYMENT)["spec"]["template"]["spec"];
    let security = &pod["securityContext"];
    assert_eq!((&security["runAsNonRoot"], &security["seccompProfile"]), (&json!(true), &json!({ "type": "RuntimeDefault" })));
    assert!(security["runAsUser"].as_u64().unwrap() >= 1000);
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod.get(shared).is_none(), "{shared}");
    }
    let containers = pod["containers"].as_array().unwrap();
    assert!(containers.len() == 1 && pod.get("initContainers").is_none());
    let container = &containers[0];
    let expected = json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } });
    assert_eq!(container["securityContext"], expected);
    assert!(container["volumeMounts"].as_array().unwrap().iter().all(|mount| mount["readOnly"] == true));
    assert!(pod["volumes"].as_array().unwrap().iter().all(|volume| volume.get("secret").or(volume.get("configMap")).is_some()));
    let policy = yaml(include_str!("../../manifests/webhook/network-policy.yaml"));
    let ports = container["ports"].as_array().unwrap().iter();
    let ports: Vec<_> =
        ports.inspect(|port| assert!(port["containerPort"].as_u64().unwrap() > 1024)).map(|port| json!({ "port": port["name"] })).collect();
    assert_eq!(policy["spec"]["ingress"], json!([{ "ports": ports }]));
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    let namespace = yaml(include_str!("../../manifests/namespace.yaml"));
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
}

/// The `ConfigMap` may come later, and what it holds under another name is seen to be there.
#[test]
fn the_policy_is_mounted_whole_and_read_where_it_is_mounted() {
    let deployment = yaml(DEPLOYMENT);
    let pod = &deployment["spec"]["template"]["spec"];
    let volume = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "policy").unwrap();
    assert_eq!(volume["configMap"], json!({ "name": Policy::CONFIG_MAP, "optional": true }));
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["name"] == "policy").unwrap();
    let argument = format!("--policy={}/{}", mount["mountPath"].as_str().unwrap(), Policy::KEY);
    assert!(pod["containers"][0]["args"].as_array().unwrap().contains(&json!(argument)), "{argument}");
}

/// What the controller goes by is written by whoever may, wherever that is.
#[test]
fn the_record_of_an_override_is_guarded_by_the_verb_that_the_role_grants() {
    let policy = yaml(include_str!("../../manifests/override/policy.yaml"));
    let spec = &policy["spec"];
    assert_eq!((&spec["failurePolicy"], spec["matchConstraints"].get("namespaceSelector")), (&json!("Fail"), None));
    let condition = spec["matchConditions"][0]["expression"].as_str().unwrap();
    assert_eq!(condition.matches(&format!("'{}'", names::OVERRIDDEN_ANNOTATION)).count(), 4);
    let asked = format!(
        "authorizer.group('{}').resource('{}').namespace(request.namespace).name(request.name).check('{}').allowed()",
        names::GROUP,
        names::PLURAL,
        isbsvc::rules::overrides::VERB
    );
    assert_eq!(spec["validations"][0]["expression"], asked);
    let binding = yaml(include_str!("../../manifests/override/binding.yaml"));
    assert_eq!(binding["spec"], json!({ "policyName": policy["metadata"]["name"], "validationActions": ["Deny"] }));
    let granted = yaml(include_str!("../../manifests/webhook/override-role.yaml"));
    let rule = json!({ "apiGroups": [names::GROUP], "resources": [names::PLURAL], "verbs": [isbsvc::rules::overrides::VERB] });
    assert_eq!(granted["rules"], json!([rule]));
}

/// Numaflow lives in the namespace too: installing must not change it, and `kubectl delete -k` must not take it away.
#[test]
fn no_kustomization_holds_a_namespace() {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests");
    let mut folders = vec![manifests.clone()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path != manifests.join("namespace.yaml") {
                let text = fs::read_to_string(&path).unwrap();
                assert!(!text.contains("kind: Namespace\n"), "{}", path.display());
                assert!(!text.contains("namespace.yaml\n"), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "all manifests were read");
    assert_eq!(yaml(include_str!("../../manifests/namespace.yaml"))["kind"], "Namespace");
}
