//! Network namespaces, links and routes: one namespace for the control plane with a bridge, one for each node, one leg on the host.
//!
//! The host gets one interface and its routes and no packet filter rule. `ip netns` is not used: it mounts /run/netns
//! recursively onto itself, which blocks the removal of other programs' network namespaces.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::addresses::{Addresses, node_name};
use super::outside::{command, feed, run};

/// The namespace file of the control plane or of a node.
pub fn namespace(state: &Path, name: &str) -> PathBuf {
    state.join("ns").join(name)
}

/// Makes all namespaces, links, addresses and routes.
pub fn make(state: &Path, addresses: Addresses, nodes: u8) -> Result<()> {
    // Both are built into many kernels; where they are missing, what needs them says so below.
    for module in ["br_netfilter", "overlay"] {
        let _ = run("modprobe", &["-q", module]);
    }
    let control_plane = make_namespace(state, "cp")?;
    let node_files: Vec<String> = (1..=nodes).map(|node| make_namespace(state, &node_name(node))).collect::<Result<_>>()?;

    inside(&control_plane, "ip", &["-batch", "-"], &control_plane_links(addresses, &node_files))?;
    let settings = "net.ipv4.ip_forward=1\nnet.bridge.bridge-nf-call-iptables=0\nnet.bridge.bridge-nf-call-ip6tables=0\n";
    inside(&control_plane, "sysctl", &["-q", "-p", "-"], settings)?;
    for (node, file) in (1..=nodes).zip(&node_files) {
        inside(file, "ip", &["-batch", "-"], &node_links(addresses, node, nodes))?;
        inside(file, "sysctl", &["-q", "-p", "-"], "net.ipv4.ip_forward=1\nnet.bridge.bridge-nf-call-iptables=1\n")?;
    }
    feed(&mut command("ip", &["-batch", "-"]), &host_links(addresses, nodes, &control_plane))?;
    inside(&control_plane, "ip", &["-batch", "-"], "link set host master br0\nlink set host up\n")
}

fn make_namespace(state: &Path, name: &str) -> Result<String> {
    let file = namespace(state, name);
    fs::create_dir_all(state.join("ns"))?;
    fs::write(&file, "")?;
    let path = file.to_str().context("the state folder's path is not UTF-8")?.to_owned();
    run("unshare", &[&format!("--net={path}"), "true"])?;
    run("nsenter", &[&format!("--net={path}"), "ip", "link", "set", "lo", "up"])?;
    Ok(path)
}

fn inside(namespace: &str, program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let net = format!("--net={namespace}");
    let mut words = vec![net.as_str(), program];
    words.extend(arguments);
    feed(&mut command("nsenter", &words), input)
}

fn control_plane_links(a: Addresses, node_files: &[String]) -> String {
    let mut lines =
        vec!["link add br0 type bridge".to_owned(), format!("addr add {}/24 dev br0", a.control_plane()), "link set br0 up".to_owned()];
    // The API server's calls to Services are redirected after the first routing decision, which needs a route to exist.
    lines.push(format!("route add {} dev br0", a.services()));
    for (node, file) in (1..).zip(node_files) {
        let name = node_name(node);
        lines.push(format!("link add {name} type veth peer name eth0 netns {file}"));
        lines.push(format!("link set {name} master br0 up"));
        lines.push(pod_route(a, node));
    }
    batch(&lines)
}

fn node_links(a: Addresses, node: u8, nodes: u8) -> String {
    let mut lines = vec![format!("addr add {}/24 dev eth0", a.node(node)), "link set eth0 up".to_owned()];
    lines.push(format!("route add default via {}", a.control_plane()));
    lines.extend((1..=nodes).filter(|other| *other != node).map(|other| pod_route(a, other)));
    batch(&lines)
}

// Pod networks are routed straight to their nodes: replies come from there, and the control plane's connection tracking would drop half-seen ones.
fn host_links(a: Addresses, nodes: u8, control_plane: &str) -> String {
    let interface = a.host_interface();
    let mut lines = vec![format!("link add {interface} type veth peer name host netns {control_plane}")];
    lines.extend([format!("addr add {}/24 dev {interface}", a.host()), format!("link set {interface} up")]);
    lines.push(format!("route add {} via {}", a.services(), a.control_plane()));
    lines.extend((1..=nodes).map(|node| pod_route(a, node)));
    batch(&lines)
}

fn pod_route(a: Addresses, node: u8) -> String {
    format!("route add {} via {}", a.pods_of(node), a.node(node))
}

fn batch(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_the_way_to_the_pods_of_every_other() {
        let batch = node_links(Addresses::new(2), 2, 3);
        assert!(batch.contains("route add 10.102.1.0/24 via 10.99.2.11\n"));
        assert!(batch.contains("route add 10.102.3.0/24 via 10.99.2.13\n"));
        assert!(!batch.contains("10.102.2.0/24"), "its own pods are on its bridge");
    }

    #[test]
    fn the_host_gets_one_interface() {
        let batch = host_links(Addresses::new(0), 3, "/ns/cp");
        assert_eq!(batch.matches("link add").count(), 1);
        assert_eq!(batch.matches("route add").count(), 4);
    }
}
