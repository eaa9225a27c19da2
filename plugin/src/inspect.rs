//! Looking at one service: its objects, what its servers say, and its events.

use clap::ValueEnum;
use isbsvc::api::InterStepBufferService;
use isbsvc::health::{self, Verdict};
use isbsvc::observe::{self, Options};
use isbsvc::observed::{Fact, Observed};
use isbsvc::servers::Reach;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;

use crate::connection::{Asked, Session};
use crate::exit::Failure;
use crate::services::Found;

/// Events of a namespace that are looked through; the API server gives no more than it keeps for an hour.
const EVENTS: u32 = 500;

/// How the servers are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Via {
    /// Through the API server and the kubelet (pods/portforward).
    PortForward,
    /// Through the API server's HTTP proxy (pods/proxy).
    Proxy,
    /// Straight to the pods' addresses, from within the cluster's network.
    PodIp,
    /// Not at all: only objects are looked at.
    None,
}

/// What was found of one service.
pub struct Look {
    /// Facts.
    pub observed: Observed,
    /// What follows from them.
    pub verdict: Verdict,
    /// Events of the namespace.
    pub events: Fact<Vec<Event>>,
}

/// Looks at everything that a person may see; Secrets are not read. Without a way named, servers are asked by port-forward, and by proxy where none
/// answered.
pub async fn look(session: &Session, found: &Found, via: Option<Via>) -> Look {
    let read = |servers| {
        let options = Options { secrets: false, servers, streams: true, pipelines: true };
        async move { Box::pin(observe::read(&session.client, &found.service, &options)).await }
    };
    let reach = match via {
        None | Some(Via::PortForward) => Some(Reach::PortForward(session.client.clone())),
        Some(Via::Proxy) => Some(Reach::ApiProxy(session.client.clone())),
        Some(Via::PodIp) => Some(Reach::PodIp),
        Some(Via::None) => None,
    };
    let (mut observed, events) = futures::join!(read(reach), events(session));
    let nobody_answered = !observed.servers.is_empty() && observed.servers.values().all(|server| server.known().is_none());
    if via.is_none() && nobody_answered {
        let again = read(Some(Reach::ApiProxy(session.client.clone()))).await;
        if again.servers.values().any(|server| server.known().is_some()) {
            observed = again;
        }
    }
    let verdict = judge(&found.service, &observed, jiff::Timestamp::now());
    Look { observed, verdict, events }
}

/// The verdict on what runs. A change that was refused, or is not carried out yet, is not what the servers are measured by: the controller does not
/// either, and [`crate::model::status`] says that it is not carried out.
pub fn judge(service: &InterStepBufferService, observed: &Observed, now: jiff::Timestamp) -> Verdict {
    match observed.accepted_spec() {
        Some(spec) if spec != service.spec => health::verdict(&InterStepBufferService { spec, ..service.clone() }, observed, now),
        _ => health::verdict(service, observed, now),
    }
}

async fn events(session: &Session) -> Fact<Vec<Event>> {
    let api: Api<Event> = Api::namespaced(session.client.clone(), &session.namespace);
    let asked = Asked { verb: "list", resource: "events", namespace: Some(&session.namespace), name: None };
    match session.ask(&asked, api.list(&ListParams::default().limit(EVENTS))).await {
        Ok(list) => Fact::Known(list.items),
        Err(Failure { message, .. }) => Fact::Unknown(message),
    }
}
