//! The configuration files of a cluster's programs. JSON where the program reads YAML, since every JSON text is one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::addresses::{Addresses, node_name};
use super::pki::write_private;

const CONTROL_PLANE_SCRIPT: &str = include_str!("../../cluster/scripts/control-plane.sh");
const NODE_SCRIPT: &str = include_str!("../../cluster/scripts/node.sh");
const PLACE_SCRIPT: &str = include_str!("../../cluster/scripts/place.sh");
const STORAGE: &str = include_str!("../../cluster/storage.yaml");

/// Where the start script of the control plane lies in a cluster's folder.
pub const CONTROL_PLANE: &str = "scripts/control-plane.sh";
/// Where the start script of a node lies in a cluster's folder.
pub const NODE: &str = "scripts/node.sh";

/// Writes every file that the programs of cluster `name` read, but for keys and certificates, which must be there already.
pub fn write(state: &Path, name: &str, addresses: Addresses, nodes: u8) -> Result<()> {
    fs::create_dir_all(state.join("scripts"))?;
    fs::write(state.join(CONTROL_PLANE), CONTROL_PLANE_SCRIPT)?;
    fs::write(state.join(NODE), NODE_SCRIPT)?;
    fs::write(state.join("scripts/place.sh"), PLACE_SCRIPT)?;
    fs::write(state.join("storage.yaml"), STORAGE)?;
    let paths = json!({"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": ["/var/lib/local-path"]}]});
    write_json(&state.join("local-path.json"), &paths)?;
    fs::write(state.join("Corefile"), corefile(state, addresses))?;

    for (file, user) in
        [("kubeconfig", "admin"), ("kcm.kubeconfig", "kcm"), ("scheduler.kubeconfig", "scheduler"), ("proxy.kubeconfig", "proxy")]
    {
        write_kubeconfig(state, &state.join(file), name, addresses, user)?;
    }
    // The name of a node that exists: kube-proxy waits for its own node before it programs any rule.
    write_json(&state.join("proxy.json"), &proxy(state, addresses, &node_name(1)))?;
    let reserved = reserved_memory(memory_kib()?, nodes);
    for node in 1..=nodes {
        let name_of_node = node_name(node);
        let folder = state.join(&name_of_node);
        for sub in ["log", "var-log", "var-lib/kubelet", "var-lib/containerd", "var-lib/cni/net.d", "var-lib/local-path"] {
            fs::create_dir_all(folder.join(sub))?;
        }
        write_kubeconfig(state, &folder.join("kubeconfig"), name, addresses, &name_of_node)?;
        write_json(&folder.join("proxy.json"), &proxy(state, addresses, &name_of_node))?;
        write_json(&folder.join("var-lib/cni/net.d/10-bridge.conflist"), &pod_network(addresses, node))?;
        fs::write(folder.join("containerd.toml"), CONTAINERD)?;
        fs::write(folder.join("resolv.conf"), format!("nameserver {}\n", addresses.control_plane()))?;
        write_json(&folder.join("kubelet.json"), &kubelet(state, addresses, &name_of_node, &reserved))?;
    }
    Ok(())
}

/// One folder with a link to each program, under the names that the start scripts use.
pub fn link_programs(state: &Path, folders: &[std::path::PathBuf]) -> Result<()> {
    let links = state.join("bin");
    let _ = fs::remove_dir_all(&links);
    fs::create_dir_all(&links)?;
    for folder in folders {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            // etcd's module calls its program "server".
            let file = path.file_name().filter(|file| *file != "server").unwrap_or("etcd".as_ref());
            let link = links.join(file);
            // The two versions of nats-server live in images, not here.
            if file != "nats-server" && file != "nats-server-config-reloader" {
                symlink(&path, &link).with_context(|| format!("cannot make the link {}", link.display()))?;
            }
        }
    }
    Ok(())
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, format!("{value:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}

fn write_kubeconfig(state: &Path, path: &Path, name: &str, addresses: Addresses, user: &str) -> Result<()> {
    let data = |file: String| -> Result<String> {
        let path = state.join("pki").join(file);
        Ok(BASE64_STANDARD.encode(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?))
    };
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
         clusters:\n- name: {name}\n  cluster:\n    server: {}\n    certificate-authority-data: {}\n\
         contexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {user}\n\
         users:\n- name: {user}\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        addresses.api(),
        data("ca.crt".into())?,
        data(format!("{user}.crt"))?,
        data(format!("{user}.key"))?,
    );
    write_private(path, text.as_bytes())
}

