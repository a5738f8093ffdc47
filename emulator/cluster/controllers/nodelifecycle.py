"""The node lifecycle controller: a node whose kubelet has fallen silent is unknown, and takes no more pods.

Source: kubernetes/pkg/controller/nodelifecycle/node_lifecycle_controller.go, pkg/controller/util/node. What comes
tolerationSeconds later, the deletion of the node's pods (pkg/controller/tainteviction), is not modelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from emulator.cluster.objects import Object, clone

from .conditions import condition, remove_condition
from .controller import Controller, Source
from .owners import Key

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["NodeLifecycle"]

# --node-monitor-period and --node-monitor-grace-period of kube-controller-manager 1.36, in seconds.
_PERIOD = 5.0
_GRACE = 50.0
_LEASES = "kube-node-lease"
_JUDGED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_UNREACHABLE = "node.kubernetes.io/unreachable"
_ALL: Key = ("", "")


class NodeLifecycle(Controller):
    """Looks at the leases of all nodes now and then.

    Nodes that never had a lease are left alone: no kubelet stands behind them.
    """

    component = "node-controller"

    def start(self) -> None:
        """Forget when each node was last heard of."""
        self._silent: dict[str, tuple[str, int]] = {}
        self._looked = self.clock.now()

    def sources(self) -> Mapping[str, Source]:
        """Nodes as they come; from the first on the clock says when to look."""
        return {"nodes": self._of_node}

    def sync(self, key: Key) -> float | None:
        """Look at every node once a period.

        Looks are counted, not seconds: should this process be held up, kubelets are heard before the next look.
        """
        nodes = self.peek("nodes")
        if not nodes:
            return None
        if self.clock.now() - self._looked >= _PERIOD:
            self._looked = self.clock.now()
            for node in nodes:
                self._look(node)
        return _PERIOD

    def _of_node(self, event: WatchEvent) -> tuple[Key, ...]:
        if event.type == "DELETED":
            self._silent.pop(event.object["metadata"]["name"], None)
        return (_ALL,) if event.type == "ADDED" else ()

    def _look(self, node: Object) -> None:
        name = node["metadata"]["name"]
        lease = self.api.store.get("leases", _LEASES, name)
        renewed = str(lease["spec"].get("renewTime", "")) if lease else ""
        before, looks = self._silent.get(name, ("", 0))
        if not renewed or renewed != before:
            self._silent[name] = (renewed, 0)
            return
        self._silent[name] = (renewed, looks + 1)
        if (looks + 1) * _PERIOD > _GRACE and self._is_known(node):
            self._lose(clone(node))

    @staticmethod
    def _is_known(node: Object) -> bool:
        ready = condition(node.get("status") or {}, "Ready")
        return ready is None or ready["status"] != "Unknown"

    def _lose(self, node: Object) -> None:
        name, now = node["metadata"]["name"], self.clock.timestamp()
        for kind in _JUDGED:
            _forget(node["status"], kind, now)
        self.api.update("nodes", node, subresource="status")
        node = self.api.get("nodes", name)
        taints = [taint for taint in node["spec"].get("taints") or () if taint["key"] != _UNREACHABLE]
        added = [{"key": _UNREACHABLE, "effect": effect, "timeAdded": now} for effect in ("NoSchedule", "NoExecute")]
        node["spec"]["taints"] = [*taints, *added]
        self.event(self.api.update("nodes", node), "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        for pod in self.peek("pods"):
            if pod["spec"].get("nodeName") == name:
                self._unready(clone(pod), now)

    def _unready(self, pod: Object, now: str) -> None:
        self.event(pod, "Warning", "NodeNotReady", "Node is not ready")
        ready = condition(pod.get("status") or {}, "Ready")
        if ready is not None and ready["status"] != "False":
            remove_condition(pod["status"], "Ready")
            changed = {**ready, "status": "False", "lastTransitionTime": now}
            pod["status"]["conditions"] = [*pod["status"].get("conditions", ()), changed]
            self.api.update("pods", pod, subresource="status")


def _forget(status: Object, kind: str, now: str) -> None:
    """Nobody knows any more what this condition is."""
    found = condition(status, kind) or {"type": kind, "lastHeartbeatTime": now}
    remove_condition(status, kind)
    unknown = {
        "status": "Unknown",
        "lastTransitionTime": now,
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
    }
    status["conditions"] = [*status.get("conditions", ()), {**found, **unknown}]
