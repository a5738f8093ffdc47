"""Why pods do not come up: what their containers wait for, and what nodes and schedulers say of them."""

from __future__ import annotations

from conformance.kube import Kube
from imgvol.deployment.manifests import Object

__all__ = ["troubles", "waiting"]

_ON_THE_WAY = ("ContainerCreating", "PodInitializing")


def waiting(pods: list[Object]) -> list[str]:
    """A line for every pod that waits for something out of the ordinary."""
    return [f"pod {pod['metadata']['name']}: {reason}" for pod in pods if (reason := _reason(pod))]


def troubles(kube: Kube, namespace: str, pods: list[Object]) -> list[str]:
    """What is wrong with pods that are not ready, the warnings about them last."""
    lines: list[str] = []
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        if any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ())):
            continue
        for each in status.get("containerStatuses", ()):
            if "waiting" in each.get("state", {}):
                state = each["state"]["waiting"]
                lines.append(f"pod {name}: {state.get('reason', '')}: {state.get('message', '')}".rstrip(": "))
        query = {"fieldSelector": f"involvedObject.name={name},type=Warning"}
        events = kube.get(f"/api/v1/namespaces/{namespace}/events", query)["items"]
        events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
        lines += [f"pod {name}: event {event['reason']}: {event['message']}" for event in events]
    return list(dict.fromkeys(lines)) or ["no pod of it says why"]


def _reason(pod: Object) -> str:
    status = pod.get("status", {})
    for each in status.get("containerStatuses", ()):
        reason = each.get("state", {}).get("waiting", {}).get("reason", "")
        if reason and reason not in _ON_THE_WAY:
            return str(reason)
    for each in status.get("conditions", ()):
        if each["type"] == "PodScheduled" and each["status"] == "False":
            return str(each.get("reason", "Unschedulable"))
    return ""
