"""How many more pods nodes take: by their number, and by what they ask for of each resource.

Source: kubernetes/pkg/scheduler/framework/plugins/noderesources; sums as component-helpers/resource counts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

__all__ = ["asked", "room"]

_USUAL = "110"


def asked(pod: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a pod asks for of each resource: its containers together, or its largest init container."""

    def of(container: Mapping[str, Any]) -> dict[str, Decimal]:
        found = container.get("resources", {}).get("requests") or {}
        return {name: _amount(text) for name, text in found.items()}

    total: dict[str, Decimal] = {}
    for container in pod["spec"].get("containers", ()):
        for name, amount in of(container).items():
            total[name] = total.get(name, Decimal(0)) + amount
    for container in pod["spec"].get("initContainers", ()):
        for name, amount in of(container).items():
            total[name] = max(total.get(name, Decimal(0)), amount)
    return {name: amount for name, amount in total.items() if amount}


def room(node: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], wants: Mapping[str, Decimal]) -> int:
    """How many more pods that want this a node takes, beside those that are on it."""
    has = node["status"].get("allocatable", {})
    there = [pod for pod in pods if pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"}]
    used = [asked(pod) for pod in there] if wants else []
    left = [_amount(has.get("pods", _USUAL)) - len(there)]
    for name, amount in wants.items():
        free = _amount(has.get(name, "0")) - sum((one.get(name, Decimal(0)) for one in used), Decimal(0))
        left.append(free // amount)
    return max(0, int(min(left)))


def _amount(quantity: str) -> Decimal:
    # Imported where it is used: the client takes most of a second to load.
    from kubernetes.utils.quantity import parse_quantity

    return Decimal(parse_quantity(quantity))  # type: ignore[no-untyped-call]
