use serde_json::{Value, json};

use super::{Subject, hash, metadata};
use crate::api::names;
use crate::plan::ChildKind;

/// The headless Service, which gives each server its DNS name; it publishes pods that are not ready, because servers must find one another first.
pub(in crate::plan) fn service(subject: Subject<'_>) -> Value {
    let port = |name: &str, port: u16| json!({ "name": name, "port": port, "protocol": "TCP", "targetPort": port });
    let body = json!({
        "spec": {
            "clusterIP": "None",
            "ports": [
                port("tcp-client", names::CLIENT_PORT),
                port("cluster", names::CLUSTER_PORT),
                port("metrics", names::METRICS_PORT),
                port("monitor", names::MONITOR_PORT),
            ],
            "publishNotReadyAddresses": true,
            "selector": metadata::labels(subject),
            "type": "ClusterIP",
        },
    });
    let hash = hash(&body);
    let mut object = metadata::object(subject, ChildKind::Service, &names::service(subject.name()), body);
    metadata::annotate_hash(&mut object, hash);
    object
}
