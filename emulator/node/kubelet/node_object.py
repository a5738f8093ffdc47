"""The Node object and the Lease by which a kubelet says that its node is there."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from emulator.clock import Clock

__all__ = ["LEASE_SECONDS", "architecture", "node_lease", "node_object"]

Object = dict[str, Any]

LEASE_SECONDS = 40
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def architecture() -> str:
    """This machine's architecture, as Go, Kubernetes and OCI call it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def node_object(
    name: str,
    *,
    runtime: str,
    kubernetes: str,
    address: str,
    pod_cidr: str,
    lacks: Mapping[str, str],
    version: str,
    labels: Mapping[str, str],
    taints: Sequence[Mapping[str, str]],
) -> Object:
    """A Ready node with the capacity of this machine.

    `runtime` is as `containerd://2.3.7`, `kubernetes` as `v1.36.3`; `lacks` says what this emulated node cannot do,
    and why. `labels` come on top of those that every node has.
    """
    own = {"kubernetes.io/arch": architecture(), "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    capacity = {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 1024}Ki",
        "pods": "110",
    }
    now = Clock.timestamp()
    conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": own | {f"beta.{key}": value for key, value in own.items() if "hostname" not in key} | {**labels},
            "annotations": {
                "imgvol.dev/emulator": version,
                "imgvol.dev/lacks": json.dumps(dict(lacks), sort_keys=True),
            },
        },
        "spec": {
            "podCIDR": pod_cidr,
            "podCIDRs": [pod_cidr],
            **({"taints": [dict(taint) for taint in taints]} if taints else {}),
        },
        "status": {
            "capacity": capacity,
            "allocatable": dict(capacity),
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "lastHeartbeatTime": now,
                    "lastTransitionTime": now,
                    "reason": reason,
                    "message": message,
                }
                for kind, status, reason, message in conditions
            ],
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "machineID": uuid.uuid4().hex,
                "systemUUID": str(uuid.uuid4()),
                "bootID": str(uuid.uuid4()),
                "kernelVersion": platform.release(),
                "osImage": "imgvol emulator",
                "containerRuntimeVersion": runtime,
                "kubeletVersion": kubernetes,
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": architecture(),
            },
        },
    }


def node_lease(node: Object) -> Object:
    """The node's heartbeat."""
    metadata = node["metadata"]
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": metadata["name"],
            "namespace": "kube-node-lease",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": metadata["name"], "uid": metadata["uid"]}],
        },
        "spec": {
            "holderIdentity": metadata["name"],
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": Clock.micro_timestamp(),
        },
    }
