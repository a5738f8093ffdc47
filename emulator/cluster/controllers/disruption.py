"""The disruption controller: how many of the pods that a budget guards may go now.

Source: kubernetes/pkg/controller/disruption/disruption.go. Of what can own pods,
ReplicaSets and Deployments are modelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from emulator.cluster.errors import ApiError
from emulator.cluster.objects import Object, identity
from emulator.cluster.selectors import match_labels

from .conditions import condition
from .controller import Controller, Source
from .owners import Key, controller_of, labels_of
from .podstates import is_ready

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["Disruptions"]


class Disruptions(Controller):
    """Writes the status of PodDisruptionBudgets, by which evictions are allowed or refused."""

    component = "controllermanager"

    def sources(self) -> Mapping[str, Source]:
        """Budgets, the pods they may guard, and the owners whose scale counts."""
        return {
            "poddisruptionbudgets": lambda event: (identity(event.object),),
            "pods": self._all_there,
            "replicasets": self._all_there,
            "deployments": self._all_there,
        }

    def sync(self, key: Key) -> float | None:
        """Count one budget's pods and write its status, if it changed."""
        namespace, name = key
        try:
            budget = self.api.get("poddisruptionbudgets", name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        selector = budget["spec"].get("selector")
        pods = [pod for pod in self.peek("pods", namespace) if match_labels(selector, labels_of(pod))]
        if not pods:
            self.event(budget, "Normal", "NoPods", "No matching pods found")
        expected, desired = self._expected(budget["spec"], pods)
        healthy = sum("deletionTimestamp" not in pod["metadata"] and is_ready(pod) for pod in pods)
        allowed = max(healthy - desired, 0) if expected > 0 else 0
        generation = budget["metadata"]["generation"]
        wanted: Object = {
            "observedGeneration": generation,
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
        }
        wanted["conditions"] = [self._allowed(budget, generation, allowed=allowed > 0)]
        if budget.get("status") != wanted:
            self.api.update("poddisruptionbudgets", {**budget, "status": wanted}, subresource="status")
        return None

    def _allowed(self, budget: Object, generation: int, *, allowed: bool) -> Object:
        status = "True" if allowed else "False"
        before = condition(budget.get("status") or {}, "DisruptionAllowed")
        same = before is not None and before["status"] == status
        return {
            "type": "DisruptionAllowed",
            "status": status,
            "observedGeneration": generation,
            "lastTransitionTime": before["lastTransitionTime"] if before and same else self.clock.timestamp(),
            "reason": "SufficientPods" if allowed else "InsufficientPods",
            "message": "",
        }

    def _all_there(self, event: WatchEvent) -> Iterable[Key]:
        return [identity(each) for each in self.peek("poddisruptionbudgets", event.object["metadata"]["namespace"])]

    def _expected(self, spec: Object, pods: list[Object]) -> tuple[int, int]:
        """How many pods there should be, and how many of them healthy."""
        if "maxUnavailable" in spec:
            expected = self._scale(pods)
            return expected, max(expected - _share(spec["maxUnavailable"], expected), 0)
        if "minAvailable" not in spec:
            return 0, 0
        least = spec["minAvailable"]
        expected = self._scale(pods) if isinstance(least, str) else len(pods)
        return expected, _share(least, expected)

    def _scale(self, pods: list[Object]) -> int:
        """What the owners of the pods were asked for, each counted once; pods without one count for nothing."""
        owners: dict[str, int] = {}
        for pod in pods:
            replicaset = self._owner(pod, "replicasets", "ReplicaSet")
            if replicaset is not None:
                owner = self._owner(replicaset, "deployments", "Deployment") or replicaset
                owners[owner["metadata"]["uid"]] = owner["spec"].get("replicas", 1)
        return sum(owners.values())

    def _owner(self, obj: Object, resource: str, kind: str) -> Object | None:
        reference = controller_of(obj)
        if reference is None or reference["kind"] != kind:
            return None
        there = self.peek(resource, obj["metadata"]["namespace"])
        return next((each for each in there if each["metadata"]["uid"] == reference["uid"]), None)


def _share(value: Any, whole: int) -> int:
    """A number, or a percentage of the whole, rounded up."""
    return -(-int(value.rstrip("%")) * whole // 100) if isinstance(value, str) else int(value)
