"""A watch: the changes of a collection, in order, from a point in its history."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from emulator.cluster.objects import Object, clone
from emulator.cluster.selectors import Matcher

__all__ = ["Change", "EventType", "Watch", "WatchEvent"]

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True)
class Change:
    """What happened to one object: `before` is None on creation; on deletion `after` is its last state."""

    revision: int
    resource: str
    namespace: str
    type: EventType
    before: Object | None
    after: Object


@dataclass(frozen=True)
class WatchEvent:
    """One event as a watcher gets it; the object is the receiver's own copy."""

    type: EventType
    object: Object


class Watch:
    """An endless asynchronous iterator of `WatchEvent`; it ends when closed.

    What leaves a selector is told as DELETED, what enters it as ADDED, as the API server does.
    """

    def __init__(
        self, namespace: str | None, matches: Matcher | None, revision: int, on_close: Callable[[Watch], None]
    ) -> None:
        self.revision = revision
        """The revision up to which the events handed out are complete."""
        self._namespace = namespace
        self._matches = matches
        self._on_close = on_close
        self._queue: deque[tuple[int, EventType, Object]] = deque()
        self._wake = asyncio.Event()
        self._closed = False

    def start_with(self, objects: Iterable[Object]) -> None:
        """Begin with the present state, told as ADDED."""
        self._queue.extend((self.revision, "ADDED", obj) for obj in objects)
        if self._queue:
            self._wake.set()

    def offer(self, change: Change) -> None:
        """Tell the watcher of a change, if it is one it sees."""
        if self._namespace is not None and change.namespace != self._namespace:
            return
        kind = self._kind(change)
        if kind is not None:
            self._queue.append((change.revision, kind, change.after))
            self._wake.set()

    def _kind(self, change: Change) -> EventType | None:
        if self._matches is None:
            return change.type
        before = change.before is not None and self._matches(change.before)
        after = change.type != "DELETED" and self._matches(change.after)
        if before:
            return "MODIFIED" if after else "DELETED"
        return "ADDED" if after else None

    def close(self) -> None:
        """End the watch; an iterator that waits ends too."""
        if not self._closed:
            self._closed = True
            self._wake.set()
            self._on_close(self)

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> WatchEvent:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        if self._closed:
            raise StopAsyncIteration
        self.revision, kind, obj = self._queue.popleft()
        return WatchEvent(kind, clone(obj))
