"""What one sync of a pod has to do: which container to start, which to kill, or whether the pod is done.

Source: Kubernetes pkg/kubelet/kuberuntime/kuberuntime_manager.go, computePodActions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.node.kubelet.phase import restarts
from emulator.node.kubelet.records import PodRecord

__all__ = ["Actions", "compute", "is_done"]

Object = dict[str, Any]


@dataclass(frozen=True)
class Actions:
    """What to do, in this order: kill, start the init container, start the containers."""

    kill: Mapping[str, str]
    """Container → the message of its Killing event."""
    init: Object | None = None
    """The next init container to start: while there is one, no other container starts."""
    start: tuple[Object, ...] = ()
    """The containers to start, in the order of the pod's spec."""


def compute(pod: Object, record: PodRecord, unhealthy: Mapping[str, str]) -> Actions:
    """Compare a pod with what runs of it; `unhealthy` names the probe (`liveness`, `startup`) a container failed."""
    spec = pod["spec"]
    policy = spec.get("restartPolicy", "Always")
    if not _started_any(spec, record):
        for container in spec.get("initContainers") or ():
            latest = record.latest(container["name"])
            if latest is not None and latest.ended is not None and latest.ended.exit_code == 0:
                continue
            wanted = latest is None or (latest.ended is not None and restarts(policy, latest.ended.exit_code))
            return Actions(kill={}, init=container if wanted else None)

    kill: dict[str, str] = {}
    start: list[Object] = []
    for container in spec["containers"]:
        name = container["name"]
        latest = record.latest(name)
        if latest is None or (latest.ended is not None and restarts(policy, latest.ended.exit_code)):
            start.append(container)
        elif latest.running and name in unhealthy:
            message = f"Container {name} failed {unhealthy[name]} probe"
            if policy != "Never":
                message += ", will be restarted"
                start.append(container)
            kill[name] = message
    return Actions(kill=kill, start=tuple(start))


def is_done(pod: Object, record: PodRecord) -> bool:
    """Whether every container has ended for good: the phase is Succeeded or Failed."""
    spec = pod["spec"]
    policy = spec.get("restartPolicy", "Always")
    for container in spec.get("initContainers") or ():
        latest = record.latest(container["name"])
        if latest is None or latest.ended is None:
            return False
        if latest.ended.exit_code != 0:
            return not restarts(policy, latest.ended.exit_code)
    for container in spec["containers"]:
        latest = record.latest(container["name"])
        if latest is None or latest.ended is None or restarts(policy, latest.ended.exit_code):
            return False
    return True


def _started_any(spec: Object, record: PodRecord) -> bool:
    """Init containers do not run again once a regular container has started."""
    return any(record.attempts.get(container["name"]) for container in spec["containers"])
