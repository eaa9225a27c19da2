#!/bin/bash
# PID 1 of one node's own pid, mount, uts and ipc namespaces, in the network namespace of the node's name.
# Environment: STATE (the cluster's folder), BIN (links to all programs), NODE (n1..), ADDRESS (the node's), ZONE,
# CGROUP (the cluster's cgroup, shared by its nodes). $1 is STATE again, $2 is NODE, so that the process list says whose this is.
D=$STATE/$NODE
L=$D/log
. "$STATE/scripts/place.sh" || exit 1
# The node's own disk under the usual names; what a power cut would lose is on tmpfs.
mount --bind "$D/var-lib" /var/lib
mount --bind "$D/var-log" /var/log
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
hostname "$NODE"

supervise containerd "$BIN/containerd" -c "$D/containerd.toml" &
until [ -S /run/containerd/containerd.sock ]; do sleep .05; done

if [ -f /sys/fs/cgroup/cgroup.controllers ]; then # cgroup v2: written from its documentation, not tried
  mkdir -p "/sys/fs/cgroup$CGROUP/$NODE"
  for d in "" "$CGROUP" "$CGROUP/$NODE"; do
    for c in $(cat "/sys/fs/cgroup$d/cgroup.controllers"); do echo "+$c" >"/sys/fs/cgroup$d/cgroup.subtree_control"; done
  done
else
  for c in /sys/fs/cgroup/{cpu,cpuacct,cpuset,memory,devices,freezer,blkio,pids,systemd,hugetlb,net_cls,perf_event}; do
    [ -d "$c" ] && mkdir -p "$c$CGROUP/$NODE"
  done
  # A new cpuset is empty and takes no process.
  for d in "$CGROUP" "$CGROUP/$NODE"; do
    for f in cpuset.cpus cpuset.mems; do cat "/sys/fs/cgroup/cpuset/$f" >"/sys/fs/cgroup/cpuset$d/$f"; done
  done
fi

supervise kube-proxy "$BIN/kube-proxy" --config "$D/proxy.json" &
supervise kubelet "$BIN/kubelet" --config "$D/kubelet.json" --kubeconfig "$D/kubeconfig" --hostname-override "$NODE" \
  --node-ip "$ADDRESS" --node-labels "topology.kubernetes.io/zone=$ZONE,topology.kubernetes.io/region=local" -v=1 &
wait
