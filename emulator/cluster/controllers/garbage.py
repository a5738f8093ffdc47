"""The garbage collector: what is owned goes with its owner (pkg/controller/garbagecollector)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from emulator.cluster.errors import ApiError
from emulator.cluster.objects import Object
from emulator.cluster.resources import RESOURCES, by_kind

from .controller import Controller, Source
from .owners import Key, references_without
from .ownership import FOREGROUND, ORPHAN, Graph, Node

if TYPE_CHECKING:
    from emulator.cluster.watch import WatchEvent

__all__ = ["GarbageCollector"]

# Events name no owners, and there are many of them.
_WATCHED = tuple(resource for resource in RESOURCES if resource != "events")


class GarbageCollector(Controller):
    """Deletes what has lost its last owner, and holds owners that wait for what they own.

    Its keys are ("", uid).
    """

    component = "garbage-collector-controller"

    def start(self) -> None:
        """Forget who owns what."""
        self._graph = Graph()

    def sources(self) -> Mapping[str, Source]:
        """Everything that can own or be owned."""
        return {resource: partial(self._learn, resource) for resource in _WATCHED}

    def sync(self, key: Key) -> float | None:
        """Decide about one object."""
        node = self._graph.get(key[1])
        live = self._live(node) if node is not None else None
        if live is None:
            return None
        if live.waits_for(ORPHAN):
            self._orphan(live)
        elif live.waits_for(FOREGROUND):
            self._await_dependents(live)
        elif live.owners and not live.deleting:
            self._attempt(live)
        return None

    def _learn(self, resource: str, event: WatchEvent) -> Iterable[Key]:
        """An object changed: itself, those it owns once it goes, and those that wait for it to go."""
        node = Node.of(resource, event.object)
        before = self._graph.get(node.uid)
        if event.type != "DELETED" and before == node:
            return ()
        around = {owner["uid"] for each in (before, node) if each is not None for owner in each.owners}
        if event.type == "DELETED":
            self._graph.remove(node.uid)
        else:
            self._graph.put(node)
        uids = {each.uid for each in self._graph.dependents(node.uid)} if _goes(event, node) else set()
        waiting = {uid for uid in around if (owner := self._graph.get(uid)) and owner.waits_for(FOREGROUND)}
        return [("", uid) for uid in sorted(uids | waiting | ({node.uid} if event.type != "DELETED" else set()))]

    def _live(self, node: Node) -> Node | None:
        """The object as it is now; None if it is gone."""
        obj = self._get(node.resource, node.namespace, node.name)
        return Node.of(node.resource, obj) if obj is not None and obj["metadata"]["uid"] == node.uid else None

    def _get(self, resource: str, namespace: str, name: str) -> Object | None:
        try:
            return self.api.get(resource, name, namespace or None)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def _attempt(self, node: Node) -> None:
        """Delete an object no owner holds any more; drop the references to owners that are gone."""
        owners = {owner["uid"]: self._owner(node, owner) for owner in node.owners}
        waiting = [uid for uid, owner in owners.items() if owner is not None and owner.waits_for(FOREGROUND)]
        solid = [uid for uid, owner in owners.items() if owner is not None and uid not in waiting]
        if solid:
            if len(solid) < len(owners):
                self._disown(node, [uid for uid in owners if uid not in solid])
            return
        dependents = self._graph.dependents(node.uid)
        if waiting and dependents:
            if any(each.waits_for(FOREGROUND) for each in dependents):
                # A circle: nobody in it would ever be the first to go.
                self._unblock(node)
            self._delete(node, "Foreground")
        elif ORPHAN in node.finalizers:
            self._delete(node, "Orphan")
        elif FOREGROUND in node.finalizers:
            self._delete(node, "Foreground")
        else:
            self._delete(node, "Background")

    def _owner(self, node: Node, reference: Object) -> Node | None:
        """What an owner reference leads to, in the namespace of what is owned; None if it is not there.

        A kind this server does not have cannot be looked up, so it counts as there.
        """
        resource = by_kind(reference["apiVersion"], reference["kind"])
        if resource is None:
            return Node(reference["kind"], node.namespace, reference["name"], reference["uid"])
        namespace = node.namespace if resource.namespaced else ""
        obj = self._get(resource.plural, namespace, reference["name"]) if namespace or not resource.namespaced else None
        if obj is not None and obj["metadata"]["uid"] == reference["uid"]:
            return Node.of(resource.plural, obj)
        elsewhere = self._graph.get(reference["uid"])
        if elsewhere is not None and elsewhere.namespace != namespace:
            self._warn(node, reference)
        return None

    def _warn(self, node: Node, reference: Object) -> None:
        obj = self._get(node.resource, node.namespace, node.name)
        if obj is not None:
            shown = "{}/{}, namespace: {}, name: {}, uid: {}".format(
                reference["apiVersion"], reference["kind"], node.namespace, reference["name"], reference["uid"]
            )
            text = f'ownerRef [{shown}] does not exist in namespace "{node.namespace}"'
            self.event(obj, "Warning", "OwnerRefInvalidNamespace", text)

    def _await_dependents(self, node: Node) -> None:
        """Let an owner go once nothing that blocks it is left; until then see that all of it goes."""
        blocking = [each for each in self._graph.dependents(node.uid) if each.blocks(node.uid) and self._live(each)]
        if not blocking:
            self._finalize(node, FOREGROUND)
        self.queue.add(("", each.uid) for each in blocking if not each.deleting)

    def _orphan(self, node: Node) -> None:
        for each in self._graph.dependents(node.uid):
            if self._live(each) is not None:
                self._disown(each, [node.uid])
        self._finalize(node, ORPHAN)

    def _disown(self, node: Node, uids: Sequence[str]) -> None:
        """Take owners out of an object's references."""
        obj = self._get(node.resource, node.namespace, node.name)
        if obj is None:
            return
        for uid in uids:
            obj["metadata"]["ownerReferences"] = references_without(obj, uid)
        self._patch(node, {"ownerReferences": obj["metadata"]["ownerReferences"] or None})

    def _unblock(self, node: Node) -> None:
        self._patch(node, {"ownerReferences": [{**each, "blockOwnerDeletion": False} for each in node.owners]})

    def _finalize(self, node: Node, finalizer: str) -> None:
        rest = [each for each in node.finalizers if each != finalizer]
        self._patch(node, {"finalizers": rest or None})

    def _patch(self, node: Node, metadata: Object) -> None:
        patch = {"metadata": {"uid": node.uid, **metadata}}
        self.api.patch(node.resource, node.name, patch, node.namespace or None, kind="merge")

    def _delete(self, node: Node, propagation: str) -> None:
        self.api.delete(node.resource, node.name, node.namespace or None, propagation=propagation, uid=node.uid)


def _goes(event: WatchEvent, node: Node) -> bool:
    """Whether what depends on this object has to be looked at."""
    return event.type == "DELETED" or node.waits_for(FOREGROUND)
