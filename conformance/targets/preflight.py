"""What a running cluster and its registry must have for the suite to judge anything, looked at before it begins."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import requests
import urllib3

from conformance.cluster import Cluster, NodeLostError, NotSeenError
from conformance.kube import Kube, Object, RefusedError
from conformance.lab import Lab
from conformance.oci import Repository
from conformance.pods import usual_pod
from conformance.targets.checks import finding, of_versions, version_of
from conformance.targets.choice import TargetUnavailableError
from conformance.targets.daemon import innermost
from conformance.targets.progress import Progress
from conformance.targets.room import asked
from conformance.targets.target import Description, Finding, NodeFingerprint, Target

__all__ = ["Hints", "preflight", "runtime_note", "version_of"]

_LEAST_CONTAINERD = (2, 1)
_PREFLIGHT = "preflight"
# So many pods the suite has on a pool at a time, with pytest-xdist's usual number of workers.
_PODS = 8
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
# Group, resource, subresource and verb of what the suite does, cluster-wide since its namespaces are its own.
_NEEDED = (
    ("", "namespaces", "", "create"),
    ("", "namespaces", "", "delete"),
    ("", "nodes", "", "list"),
    ("", "pods", "", "create"),
    ("", "pods", "", "list"),
    ("", "pods", "log", "get"),
    ("", "pods", "proxy", "get"),
    ("", "secrets", "", "create"),
    ("", "events", "", "list"),
    ("apps", "deployments", "", "create"),
)


# How Kubernetes' authorizers say that a user lacks a right; admission, which answers 403 too, says something else.
_LACKS_RIGHTS = re.compile(r'User ".*" cannot \w+ resource "')


@dataclasses.dataclass(frozen=True)
class Hints:
    """What to say besides, and how to mend it: where the registry denies something, and where the cluster does."""

    registry: str = ""
    cluster: str = "; bind it to the ClusterRole cluster-admin, or to one with these rights"


def preflight(
    description: Description, progress: Progress, found: Sequence[Finding] = (), hints: Hints | None = None
) -> Description:
    """The description with what was found (after `found`), the pools to judge, and what the registry cannot do.

    A pool whose nodes take no pods, or pull nothing, is left out, its finding says why; where that leaves none, or
    nothing can be pushed, there is no target.

    Raises TargetUnavailableError, which names everything that is missing.
    """
    hints = hints or Hints()
    try:
        return _preflight(description, progress, found, hints)
    except RefusedError as refused:
        told = f"the cluster of {description.name} refuses what the suite needs: {refused}{_mended(refused, hints)}"
        raise TargetUnavailableError(told, [*found, finding("permissions", told, holds=False)]) from None


def _preflight(description: Description, progress: Progress, found: Sequence[Finding], hints: Hints) -> Description:
    target = Target(description)
    with progress.step(f"{description.name}: the cluster"):
        looked = [*found, *_cluster(target, hints)]
    for node in target.fingerprint.nodes:
        where = f" in pool {node.pool}" if node.pool else ""
        progress.say(
            f"{description.name}: {node.name}{where}: kubelet {node.kubelet}, {node.runtime}{runtime_note(node)}"
        )
    pools = _pools(target)
    looked += _nodes(target, pools)
    with progress.step(f"{description.name}: pushing to {description.registry.host}"):
        looked.append(_push(dataclasses.replace(description, pools=tuple(filter(None, pools))), hints.registry))
    _stop_if(looked, {"kubernetes", "nodes", "permissions", "push"}, pools)
    usable = [pool for pool in pools if not _failed(looked, {"nodes"}, pool)]
    with (
        progress.step(f"{description.name}: a pod that pulls from {description.registry.name}"),
        ThreadPoolExecutor() as go,
    ):
        for each in go.map(lambda pool: _pull(target.of_pool(pool), hints), usable):
            looked += each
    _stop_if(looked, {"permissions", "pull"}, pools)
    usable = [pool for pool in usable if not _failed(looked, {"permissions", "pull"}, pool)]
    lacks = dict(description.lacks)
    if not _deletes(target):
        lacks["registry-deletion"] = "this registry deletes no blobs"
    return dataclasses.replace(
        description, lacks=lacks, pools=tuple(filter(None, usable)), findings=tuple(_spread(looked, pools))
    )


def runtime_note(node: NodeFingerprint) -> str:
    """What is to be expected of a node's runtime, if it is not what the suite describes."""
    name = node.runtime.partition("://")[0]
    if name != "containerd":
        return f" (the suite describes containerd; {name} words its failures in its own way)"
    if version_of(node.runtime) < _LEAST_CONTAINERD:
        return " (image volumes need containerd 2.1 or later)"
    return ""


