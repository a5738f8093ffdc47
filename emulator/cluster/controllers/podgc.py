"""The pod garbage collector: pods whose node is no more (kubernetes/pkg/controller/podgc/gc_controller.go)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from emulator.cluster.errors import ApiError
from emulator.cluster.objects import Object, clone, identity

from .conditions import set_condition
from .controller import Controller, Source
from .owners import Key
from .podstates import is_terminal

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["PodGarbage"]

# quarantineTime: how long a node may be away before its pods are given up, in seconds.
_QUARANTINE = 40.0
_DISRUPTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "DeletionByPodGC",
    "message": "PodGC: node no longer exists",
}


class PodGarbage(Controller):
    """Deletes the pods of a node that was deleted, once it has stayed away for a while. Its keys are ("", node)."""

    component = "pod-garbage-collector"

    def start(self) -> None:
        """Forget which nodes are away."""
        self._away: dict[str, float] = {}

    def sources(self) -> Mapping[str, Source]:
        """Nodes that go."""
        return {"nodes": self._of_node}

    def sync(self, key: Key) -> float | None:
        """Give up one node's pods, if it is still away."""
        name = key[1]
        since = self._away.get(name)
        if since is None or self.api.exists("nodes", name):
            self._away.pop(name, None)
            return None
        left = since + _QUARANTINE - self.clock.now()
        if left > 0:
            return left
        for pod in self.peek("pods"):
            if pod["spec"].get("nodeName") == name:
                self._give_up(clone(pod))
        return None

    def _of_node(self, event: WatchEvent) -> tuple[Key, ...]:
        name = event.object["metadata"]["name"]
        if event.type == "DELETED":
            self._away.setdefault(name, self.clock.now())
        return (("", name),) if event.type == "DELETED" else ()

    def _give_up(self, pod: Object) -> None:
        namespace, name = identity(pod)
        try:
            if not is_terminal(pod):
                pod.setdefault("status", {})["phase"] = "Failed"
                generation = pod["metadata"].get("generation", 1)
                now = self.clock.timestamp()
                set_condition(pod["status"], _DISRUPTED | {"observedGeneration": generation, "lastTransitionTime": now})
                self.api.update("pods", pod, subresource="status")
            self.api.delete("pods", name, namespace, grace_period=0)
        except ApiError as error:
            if error.code != 404:
                raise
