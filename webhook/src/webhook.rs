use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use isbsvc::limits;
use isbsvc_certs::serve::CertificateReloader;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::admission::{Access, Measure, Nearby, Nothing, Permission};
use crate::cluster::Cluster;
use crate::metrics::{Granted, Metrics};

/// Bounds of requests and connections. Those of `isbsvc::limits` hold; tests take smaller ones.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of one body.
    pub body: usize,
    /// Bytes of all bodies at one moment.
    pub bodies: usize,
    /// Requests at one moment.
    pub at_once: usize,
    /// Requests that are judged at one moment; it is work for a core and nothing else.
    pub judged_at_once: usize,
    /// Time for a request that names none.
    pub time: Duration,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time for the head of a request, from its first byte.
    pub head: Duration,
    /// Time for the body of a request.
    pub upload: Duration,
    /// Connections at one moment.
    pub connections: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            body: limits::REVIEW,
            bodies: limits::REVIEWS,
            at_once: limits::REVIEWS_AT_ONCE,
            judged_at_once: cores,
            time: limits::REVIEW_TIME,
            handshake: limits::HANDSHAKE,
            head: limits::REQUEST_HEAD,
            upload: limits::REQUEST_BODY,
            connections: limits::CONNECTIONS,
        }
    }
}

/// What all requests share.
#[derive(Debug)]
pub struct Webhook {
    pub(crate) bounds: Bounds,
    pub(crate) measure: ArcSwap<Measure>,
    pub(crate) metrics: Arc<Metrics>,
    cluster: Option<Cluster>,
    pub(crate) certificate: Arc<CertificateReloader>,
    pub(crate) at_once: Semaphore,
    pub(crate) judging: Semaphore,
    pub(crate) bytes: Semaphore,
    draining: AtomicBool,
}

impl Webhook {
    /// A webhook that judges by `measure` and is ready once `certificate` has a pair.
    pub fn new(bounds: Bounds, measure: Measure, metrics: Metrics, certificate: Arc<CertificateReloader>) -> Self {
        Self {
            bounds,
            measure: ArcSwap::from_pointee(measure),
            metrics: Arc::new(metrics),
            cluster: None,
            certificate,
            at_once: Semaphore::new(bounds.at_once),
            judging: Semaphore::new(bounds.judged_at_once),
            bytes: Semaphore::new(bounds.bodies),
            draining: AtomicBool::new(false),
        }
    }

    /// Knows what else there is in the cluster, and who may override a rule.
    #[must_use]
    pub fn with_cluster(mut self, client: kube::Client) -> Self {
        self.cluster = Some(Cluster::follow(client, &self.metrics));
        self
    }

    /// What is known beside a review.
    pub(crate) fn nearby(&self) -> &dyn Nearby {
        self.cluster.as_ref().map_or(&Nothing, |cluster| cluster as &dyn Nearby)
    }

    /// Whether somebody may override a rule. No answer is no permission.
    pub(crate) async fn may_override(&self, access: &Access) -> Permission {
        let permission = match &self.cluster {
            Some(cluster) => cluster.may_override(access).await,
            None => Permission::not_asked(),
        };
        self.metrics.override_question(match &permission {
            Permission::Granted => Granted::Yes,
            Permission::Refused => Granted::No,
            Permission::Unknown(why) => {
                tracing::warn!(why, "whether somebody may override a rule was not answered");
                Granted::Unknown
            }
        });
        permission
    }

    /// Judges by this from now on.
    pub fn set_measure(&self, measure: Measure) {
        self.measure.store(Arc::new(measure));
    }

    /// Says goodbye: readiness ends, and each answer ends its connection.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether goodbye was said.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Why no request should be sent here now; nothing where all is well. The configuration is read before there is a `Webhook` at all,
    /// and a policy that cannot be used is no reason: who sends a change should hear from us why it is refused.
    pub fn not_ready(&self, now: Timestamp) -> Option<&'static str> {
        if self.is_draining() {
            return Some("draining");
        }
        match self.certificate.facts() {
            None => Some("no certificate is loaded yet"),
            Some(facts) if !facts.is_valid(now) => Some("the certificate is not valid now"),
            Some(_) => self.cluster.as_ref().and_then(Cluster::not_ready),
        }
    }
}
