"""How many pods each ReplicaSet of a Deployment should have next (pkg/controller/deployment: rolling.go, sync.go).

Pure: a Deployment and its ReplicaSets in, sizes by ReplicaSet name out; only sizes that should change are named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emulator.cluster.objects import Object

__all__ = [
    "DESIRED",
    "MAX",
    "Fenceposts",
    "amount",
    "fenceposts",
    "initial_size",
    "is_scaling",
    "oldest_first",
    "proportional_step",
    "recreate_down",
    "rolling_step",
]

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"

Sizes = dict[str, int]


@dataclass(frozen=True)
class Fenceposts:
    """How far a rollout may stray from the wanted number of pods: above it, and below it."""

    surge: int
    unavailable: int


def fenceposts(deployment: Object) -> Fenceposts:
    """maxSurge rounded up, maxUnavailable rounded down, never both zero; 0 and 0 for Recreate."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return Fenceposts(0, 0)
    replicas = _wanted(deployment)
    rolling = strategy.get("rollingUpdate") or {}
    surge = amount(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = amount(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Fenceposts(surge, min(unavailable, replicas))


def initial_size(deployment: Object, olds: Iterable[Object]) -> int:
    """The size at which the ReplicaSet of a new template is created."""
    return _grown(deployment, 0, sum(map(_pods, olds)))


def rolling_step(deployment: Object, new: Object, olds: Sequence[Object]) -> Sizes:
    """One step of a rolling update: the new ReplicaSet grows as far as maxSurge lets it, else old ones shrink."""
    wanted = _wanted(deployment)
    size = min(_size(new), wanted)
    if _size(new) < wanted:
        size = _grown(deployment, _size(new), sum(map(_pods, (new, *olds))))
    if size != _size(new):
        return {_name(new): size}
    return _shrunk(deployment, new, olds)


def recreate_down(olds: Iterable[Object]) -> Sizes:
    """Recreate: every old ReplicaSet goes to zero before the new one starts."""
    return {_name(old): 0 for old in olds if _size(old)}


def is_scaling(deployment: Object, sets: Iterable[Object]) -> bool:
    """Whether spec.replicas changed since the ReplicaSets were last sized (their annotation tells)."""
    wanted = _wanted(deployment)
    return any(_annotation(each, DESIRED) not in (None, wanted) for each in sets if _size(each))


def proportional_step(deployment: Object, new: Object | None, olds: Sequence[Object]) -> Sizes:
    """Spread a change of spec.replicas over the ReplicaSets in the middle of a rollout, or while paused.

    A single active ReplicaSet takes it all. Several keep their proportions, the largest taking the rest; equals
    go newer first when growing and older first when shrinking. Every ReplicaSet to annotate anew is named.
    """
    wanted = _wanted(deployment)
    everything = [*olds, *([new] if new is not None else [])]
    active = [each for each in everything if _size(each)]
    if len(active) <= 1:
        chosen = active or ([new] if new is not None else sorted(olds, key=oldest_first)[-1:])
        return {_name(each): wanted for each in chosen}
    if new is not None and _is_saturated(deployment, new):
        return {_name(old): 0 for old in olds if _size(old)}
    if (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") != "RollingUpdate":
        return {}
    allowed = wanted + fenceposts(deployment).surge if wanted else 0
    to_add = allowed - sum(map(_size, active))
    active.sort(key=oldest_first, reverse=to_add > 0)
    active.sort(key=_size, reverse=True)
    sizes: Sizes = {}
    added = 0
    for each in active:
        share = _share(deployment, each, allowed, to_add, added)
        sizes[_name(each)] = _size(each) + share
        added += share
    largest = _name(active[0])
    sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def oldest_first(replicaset: Object) -> tuple[str, str]:
    """Sort key: age, then name."""
    metadata = replicaset["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["name"]


def _grown(deployment: Object, size: int, total: int) -> int:
    """A ReplicaSet of `size` among `total` pods, grown as far as it may towards spec.replicas."""
    wanted = _wanted(deployment)
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return wanted
    room = wanted + fenceposts(deployment).surge - total
    return size if room <= 0 else size + min(room, wanted - size)


def _shrunk(deployment: Object, new: Object, olds: Sequence[Object]) -> Sizes:
    """Old ReplicaSets, oldest first: first the pods that do not work, then as many as availability allows.

    A status may lag behind a size that was just lowered, so no more pods count as available than are wanted.
    """
    least = _wanted(deployment) - fenceposts(deployment).unavailable
    sizes = {_name(old): _size(old) for old in olds}
    spare = sum(sizes.values()) + _available(new) - least
    if spare <= 0:
        return {}
    ordered = sorted(olds, key=oldest_first)
    cleaned = 0
    for old in ordered:
        broken = min(_size(old) - _available(old), spare - cleaned)
        sizes[_name(old)] -= broken
        cleaned += broken
    surplus = _available(new) + sum(map(_available, olds)) - least
    for old in ordered:
        fewer = max(0, min(sizes[_name(old)], surplus))
        sizes[_name(old)] -= fewer
        surplus -= fewer
    return {_name(old): sizes[_name(old)] for old in olds if sizes[_name(old)] != _size(old)}


def _share(deployment: Object, each: Object, allowed: int, to_add: int, added: int) -> int:
    """What one ReplicaSet gets of `to_add` pods (negative: loses), with `added` given out already."""
    if not to_add or to_add == added:
        return 0
    if not _wanted(deployment):
        share = -_size(each)
    else:
        before = _annotation(each, MAX) or (deployment.get("status") or {}).get("replicas") or _size(each)
        # Go rounds halves away from zero; these are never negative.
        share = math.floor(_size(each) * allowed / before + 0.5) - _size(each)
    rest = to_add - added
    return min(share, rest) if to_add > 0 else max(share, rest)


def _is_saturated(deployment: Object, new: Object) -> bool:
    wanted = _wanted(deployment)
    return _size(new) == wanted == _annotation(new, DESIRED) == _available(new)


def amount(value: int | str, total: int, *, up: bool) -> int:
    """A number, or a share of a total such as `25%`, rounded up or down."""
    if isinstance(value, int):
        return value
    # In integers: 0.07 * 100 is not 7 in floating point.
    product = int(value.removesuffix("%")) * total
    return -(-product // 100) if up else product // 100


def _annotation(replicaset: Object, key: str) -> int | None:
    text = (replicaset["metadata"].get("annotations") or {}).get(key, "")
    return int(text) if text.isdecimal() else None


def _wanted(deployment: Object) -> int:
    return int(deployment["spec"].get("replicas", 1))


def _size(replicaset: Object) -> int:
    return int(replicaset["spec"].get("replicas", 1))


def _pods(replicaset: Object) -> int:
    """The pods to reckon with: a ReplicaSet whose size was just lowered still has more than that.

    Kubernetes reckons with the size alone, so that there a pod too many may exist for a moment.
    """
    return max(_size(replicaset), int((replicaset.get("status") or {}).get("replicas", 0)))


def _available(replicaset: Object) -> int:
    return min(_size(replicaset), int((replicaset.get("status") or {}).get("availableReplicas", 0)))


def _name(replicaset: Object) -> str:
    return str(replicaset["metadata"]["name"])
