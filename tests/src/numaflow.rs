//! What Numaflow's own controller makes for a `JetStream` service: the observed objects (`fixtures/observed/default.yaml`) for another namespace, spec and
//! set of images, so that an account that plays that controller can write them on a real cluster.
//!
//! Where the observed service says nothing (tls, encryption, one server, volumes) the rest follows numaflow's
//! `pkg/reconciler/isbsvc/installer/jetstream.go` and `pkg/apis/numaflow/v1alpha1/jetstream_buffer_service.go`.

mod simulated;

use serde_json::{Value, json};

pub use simulated::simulated;

use crate::fixtures;

/// A service as Numaflow's controller would make it. Its name is `default`, as that of the observed one.
#[derive(Clone, Debug)]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// UID of the resource, which owns the objects.
    pub uid: String,
    /// Number of servers.
    pub replicas: i32,
    /// `spec.jetstream.tls`.
    pub tls: bool,
    /// `spec.jetstream.encryption`.
    pub encryption: bool,
    /// Size of the volumes, where there are any.
    pub volume: Option<String>,
    /// Images that the cluster has: NATS, reloader; the container of the exporter is left out, as the local cluster has no such image.
    pub images: Option<(String, String)>,
}

/// Passwords and keys, each as text.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// User and password for clients.
    pub client: (String, String),
    /// Password of user `sys`.
    pub system: String,
    /// Encryption key.
    pub encryption: String,
    /// Certificate, key and authority for clients.
    pub server: [String; 3],
    /// Certificate, key and authority for servers.
    pub cluster: [String; 3],
}

impl Service {
    /// The spec of the resource, as a person writes it.
    pub fn spec(&self) -> Value {
        let mut spec = json!({ "version": "latest", "replicas": self.replicas });
        for (field, on) in [("tls", self.tls), ("encryption", self.encryption)] {
            if on {
                spec[field] = json!(true);
            }
        }
        if let Some(size) = &self.volume {
            spec["persistence"] = json!({ "volumeSize": size });
        }
        json!({ "jetstream": spec })
    }

    /// The `StatefulSet`.
    pub fn stateful_set(&self) -> Value {
        let mut object = self.observed("StatefulSet", "isbsvc-default-js");
        object["spec"]["replicas"] = json!(self.replicas);
        let pod = &mut object["spec"]["template"]["spec"];
        if let (Some((server, reloader)), Some(containers)) = (&self.images, pod["containers"].as_array_mut()) {
            containers.retain(|container| container["name"] != "metrics");
            containers[0]["image"] = json!(server);
            containers[1]["image"] = json!(reloader);
        }
        if self.tls
            && let Some(items) = pod["volumes"][1]["projected"]["sources"][1]["secret"]["items"].as_array_mut()
        {
            items.extend(
                [
                    ("private-key", "server-key.pem"),
                    ("cert", "server-cert.pem"),
                    ("ca-cert", "ca-cert.pem"),
                    ("cluster-private-key", "cluster-server-key.pem"),
                    ("cluster-cert", "cluster-server-cert.pem"),
                    ("cluster-ca-cert", "cluster-ca-cert.pem"),
                ]
                .map(|(key, path)| json!({ "key": key, "path": path })),
            );
        }
        if let Some(size) = &self.volume {
            let name = "isbsvc-default-js-vol";
            if let Some(volumes) = pod["volumes"].as_array_mut() {
                volumes.retain(|volume| volume["name"] != "js-data");
            }
            pod["containers"][0]["volumeMounts"][2]["name"] = json!(name);
            object["spec"]["volumeClaimTemplates"] = json!([{
                "metadata": { "name": name },
                "spec": { "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem", "resources": { "requests": { "storage": size } } },
            }]);
        }
        object
    }

    /// The headless Service.
    pub fn service(&self) -> Value {
        self.observed("Service", "isbsvc-default-js-svc")
    }

    /// The `ConfigMap` with the servers' configuration.
    ///
    /// # Panics
    /// Where the fixture has no text.
    pub fn config_map(&self) -> Value {
        let mut object = self.observed("ConfigMap", "isbsvc-default-js-config");
        let text = object["data"]["nats-js"].as_str().unwrap_or_default().replace(".golden.svc", &format!(".{}.svc", self.namespace));
        let (before, rest) =
            text.split_once("###################################\n#                                 #\n# NATS Cluster").expect("a cluster");
        let (cluster, after) = rest.split_once("lame_duck_duration").expect("an end of the cluster");
        let cluster = if self.replicas < 3 { String::new() } else { self.cluster(cluster) };
        let heading = if cluster.is_empty() {
            ""
        } else {
            "###################################\n#                                 #\n# NATS Cluster"
        };
        let mut text = format!("{before}{heading}{cluster}lame_duck_duration{after}");
        if self.encryption {
            text = text.replace("jetstream {\n  \n", "jetstream {\n  key: $JS_KEY\n");
        }
        object["data"]["nats-js"] = json!(text);
        object
    }

    fn cluster(&self, text: &str) -> String {
        let (before, rest) = text.split_once("routes: [").expect("routes");
        let (_, after) = rest.split_once(']').expect("an end of the routes");
        let route = |ordinal| format!("nats://isbsvc-default-js-{ordinal}.isbsvc-default-js-svc.{}.svc:6222", self.namespace);
        let routes: Vec<_> = (0..self.replicas).map(route).collect();
        let after = if self.tls {
            after.replace("connect_retries: 120\n  \n", &format!("connect_retries: 120\n  {CLUSTER_TLS}\n"))
        } else {
            after.to_owned()
        };
        format!("{before}routes: [{}]{after}", routes.join(","))
    }

