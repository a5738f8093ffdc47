"""Which nodes a pod could run on, and in the scheduler's words why not on the others.

Source: the filter plugins of kubernetes/pkg/scheduler/framework/plugins (nodeunschedulable, tainttoleration,
nodeaffinity, noderesources) and framework/types.go (FitError); the texts as a 1.36 cluster prints them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from emulator.cluster.objects import Object
from emulator.cluster.validation.quantity import parse

from .owners import labels_of
from .podstates import is_terminal

__all__ = ["Refusal", "daemon_fits", "explain", "matches_selector", "refusal", "requests"]

Amounts = dict[str, Fraction]


@dataclass(frozen=True)
class Refusal:
    """Why a node does not take a pod; `resolvable`: deleting other pods would help."""

    reasons: tuple[str, ...]
    resolvable: bool = False


def refusal(pod: Object, node: Object, others: Iterable[Object]) -> Refusal | None:
    """Why `node`, on which the pods `others` are, does not take `pod`; None if it does."""
    for problem in (_unschedulable(pod, node), _taint(pod, node), _selector(pod, node)):
        if problem is not None:
            return Refusal((problem,))
    return _resources(pod, node, others)


def matches_selector(pod: Object, node: Object) -> bool:
    """Whether the pod's nodeSelector selects the node, and its node affinity wants it."""
    if not (pod["spec"].get("nodeSelector") or {}).items() <= labels_of(node).items():
        return False
    affinity = (pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_term(term, node) for term in required["nodeSelectorTerms"])


def daemon_fits(pod: Object, node: Object) -> tuple[bool, bool]:
    """Whether a DaemonSet's pod is to run on a node, and whether one that does may go on (daemon_controller.go)."""
    if not matches_selector(pod, node):
        return False, False
    taints = [each for each in node["spec"].get("taints") or () if not _tolerates(pod, each)]
    effects = {each["effect"] for each in taints}
    return not effects & {"NoSchedule", "NoExecute"}, "NoExecute" not in effects


def _term(term: Object, node: Object) -> bool:
    """Whether a node is as a term wants it; one that wants nothing matches none."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    name = {"metadata.name": node["metadata"]["name"]}
    return bool(expressions or fields) and (
        all(_requirement(each, labels_of(node)) for each in expressions)
        and all(_requirement(each, name) for each in fields)
    )


def _requirement(wanted: Object, found: Mapping[str, str]) -> bool:
    key, values = wanted["key"], wanted.get("values") or ()
    match wanted["operator"]:
        case "In":
            return key in found and found[key] in values
        case "NotIn":
            return key not in found or found[key] not in values
        case "Exists":
            return key in found
        case _:
            return key not in found


def explain(refusals: Sequence[Refusal]) -> str:
    """The message of FailedScheduling, for one refusal a node."""
    if not refusals:
        return "no nodes available to schedule pods"
    head = f"0/{len(refusals)} nodes are available:"
    reasons = Counter(reason for each in refusals for reason in each.reasons)
    victims = Counter(
        "No preemption victims found for incoming pod"
        if each.resolvable
        else "Preemption is not helpful for scheduling"
        for each in refusals
    )
    # "no new claims to deallocate" is the word of the dynamic resource plugin, which every 1.36 scheduler asks.
    return f"{head} {_listed(reasons)}. no new claims to deallocate, preemption: {head} {_listed(victims)}."


def requests(pod: Object) -> Amounts:
    """What a pod needs of each resource: its containers together, or its largest init container."""
    spec = pod["spec"]
    together: Amounts = {}
    for container in spec.get("containers") or ():
        for resource, amount in _requested(container).items():
            together[resource] = together.get(resource, Fraction(0)) + amount
    for container in spec.get("initContainers") or ():
        for resource, amount in _requested(container).items():
            together[resource] = max(together.get(resource, Fraction(0)), amount)
    return together


def _unschedulable(pod: Object, node: Object) -> str | None:
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if node["spec"].get("unschedulable") and not _tolerates(pod, cordon):
        return "node(s) were unschedulable"
    return None


def _taint(pod: Object, node: Object) -> str | None:
    taints = [each for each in node["spec"].get("taints") or () if each["effect"] in ("NoSchedule", "NoExecute")]
    if not _is_ready(node):
        # The node lifecycle controller would put this taint on a node that is not ready.
        taints.append({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"})
    if all(_tolerates(pod, each) for each in taints):
        return None
    return "node(s) had untolerated taint(s)"


def _tolerates(pod: Object, taint: Object) -> bool:
    return any(_covers(each, taint) for each in pod["spec"].get("tolerations") or ())


def _covers(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def _is_ready(node: Object) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _selector(pod: Object, node: Object) -> str | None:
    return None if matches_selector(pod, node) else "node(s) didn't match Pod's node affinity/selector"


def _resources(pod: Object, node: Object, others: Iterable[Object]) -> Refusal | None:
    capacity = (node.get("status") or {}).get("allocatable") or {}
    there = [each for each in others if not is_terminal(each)]
    reasons, resolvable = [], True
    if "pods" in capacity and len(there) + 1 > parse(capacity["pods"]):
        reasons.append("Too many pods")
    wanted = {resource: amount for resource, amount in requests(pod).items() if amount}
    used = [requests(each) for each in there] if wanted else []
    for resource, amount in wanted.items():
        most = parse(capacity.get(resource, "0"))
        if amount + sum(each.get(resource, Fraction(0)) for each in used) > most:
            reasons.append(f"Insufficient {resource}")
            resolvable = resolvable and amount <= most
    return Refusal(tuple(reasons), resolvable) if reasons else None


def _requested(container: Object) -> Amounts:
    resources = container.get("resources") or {}
    return {name: parse(text) for name, text in (resources.get("requests") or {}).items()}


def _listed(counted: Mapping[str, int]) -> str:
    return ", ".join(sorted(f"{count} {reason}" for reason, count in counted.items()))
