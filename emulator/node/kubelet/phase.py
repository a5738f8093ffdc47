"""The phase of a pod, from the states of its containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["pod_phase", "restarts"]

Object = dict[str, Any]


def restarts(restart_policy: str, exit_code: int) -> bool:
    """Whether a container that ended with `exit_code` is started again."""
    return restart_policy == "Always" or (restart_policy == "OnFailure" and exit_code != 0)


def pod_phase(pod: Object, statuses: Mapping[str, Object], *, terminal: bool) -> str:
    """`Pending`, `Running`, `Succeeded` or `Failed`.

    `statuses` holds the container statuses by name, those of init containers too; `terminal` says that no
    container of this pod will be started again, whatever its restart policy.
    Source: Kubernetes pkg/kubelet/kubelet_pods.go, getPhase.
    """
    spec = pod["spec"]
    policy = spec.get("restartPolicy", "Always")
    pending = False
    for container in spec.get("initContainers") or ():
        ended = _ended(statuses.get(container["name"]))
        if ended is None:
            pending = True
        elif ended["exitCode"] != 0 and not restarts(policy, ended["exitCode"]):
            return "Failed"

    running = waiting = unknown = 0
    codes: list[int] = []
    for container in spec["containers"]:
        status = statuses.get(container["name"])
        ended = _ended(status)
        if status is None:
            unknown += 1
        elif "running" in status["state"]:
            running += 1
        elif ended is not None:
            codes.append(ended["exitCode"])
        else:
            waiting += 1

    if pending or waiting or unknown:
        return "Pending"
    if running:
        return "Running"
    if not terminal and any(restarts(policy, code) for code in codes):
        return "Running"
    return "Failed" if any(codes) else "Succeeded"


def _ended(status: Object | None) -> Object | None:
    """How a container that is not running ended last, where it ever ran."""
    if status is None or "running" in status["state"]:
        return None
    ended: Object | None = status["state"].get("terminated")
    if ended is None and "waiting" in status["state"]:
        ended = (status.get("lastState") or {}).get("terminated")
    return ended
