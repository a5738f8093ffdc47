"""The status of a pod, from what the kubelet remembers of it.

Source: Kubernetes pkg/kubelet/kubelet_pods.go, convertStatusToAPIStatus and generateAPIPodStatus.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.node.kubelet.conditions import pod_conditions
from emulator.node.kubelet.failures import StartFailure
from emulator.node.kubelet.phase import pod_phase, restarts
from emulator.node.kubelet.records import Attempt, PodRecord

__all__ = ["pod_status"]

Object = dict[str, Any]


def pod_status(
    pod: Object,
    record: PodRecord,
    failures: Mapping[str, StartFailure],
    *,
    host_ip: str,
    now: str,
    terminal: bool = False,
) -> Object:
    """The whole `status` of a pod.

    `failures` holds, by container, why it could not be started; `terminal` says that nothing will be started
    again; `now` is RFC 3339.
    """
    spec = pod["spec"]
    old: Object = pod.get("status") or {}
    init = spec.get("initContainers") or []
    containers = [
        _container_status(pod, each, record, failures, terminal=terminal, init=False) for each in spec["containers"]
    ]
    inits = [_container_status(pod, each, record, failures, terminal=terminal, init=True) for each in init]
    phase = pod_phase(pod, {each["name"]: each for each in containers + inits}, terminal=terminal)
    if old.get("phase") in ("Succeeded", "Failed"):  # a pod does not leave a terminal phase
        phase = old["phase"]
    status: Object = {
        "observedGeneration": pod["metadata"].get("generation", 1),
        "phase": phase,
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": old.get("startTime", now),
    }
    if record.ip:
        status |= {"podIP": record.ip, "podIPs": [{"ip": record.ip}]}
    if inits:
        status["initContainerStatuses"] = inits
    status["containerStatuses"] = containers
    if old.get("qosClass"):
        status["qosClass"] = old["qosClass"]
    status["conditions"] = pod_conditions(
        pod, status, old.get("conditions") or [], has_network=record.sandbox is not None, now=now
    )
    return status


def _container_status(
    pod: Object,
    container: Object,
    record: PodRecord,
    failures: Mapping[str, StartFailure],
    *,
    terminal: bool,
    init: bool,
) -> Object:
    name = container["name"]
    latest = record.latest(name)
    previous = record.previous(name)
    last_state: Object = _terminated(previous) if previous else {}
    if latest is None:
        state: Object = {
            "waiting": {"reason": "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"}
        }
    elif latest.running:
        state = {"running": {"startedAt": latest.started_at}}
    else:
        state = _terminated(latest)

    failure = failures.get(name)
    if terminal and "waiting" in state:
        state = {
            "terminated": {
                "exitCode": 137,
                "reason": "ContainerStatusUnknown",
                "message": "The container could not be located when the pod was terminated",
                "startedAt": None,
                "finishedAt": None,
            }
        }
    elif failure and not terminal and _will_start(pod, latest):
        if "terminated" in state:
            last_state = state
        state = {"waiting": {"reason": failure.reason, "message": failure.message}}

    if init:
        ready = latest is not None and latest.ended is not None and latest.ended.exit_code == 0
    else:
        ready = latest is not None and latest.running and latest.ready
    status: Object = {
        "name": name,
        "state": state,
        "lastState": last_state,
        "ready": ready,
        "restartCount": latest.number if latest else 0,
        "image": latest.image if latest else container["image"],
        "imageID": latest.image_id if latest else "",
        "started": latest is not None and latest.running and latest.started_up,
    }
    if latest:
        status["containerID"] = f"containerd://{latest.id}"
    if latest and latest.running:
        resources = container.get("resources") or {}
        if resources.get("requests"):
            status["allocatedResources"] = resources["requests"]
        status["resources"] = resources
        status["user"] = {
            "linux": {
                "uid": latest.identity.uid,
                "gid": latest.identity.gid,
                "supplementalGroups": list(latest.identity.groups),
            }
        }
    if latest and container.get("volumeMounts"):
        status["volumeMounts"] = [_mount_status(mount) for mount in container["volumeMounts"]]
    return status


def _will_start(pod: Object, latest: Attempt | None) -> bool:
    if latest is None:
        return True
    return latest.ended is not None and restarts(pod["spec"].get("restartPolicy", "Always"), latest.ended.exit_code)


def _terminated(attempt: Attempt) -> Object:
    ended = attempt.ended
    assert ended is not None
    state: Object = {"exitCode": ended.exit_code, "reason": ended.reason}
    if ended.message:
        state["message"] = ended.message
    return {
        "terminated": state
        | {
            "startedAt": attempt.started_at,
            "finishedAt": ended.finished_at,
            "containerID": f"containerd://{attempt.id}",
        }
    }


def _mount_status(mount: Object) -> Object:
    status: Object = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        status |= {"readOnly": True, "recursiveReadOnly": mount.get("recursiveReadOnly", "Disabled")}
    return status