def _pools(target: Target) -> list[str]:
    """The node pools by name; one without a name where there are none."""
    return sorted({node.pool for node in target.fingerprint.nodes if node.pool}) or [""]


def _spread(found: Sequence[Finding], pools: Sequence[str]) -> list[Finding]:
    """Findings about the whole target once a pool, since reports are laid out by pools."""
    return [
        dataclasses.replace(one, pool=pool)
        for one in found
        for pool in ([one.pool] if one.pool or pools == [""] else pools)
    ]


def _failed(found: Sequence[Finding], checks: set[str], pool: str) -> bool:
    return any(one.check in checks and one.verdict == "fail" and one.pool == pool for one in found)


def _stop_if(found: Sequence[Finding], checks: set[str], pools: Sequence[str]) -> None:
    """End here if one of the checks failed of the whole target, or of every pool."""
    bad = [one for one in found if one.check in checks and one.verdict == "fail"]
    whole = [one for one in bad if not one.pool]
    if whole or {one.pool for one in bad} >= set(pools):
        told = "; ".join(dict.fromkeys(one.evidence for one in bad))
        raise TargetUnavailableError(told, _spread(found, pools))


def _cluster(target: Target, hints: Hints) -> list[Finding]:
    from kubernetes.config import ConfigException

    def unavailable(message: str) -> TargetUnavailableError:
        return TargetUnavailableError(message, [finding("cluster", message, holds=False)])

    try:
        fingerprint = target.fingerprint
    except RefusedError as refused:
        raise unavailable(
            f"the cluster does not let us look at its nodes: {refused}{_mended(refused, hints)}"
        ) from None
    except (ConfigException, OSError, urllib3.exceptions.HTTPError) as error:
        raise unavailable(
            f"the cluster of {target.description.kubeconfig} does not answer: {innermost(error)}"
        ) from None
    if not fingerprint.nodes:
        raise unavailable("the cluster has no nodes")
    return [*of_versions(fingerprint, _pools(target)), *_permissions(target, hints)]


def _mended(refused: RefusedError, hints: Hints) -> str:
    """How to mend a refusal, where it is for want of rights."""
    return hints.cluster if _LACKS_RIGHTS.search(str(refused)) else ""


def _permissions(target: Target, hints: Hints) -> list[Finding]:
    """Whether the user may do what the suite does; nothing where the cluster has no such reviews."""
    kube, denied = Kube(target.kube), []
    for group, resource, subresource, verb in _NEEDED:
        asked = {"group": group, "resource": resource, "subresource": subresource, "verb": verb}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
        }
        try:
            status = kube.create(_REVIEWS, review).get("status", {})
        except RefusedError:
            return []
        if not status.get("allowed"):
            denied.append(f"{verb} {'/'.join(filter(None, (resource, subresource)))}")
    told = (
        f"the user of {target.name} may not {', '.join(denied)}{hints.cluster}"
        if denied
        else f"{len(_NEEDED)} rights asked about: all are given"
    )
    return [finding("permissions", told, holds=not denied)]


def _nodes(target: Target, pools: Sequence[str]) -> list[Finding]:
    """Whether each pool has nodes that take pods."""
    found = []
    for pool in pools:
        part = target.of_pool(pool)
        if not part.hosts:
            of = f" of pool {pool}" if pool else ""
            told = f"no node{of} takes pods: all are tainted, cordoned, not ready or not Linux"
            found.append(finding("nodes", told, pool, holds=False))
            continue
        found.append(finding("nodes", f"{len(part.hosts)} take pods", pool, holds=True))
    return found


