//! Talking to the NATS servers of a service: which question goes where, and what the answers say. Nothing here judges (that is
//! [`crate::health`]), and nothing here writes.
//!
//! Every server answers on its monitoring port, [`names::MONITOR_PORT`], in plain HTTP
//! (<https://docs.nats.io/running-a-nats-service/nats_admin/monitoring>).

mod answers;
#[cfg(feature = "controller")]
pub mod endpoint;
mod exchange;
mod reach;

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, timeout_at};

use crate::api::names;
use crate::limits;
use crate::observed::{Fact, Server};

pub use reach::Reach;

use exchange::{AskError, Exchange};

/// What shall be asked, besides how a server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Every stream and consumer with its replicas; the answer grows with their number.
    pub streams: bool,
}

impl Questions {
    /// Path and query of the question about `JetStream`.
    fn jetstream_path(self) -> &'static str {
        if self.streams { "/jsz?accounts=true&streams=true&consumers=true&config=true&raft=true" } else { "/jsz" }
    }
}

/// Whether a pod can be asked at all: it runs, and has an address.
pub fn can_answer(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running") && status.pod_ip.is_some())
}

/// Asks one server. A server that does not answer is a fact that is not known, with the reason; it is never an error.
pub async fn ask(reach: &Reach, pod: &Pod, questions: Questions) -> Fact<Server> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    match one(reach, pod, questions).await {
        Ok(server) => Fact::Known(server),
        Err(error) => Fact::Unknown(format!("pod {name}: {error}")),
    }
}

/// Asks every server that can answer, side by side, all of them within [`limits::SERVERS_TOTAL`]. The result has an entry for each pod that was
/// asked, by name.
pub async fn ask_all(reach: &Reach, pods: &[Pod], questions: Questions) -> BTreeMap<String, Fact<Server>> {
    let deadline = Instant::now() + limits::SERVERS_TOTAL;
    let mut questioned = Vec::with_capacity(pods.len());
    for pod in pods {
        if can_answer(pod) {
            questioned.push(ask_by(reach, pod, questions, deadline));
        }
    }
    futures::stream::iter(questioned).buffer_unordered(limits::SERVER_REQUESTS_AT_ONCE).collect().await
}

/// [`ask`], until the time of all servers is over.
fn ask_by<'a>(reach: &'a Reach, pod: &'a Pod, questions: Questions, deadline: Instant) -> BoxFuture<'a, (String, Fact<Server>)> {
    let asked = async move {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let fact = timeout_at(deadline, ask(reach, pod, questions)).await.unwrap_or_else(|_| {
            Fact::Unknown(format!(
                "pod {name}: not answered within the {} s that all servers have together",
                limits::SERVERS_TOTAL.as_secs()
            ))
        });
        (name, fact)
    };
    asked.boxed()
}

/// The questions go one after the other over one connection, so that a server never has more than one of ours under way.
async fn one(reach: &Reach, pod: &Pod, questions: Questions) -> Result<Server, AskError> {
    let mut exchange: Exchange = reach.open(pod).await?;
    let varz = exchange.get("/varz").await?.successful("/varz")?;
    let jsz = exchange.get(questions.jetstream_path()).await?;
    let routez = exchange.get("/routez").await?.successful("/routez")?;
    // Last, because a server that is not well may take long over it, and on the way through the API server a 503 is tried again and again by the
    // client: no answer is then the answer.
    let healthz = exchange.get("/healthz").await;
    answers::server(&varz, &jsz, &routez, &healthz, questions)
}

/// The port, in words.
fn port_in_words() -> String {
    format!("port {}", names::MONITOR_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_running_pod_with_an_address_is_asked() {
        let pod = |value| serde_json::from_value::<Pod>(value).unwrap();
        assert!(can_answer(&pod(serde_json::json!({ "status": { "phase": "Running", "podIP": "10.0.0.1" } }))));
        assert!(!can_answer(&pod(serde_json::json!({ "status": { "phase": "Pending", "podIP": "10.0.0.1" } }))));
        assert!(!can_answer(&pod(serde_json::json!({ "status": { "phase": "Running" } }))));
        assert!(!can_answer(&Pod::default()));
    }
}