    /// The two Secrets: the servers', the clients'.
    pub fn secrets(&self, material: &Material) -> [Value; 2] {
        let quoted = |text: &str| json!(text).to_string();
        let (user, password, system) = (quoted(&material.client.0), quoted(&material.client.1), quoted(&material.system));
        let tls = if self.tls { CLIENT_TLS } else { "" };
        let auth = format!(
            "system_account: sys\n\naccounts: {{\n  \"js\": {{\n    \"jetstream\": true,\n    \"users\": [\n      {{\"user\": {user}, \"pass\": {password}}}\n    ]\n  }},\n  \
             \"sys\": {{\n    \"users\": [\n      {{\"user\": \"sys\", \"pass\": {system}}}\n    ]\n  }}\n}}\n{tls}"
        );
        let mut server = self.observed("Secret", "isbsvc-default-js-server");
        server["data"] = json!(null);
        let ([cert, key, authority], [cluster_cert, cluster_key, cluster_authority]) = (&material.server, &material.cluster);
        server["stringData"] = json!({
            "auth": auth,
            "encryption": material.encryption,
            "cert": cert,
            "private-key": key,
            "ca-cert": authority,
            "cluster-cert": cluster_cert,
            "cluster-private-key": cluster_key,
            "cluster-ca-cert": cluster_authority,
        });
        let mut client = self.observed("Secret", "isbsvc-default-js-client-auth");
        client["data"] = json!(null);
        client["stringData"] = json!({ "client-auth-user": material.client.0, "client-auth-password": material.client.1 });
        [server, client]
    }

    /// The status, once its controller calls the service healthy.
    pub fn status(&self) -> Value {
        let mut status = fixtures::observed("InterStepBufferService", "default")["status"].clone();
        status["conditions"][0] = json!({
            "type": "ChildrenResourcesHealthy",
            "status": "True",
            "reason": "Healthy",
            "message": "JetStream cluster is healthy",
            "lastTransitionTime": "2026-11-23T19:59:30Z",
        });
        if let Some(fields) = status.as_object_mut() {
            fields.remove("message");
        }
        let config = &mut status["config"]["jetstream"];
        config["url"] = json!(format!("nats://isbsvc-default-js-svc.{}.svc:4222", self.namespace));
        if self.tls {
            config["tlsEnabled"] = json!(true);
        }
        if self.replicas < 3 {
            // `procbucket` keeps its replicas.
            let text = config["streamConfig"].as_str().unwrap_or_default();
            let parts: Vec<_> = text.split("procbucket").collect();
            let (stream, process) =
                (parts[1].split_once("stream").unwrap_or_default().1, parts[1].split_once("stream").unwrap_or_default().0);
            let one = |text: &str| text.replace("replicas: 3", "replicas: 1");
            config["streamConfig"] = json!(format!("{}procbucket{process}stream{}", one(parts[0]), one(stream)));
        }
        status
    }

    fn observed(&self, kind: &str, name: &str) -> Value {
        let mut object = fixtures::observed(kind, name);
        object["metadata"]["namespace"] = json!(self.namespace);
        object["metadata"]["ownerReferences"][0]["uid"] = json!(self.uid);
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        object
    }
}

// Both with the indentation of their source, tabs included.
const CLUSTER_TLS: &str = "\n  tls {\n    cert_file: \"/etc/nats-config/cluster-server-cert.pem\"\n\tkey_file: \"/etc/nats-config/cluster-server-key.pem\"\n\tca_file: \"/etc/nats-config/cluster-ca-cert.pem\"\n  }\n";
const CLIENT_TLS: &str = "tls {\n  cert_file: \"/etc/nats-config/server-cert.pem\"\n  key_file: \"/etc/nats-config/server-key.pem\"\n  ca_file: \"/etc/nats-config/ca-cert.pem\"\n}";

#[cfg(test)]
mod tests {
    use super::*;

    fn service(replicas: i32) -> Service {
        Service {
            namespace: "golden".to_owned(),
            uid: "<uid>".to_owned(),
            replicas,
            tls: false,
            encryption: false,
            volume: None,
            images: None,
        }
    }

    #[test]
    fn the_observed_service_is_itself() {
        let same = service(3);
        for (ours, kind, name) in
            [(same.stateful_set(), "StatefulSet", "isbsvc-default-js"), (same.config_map(), "ConfigMap", "isbsvc-default-js-config")]
        {
            assert_eq!(ours, fixtures::observed(kind, name));
        }
        let mut observed = fixtures::observed("InterStepBufferService", "default")["status"].clone();
        observed["conditions"][0] = same.status()["conditions"][0].clone();
        observed.as_object_mut().expect("a status").remove("message");
        assert_eq!(same.status(), observed);
    }

    #[test]
    fn each_variant_differs_where_it_should() {
        let config = |service: &Service| service.config_map()["data"]["nats-js"].as_str().unwrap_or_default().to_owned();
        assert!(!config(&service(1)).contains("cluster"));
        assert!(config(&service(5)).contains("isbsvc-default-js-4."));
        assert!(config(&Service { encryption: true, ..service(1) }).contains("  key: $JS_KEY\n"));
        assert!(config(&Service { tls: true, ..service(3) }).contains("cluster-server-cert.pem"));
        assert_eq!(
            service(1).status()["config"]["jetstream"]["streamConfig"].as_str().unwrap_or_default().matches("replicas: 1").count(),
            2
        );
        let volumes = Service { volume: Some("1Gi".to_owned()), ..service(1) }.stateful_set();
        assert!(volumes["spec"]["volumeClaimTemplates"][0].is_object() && !volumes.to_string().contains("js-data"));
    }
}
