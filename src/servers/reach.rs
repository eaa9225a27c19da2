use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::exchange::{AskError, Exchange};
use crate::api::names::MONITOR_PORT;
use crate::limits;

/// How to get at the monitoring port of a pod.
#[derive(Clone)]
pub enum Reach {
    /// Straight to the pod's address: for whoever is in the cluster's network.
    PodIp,
    /// Through the API server and the kubelet; needs `create` on `pods/portforward`.
    PortForward(Client),
    /// Through the API server's HTTP proxy; needs `get` on `pods/proxy`. The fallback: use a client without retries, because the answer 503 of a
    /// server that is not well is tried again by a client that has them.
    ApiProxy(Client),
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PodIp => "PodIp",
            Self::PortForward(_) => "PortForward",
            Self::ApiProxy(_) => "ApiProxy",
        })
    }
}

impl Reach {
    /// Opens the way, within [`limits::SERVER_REQUEST`].
    pub(super) async fn open(&self, pod: &Pod) -> Result<Exchange, AskError> {
        timeout(limits::SERVER_REQUEST, self.open_unbounded(pod)).await.unwrap_or_else(|_| Err(AskError::silent()))
    }

    async fn open_unbounded(&self, pod: &Pod) -> Result<Exchange, AskError> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        match self {
            Self::PodIp => {
                let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).unwrap_or_default();
                let stream = TcpStream::connect((address, MONITOR_PORT)).await.map_err(|error| AskError::unreachable(plain(&error)))?;
                Exchange::over(stream, ()).await
            }
            Self::PortForward(client) => {
                let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
                let mut forwarder = api
                    .portforward(name, &[MONITOR_PORT])
                    .await
                    .map_err(|error| AskError::unreachable(format!("port-forward: {}", spoken(&error))))?;
                let stream = forwarder.take_stream(MONITOR_PORT).ok_or_else(|| AskError::unreachable("port-forward gave no stream"))?;
                Exchange::over(stream, Forwarded(forwarder)).await
            }
            Self::ApiProxy(client) => Ok(Exchange::ApiProxy {
                client: client.clone(),
                prefix: format!("/api/v1/namespaces/{namespace}/pods/{name}:{MONITOR_PORT}/proxy"),
            }),
        }
    }
}

/// A port-forward that ends when this is dropped.
struct Forwarded(kube::api::Portforwarder);

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the API server says, without what the client adds.
fn spoken(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// An input/output error without the number of the operating system.
fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => "no route to the pod".to_owned(),
        _ => error.to_string(),
    }
}
