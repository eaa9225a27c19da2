/// What an external Redis answered when it was asked. Nothing of its own words is kept, since they could be anything; of addresses and Secrets, what the
/// spec says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// As the spec has it.
    Answers,
    /// The Secret is not there, or has no such key.
    NoSecret {
        /// Its name.
        secret: String,
        /// The key.
        key: String,
    },
    /// It refused user or password, or the lack of them.
    WrongPassword {
        /// Who refused.
        address: String,
    },
    /// It must not be asked, or not as the spec has it.
    NotAsked {
        /// The address or Secret that it is about.
        address: String,
        /// In words of ours.
        why: String,
    },
    /// No address answered.
    Unreachable {
        /// The first of them.
        address: String,
        /// In a few words of ours.
        why: &'static str,
    },
    /// Two or more addresses mean a cluster, and what answers is none.
    NoCluster {
        /// What answered.
        address: String,
    },
    /// One address means a single Redis, and what answers is a node of a cluster.
    IsCluster {
        /// What answered.
        address: String,
    },
    /// The cluster serves no requests: some of its slots are served by no node.
    ClusterDown {
        /// What answered.
        address: String,
    },
    /// The Sentinels know no master of that name.
    NoMaster {
        /// The name.
        name: String,
    },
}
