"""What a running cluster and its registry must have for the suite to judge anything, looked at before it begins."""

from __future__ import annotations

import dataclasses
import hashlib
import re

import requests
import urllib3

from conformance.cluster import Cluster, NotSeenError
from conformance.kube import RefusedError
from conformance.lab import Lab
from conformance.oci import Repository
from conformance.targets.choice import TargetUnavailableError
from conformance.targets.daemon import innermost
from conformance.targets.progress import Progress
from conformance.targets.target import Description, NodeFingerprint, Target

__all__ = ["preflight", "runtime_note", "version_of"]

_LEAST_KUBERNETES = (1, 36)
_LEAST_CONTAINERD = (2, 1)
_PREFLIGHT = "preflight"


def preflight(description: Description, progress: Progress) -> Description:
    """The description with what the registry cannot do added to what is lacking.

    Raises TargetUnavailableError, which names everything that is missing.
    """
    target = Target(description)
    with progress.step(f"{description.name}: the cluster"):
        missing = _cluster(target)
    for node in target.fingerprint.nodes:
        progress.say(f"{description.name}: {node.name}: kubelet {node.kubelet}, {node.runtime}{runtime_note(node)}")
    with progress.step(f"{description.name}: pushing to {description.registry.host}"):
        push = _push(target)
    if push:
        missing.append(push)
    elif not missing:
        with progress.step(f"{description.name}: a pod that pulls from {description.registry.name}"):
            missing += _pull(target)
    if missing:
        raise TargetUnavailableError("; ".join(missing))
    if _deletes(target):
        return description
    reason = "this registry deletes no blobs"
    return dataclasses.replace(description, lacks={**description.lacks, "registry-deletion": reason})


def version_of(text: str) -> tuple[int, int]:
    """Major and minor version in a text such as `v1.36.3-gke.1` or `containerd://2.3.7`; zeros if there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def runtime_note(node: NodeFingerprint) -> str:
    """What is to be expected of a node's runtime, if it is not what the suite describes."""
    name = node.runtime.partition("://")[0]
    if name != "containerd":
        return f" (the suite describes containerd; {name} words its failures in its own way)"
    if version_of(node.runtime) < _LEAST_CONTAINERD:
        return " (image volumes need containerd 2.1 or later)"
    return ""


def _cluster(target: Target) -> list[str]:
    from kubernetes.config import ConfigException

    try:
        fingerprint = target.fingerprint
    except RefusedError as refused:
        raise TargetUnavailableError(f"the cluster does not let us look at its nodes: {refused}") from None
    except (ConfigException, OSError, urllib3.exceptions.HTTPError) as error:
        raise TargetUnavailableError(
            f"the cluster of {target.description.kubeconfig} does not answer: {innermost(error)}"
        ) from None
    missing = []
    if version_of(fingerprint.kubernetes) < _LEAST_KUBERNETES:
        missing.append(f"Kubernetes 1.36 or later is needed for image volumes, and this is {fingerprint.kubernetes}")
    if not fingerprint.nodes:
        missing.append("the cluster has no nodes")
    elif not target.hosts:
        missing.append("no node takes pods: all are tainted, cordoned or not Linux")
    return missing


def _push(target: Target) -> str:
    """Push the probe; why that failed, if it did."""
    where = target.registry
    try:
        Lab.prepare(target, target.description.run)
    except requests.HTTPError as error:
        answer = error.response
        if answer.status_code in {requests.codes.unauthorized, requests.codes.forbidden}:
            who = f"{where.username} may not push" if where.username else "nobody may push without --registry-user"
            return f"{who}: {where.host} says {answer.status_code} {answer.reason}"
        return f"the registry {where.host} does not take what is pushed: {answer.status_code} {answer.reason}"
    except requests.RequestException as error:
        return f"the registry {where.host} does not answer: {innermost(error)}"
    return ""


def _pull(target: Target) -> list[str]:
    """Run the probe in a pod; why that failed, if it did."""
    run = target.description.run
    try:
        cluster = Cluster(target, f"{run}-{_PREFLIGHT}")
    except RefusedError as refused:
        return [f"the user of {target.description.kubeconfig} may not make namespaces: {refused}"]
    except NotSeenError as unseen:
        return [f"the cluster gives new namespaces no service account: {unseen}"]
    try:
        lab = Lab(cluster, run, run, nonce=_PREFLIGHT)
        pod = {
            "metadata": {"name": _PREFLIGHT},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "probe", "image": lab.probe}]},
        }
        seen = lab.run(pod)
    except RefusedError as refused:
        return [f"the user of {target.description.kubeconfig} may not run pods: {refused}"]
    except NotSeenError as unseen:
        return [f"no node runs a pod: {unseen}"]
    finally:
        cluster.remove()
    if seen.outcome == "mounted":
        return []
    return [f"nodes do not pull from {target.registry.name}: {seen.outcome}: {seen.message}"]


def _deletes(target: Target) -> bool:
    """Whether the registry takes a blob from a repository when it is told to."""
    blob = target.description.run.encode()
    digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
    repository = Repository(target.registry, f"{target.description.run}/{_PREFLIGHT}")
    try:
        repository.push_blob(digest, blob)
        repository.delete_blob(digest)
    except requests.HTTPError:
        return False
    return not repository.has_blob(digest)
