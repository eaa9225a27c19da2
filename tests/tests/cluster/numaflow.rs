use isbsvc_certs::issue::{LeafRequest, Usage, authority};
use isbsvc_tests::cluster::{MINUTE, Namespace, Said, eventually};
use isbsvc_tests::numaflow::{Material, Service};
use serde_json::{Value, json};

/// An account that plays Numaflow's own controller, installed for one namespace: it may write everything in it, and does so by plain create and update.
pub struct Numaflow<'a> {
    namespace: &'a Namespace<'a>,
    account: String,
}

/// What is not as usual with a service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Variant {
    pub replicas: i32,
    pub tls: bool,
    pub encryption: bool,
    pub volumes: bool,
}

/// The field manager: Go clients give the name of their program.
const MANAGER: &str = "--field-manager=numaflow";

impl<'a> Numaflow<'a> {
    /// With its rights.
    pub fn start(namespace: &'a Namespace<'a>) -> Self {
        let account = format!("{}:numaflow-sa", namespace.name);
        namespace
            .kubectl(&["create", "rolebinding", "numaflow", "--clusterrole=cluster-admin", &format!("--serviceaccount={account}")])
            .ok();
        Self { namespace, account: format!("system:serviceaccount:{account}") }
    }

    /// kubectl as that account.
    pub fn kubectl(&self, arguments: &[&str]) -> Said {
        self.namespace.kubectl(&[&["--as", &self.account], arguments].concat())
    }

    fn send(&self, verb: &[&str], object: &Value) -> Said {
        self.namespace.kubectl_stdin(&[&["--as", &self.account], verb, &[MANAGER, "-f", "-"]].concat(), &object.to_string())
    }

    /// Writes a new object.
    pub fn create(&self, object: &Value) -> Said {
        self.send(&["create"], object)
    }

    /// Writes an object over the one that is there.
    pub fn replace(&self, object: &Value) -> Said {
        self.send(&["replace"], object)
    }

    /// A person makes the service, with these annotations, and its controller all objects of it. It says nothing yet.
    pub fn make(&self, variant: Variant, annotations: &Value) -> Service {
        let service = Service {
            namespace: self.namespace.name.clone(),
            uid: String::new(),
            replicas: variant.replicas,
            tls: variant.tls,
            encryption: variant.encryption,
            volume: variant.volumes.then(|| "1Gi".to_owned()),
            images: Some(("localhost/nats:2.12.7".to_owned(), "localhost/nats-server-config-reloader:0.22.4".to_owned())),
        };
        let resource = json!({
            "apiVersion": "numaflow.numaproj.io/v1alpha1",
            "kind": "InterStepBufferService",
            "metadata": { "name": "default", "annotations": annotations },
            "spec": service.spec(),
        });
        self.namespace.apply(&resource.to_string()).ok();
        let made = self.namespace.get("isbsvc/default");
        let service = Service { uid: made["metadata"]["uid"].as_str().unwrap_or_default().to_owned(), ..service };
        let finalizer = json!({ "metadata": { "finalizers": ["numaflow.numaproj.io/isbsvc-controller"] } }).to_string();
        self.kubectl(&["patch", "isbsvc", "default", "--type=merge", MANAGER, "-p", &finalizer]).ok();
        let [server, client] = service.secrets(&material(&self.namespace.name));
        for object in [server, client, service.config_map(), service.service(), service.stateful_set()] {
            self.create(&object).ok();
        }
        service
    }

    /// Waits for the pods, and says that the service is healthy.
    #[track_caller]
    pub fn healthy(&self, service: &Service) {
        eventually(&format!("the servers of {} are ready", service.namespace), 3 * MINUTE, || {
            let status = self.namespace.get("statefulset/isbsvc-default-js")["status"].clone();
            if status["readyReplicas"] == json!(service.replicas) { Ok(()) } else { Err(status.to_string()) }
        });
        self.says(&service.status());
    }

    /// Writes a status, as it does: server-side apply with force, manager `numaflow`.
    pub fn says(&self, status: &Value) {
        let object = json!({
            "apiVersion": "numaflow.numaproj.io/v1alpha1",
            "kind": "InterStepBufferService",
            "metadata": { "name": "default", "namespace": self.namespace.name },
            "status": status,
        });
        let arguments = ["--as", &self.account, "apply", "--server-side", "--force-conflicts", "--subresource=status", MANAGER];
        self.namespace.kubectl_stdin(&[arguments.as_slice(), &["-f", "-"]].concat(), &object.to_string()).ok();
    }
}

/// Passwords and keys. The certificates hold ten years, as Numaflow's do: one that ends soon is told of.
fn material(namespace: &str) -> Material {
    let word = |text: &str| text.to_owned();
    let host = format!("isbsvc-default-js-svc.{namespace}.svc");
    let pair = |dns_names: &[String], usages: &[Usage]| {
        let (now, long) = (jiff::Timestamp::now(), std::time::Duration::from_hours(24 * 3650));
        let authority = authority("io.numaproj", now, long).unwrap_or_else(|error| panic!("{error}"));
        let request = LeafRequest { common_name: "isbsvc", dns_names, usages, lifetime: long };
        let leaf = authority.leaf(&request, now).unwrap_or_else(|error| panic!("{error}"));
        [leaf.certificate_pem, leaf.key_pem, authority.certificate_pem().to_owned()]
    };
    Material {
        client: (word("userAAAA"), word("passwordBBBBBBBB")),
        system: word("systemCCCCCCCCCCCCCCCCCC"),
        encryption: word("encryptDDDDD"),
        server: pair(&[host.clone(), format!("{host}.cluster.local")], &[Usage::Server]),
        cluster: pair(&[format!("*.{host}"), format!("*.{host}.cluster.local")], &[Usage::Server, Usage::Client]),
    }
}
