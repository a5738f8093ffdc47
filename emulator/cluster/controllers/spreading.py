"""Topology spread constraints: how evenly a pod's like are spread over the nodes' domains.

Source: kubernetes/pkg/scheduler/framework/plugins/podtopologyspread (filtering.go, scoring.go). A pod that constrains
nothing is not spread: the defaults of the scheduler's configuration are not modelled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from emulator.cluster.objects import Object
from emulator.cluster.selectors import match_labels

from .feasibility import Refusal, matches_selector
from .owners import labels_of
from .podstates import is_active

__all__ = ["Spread"]

_NO_MATCH = "node(s) didn't match pod topology spread constraints"
_NO_LABEL = f"{_NO_MATCH} (missing required label)"


class Spread:
    """What one pod's constraints say of every node, given the pods that are on each."""

    def __init__(self, pod: Object, nodes: Iterable[Object], there: Mapping[str, Sequence[Object]]) -> None:
        constraints = pod["spec"].get("topologySpreadConstraints") or ()
        self._pod = pod
        self._hard = [each for each in constraints if each["whenUnsatisfiable"] == "DoNotSchedule"]
        self._soft = [each for each in constraints if each["whenUnsatisfiable"] == "ScheduleAnyway"]
        listed = list(nodes) if constraints else []
        self._counts = {
            hardness: [self._count(each, group, listed, there) for each in group]
            for hardness, group in (("hard", self._hard), ("soft", self._soft))
        }

    def refusal(self, node: Object) -> Refusal | None:
        """Why the pod may not go to `node`; None if it may."""
        for constraint, counts in zip(self._hard, self._counts["hard"], strict=True):
            domain = labels_of(node).get(constraint["topologyKey"])
            if domain is None:
                return Refusal((_NO_LABEL,))
            itself = match_labels(constraint.get("labelSelector"), labels_of(self._pod))
            if counts[domain] + itself - min(counts.values(), default=0) > constraint["maxSkew"]:
                return Refusal((_NO_MATCH,), resolvable=True)
        return None

    def preferred(self, feasible: Sequence[Object]) -> list[Object]:
        """Of the nodes that take the pod, those whose domains hold the fewest of its like."""
        if not self._soft:
            return list(feasible)
        crowds = [self._crowd(node) for node in feasible]
        return [node for node, crowd in zip(feasible, crowds, strict=True) if crowd == min(crowds)]

    def _crowd(self, node: Object) -> tuple[bool, int]:
        keys = [each["topologyKey"] for each in self._soft]
        labels = labels_of(node)
        unlabelled = any(key not in labels for key in keys)  # such nodes come last, whatever is on them
        return unlabelled, sum(
            counts[labels[key]] for key, counts in zip(keys, self._counts["soft"], strict=True) if key in labels
        )

    def _count(
        self, constraint: Object, group: list[Object], nodes: list[Object], there: Mapping[str, Sequence[Object]]
    ) -> Counter[str]:
        """By domain: the pods that the constraint counts. Only nodes that the pod selects, with every key, have one."""
        counts: Counter[str] = Counter()
        namespace, keys = self._pod["metadata"]["namespace"], [each["topologyKey"] for each in group]
        for node in nodes:
            labels = labels_of(node)
            if any(key not in labels for key in keys) or not matches_selector(self._pod, node):
                continue
            counts[labels[constraint["topologyKey"]]] += sum(
                is_active(each)
                and each["metadata"]["namespace"] == namespace
                and match_labels(constraint.get("labelSelector"), labels_of(each))
                for each in there.get(node["metadata"]["name"], ())
            )
        return counts
