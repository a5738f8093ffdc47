"""What a Deployment's status says of its rollout (pkg/controller/deployment: sync.go calculateStatus, progress.go)."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.cluster.objects import Object, clone

from .conditions import condition, remove_condition, set_condition
from .rollout import fenceposts

__all__ = [
    "basic_status",
    "deadline",
    "is_complete",
    "is_waiting",
    "pause_status",
    "progressing",
    "rollout_status",
]

_UNLIMITED = 2**31 - 1


def basic_status(deployment: Object, new: Object | None, olds: Sequence[Object], now: str) -> Object:
    """Counts, availability and observedGeneration; every other condition stays. `now` is an RFC 3339 time."""
    sets = [*olds, *([new] if new is not None else [])]
    old = deployment.get("status") or {}
    available = _total(sets, "availableReplicas")
    wanted = sum(each["spec"].get("replicas", 1) for each in sets)
    status: Object = {
        "observedGeneration": deployment["metadata"].get("generation", 0),
        "replicas": _total(sets, "replicas"),
        "updatedReplicas": _total([new] if new is not None else [], "replicas"),
        "readyReplicas": _total(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted - available),
        "collisionCount": old.get("collisionCount", 0),
    }
    status = {key: value for key, value in status.items() if value}
    status["terminatingReplicas"] = _total(sets, "terminatingReplicas")
    if old.get("conditions"):
        status["conditions"] = clone(old["conditions"])
    enough = available >= deployment["spec"].get("replicas", 1) - fenceposts(deployment).unavailable
    verdict = (
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        if enough
        else ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    )
    set_condition(status, _condition("Available", *verdict, now))
    return status


def rollout_status(
    deployment: Object, new: Object | None, olds: Sequence[Object], now: str, *, overdue: bool
) -> Object:
    """The status in the middle of a rollout: also whether it completes, progresses or is stuck.

    `overdue`: whether progressDeadlineSeconds passed since the last progress.
    """
    status = basic_status(deployment, new, olds, now)
    old = deployment.get("status") or {}
    current = condition(old, "Progressing")
    if deadline(deployment) is None:
        remove_condition(status, "Progressing")
    elif not _was_complete(status, current):
        subject = _subject(deployment, new)
        if is_complete(deployment, status):
            text = f"{subject} has successfully progressed."
            set_condition(status, _condition("Progressing", "True", "NewReplicaSetAvailable", text, now))
        elif has_advanced(old, status):
            fresh = progressing("ReplicaSetUpdated", f"{subject} is progressing.", now)
            if current is not None and current["status"] == "True":
                fresh["lastTransitionTime"] = current["lastTransitionTime"]
            # Also with an unchanged reason: lastUpdateTime is what the deadline counts from.
            remove_condition(status, "Progressing")
            set_condition(status, fresh)
        elif overdue and current is not None:
            text = f"{subject} has timed out progressing."
            set_condition(status, _condition("Progressing", "False", "ProgressDeadlineExceeded", text, now))
    _promote_failure(status, [*([new] if new is not None else []), *olds])
    return status


def pause_status(deployment: Object, now: str) -> Object | None:
    """The status that says a Deployment was paused or resumed just now; None if that is said already.

    A deadline that passed before is not overwritten.
    """
    if deadline(deployment) is None:
        return None
    status: Object = clone(deployment.get("status") or {})
    reason = (condition(status, "Progressing") or {}).get("reason")
    paused = bool(deployment["spec"].get("paused"))
    if reason == "ProgressDeadlineExceeded" or paused == (reason == "DeploymentPaused"):
        return None
    verdict = ("DeploymentPaused", "Deployment is paused") if paused else ("DeploymentResumed", "Deployment is resumed")
    set_condition(status, _condition("Progressing", "Unknown", *verdict, now))
    return status


def progressing(reason: str, message: str, now: str) -> Object:
    """A condition that says the rollout moves."""
    return _condition("Progressing", "True", reason, message, now)


def deadline(deployment: Object) -> int | None:
    """progressDeadlineSeconds; None if it is not limited."""
    seconds = deployment["spec"].get("progressDeadlineSeconds", 600)
    return None if seconds in (None, _UNLIMITED) else int(seconds)


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether every wanted pod is of the new template and available, and no other is left."""
    wanted = deployment["spec"].get("replicas", 1)
    counts = [status.get(key, 0) for key in ("updatedReplicas", "replicas", "availableReplicas")]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return seen and all(count == wanted for count in counts)


def is_waiting(deployment: Object, status: Object) -> bool:
    """Whether the progress deadline is running."""
    current = condition(status, "Progressing")
    if deadline(deployment) is None or current is None or is_complete(deployment, status):
        return False
    return current["reason"] not in ("ProgressDeadlineExceeded", "NewReplicaSetAvailable")


def has_advanced(old: Object, new: Object) -> bool:
    """Whether more pods are new, ready or available than before, or fewer are outdated."""

    def outdated(status: Object) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    grown = any(new.get(key, 0) > old.get(key, 0) for key in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return grown or outdated(new) < outdated(old)


def _was_complete(status: Object, current: Object | None) -> bool:
    settled = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    return settled and current is not None and current.get("reason") == "NewReplicaSetAvailable"


def _promote_failure(status: Object, sets: Sequence[Object]) -> None:
    """Show the first failure a ReplicaSet reports, the new one's before the others'."""
    for each in sets:
        failure = condition(each.get("status") or {}, "ReplicaFailure")
        if failure is not None:
            set_condition(status, {**failure, "lastUpdateTime": failure["lastTransitionTime"]})
            return
    remove_condition(status, "ReplicaFailure")


def _subject(deployment: Object, new: Object | None) -> str:
    if new is not None:
        return f'ReplicaSet "{new["metadata"]["name"]}"'
    return f'Deployment "{deployment["metadata"]["name"]}"'


def _condition(type_: str, status: str, reason: str, message: str, now: str) -> Object:
    return {
        "type": type_,
        "status": status,
        "lastUpdateTime": now,
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }


def _total(sets: Sequence[Object], key: str) -> int:
    return sum((each.get("status") or {}).get(key, 0) for each in sets)
