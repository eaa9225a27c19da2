//! Names, labels, annotations, ports and keys of everything that is made for a service.
//!
//! They are Numaflow's own, so that a running service can be taken over and every reader (pipeline controller, UI, Numaplane) goes on working.

use std::collections::BTreeMap;

/// API group of the resource.
pub const GROUP: &str = "numaflow.numaproj.io";
/// API version of the resource.
pub const API_VERSION: &str = "numaflow.numaproj.io/v1alpha1";
/// Kind of the resource.
pub const KIND: &str = "InterStepBufferService";
/// Name of the resource in URLs and RBAC.
pub const PLURAL: &str = "interstepbufferservices";

/// Finalizer that holds a service until nothing needs it any more.
pub const FINALIZER: &str = "numaflow.numaproj.io/isbsvc-controller";
/// Finalizer of early Numaflow releases; removed together with ours.
pub const LEGACY_FINALIZER: &str = "isbsvc-controller";
/// Annotation that selects the controller instance.
pub const INSTANCE_ANNOTATION: &str = "numaflow.numaproj.io/instance";
/// Annotation of a service that we shall leave alone for now.
pub const PAUSED_ANNOTATION: &str = "numaflow.numaproj.io/paused";
/// Annotation of a service by which a person overrides rules, each for one target: `replicas-shrink=3`, several separated by commas. Never written by us.
pub const OVERRIDE_ANNOTATION: &str = "numaflow.numaproj.io/override";
/// Annotation of a service that the webhook writes: which overrides it accepted, from somebody who may, and for which generation, as JSON.
pub const OVERRIDDEN_ANNOTATION: &str = "numaflow.numaproj.io/overridden";
/// Annotation of a service whose volumes outlive it.
pub const KEEP_VOLUMES_ANNOTATION: &str = "numaflow.numaproj.io/keep-volumes";
/// Annotation of the `StatefulSet`, and of the `ConfigMap` and the servers' Secret in case the former is deleted: the last spec that was accepted, as
/// JSON (law *refuse-without-harm*).
pub const ACCEPTED_SPEC_ANNOTATION: &str = "numaflow.numaproj.io/accepted-spec";
/// Annotation beside [`ACCEPTED_SPEC_ANNOTATION`]: the controller instance that accepted it, empty for the one without a name. Another one leaves the
/// service alone, whatever its [`INSTANCE_ANNOTATION`] says by then.
pub const ACCEPTED_INSTANCE_ANNOTATION: &str = "numaflow.numaproj.io/accepted-instance";

/// Annotation beside [`ACCEPTED_SPEC_ANNOTATION`]: what runs by that spec, as JSON, so that only a change of the user's moves it.
pub const BASELINE_ANNOTATION: &str = "numaflow.numaproj.io/baseline";
/// Annotation of every object but Secrets: the digest by which Numaflow's controller sees whether it has something to write. One that it wrote stays,
/// so that it goes on seeing nothing to do, during a handover and back.
pub const HASH_ANNOTATION: &str = "numaflow.numaproj.io/hash";
/// Annotation beside [`HASH_ANNOTATION`]: the digest of what we want, so that a field that we no longer want is noticed as well.
pub const DESIRED_HASH_ANNOTATION: &str = "numaflow.numaproj.io/desired-hash";

/// Annotation of the `StatefulSet`: when the servers were first found to agree on a leader (RFC 3339). From then on a quorum of ready pods is enough for
/// the condition (law *honest-health*).
pub const FIRST_HEALTHY_ANNOTATION: &str = "numaflow.numaproj.io/first-healthy";
/// Annotation of the `StatefulSet`: when Kubernetes was last reminded of a pod that is missing (RFC 3339).
pub const PODS_MISSING_ANNOTATION: &str = "numaflow.numaproj.io/pods-missing";
/// On a disruption budget: since when a server does not hold everything, so that none may be evicted.
pub const NOT_CURRENT_SINCE_ANNOTATION: &str = "numaflow.numaproj.io/not-current-since";

