use std::collections::BTreeMap;

use isbsvc::observed::Fact;
use isbsvc::rules::Surroundings;

/// What else there is in the cluster, as far as it is known. It is asked only where a decision depends on it, and answers at once.
pub trait Nearby: Send + Sync {
    /// Labels of a namespace; `None` where they are not known.
    fn labels(&self, namespace: &str) -> Option<BTreeMap<String, String>>;

    /// What a service of this name is deleted from.
    fn surroundings(&self, namespace: &str, service: &str) -> Surroundings;
}

/// Nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Nearby for Nothing {
    fn labels(&self, _: &str) -> Option<BTreeMap<String, String>> {
        None
    }

    fn surroundings(&self, _: &str, _: &str) -> Surroundings {
        Surroundings { pipelines: Fact::Unknown("the webhook runs without --cluster".to_owned()), namespace_ends: false }
    }
}
