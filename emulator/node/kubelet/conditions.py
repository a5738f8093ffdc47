"""The conditions of a pod that the kubelet owns.

Source: Kubernetes pkg/kubelet/status/generate.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["KUBELET_CONDITIONS", "pod_conditions"]

Object = dict[str, Any]

KUBELET_CONDITIONS = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
)


def pod_conditions(pod: Object, status: Object, old: Sequence[Object], *, has_network: bool, now: str) -> list[Object]:
    """All conditions of a pod: the kubelet's, computed from `status`, then those of others, as they are.

    `old` are the present ones, whose transition time stays where the status does; `now` is RFC 3339.
    """
    generation = pod["metadata"].get("generation")
    before = {condition["type"]: condition for condition in old}
    result = []
    containers_ready = _ready(status)
    for kind, (state, reason, message) in zip(
        KUBELET_CONDITIONS,
        (
            (has_network, "", ""),
            _initialized(pod, status),
            containers_ready,
            containers_ready,
            (True, "", ""),
        ),
        strict=True,
    ):
        word = "True" if state else "False"
        last = before.get(kind)
        condition: Object = {
            "type": kind,
            "status": word,
            "lastTransitionTime": last["lastTransitionTime"] if last and last["status"] == word else now,
        }
        if generation is not None:
            condition["observedGeneration"] = generation
        if reason:
            condition["reason"] = reason
        if message:
            condition["message"] = message
        result.append(condition)
    return result + [condition for condition in old if condition["type"] not in KUBELET_CONDITIONS]


def _ready(status: Object) -> tuple[bool, str, str]:
    if status["phase"] == "Succeeded":
        return False, "PodCompleted", ""
    if status["phase"] == "Failed":
        return False, "PodFailed", ""
    unready = [each["name"] for each in status["containerStatuses"] if not each["ready"]]
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
    return True, "", ""


def _initialized(pod: Object, status: Object) -> tuple[bool, str, str]:
    if not pod["spec"].get("initContainers"):
        return True, "PodCompleted" if status["phase"] == "Succeeded" else "", ""
    if status["phase"] == "Succeeded":
        return True, "PodCompleted", ""
    if any(
        "running" in each["state"] or "terminated" in each["state"] or each["lastState"]
        for each in status["containerStatuses"]
    ):
        return True, "", ""
    incomplete = [each["name"] for each in status["initContainerStatuses"] if not each["ready"]]
    if incomplete:
        return (
            False,
            "ContainersNotInitialized",
            f"containers with incomplete status: [{' '.join(incomplete)}]",
        )
    return True, "", ""
