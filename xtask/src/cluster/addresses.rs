//! The addresses and names that a cluster's index fixes. Two indexes never share one.

use std::net::Ipv4Addr;

/// How many clusters can run side by side.
pub const MAX_CLUSTERS: u8 = 10;
/// How many nodes one cluster can have.
pub const MAX_NODES: u8 = 5;

/// Everything that two clusters on one machine could fight over, as a function of the cluster's index.
///
/// | what | index i |
/// |---|---|
/// | control plane, nodes 1.., host | 10.99.i.1, 10.99.i.11.., 10.99.i.254 |
/// | pods of node n | 10.(100+i).n.0/24 |
/// | services | 10.(120+i).0.0/16 |
/// | the host's interface | isbsvc-i |
/// | cgroup | /isbsvc-i |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    index: u8,
}

impl Addresses {
    /// The addresses of the cluster with this index, which is below [`MAX_CLUSTERS`].
    pub fn new(index: u8) -> Self {
        debug_assert!(index < MAX_CLUSTERS, "a cluster's index is below {MAX_CLUSTERS}");
        Self { index }
    }

    /// Where the control plane's programs listen: API server and DNS.
    pub fn control_plane(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.index, 1)
    }

    /// The address of node `node` (from 1).
    pub fn node(self, node: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.index, 10 + node)
    }

    /// The host as pods and the API server see it.
    pub fn host(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.index, 254)
    }

    /// The pod network of node `node` (from 1), a /24.
    pub fn pods_of(self, node: u8) -> String {
        format!("10.{}.{node}.0/24", 100 + self.index)
    }

    /// The pod networks of all nodes.
    pub fn pods(self) -> String {
        format!("10.{}.0.0/16", 100 + self.index)
    }

    /// The network of Services.
    pub fn services(self) -> String {
        format!("10.{}.0.0/16", 120 + self.index)
    }

    /// The Service `kubernetes`, the first of the network.
    pub fn kubernetes_service(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 120 + self.index, 0, 1)
    }

    /// The address of the API server.
    pub fn api(self) -> String {
        format!("https://{}:6443", self.control_plane())
    }

    /// The one interface on the host; all routes on the host go with it.
    pub fn host_interface(self) -> String {
        format!("isbsvc-{}", self.index)
    }

    /// The cgroup that holds all pods, in each hierarchy.
    pub fn cgroup(self) -> String {
        format!("/isbsvc-{}", self.index)
    }
}

/// The name of node `node` (from 1).
pub fn node_name(node: u8) -> String {
    format!("n{node}")
}

/// The zone of node `node` (from 1): a, b, c, a, b.
pub fn zone(node: u8) -> &'static str {
    ["a", "b", "c"][usize::from((node - 1) % 3)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_clusters_share_an_address_or_a_name() {
        let mut seen = BTreeSet::new();
        for index in 0..MAX_CLUSTERS {
            let a = Addresses::new(index);
            let mut own = vec![
                a.control_plane().to_string(),
                a.host().to_string(),
                a.pods(),
                a.services(),
                a.kubernetes_service().to_string(),
                a.host_interface(),
                a.cgroup(),
            ];
            for node in 1..=MAX_NODES {
                own.push(a.node(node).to_string());
                own.push(a.pods_of(node));
            }
            for item in own {
                assert!(seen.insert(item.clone()), "{item} is used twice");
            }
        }
    }

    #[test]
    fn networks_of_all_clusters_are_disjoint() {
        // Every network is inside one 10.x.0.0/16 but the nodes', which is one 10.99.i.0/24 each.
        let second = |cidr: String| cidr.split('.').nth(1).map(str::to_owned);
        let mut seen = BTreeSet::from([Some("99".to_owned())]);
        for index in 0..MAX_CLUSTERS {
            let a = Addresses::new(index);
            assert!(seen.insert(second(a.pods())), "pods of {index}");
            assert!(seen.insert(second(a.services())), "services of {index}");
            assert_eq!(second(a.pods_of(MAX_NODES)), second(a.pods()));
        }
    }

    #[test]
    fn an_interface_name_fits_the_kernel() {
        for index in 0..MAX_CLUSTERS {
            assert!(Addresses::new(index).host_interface().len() <= 15);
        }
    }
}
