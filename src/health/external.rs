use super::{Reason, Verdict, reasons, without_servers};
use crate::observed::{Endpoint, Fact, Observed};

/// How an external Redis is, as far as it was asked. Nothing of it is ours, so that none of it is worse than a warning: pipelines go on by what they find
/// themselves.
pub(super) fn verdict(observed: &Observed) -> Verdict {
    without_servers(match &observed.endpoint {
        Fact::Known(endpoint) => reason(endpoint).into_iter().collect(),
        Fact::Unknown(_) => Vec::new(),
    })
}

fn reason(endpoint: &Endpoint) -> Option<Reason> {
    let (kind, words) = match endpoint {
        Endpoint::Answers => return None,
        Endpoint::NoSecret { secret, key } => {
            (&reasons::REDIS_NO_SECRET, format!("Secret {secret} with key {key} is not there, so no client can log in"))
        }
        Endpoint::WrongPassword { address } => (&reasons::REDIS_WRONG_PASSWORD, format!("{address} refuses user and password as they are")),
        Endpoint::NotAsked { address, why } => (&reasons::REDIS_NOT_ASKED, format!("{address} is not asked: {why}")),
        Endpoint::Unreachable { address, why } => (&reasons::REDIS_UNREACHABLE, format!("{address}: {why}")),
        Endpoint::NoCluster { address } => (
            &reasons::REDIS_NO_CLUSTER,
            format!("url has several addresses, which means a cluster, and {address} is no node of one; give one address"),
        ),
        Endpoint::IsCluster { address } => {
            (&reasons::REDIS_IS_CLUSTER, format!("{address} is a node of a cluster, which one address does not say; give it twice"))
        }
        Endpoint::ClusterDown { address } => {
            (&reasons::REDIS_CLUSTER_DOWN, format!("the cluster of {address} serves nothing: some of its slots have no node"))
        }
        Endpoint::NoMaster { name } => (&reasons::REDIS_NO_MASTER, format!("the Sentinels know no master {name}")),
    };
    Some(Reason::new(kind, &words))
}
