"""The namespace controller: a namespace that is deleted takes all it holds with it (pkg/controller/namespace)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from emulator.cluster.errors import ApiError
from emulator.cluster.objects import Object, clone
from emulator.cluster.resources import RESOURCES

from .conditions import condition, remove_condition
from .controller import Controller, Source
from .owners import Key

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["Namespaces"]

_HOLDS = tuple(resource.plural for resource in RESOURCES.values() if resource.namespaced)
_DONE = (
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
)


class Namespaces(Controller):
    """Deletes the content of namespaces that are being deleted, and lets them go once they are empty."""

    component = "namespace-controller"

    def start(self) -> None:
        """Forget which namespaces are being emptied."""
        self._emptying: set[str] = set()

    def sources(self) -> Mapping[str, Source]:
        """Namespaces, and whatever leaves one that is being emptied."""
        sources: dict[str, Source] = {"namespaces": lambda event: (("", event.object["metadata"]["name"]),)}
        return sources | dict.fromkeys(_HOLDS, self._of_content)

    def sync(self, key: Key) -> float | None:
        """Empty one namespace, as far as its content lets itself be deleted now."""
        name = key[1]
        try:
            namespace = self.api.get("namespaces", name)
        except ApiError as error:
            if error.code != 404:
                raise
            self._emptying.discard(name)
            return None
        if "deletionTimestamp" not in namespace["metadata"]:
            return None
        self._emptying.add(name)
        remaining = self._empty(name)
        if remaining:
            self._report(namespace, remaining)
            return None
        namespace["spec"]["finalizers"] = [
            each for each in namespace["spec"].get("finalizers") or () if each != "kubernetes"
        ]
        self.api.update("namespaces", namespace, subresource="finalize")
        return None

    def _of_content(self, event: WatchEvent) -> Iterable[Key]:
        namespace = event.object["metadata"]["namespace"]
        return (("", namespace),) if event.type != "ADDED" and namespace in self._emptying else ()

    def _empty(self, namespace: str) -> dict[str, list[Object]]:
        """Delete everything; what is still there afterwards, by resource."""
        remaining = {}
        for resource in _HOLDS:
            for each in self.peek(resource, namespace):
                if "deletionTimestamp" not in each["metadata"]:
                    self.api.delete(resource, each["metadata"]["name"], namespace, propagation="Background")
            left = self.peek(resource, namespace)
            if left:
                remaining[resource] = left
        return remaining

    def _report(self, namespace: Object, remaining: Mapping[str, list[Object]]) -> None:
        status = clone(namespace.get("status") or {})
        say = partial(_say, status, self.clock.timestamp())
        for type_, reason, message in _DONE:
            say(type_, "False", reason, message)
        counts = [
            f"{_full(resource)} has {len(left)} resource instances" for resource, left in sorted(remaining.items())
        ]
        say(
            "NamespaceContentRemaining",
            "True",
            "SomeResourcesRemain",
            f"Some resources are remaining: {', '.join(counts)}",
        )
        finalizers: dict[str, int] = {}
        for each in (obj for left in remaining.values() for obj in left):
            for finalizer in each["metadata"].get("finalizers") or ():
                finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
        if finalizers:
            found = ", ".join(f"{each} in {count} resource instances" for each, count in sorted(finalizers.items()))
            text = f"Some content in the namespace has finalizers remaining: {found}"
            say("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", text)
        else:
            text = "All content-preserving finalizers finished"
            say("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", text)
        if status != namespace.get("status"):
            self.api.update("namespaces", {**namespace, "status": status}, subresource="status")


def _full(resource: str) -> str:
    """The resource as the message names it: `pods.`, `deployments.apps`."""
    return f"{resource}.{RESOURCES[resource].group}"


def _say(status: Object, now: str, type_: str, value: str, reason: str, message: str) -> None:
    old = condition(status, type_)
    if old is not None and (old["status"], old["reason"], old["message"]) == (value, reason, message):
        return
    since = old["lastTransitionTime"] if old is not None and old["status"] == value else now
    fresh = {"type": type_, "status": value, "lastTransitionTime": since, "reason": reason, "message": message}
    remove_condition(status, type_)
    status["conditions"] = [*status.get("conditions", ()), fresh]