// `template` stands in a server block of its own: in one block it would come before `kubernetes` and answer for the cluster's names too.
fn corefile(state: &Path, a: Addresses) -> String {
    let address = a.control_plane();
    format!(
        ".:53 {{\n  bind {address}\n  template ANY ANY {{\n    rcode NXDOMAIN\n  }}\n}}\n\
         cluster.local:53 in-addr.arpa:53 {{\n  bind {address}\n  errors\n  kubernetes {{\n    kubeconfig {}/kubeconfig\n    ttl 1\n  }}\n  cache 1\n}}\n",
        state.display()
    )
}

fn proxy(state: &Path, a: Addresses, node: &str) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": state.join("proxy.kubeconfig")},
        "mode": "iptables", "clusterCIDR": a.pods(), "hostnameOverride": node,
        "conntrack": {"maxPerCore": 0},
        "iptables": {"minSyncPeriod": "100ms", "syncPeriod": "30s"},
    })
}

// No masquerading: pods see each other's and the host's real addresses.
fn pod_network(a: Addresses, node: u8) -> Value {
    json!({"cniVersion": "1.0.0", "name": "pods", "plugins": [
        {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": a.pods_of(node)}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/cni-ipam"}},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]})
}

fn kubelet(state: &Path, a: Addresses, node: &str, reserved: &str) -> Value {
    let pki = state.join("pki");
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": false}, "webhook": {"enabled": true}, "x509": {"clientCAFile": pki.join("ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs", "cgroupRoot": format!("{}/{node}", a.cgroup()), "failCgroupV1": false,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [a.control_plane()], "clusterDomain": "cluster.local", "resolvConf": state.join(node).join("resolv.conf"),
        "failSwapOn": false,
        "tlsCertFile": pki.join(format!("{node}.crt")), "tlsPrivateKeyFile": pki.join(format!("{node}.key")),
        "systemReserved": {"memory": reserved}, "enforceNodeAllocatable": ["pods"],
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        // A node that dies is noticed after 20 s.
        "nodeStatusUpdateFrequency": "4s", "nodeLeaseDurationSeconds": 16,
        "syncFrequency": "10s", "configMapAndSecretChangeDetectionStrategy": "Watch",
    })
}

fn memory_kib() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    total.context("/proc/meminfo does not say MemTotal")
}

// Each node sees the whole machine; what its neighbours use is reserved. A single node leaves a quarter to the machine.
fn reserved_memory(total_kib: u64, nodes: u8) -> String {
    let nodes = u64::from(nodes);
    let share = if nodes == 1 { total_kib * 3 / 4 } else { total_kib / nodes };
    format!("{}Ki", total_kib - share)
}

const CONTAINERD: &str = r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd/state"
[grpc]
  address = "/run/containerd/containerd.sock"
[ttrpc]
  address = "/run/containerd/containerd.sock.ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  # Root without CAP_SYS_RESOURCE may not lower the score, and runc dies of it.
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "/var/lib/cni/net.d"
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_together_never_claim_more_than_the_machine() {
        for nodes in 1..=5u8 {
            let reserved: u64 = reserved_memory(24_000_000, nodes).trim_end_matches("Ki").parse().unwrap();
            assert!((24_000_000 - reserved) * u64::from(nodes) <= 24_000_000, "{nodes} nodes");
        }
    }
}
