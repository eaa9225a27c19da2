//! How a controller is set up: for one namespace with no right outside of it, and with a configuration that changes under it.

use std::path::Path;

use isbsvc_tests::cluster::{Cluster, Controller, MINUTE, eventually, service_of};
use serde_json::json;

/// `manifests/namespaced`, as its user applies it: Role and Deployment, nothing of the cluster.
#[test]
fn one_namespace_is_served_without_a_right_outside_of_it() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-namespaced");
    let name = namespace.name.as_str();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/namespaced");
    let manifests = cluster.kubectl(&["kustomize", &folder.display().to_string()]).ok();
    assert!(!manifests.contains("kind: ClusterRole") && !manifests.contains("kind: Namespace"), "{manifests}");
    // What the comment in the kustomization tells whoever runs a controller for the whole cluster as well.
    let manifests = manifests
        .replace("namespace: numaflow-system", &format!("namespace: {name}"))
        .replace("image: isbsvc-controller", "image: localhost/isbsvc-controller:dev")
        .replace("- --servers-via=pod-ip", &format!("- --servers-via=pod-ip\n        - --instance={name}"))
        .replace("- isbsvc-controller-lock", &format!("- isbsvc-controller-lock-{name}"));
    let config = Controller::configuration();
    let from = format!("--from-file=controller-config.yaml={}", config.display());
    namespace.kubectl(&["create", "configmap", "numaflow-controller-config", &from]).ok();
    namespace.kubectl_stdin(&["apply", "-f", "-"], &manifests).ok();
    namespace.apply(&service_of(name, "default", &json!({ "replicas": 1 }))).ok();
    namespace.healthy("default");
    let log = namespace.kubectl(&["logs", "deployment/isbsvc-controller"]).ok();
    assert!(!log.contains("panicked"), "{log}");
    namespace.kubectl(&["delete", "isbsvc", "default", "--timeout=60s"]).ok();
    let left =
        namespace.kubectl(&["get", "statefulset,pod,secret,configmap", "-l", "app.kubernetes.io/component=isbsvc", "-o", "name"]).ok();
    assert_eq!(left.trim(), "");
}

/// The controller follows its configuration without a restart: what a server reloads reaches the services that use it, and no server restarts.
#[test]
fn a_changed_configuration_is_followed_without_a_restart() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-reload");
    let text = std::fs::read_to_string(Controller::configuration()).unwrap_or_else(|error| panic!("{error}"));
    let file = std::env::temp_dir().join(format!("isbsvc-{}-reload.yaml", std::process::id()));
    let write = |text: &str| std::fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    write(&text);
    let _controller = Controller::start_with(&namespace, "one", &file, &["--namespace-scope", &namespace.name]);
    namespace.apply(&service_of(&namespace.name, "default", &json!({ "replicas": 1 }))).ok();
    namespace.apply(&service_of(&namespace.name, "own", &json!({ "replicas": 1, "settings": "max_payload: 3145728\n" }))).ok();
    namespace.healthy("default");
    namespace.healthy("own");
    let pod = |name: &str| namespace.get(&format!("pod/isbsvc-{name}-js-0"))["metadata"]["uid"].clone();
    let config = |name: &str| namespace.get(&format!("configmap/isbsvc-{name}-js-config"));
    let (pods, own) = ([pod("default"), pod("own")], config("own")["metadata"]["resourceVersion"].clone());

    assert!(text.contains("max_payload: 1048576"), "the configuration has the setting: {text}");
    write(&text.replace("max_payload: 1048576", "max_payload: 2097152"));
    eventually("the service goes by the new configuration", MINUTE, || {
        let text = config("default")["data"]["nats-js"].to_string();
        if text.contains("max_payload: 2097152") { Ok(()) } else { Err(text) }
    });
    eventually("its server has read it", 3 * MINUTE, || {
        let proxy = format!("/api/v1/namespaces/{}/pods/isbsvc-default-js-0:8222/proxy/varz", namespace.name);
        let varz = namespace.kubectl(&["get", "--raw", &proxy]).out;
        if varz.contains("\"max_payload\": 2097152") { Ok(()) } else { Err(varz.chars().take(600).collect()) }
    });
    assert_eq!([pod("default"), pod("own")], pods, "no server restarted");
    assert_eq!(config("own")["metadata"]["resourceVersion"], own, "a service with a setting of its own is left alone");
    let _ = std::fs::remove_file(&file);
}
