"""Who depends on whom, learnt from watching everything (pkg/controller/garbagecollector/graph.go)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from emulator.cluster.objects import Object, identity

__all__ = ["FOREGROUND", "ORPHAN", "Graph", "Node"]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True)
class Node:
    """One object, as far as its owners and its end are concerned."""

    resource: str
    namespace: str
    name: str
    uid: str
    owners: tuple[Object, ...] = ()
    deleting: bool = False
    finalizers: tuple[str, ...] = ()

    @classmethod
    def of(cls, resource: str, obj: Object) -> Node:
        """The node of an object in wire form."""
        metadata = obj["metadata"]
        return cls(
            resource,
            *identity(obj),
            metadata["uid"],
            tuple(metadata.get("ownerReferences") or ()),
            "deletionTimestamp" in metadata,
            tuple(metadata.get("finalizers") or ()),
        )

    def waits_for(self, finalizer: str) -> bool:
        """Whether it is being deleted and `finalizer` keeps it."""
        return self.deleting and finalizer in self.finalizers

    def blocks(self, owner: str) -> bool:
        """Whether the owner of this uid may not go before this object does."""
        return any(each["uid"] == owner and each.get("blockOwnerDeletion") for each in self.owners)


class Graph:
    """All objects by uid, and by the uid of what owns them."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._dependents: defaultdict[str, set[str]] = defaultdict(set)

    def get(self, uid: str) -> Node | None:
        """The object of this uid, as last seen."""
        return self._nodes.get(uid)

    def dependents(self, uid: str) -> list[Node]:
        """What names this uid as an owner, whether that exists or not."""
        return sorted((self._nodes[each] for each in self._dependents.get(uid, ())), key=lambda node: node.uid)

    def put(self, node: Node) -> None:
        """Learn of an object, or of its change."""
        self.remove(node.uid)
        self._nodes[node.uid] = node
        for owner in node.owners:
            self._dependents[owner["uid"]].add(node.uid)

    def remove(self, uid: str) -> None:
        """Forget an object; what depends on it stays."""
        node = self._nodes.pop(uid, None)
        for owner in node.owners if node is not None else ():
            found = self._dependents[owner["uid"]]
            found.discard(uid)
            if not found:
                del self._dependents[owner["uid"]]
