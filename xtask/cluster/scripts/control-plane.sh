#!/bin/bash
# PID 1 of the control plane's own pid and mount namespaces, in the network namespace `cp`.
# Environment: STATE (the cluster's folder), BIN (links to all programs), ADDRESS (this namespace's), SERVICE_CIDR.
# $1 is STATE again, so that the process list says whose this is.
cd "$STATE" || exit 1
L=$STATE/log
mkdir -p etcd
. "$STATE/scripts/place.sh" || exit 1
mount -t tmpfs -o mode=755 tmpfs /run

supervise etcd "$BIN/etcd" --data-dir etcd --log-level warn --unsafe-no-fsync \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
  --initial-cluster default=http://127.0.0.1:2380 &

supervise kube-apiserver "$BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
  --secure-port=6443 --bind-address=0.0.0.0 --advertise-address="$ADDRESS" \
  --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
  --service-account-key-file=pki/sa.pub --service-account-signing-key-file=pki/sa.key \
  --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range="$SERVICE_CIDR" \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged \
  --requestheader-client-ca-file=pki/ca.crt --requestheader-allowed-names=front-proxy-client \
  --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
  --requestheader-username-headers=X-Remote-User --kubelet-preferred-address-types=InternalIP \
  --kubelet-client-certificate=pki/admin.crt --kubelet-client-key=pki/admin.key \
  --default-not-ready-toleration-seconds=30 --default-unreachable-toleration-seconds=30 &

until "$BIN/kubectl" --kubeconfig kubeconfig get --raw /readyz >/dev/null 2>&1; do sleep .2; done
touch api-ready

supervise kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig kcm.kubeconfig \
  --service-account-private-key-file=pki/sa.key --root-ca-file=pki/ca.crt --use-service-account-credentials \
  --cluster-signing-cert-file=pki/ca.crt --cluster-signing-key-file=pki/ca.key --leader-elect=false \
  --node-monitor-period=2s --node-monitor-grace-period=20s --kube-api-qps=300 --kube-api-burst=600 &
supervise kube-scheduler "$BIN/kube-scheduler" --kubeconfig scheduler.kubeconfig --leader-elect=false \
  --kube-api-qps=300 --kube-api-burst=600 &
supervise coredns "$BIN/coredns" -conf Corefile &
supervise kube-proxy "$BIN/kube-proxy" --config proxy.json &

until "$BIN/kubectl" --kubeconfig kubeconfig apply -f storage.yaml >>"$L/storage.log" 2>&1; do sleep 1; done
supervise local-path-provisioner "$BIN/local-path-provisioner" start --kubeconfig "$STATE/kubeconfig" \
  --config local-path.json --namespace local-path-storage \
  --service-account-name local-path-provisioner-service-account --configmap-name local-path-config \
  --helper-image localhost/busybox:1 --provisioner-name rancher.io/local-path &
wait
