use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::Key;
use crate::health::{Level, Verdict};
use crate::observed::{Fact, Server};

/// What is told of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Whether pipelines may use it.
    pub healthy: bool,
    /// Servers that its spec asks for.
    pub replicas: Option<i32>,
    /// The verdict on its servers.
    pub verdict: Option<Verdict>,
    /// The fullest file store of its servers, as a part of its limit.
    pub store_used: Option<f64>,
    /// Whether its spec is refused.
    pub refused: bool,
    /// Whether it is looked after.
    pub care: Care,
}

/// Whether a service is looked after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Care {
    /// It is.
    #[default]
    Given,
    /// Nothing can be done for now.
    Held,
    /// It is left alone by its annotation.
    Paused,
}

/// The fullest of the file stores, as a part of what may be stored; nothing where no server said.
pub fn store_used<'a>(servers: impl IntoIterator<Item = &'a Fact<Server>>) -> Option<f64> {
    let part = |server: &Server| {
        let jetstream = server.jetstream.as_ref()?;
        let most = u64::try_from(jetstream.max_storage).ok().filter(|most| *most > 0)?;
        // A part in a thousand is as much as anybody reads.
        let thousandths = jetstream.storage.saturating_mul(1000) / most;
        Some(f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 1000.0)
    };
    servers.into_iter().filter_map(|server| part(server.known()?)).max_by(f64::total_cmp)
}

/// What is known of every service. The series of a service go with it.
#[derive(Debug, Default)]
pub struct Services(Mutex<BTreeMap<Key, Snapshot>>);

impl Services {
    /// What a look found.
    pub fn set(&self, key: &Key, snapshot: Snapshot) {
        self.lock().insert(key.clone(), snapshot);
    }

    /// The service is gone, or another controller's.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Snapshot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A gauge of a service.
struct Gauge {
    name: &'static str,
    help: &'static str,
    value: fn(&Snapshot) -> Option<f64>,
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&Snapshot) -> Option<f64>) -> Gauge {
    Gauge { name, help, value }
}

/// The first two have Numaflow's names.
const GAUGES: [Gauge; 11] = [
    gauge("controller_isbsvc_health", "1 where pipelines may use the service, else 0", |one| Some(flag(one.healthy))),
    gauge("controller_isbsvc_jetstream_replicas", "Servers that a JetStream service should have", |one| one.replicas.map(f64::from)),
    gauge("isbsvc_service_level", "How the service is: 0 healthy, 1 warning, 2 unknown, 3 critical", |one| {
        one.verdict.as_ref().map(|verdict| match verdict.level {
            Level::Healthy => 0.0,
            Level::Warning => 1.0,
            Level::Unknown => 2.0,
            Level::Critical => 3.0,
        })
    }),
    gauge("isbsvc_service_servers_wanted", "Servers that should run, by the spec that is in force", |one| {
        one.verdict.as_ref().map(|verdict| f64::from(verdict.servers_wanted))
    }),
    gauge("isbsvc_service_servers_ready", "Servers whose pods are ready", |one| {
        one.verdict.as_ref().map(|verdict| f64::from(verdict.pods_ready))
    }),
    gauge("isbsvc_service_servers_answering", "Servers that answered when they were asked last", |one| {
        one.verdict.as_ref().map(|verdict| f64::from(verdict.servers_answering))
    }),
    gauge("isbsvc_service_meta_leader", "1 where a quorum of the servers agrees on a meta leader, else 0", |one| {
        one.verdict.as_ref().map(|verdict| flag(verdict.meta_leader.is_some()))
    }),
    gauge("isbsvc_service_store_used_ratio", "The fullest file store of the servers, as a part of its limit", |one| one.store_used),
    gauge("isbsvc_service_refused", "1 where a change of the spec is refused, else 0", |one| Some(flag(one.refused))),
    gauge("isbsvc_service_held", "1 where nothing can be done until something changes, else 0", |one| Some(flag(one.care == Care::Held))),
    gauge("isbsvc_service_paused", "1 where the service is left alone by its annotation, else 0", |one| {
        Some(flag(one.care == Care::Paused))
    }),
];

fn flag(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

impl Collector for Services {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let all = self.lock();
        for gauge in &GAUGES {
            let mut metric = encoder.encode_descriptor(gauge.name, gauge.help, None, MetricType::Gauge)?;
            for (key, snapshot) in &*all {
                if let Some(value) = (gauge.value)(snapshot) {
                    metric.encode_family(&[("ns", key.namespace.as_str()), ("isbsvc", key.name.as_str())])?.encode_gauge(&value)?;
                }
            }
        }
        // Its values are the few reasons that a verdict knows (`health::REASONS`).
        let help = "1 for each reason why the service is not better";
        let mut metric = encoder.encode_descriptor("isbsvc_service_reason", help, None, MetricType::Gauge)?;
        for (key, snapshot) in &*all {
            let mut reasons: Vec<_> = snapshot.verdict.iter().flat_map(|verdict| &verdict.reasons).map(|reason| reason.id).collect();
            reasons.sort_unstable();
            reasons.dedup();
            for reason in reasons {
                let labels = [("ns", key.namespace.as_str()), ("isbsvc", key.name.as_str()), ("reason", reason)];
                metric.encode_family(&labels)?.encode_gauge(&1_i64)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::JetStream;

    #[test]
    fn the_fullest_store_counts_and_a_store_without_a_limit_does_not() {
        let server = |storage, max_storage| {
            Fact::Known(Server { jetstream: Some(JetStream { storage, max_storage, ..JetStream::default() }), ..Server::default() })
        };
        assert_eq!(store_used(&[server(1, 4), server(3, 4), Fact::Unknown("silent".to_owned())]), Some(0.75));
        assert_eq!(store_used(&[server(3, -1), server(3, 0)]), None);
        assert_eq!(store_used(&[]), None);
    }
}
