"""What a ReplicaSet does about its pods, and what its status says (pkg/controller/replicaset)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from emulator.cluster.objects import Object, clone

from .conditions import condition, remove_condition, set_condition
from .owners import labels_of, owner_reference
from .podstates import is_active, is_ready, is_terminating, victims

__all__ = ["Plan", "batches", "plan", "pod_of", "replicaset_status"]

BURST = 500


@dataclass(frozen=True)
class Plan:
    """How many pods to create, or which to delete."""

    create: int = 0
    delete: tuple[Object, ...] = ()


def plan(replicaset: Object, pods: Sequence[Object], related: Iterable[Object], now: datetime) -> Plan:
    """Bring the active pods among `pods` to spec.replicas, at most 500 at a time.

    `related`: the pods of every ReplicaSet of the same owner, which decide who has to go first.
    """
    active = [pod for pod in pods if is_active(pod)]
    missing = replicaset["spec"].get("replicas", 1) - len(active)
    if missing >= 0:
        return Plan(create=min(missing, BURST))
    return Plan(delete=tuple(victims(active, related, min(-missing, BURST), now)))


def batches(count: int) -> Iterable[int]:
    """Slow start: 1, 2, 4, … so that what fails fails once before it fails five hundred times."""
    size = 1
    while count > 0:
        yield min(size, count)
        count -= size
        size *= 2


def pod_of(replicaset: Object) -> Object:
    """A new pod from the template, owned by the ReplicaSet."""
    template = replicaset["spec"]["template"]
    given = template.get("metadata") or {}
    kept = {key: clone(given[key]) for key in ("labels", "annotations", "finalizers") if given.get(key)}
    metadata = {
        **kept,
        "generateName": f"{replicaset['metadata']['name']}-",
        "namespace": replicaset["metadata"]["namespace"],
        "ownerReferences": [owner_reference(replicaset)],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": clone(template["spec"])}


def replicaset_status(
    replicaset: Object,
    pods: Sequence[Object],
    is_available: Callable[[Object], bool],
    failure: str | None,
    now: str,
) -> Object:
    """Counts over the ReplicaSet's pods and whether it could not manage them.

    `failure`: why creating or deleting pods failed, if it did. `now` is an RFC 3339 time.
    """
    active = [pod for pod in pods if is_active(pod)]
    labels = ((replicaset["spec"]["template"].get("metadata") or {}).get("labels") or {}).items()
    counts = {
        "fullyLabeledReplicas": sum(labels <= labels_of(pod).items() for pod in active),
        "readyReplicas": sum(map(is_ready, active)),
        "availableReplicas": sum(is_ready(pod) and is_available(pod) for pod in active),
        "observedGeneration": replicaset["metadata"].get("generation", 0),
    }
    status: Object = {
        "replicas": len(active),
        **{key: count for key, count in counts.items() if count},
        "terminatingReplicas": sum(map(is_terminating, pods)),
    }
    old = replicaset.get("status") or {}
    if old.get("conditions"):
        status["conditions"] = clone(old["conditions"])
    if failure is None:
        remove_condition(status, "ReplicaFailure")
    elif condition(old, "ReplicaFailure") is None:
        missing = replicaset["spec"].get("replicas", 1) > len(active)
        reason = "FailedCreate" if missing else "FailedDelete"
        fresh = {"type": "ReplicaFailure", "status": "True", "lastTransitionTime": now, "reason": reason}
        set_condition(status, {**fresh, "message": failure})
    return status
