"""Where the objects are: one revision counter, the present state, and a bounded history for watches.

Stored objects are never changed in place, so readers and watchers may share them; whoever hands one out copies it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from emulator.cluster.errors import gone
from emulator.cluster.objects import Object, identity
from emulator.cluster.selectors import Matcher
from emulator.cluster.watch import Change, EventType, Watch

__all__ = ["Store"]


class Store:
    """Objects by resource, namespace and name; every write has a revision of its own.

    `history` is how many changes a late watcher can still be told of.
    """

    def __init__(self, history: int = 4096) -> None:
        self.revision = 1
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._history: deque[Change] = deque(maxlen=history)
        self._forgotten = 0
        self._watches: dict[str, list[Watch]] = {}

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """The stored object itself: copy before handing it out."""
        return self._objects.get(resource, {}).get((namespace, name))

    def scan(self, resource: str, namespace: str | None, matches: Matcher | None = None) -> Iterator[Object]:
        """The stored objects of a collection in the order of namespace and name, as etcd lists them."""
        for (home, _), obj in sorted(self._objects.get(resource, {}).items()):
            if (namespace is None or home == namespace) and (matches is None or matches(obj)):
                yield obj

    def put(self, resource: str, obj: Object) -> None:
        """Create or replace; sets the object's resourceVersion."""
        key = identity(obj)
        before = self._objects.setdefault(resource, {}).get(key)
        obj["metadata"]["resourceVersion"] = str(self.revision + 1)
        self._objects[resource][key] = obj
        self._commit(resource, "ADDED" if before is None else "MODIFIED", before, obj)

    def remove(self, resource: str, last: Object) -> None:
        """Remove an object; `last` is its final state, which watchers are told."""
        before = self._objects[resource].pop(identity(last))
        last["metadata"]["resourceVersion"] = str(self.revision + 1)
        self._commit(resource, "DELETED", before, last)

    def _commit(self, resource: str, kind: EventType, before: Object | None, after: Object) -> None:
        self.revision += 1
        change = Change(self.revision, resource, identity(after)[0], kind, before, after)
        if len(self._history) == self._history.maxlen:
            self._forgotten = self._history[0].revision
        self._history.append(change)
        for watch in tuple(self._watches.get(resource, ())):
            watch.offer(change)

    def watch(self, resource: str, namespace: str | None, matches: Matcher | None, since: int | None) -> Watch:
        """Watch a collection: from a revision, or (None) from its present state told as ADDED.

        Raises ApiError (410 Expired) when the history no longer reaches back to `since`.
        """
        if since is not None and since < self._forgotten:
            raise gone(f"too old resource version: {since} ({self._forgotten})")
        watches = self._watches.setdefault(resource, [])
        watch = Watch(namespace, matches, self.revision if since is None else since, watches.remove)
        if since is None:
            watch.start_with(self.scan(resource, namespace, matches))
        else:
            for change in self._history:
                if change.resource == resource and change.revision > since:
                    watch.offer(change)
        watches.append(watch)
        return watch

    def close_watches(self) -> None:
        """End every watch."""
        for watches in self._watches.values():
            for watch in tuple(watches):
                watch.close()
