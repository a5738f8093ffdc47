"""The scheduler: a node for every pod that has none (kubernetes/pkg/scheduler)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from emulator.cluster.errors import ApiError
from emulator.cluster.objects import Object, clone, identity

from .conditions import condition, set_condition
from .controller import Controller, Source
from .feasibility import explain, refusal
from .owners import Key
from .spreading import Spread

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["Scheduler"]


class Scheduler(Controller):
    """Binds pods to nodes that take them, one node after the other; a pod that fits nowhere waits for a change."""

    component = "default-scheduler"

    def start(self) -> None:
        """Forget who waits."""
        self._unschedulable: dict[Key, None] = {}
        self._turn = 0

    def sources(self) -> Mapping[str, Source]:
        """Pods, and the nodes they could run on."""
        return {"nodes": self._of_node, "pods": self._of_pod}

    def sync(self, key: Key) -> float | None:
        """Bind one pod, or say why that cannot be."""
        namespace, name = key
        self._unschedulable.pop(key, None)
        try:
            pod = self.api.get("pods", name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        if not _is_waiting(pod):
            return None
        nodes = self.peek("nodes")
        there = defaultdict(list)
        for other in self.peek("pods") if nodes else ():
            there[other["spec"].get("nodeName", "")].append(other)
        spread = Spread(pod, nodes, there)
        refusals = [refusal(pod, node, there[node["metadata"]["name"]]) or spread.refusal(node) for node in nodes]
        feasible = [node for node, problem in zip(nodes, refusals, strict=True) if problem is None]
        if feasible:
            preferred = spread.preferred(feasible)
            self._bind(pod, preferred[self._turn % len(preferred)]["metadata"]["name"])
            self._turn += 1
        else:
            self._unschedulable[key] = None
            self._refuse(pod, explain([problem for problem in refusals if problem is not None]))
        return None

    def _of_node(self, event: WatchEvent) -> Iterable[Key]:
        return tuple(self._unschedulable)

    def _of_pod(self, event: WatchEvent) -> Iterable[Key]:
        pod = event.object
        if event.type != "DELETED" and _is_waiting(pod):
            return (identity(pod),)
        # A pod that ended or went may have made room, and one that was bound may have evened out a spread.
        left = event.type == "DELETED" or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        return tuple(self._unschedulable) if left or pod["spec"].get("nodeName") else ()

    def _bind(self, pod: Object, node: str) -> None:
        namespace, name = identity(pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": namespace, "name": name, "uid": pod["metadata"]["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        self.api.update("pods", binding, subresource="binding")
        self.event(pod, "Normal", "Scheduled", f"Successfully assigned {namespace}/{name} to {node}")

    def _refuse(self, pod: Object, message: str) -> None:
        """Say once that a pod fits nowhere: nothing changes until a node or a pod does."""
        status = clone(pod.get("status") or {})
        said = condition(status, "PodScheduled")
        if said is not None and said["status"] == "False" and said.get("message") == message:
            return
        fresh: Object = {
            "type": "PodScheduled",
            "status": "False",
            "observedGeneration": pod["metadata"].get("generation", 1),
            "lastProbeTime": None,
            "lastTransitionTime": said["lastTransitionTime"] if said else self.clock.timestamp(),
            "reason": "Unschedulable",
            "message": message,
        }
        status["conditions"] = [each for each in status.get("conditions") or () if each["type"] != "PodScheduled"]
        set_condition(status, fresh)
        self.api.update("pods", {**pod, "status": status}, subresource="status")
        self.event(pod, "Warning", "FailedScheduling", message)


def _is_waiting(pod: Object) -> bool:
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and spec.get("schedulerName", "default-scheduler") == "default-scheduler"
        and "deletionTimestamp" not in pod["metadata"]
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    )
