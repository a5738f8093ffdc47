"""What is looked at before a run, and what it can find: a verdict with a reason, per node pool where nodes differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conformance.targets.target import Finding, Fingerprint, NodeFingerprint

__all__ = ["CHECKS", "finding", "of_azure", "of_versions", "version_of"]

_LEAST_KUBERNETES = (1, 36)
_LEAST_CONTAINERD = (2, 1)
_LEAST_FOR_SUBPATH = (2, 2)
_OBSERVED = "observation: Kubernetes 1.36.3 with containerd 2.0.14 to 2.4.2"

# By check: the sentence that holds where it passes, and who says so.
CHECKS: Mapping[str, tuple[str, str]] = {
    "admission": (
        "The cluster admits pods with image volumes.",
        "Kubernetes: Pod Security; AKS: Deployment Safeguards, whose restricted list leaves image volumes out",
    ),
    "artifact-streaming": (
        "Nodes pull images whole: nothing streams them.",
        "AKS: Artifact Streaming, for pulls by tag only",
    ),
    "cluster": ("The cluster answers, and lets the suite look at its nodes.", "the suite"),
    "control-plane": ("Azure describes the cluster and its pools.", "Azure REST: managedClusters, agentPools"),
    "credentials": ("Azure gives a kubeconfig for the cluster.", "Azure REST: listClusterUserCredential"),
    "image-cleaner": (
        "Nothing but the kubelet removes images from nodes.",
        "AKS: Image Cleaner (eraser: pkg/collector), to which an image that only volumes use looks unused",
    ),
    "image-volumes": ("Nodes run containerd 2.1 or later, which mounts image volumes.", f"{_OBSERVED}; Azure/AKS#5721"),
    "kubelet": ("Kubelets are of Kubernetes 1.36 or later.", "Kubernetes: image volumes are stable from 1.36"),
    "kubernetes": (
        "The cluster runs Kubernetes 1.36 or later.",
        "Kubernetes: image volumes are stable from 1.36",
    ),
    "nodes": ("A node of the pool is ready and takes pods.", "the suite"),
    "permissions": (
        "Whoever runs the suite may do what it needs in the cluster.",
        "Kubernetes: SelfSubjectAccessReview",
    ),
    "power-state": ("The cluster is started.", "Azure REST: managedClusters, powerState"),
    "pull": (
        "Nodes pull from the registry without credentials of a pod's own.",
        "AKS: AcrPull of the kubelet identity",
    ),
    "push": ("The suite may push to the registry.", "ACR: AcrPush"),
    "registry": (
        "The registry exists, and gives a token.",
        "ACR: az acr login --expose-token, or POST /oauth2/exchange",
    ),
    "room": (
        "The pool has room for the suite's pods.",
        "Kubernetes: what nodes have allocatable, less what pods ask for",
    ),
    "sign-in": (
        "Somebody is signed in to Azure.",
        "az account get-access-token, or azure-identity's DefaultAzureCredential",
    ),
    "subpath": (
        "Nodes run containerd 2.2 or later, which does not ignore the subPath of an image volume.",
        f"{_OBSERVED}; containerd#11580, Azure/AKS#5730",
    ),
}


def finding(check: str, evidence: str, pool: str = "", *, holds: bool) -> Finding:
    """What a check found."""
    says, source = CHECKS[check]
    return Finding(check, pool, "pass" if holds else "fail", says, source, evidence)


def version_of(text: str) -> tuple[int, int]:
    """Major and minor version in a text such as `v1.36.3-gke.1` or `containerd://2.3.7`; zeros if there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def of_versions(fingerprint: Fingerprint, pools: Sequence[str]) -> list[Finding]:
    """What the versions of the API server and the nodes let expect; `pools` is `[""]` where there are none."""
    found = [
        finding(
            "kubernetes",
            f"this is {fingerprint.kubernetes}"
            if version_of(fingerprint.kubernetes) >= _LEAST_KUBERNETES
            else f"Kubernetes 1.36 or later is needed for image volumes, and this is {fingerprint.kubernetes}",
            holds=version_of(fingerprint.kubernetes) >= _LEAST_KUBERNETES,
        )
    ]
    for pool in pools:
        nodes = [node for node in fingerprint.nodes if node.pool == pool or not pool]
        if nodes:
            found += _of_pool(pool, nodes)
    return found


