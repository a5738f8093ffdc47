"""What a pod's state means to those who count pods, and which pod to give up first.

Source: pkg/api/v1/pod/util.go (ready, available) and pkg/controller/controller_utils.go (ActivePodsWithRanks).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from emulator.cluster.objects import Object

from .conditions import condition

__all__ = ["is_active", "is_ready", "is_terminal", "is_terminating", "ready_condition", "victims"]

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def is_terminal(pod: Object) -> bool:
    """Whether all its containers ended for good."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_terminating(pod: Object) -> bool:
    """Whether it is being deleted and still there to end."""
    return "deletionTimestamp" in pod["metadata"] and not is_terminal(pod)


def is_active(pod: Object) -> bool:
    """Whether it counts as a replica: neither ended nor being deleted."""
    return not is_terminal(pod) and "deletionTimestamp" not in pod["metadata"]


def ready_condition(pod: Object) -> Object | None:
    """The condition Ready, if it is True."""
    found = condition(pod.get("status") or {}, "Ready")
    return found if found is not None and found["status"] == "True" else None


def is_ready(pod: Object) -> bool:
    """Whether the kubelet says that it can serve."""
    return ready_condition(pod) is not None


def victims(pods: Sequence[Object], related: Iterable[Object], count: int, now: datetime) -> list[Object]:
    """The `count` pods to delete first.

    Unscheduled before scheduled, pending before running, not ready before ready, cheaper before dearer
    (annotation pod-deletion-cost), on nodes with more pods of the same owner (`related`) first, then shorter ready,
    more restarts, younger. Ages are compared by powers of two, ties by uid, so that no single age decides.
    """
    crowd = Counter(pod["spec"].get("nodeName", "") for pod in related if is_active(pod))
    return sorted(pods, key=lambda pod: _worth(pod, crowd[pod["spec"].get("nodeName", "")], now))[:count]


def _worth(pod: Object, neighbours: int, now: datetime) -> tuple[int | str, ...]:
    status = pod.get("status") or {}
    ready = ready_condition(pod)
    cost = (pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0")
    return (
        bool(pod["spec"].get("nodeName")),
        _PHASES.get(status.get("phase", "Pending"), 0),
        ready is not None,
        _integer(cost),
        -neighbours,
        _age(ready.get("lastTransitionTime"), now) if ready else 0,
        -max((each.get("restartCount", 0) for each in status.get("containerStatuses") or ()), default=0),
        _age(pod["metadata"].get("creationTimestamp"), now),
        pod["metadata"].get("uid", ""),
    )


def _age(timestamp: str | None, now: datetime) -> int:
    """The power of two of an age in nanoseconds: -1 below one, and for no time at all."""
    if not timestamp:
        return -1
    then = datetime.fromisoformat(timestamp).astimezone(UTC)
    return int((now - then).total_seconds() * 1e9).bit_length() - 1 if now > then else -1


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0
