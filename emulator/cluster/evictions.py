"""Whether a pod may be evicted: what the disruption budget that guards it says.

Source: kubernetes/pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from emulator.cluster import errors
from emulator.cluster.objects import Object
from emulator.cluster.selectors import match_labels

__all__ = ["spend"]

_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


def spend(pod: Object, budgets: list[Object]) -> Object | None:
    """The budget of the pod's namespace that an eviction draws on, one disruption the less; None if on none.

    Raises ApiError: 429 where the budget is used up, 500 where several budgets guard the pod.
    """
    status = pod.get("status") or {}
    if status.get("phase") != "Running" or "deletionTimestamp" in pod["metadata"]:
        return None
    labels = pod["metadata"].get("labels") or {}
    guarding = [each for each in budgets if match_labels(each["spec"].get("selector"), labels)]
    if not guarding:
        return None
    if len(guarding) > 1:
        detail = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise errors.failure(500, "", detail)
    (budget,) = guarding
    left = budget["status"]
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or ())
    if not ready:
        healthy = left["currentHealthy"] >= left["desiredHealthy"] > 0
        if healthy or budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
            return None
    name = budget["metadata"]["name"]
    if left.get("observedGeneration", 0) < budget["metadata"]["generation"]:
        raise _refused(f"The disruption budget {name} is still being processed by the server.", 10)
    if left["disruptionsAllowed"] == 0:
        needs, has = left["desiredHealthy"], left["currentHealthy"]
        if has <= needs:
            raise _refused(f"The disruption budget {name} needs {needs} healthy pods and has {has} currently")
        raise _refused(f"The disruption budget {name} does not allow evicting pods currently")
    return {**budget, "status": {**left, "disruptionsAllowed": left["disruptionsAllowed"] - 1}}


def _refused(detail: str, retry: int | None = None) -> errors.ApiError:
    causes = [{"reason": "DisruptionBudget", "message": detail}]
    return errors.failure(429, "TooManyRequests", _REFUSED, {"causes": causes, "retryAfterSeconds": retry})