/// Label with the service's name.
pub const NAME_LABEL: &str = "numaflow.numaproj.io/isbsvc-name";
/// Label with the service's type.
pub const TYPE_LABEL: &str = "numaflow.numaproj.io/isbsvc-type";
/// Label that says what an object is part of.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Value of [`COMPONENT_LABEL`] on everything of ours.
pub const COMPONENT: &str = "isbsvc";

/// Field manager of what Numaflow's own controller writes: the name of its program.
pub const NUMAFLOW_MANAGER: &str = "numaflow";
/// Field manager of the status, as its readers know it.
pub const STATUS_MANAGER: &str = "numaflow";
/// Field manager of the objects that we make.
pub const CHILDREN_MANAGER: &str = "isbsvc-controller";

/// NATS clients connect here.
pub const CLIENT_PORT: u16 = 4222;
/// NATS servers connect to one another here.
pub const CLUSTER_PORT: u16 = 6222;
/// NATS servers tell how they are here, in plain HTTP.
pub const MONITOR_PORT: u16 = 8222;
/// The Prometheus exporter listens here.
pub const METRICS_PORT: u16 = 7777;

/// Variables that the servers' configuration needs, and nobody may replace. `GOMEMLIMIT` is not among them: one of the user's own takes the place of ours.
pub const SERVER_VARIABLES: [&str; 5] = ["POD_NAME", "SERVER_NAME", "POD_NAMESPACE", "CLUSTER_ADVERTISE", "JS_KEY"];

/// Key of the server's configuration in the `ConfigMap`.
pub const CONFIG_KEY: &str = "nats-js";
/// Keys of the server Secret.
pub mod server_secret_key {
    /// Accounts and users, as NATS configuration.
    pub const AUTH: &str = "auth";
    /// Encryption key.
    pub const ENCRYPTION: &str = "encryption";
    /// Key of the certificate for clients.
    pub const PRIVATE_KEY: &str = "private-key";
    /// Certificate for clients.
    pub const CERT: &str = "cert";
    /// Authority of the certificate for clients.
    pub const CA_CERT: &str = "ca-cert";
    /// Key of the certificate for servers.
    pub const CLUSTER_PRIVATE_KEY: &str = "cluster-private-key";
    /// Certificate for servers.
    pub const CLUSTER_CERT: &str = "cluster-cert";
    /// Authority of the certificate for servers.
    pub const CLUSTER_CA_CERT: &str = "cluster-ca-cert";
}
/// Key of the user in the client Secret.
pub const CLIENT_USER_KEY: &str = "client-auth-user";
/// Key of the password in the client Secret.
pub const CLIENT_PASSWORD_KEY: &str = "client-auth-password";

/// Name of the `StatefulSet` of a `JetStream` service, and of its disruption budget.
pub fn stateful_set(service: &str) -> String {
    format!("isbsvc-{service}-js")
}
/// Name of the headless Service.
pub fn service(service: &str) -> String {
    format!("isbsvc-{service}-js-svc")
}
/// Name of the `ConfigMap`.
pub fn config_map(service: &str) -> String {
    format!("isbsvc-{service}-js-config")
}
/// Name of the Secret that the servers read.
pub fn server_secret(service: &str) -> String {
    format!("isbsvc-{service}-js-server")
}
/// Name of the Secret that clients read.
pub fn client_secret(service: &str) -> String {
    format!("isbsvc-{service}-js-client-auth")
}
/// Name of the volume claim template.
pub fn claim_template(service: &str) -> String {
    format!("isbsvc-{service}-js-vol")
}
/// Name of the pod with this ordinal, which is its server name as well.
pub fn pod(service: &str, ordinal: i32) -> String {
    format!("isbsvc-{service}-js-{ordinal}")
}
/// Name of the volume claim of the pod with this ordinal.
pub fn claim(service: &str, ordinal: i32) -> String {
    format!("isbsvc-{service}-js-vol-isbsvc-{service}-js-{ordinal}")
}

/// The five labels on every object; they are the selector of `StatefulSet` and Service as well, and cannot change.
pub fn labels(service: &str, service_type: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/part-of", "numaflow"),
        ("app.kubernetes.io/managed-by", "isbsvc-controller"),
        (COMPONENT_LABEL, COMPONENT),
        (NAME_LABEL, service),
        (TYPE_LABEL, service_type),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}