def _push(description: Description, hint: str) -> Finding:
    """Push the probe; why that failed, if it did."""
    target = Target(description)
    where = target.registry
    try:
        Lab.prepare(target, description.run)
    except requests.HTTPError as error:
        answer = error.response
        if answer.status_code in {requests.codes.unauthorized, requests.codes.forbidden}:
            who = f"{where.username} may not push" if where.username else "nobody may push without --registry-user"
            told = f"{who}: {where.host} says {answer.status_code} {answer.reason}{hint}"
        else:
            told = f"the registry {where.host} does not take what is pushed: {answer.status_code} {answer.reason}"
        return finding("push", told, holds=False)
    except requests.RequestException as error:
        return finding("push", f"the registry {where.host} does not answer: {innermost(error)}", holds=False)
    return finding("push", f"pushed to {where.host}", holds=True)


def _pull(target: Target, hints: Hints) -> list[Finding]:
    """Run the probe in a pod of a pool, and ask whether one with an image volume would be admitted."""
    run, pool = target.description.run, target.pool
    try:
        cluster = Cluster(target, "-".join(filter(None, (run, pool, _PREFLIGHT))))
    except RefusedError as refused:
        told = f"the cluster of {target.name} refuses new namespaces: {refused}{_mended(refused, hints)}"
        return [finding("permissions", told, pool, holds=False)]
    except (NodeLostError, NotSeenError) as unseen:
        return [finding("pull", f"the cluster gives new namespaces no service account: {unseen}", pool, holds=False)]
    try:
        lab = Lab(cluster, run, run, nonce=_PREFLIGHT)
        pulled = _pulled(lab, hints)
        return [pulled] if pulled.check == "permissions" else [pulled, *_admitted(lab)]
    finally:
        cluster.remove()


def _pulled(lab: Lab, hints: Hints) -> Finding:
    target, pool = lab.target, lab.target.pool
    pod: Object = {
        "metadata": {"name": _PREFLIGHT},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "probe", "image": lab.probe}]},
    }
    try:
        seen = lab.run(pod)
    except RefusedError as refused:
        told = f"the cluster of {target.name} refuses the suite's pods: {refused}"
        lacks = _mended(refused, hints)
        return finding("permissions" if lacks else "pull", told + lacks, pool, holds=False)
    except (NodeLostError, NotSeenError) as unseen:
        return finding("pull", f"no node runs a pod: {unseen}", pool, holds=False)
    if seen.outcome == "mounted":
        return finding("pull", f"pulled {target.registry.name}", pool, holds=True)
    told = f"nodes do not pull from {target.registry.name}: {seen.outcome}: {seen.message}{hints.registry}"
    return finding("pull", told, pool, holds=False)


def _admitted(lab: Lab) -> list[Finding]:
    """Whether a pod with an image volume would be admitted, and has room as it would be then."""
    target, pool = lab.target, lab.target.pool
    pod = usual_pod("admission", image=lab.probe, reference=f"{lab.repository('any').reference}:v1")
    try:
        pod = lab.cluster.create("pods", pod, dry_run=True)
    except RefusedError as refused:
        admission = finding("admission", str(refused), pool, holds=False)
    else:
        admission = finding("admission", "a pod with an image volume was admitted (dry run)", pool, holds=True)
    # Policies and limit ranges give pods requests that the suite's do not have.
    wants = asked(pod)
    room = target.room(Kube(target.kube).get("/api/v1/pods")["items"], wants)
    each = ", ".join(f"{name} {amount.normalize():f}" for name, amount in sorted(wants.items()))
    told = (
        f"room for {room} more pods{f' that are made to ask for {each}' if each else ''}; the suite has up to {_PODS}"
    )
    return [admission, finding("room", told, pool, holds=room >= _PODS)]


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