def _of_pool(pool: str, nodes: Sequence[NodeFingerprint]) -> list[Finding]:
    def judged(check: str, least: tuple[int, int], text: Callable[[NodeFingerprint], str], why: str) -> Finding:
        old = [node for node in nodes if version_of(text(node)) < least]
        shown = ", ".join(dict.fromkeys(_described(node, text) for node in old or nodes))
        return finding(check, f"{shown}: {why}" if old else shown, pool, holds=not old)

    return [
        judged(
            "kubelet", _LEAST_KUBERNETES, lambda node: node.kubelet, "image volumes need a kubelet of 1.36 or later"
        ),
        *(
            judged(check, least, lambda node: node.runtime, why)
            for check, least, why in (
                (
                    "image-volumes",
                    _LEAST_CONTAINERD,
                    'it mounts no image volume: containers fail with `failed to mkdir ""`; 2.1 or later is needed',
                ),
                (
                    "subpath",
                    _LEAST_FOR_SUBPATH,
                    "it mounts no image volume, with subPath or without"
                    if all(version_of(node.runtime) < _LEAST_CONTAINERD for node in nodes)
                    else "it ignores the subPath of an image volume without a word; 2.2 or later is needed",
                ),
            )
            if all(node.runtime.startswith("containerd://") for node in nodes)
        ),
    ]


def _described(node: NodeFingerprint, text: Callable[[NodeFingerprint], str]) -> str:
    """A version and where it comes from: `containerd 2.1.9 (AzureLinux, AKSAzureLinux-V3gen2-202605.05.1)`."""
    image = ", ".join(filter(None, (node.os_sku, node.node_image))) or node.os_image
    return f"{text(node).replace('://', ' ')} ({image})"


def of_azure(cluster: Mapping[str, Any]) -> list[Finding]:
    """What Azure's description of a cluster and its pools (`agentPools`) lets expect."""
    properties = cluster.get("properties", {})
    power = properties.get("powerState", {}).get("code", "")
    name = cluster.get("name", "the cluster")
    group = str(cluster.get("id", "")).partition("/resourceGroups/")[2].partition("/")[0]
    found = [
        finding(
            "power-state",
            f"{name} is {power.lower() or 'in a state that Azure does not say'}"
            if power != "Stopped"
            else f"{name} is stopped; start it: az aks start --resource-group {group} --name {name}",
            holds=power != "Stopped",
        )
    ]
    version = str(properties.get("currentKubernetesVersion") or properties.get("kubernetesVersion") or "")
    if version and version_of(version) < _LEAST_KUBERNETES:
        text = f"Kubernetes 1.36 or later is needed for image volumes, and {name} has {version}"
        found.append(finding("kubernetes", text, holds=False))
    cleaner = properties.get("securityProfile", {}).get("imageCleaner", {})
    on = bool(cleaner.get("enabled"))
    text = f"Image Cleaner is on, every {cleaner.get('intervalHours', '?')} h: it counts images of containers only"
    found.append(finding("image-cleaner", text if on else "Image Cleaner is off", holds=not on))
    for pool in cluster.get("agentPools", []):
        of = pool.get("properties", {})
        if of.get("osType", "Linux") != "Linux":
            continue
        streams = bool(of.get("artifactStreamingProfile", {}).get("enabled"))
        text = "Artifact Streaming is on: an image by tag may come as a stream, one by digest never does"
        found.append(
            finding(
                "artifact-streaming",
                text if streams else "Artifact Streaming is off",
                str(pool.get("name", "")),
                holds=not streams,
            )
        )
    return found
