"""Node pools: which nodes `imgvol up` starts, and how they are dressed.

Labels and taints are those that AKS puts on its nodes (Azure/AKS: "Use labels in an AKS cluster", "Node image
versions"), so that what selects nodes on AKS selects them here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["MOST_NODES", "NodePlan", "Pool", "PoolError", "node_plans", "parse_pool"]

MOST_NODES = 254
"""As many nodes as the pods' network 10.244.0.0/16 has parts for."""

_ALONE = "imgvol-node"
_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_TAINT = re.compile(r"(?P<key>[^=:]+)(=(?P<value>[^=:]*))?:(?P<effect>NoSchedule|NoExecute|PreferNoSchedule)")
_KEYS = ["name", "nodes", "runtime", "os-sku", "node-image", "mode", "vm-size", "zone", "label", "taint"]
_LABELS = {
    "os-sku": ("kubernetes.azure.com/os-sku",),
    "node-image": ("kubernetes.azure.com/node-image-version",),
    "vm-size": ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"),
    "zone": ("topology.kubernetes.io/zone",),
}
_MODES = {"system": "System", "user": "User"}


class PoolError(ValueError):
    """A pool cannot be as it was asked for; the text is a sentence for the user."""


@dataclass(frozen=True)
class Pool:
    """Nodes that are alike. runtime: a profile's name, empty for the usual one; taints as a node has them."""

    name: str
    nodes: int = 1
    runtime: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class NodePlan:
    """One node to start. network: that of its pods; address: its own, on the loopback."""

    name: str
    runtime: str
    network: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()


def parse_pool(text: str) -> Pool:
    """A pool from `name=old,nodes=2,runtime=containerd-2.1,os-sku=AzureLinux,…`; label and taint may come repeatedly.

    Raises:
        PoolError: it is no such text.
    """
    given: dict[str, list[str]] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or key not in _KEYS or not value:
            raise PoolError(f"{part!r} says nothing of a pool: give KEY=VALUE, with one of {', '.join(_KEYS)}")
        given.setdefault(key, []).append(value)
    for key, values in given.items():
        if len(values) > 1 and key not in ("label", "taint"):
            raise PoolError(f"{key} is given {len(values)} times in {text!r}; only label and taint may be")
    one = {key: values[0] for key, values in given.items()}
    name, count, mode = one.get("name", ""), one.get("nodes", "1"), one.get("mode", "user")
    if not _NAME.fullmatch(name):
        raise PoolError(f"{name!r} is no name of a pool: up to 12 small letters and digits, a letter first")
    if not (count.isascii() and count.isdigit() and 0 < int(count) <= MOST_NODES):
        raise PoolError(f"{count!r} is no number of nodes: give one from 1 to {MOST_NODES}")
    if mode.lower() not in _MODES:
        raise PoolError(f"{mode!r} is no mode of a pool: it is System or User")
    labels = {
        "agentpool": name,
        "kubernetes.azure.com/agentpool": name,
        "kubernetes.azure.com/mode": mode.lower(),
        "kubernetes.azure.com/role": "agent",
        **{label: one[key] for key, names in _LABELS.items() if key in one for label in names},
        **dict(_label(each) for each in given.get("label", ())),
    }
    taints = tuple(_taint(each) for each in given.get("taint", ()))
    return Pool(name, int(count), one.get("runtime", ""), labels, taints)


def node_plans(nodes: int, pools: Sequence[Pool], runtime: str) -> list[NodePlan]:
    """The nodes of all pools, or as many nodes without a pool.

    Raises:
        PoolError: too many nodes, or two pools of one name.
    """
    if twice := sorted({pool.name for pool in pools if sum(pool.name == each.name for each in pools) > 1}):
        raise PoolError(f"two pools are called {', '.join(twice)}")
    total = sum(pool.nodes for pool in pools) if pools else nodes
    if total > MOST_NODES:
        raise PoolError(f"{total} nodes are more than the pods' network has room for, which is {MOST_NODES}")
    return _placed(_in_pools(pools, runtime) if pools else _without(nodes, runtime))


def _in_pools(pools: Iterable[Pool], runtime: str) -> list[NodePlan]:
    return [
        NodePlan(
            f"aks-{pool.name}-00000000-vmss{_base36(number)}", pool.runtime or runtime, "", "", pool.labels, pool.taints
        )
        for pool in pools
        for number in range(pool.nodes)
    ]


def _without(nodes: int, runtime: str) -> list[NodePlan]:
    names = [_ALONE, *(f"{_ALONE}-{number}" for number in range(2, nodes + 1))]
    return [NodePlan(name, runtime, "", "") for name in names]


def _placed(plans: list[NodePlan]) -> list[NodePlan]:
    if len(plans) == 1:
        return [replace(plans[0], network="10.244.0.0/16", address="127.0.0.1")]
    return [
        replace(plan, network=f"10.244.{number}.0/24", address=f"127.0.0.{number + 1}")
        for number, plan in enumerate(plans)
    ]


def _base36(number: int) -> str:
    """The number of a machine in a scale set, as its host name has it: six digits to the base 36."""
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise PoolError(f"{text!r} is no label: give label=KEY=VALUE")
    return key, value


def _taint(text: str) -> dict[str, Any]:
    found = _TAINT.fullmatch(text)
    if found is None:
        raise PoolError(f"{text!r} is no taint: give taint=KEY[=VALUE]:EFFECT, e.g. CriticalAddonsOnly=true:NoSchedule")
    return {name: value for name, value in found.groupdict().items() if value}
