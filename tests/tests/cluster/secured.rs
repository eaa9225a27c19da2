use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use isbsvc_tests::cluster::{Cluster, service};
use serde_json::{Value, json};

/// TLS and encryption at rest together, where Pod Security is `restricted`: the servers find one another, ask clients for TLS, and encrypt what they store.
#[test]
fn a_service_with_tls_and_encryption_serves() {
    let cluster = Cluster::from_environment();
    let namespace = cluster.namespace("test-secured");
    cluster.kubectl(&["label", "namespace", &namespace.name, "pod-security.kubernetes.io/enforce=restricted"]).ok();
    namespace.apply(&service("default", &json!({ "tls": true, "encryption": true, "persistence": { "volumeSize": "1Gi" } }))).ok();
    let status = namespace.healthy("default");
    assert_eq!(status["config"]["jetstream"]["tlsEnabled"], json!(true));
    let root = namespace.kubectl(&["run", "root", "--image=root", "--dry-run=server"]);
    assert!(root.code != 0 && root.err.contains("PodSecurity"), "it is enforced: {root:?}");
    for ordinal in 0..3 {
        let pod = format!("isbsvc-default-js-{ordinal}");
        let address = namespace.get(&format!("pod/{pod}"))["status"]["podIP"].as_str().unwrap_or_default().to_owned();
        let greeting = greeting(&format!("{address}:4222"));
        assert_eq!(greeting["tls_required"], json!(true), "{greeting}");
        let log = namespace.kubectl(&["logs", &pod, "-c", "main"]).ok();
        assert!(log.contains("Encryption"), "{pod} encrypts: {log}");
    }
    let said = namespace.isbsvc(&["status", "-o", "json"]);
    assert_eq!(said.code, 0, "a leader that all agree on, over routes with TLS: {said:?}");
}

/// What a NATS server says first: `INFO` and an object.
fn greeting(address: &str) -> Value {
    let wait = Duration::from_secs(10);
    let read = || -> std::io::Result<String> {
        let address: SocketAddr = address.parse().map_err(std::io::Error::other)?;
        let stream = TcpStream::connect_timeout(&address, wait)?;
        stream.set_read_timeout(Some(wait))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    };
    let line = read().unwrap_or_else(|error| panic!("{address}: {error}"));
    serde_json::from_str(line.trim_start_matches("INFO").trim()).unwrap_or_else(|error| panic!("{error}: {line}"))
}
