"""What kubeadm is told: a control plane on one node, and workers that join it (kubeadm API v1beta4).

The settings are those that the kind project's images are made for (kind: pkg/cluster/internal/kubeadm/config.go), less
what the suite has no use for: cluster DNS and the taint of the control plane.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

import yaml

__all__ = ["API_PORT", "POD_SUBNET", "SERVICE_SUBNET", "Cluster", "kubeconfig_for", "pod_network"]

POD_SUBNET = "10.244.0.0/16"
SERVICE_SUBNET = "10.96.0.0/16"
API_PORT = 6443
_API = "kubeadm.k8s.io/v1beta4"
_SOCKET = "unix:///run/containerd/containerd.sock"
# Preflight judges machines, not containers; there is no image of CoreDNS offline; every node takes the suite's pods.
_SKIPPED_BY_INIT = ["preflight", "addon/coredns", "mark-control-plane"]
_SKIPPED_BY_JOIN = ["preflight"]


def _token() -> str:
    return f"{secrets.token_hex(3)}.{secrets.token_hex(8)}"


@dataclass(frozen=True)
class Cluster:
    """A cluster to be made. version: of Kubernetes, e.g. `v1.36.3`; hosts: by what names and addresses its API is
    reached from outside; cgroup: the version on its host."""

    name: str
    version: str
    control_plane: str
    hosts: tuple[str, ...]
    cgroup: int
    rootless: bool = False
    token: str = field(default_factory=_token, repr=False)

    @property
    def endpoint(self) -> str:
        """Where the nodes reach the API."""
        return f"{self.control_plane}:{API_PORT}"

    def init(self, address: str) -> str:
        """The configuration of `kubeadm init` on the control plane, whose address it is given."""
        return _documents(
            {
                "kind": "ClusterConfiguration",
                "apiVersion": _API,
                "clusterName": self.name,
                "kubernetesVersion": self.version,
                "controlPlaneEndpoint": self.endpoint,
                "networking": {"podSubnet": POD_SUBNET, "serviceSubnet": SERVICE_SUBNET},
                "apiServer": {"certSANs": list(dict.fromkeys(["localhost", "127.0.0.1", *self.hosts]))},
                "controllerManager": {"extraArgs": [{"name": "enable-hostpath-provisioner", "value": "true"}]},
            },
            {
                "kind": "InitConfiguration",
                "apiVersion": _API,
                "bootstrapTokens": [{"token": self.token}],
                "localAPIEndpoint": {"advertiseAddress": address, "bindPort": API_PORT},
                "nodeRegistration": self._registration(self.control_plane, address),
                "skipPhases": _SKIPPED_BY_INIT,
            },
            self._kubelet(),
            self._proxy(),
        )

    def join(self, node: str, address: str) -> str:
        """The configuration of `kubeadm join` on a worker."""
        return _documents(
            {
                "kind": "JoinConfiguration",
                "apiVersion": _API,
                "discovery": {
                    "bootstrapToken": {
                        "apiServerEndpoint": self.endpoint,
                        "token": self.token,
                        # The network between the nodes is ours alone.
                        "unsafeSkipCAVerification": True,
                    }
                },
                "nodeRegistration": self._registration(node, address),
                "skipPhases": _SKIPPED_BY_JOIN,
            }
        )

    def _registration(self, node: str, address: str) -> dict[str, Any]:
        return {
            "name": node,
            "criSocket": _SOCKET,
            "taints": [],
            "kubeletExtraArgs": [
                {"name": "node-ip", "value": address},
                {"name": "provider-id", "value": f"kind://docker/{self.name}/{node}"},
            ],
        }

    def _kubelet(self) -> dict[str, Any]:
        return {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "cgroupRoot": "/kubelet",
            "failSwapOn": False,
            # A node's disk is its host's, whose user decides how full it may be.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": dict.fromkeys(("nodefs.available", "nodefs.inodesFree", "imagefs.available"), "0%"),
            # Limits that spare registries and the API; a suite that runs side by side would meet them, and fail for it.
            "registryPullQPS": 0,
            "eventRecordQPS": 1000,
            "eventBurst": 1000,
            **({"failCgroupV1": False} if self.cgroup == 1 else {}),
            **({"featureGates": {"KubeletInUserNamespace": True}} if self.rootless else {}),
        }

    def _proxy(self) -> dict[str, Any]:
        timeouts = {"tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"} if self.rootless else {}
        return {
            "kind": "KubeProxyConfiguration",
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "mode": "iptables",
            "iptables": {"minSyncPeriod": "1s"},
            # The table of connections belongs to the host.
            "conntrack": {"maxPerCore": 0, **timeouts},
        }


def kubeconfig_for(admin: str, name: str, server: str) -> str:
    """The control plane's admin.conf for use outside: everything in it is called `name`, the API is at `server`."""
    config = yaml.safe_load(admin)
    (cluster,), (user,), (context,) = config["clusters"], config["users"], config["contexts"]
    cluster["name"] = user["name"] = context["name"] = config["current-context"] = name
    context["context"] = {"cluster": name, "user": name}
    cluster["cluster"]["server"] = server
    text: str = yaml.safe_dump(config, sort_keys=False)
    return text


def pod_network(manifest: str, endpoint: str) -> str:
    """A node image's manifest of its pod network, filled in for our subnet.

    `endpoint` is the API server's own: by it the network's pods come up without waiting for kube-proxy.
    """
    documents = [one for one in yaml.safe_load_all(re.sub(r"\{\{ *\.PodSubnet *\}\}", POD_SUBNET, manifest)) if one]
    for document in documents:
        if document["kind"] == "DaemonSet":
            for container in document["spec"]["template"]["spec"]["containers"]:
                container.setdefault("env", []).append({"name": "CONTROL_PLANE_ENDPOINT", "value": endpoint})
    return _documents(*documents)


def _documents(*documents: dict[str, Any]) -> str:
    text: str = yaml.safe_dump_all(documents, sort_keys=False)
    return text
