"""What every controller is: watches that say which keys to look at, and one worker that looks at them."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from emulator.clock import Clock
from emulator.cluster.errors import ApiError
from emulator.cluster.events import EventRecorder
from emulator.cluster.objects import Object

from .owners import Key, controller_of
from .queue import WorkQueue

if TYPE_CHECKING:
    from emulator.cluster.api import Api
    from emulator.cluster.watch import WatchEvent

__all__ = ["Controller", "OwnerKeys", "Source", "is_ending"]

Source = Callable[["WatchEvent"], Iterable[Key]]


class Controller(ABC):
    """Keeps one kind of object as it should be.

    A subclass says what it watches (`sources`) and what to do about one key (`sync`). A `sync` runs without a pause, so
    it sees one consistent state and nobody else's writes come between; it reads that state itself, so the order and
    number of events do not matter. One that fails is logged and tried again, later each time.
    """

    component: ClassVar[str]
    """Who it is in events."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self.api = api
        self.clock = clock
        self.queue: WorkQueue[Key] = WorkQueue(clock)
        self.recorder = EventRecorder(api, self.component)
        self.log = logging.getLogger(f"{__package__}.{type(self).__name__.lower()}")

    @abstractmethod
    def sources(self) -> Mapping[str, Source]:
        """For every resource to watch, which keys a change of it concerns."""

    @abstractmethod
    def sync(self, key: Key) -> float | None:
        """Do what is to do about `key`; seconds after which to look again without any event, or None."""

    def start(self) -> None:  # noqa: B027 - not every controller has something to forget
        """What to do once before anything is watched; also forgets what earlier watches taught."""

    async def run(self) -> None:
        """Work until cancelled. Should a watch break, all of them begin again from the present state."""
        while True:
            try:
                self.start()
                async with asyncio.TaskGroup() as tasks:
                    for resource, source in self.sources().items():
                        tasks.create_task(self._follow(resource, source))
                    tasks.create_task(self._work())
            except Exception:
                self.log.exception("%s stopped and starts again", type(self).__name__)
            finally:
                self.queue.close()
            await self.clock.sleep(1.0)

    def event(self, regarding: Object, type_: str, reason: str, message: str) -> None:
        """Record an event; one that the API server refuses is lost, as in any cluster."""
        try:
            self.recorder.record(regarding, type_, reason, message)
        except ApiError as error:
            self.log.debug("event %s is lost: %s", reason, error)

    def peek(self, resource: str, namespace: str | None = None) -> list[Object]:
        """A collection as it is stored, for reading only: copying every pod for every event would cost the most."""
        return list(self.api.store.scan(resource, namespace))

    async def _follow(self, resource: str, source: Source) -> None:
        watch = self.api.watch(resource)
        try:
            async for event in watch:
                self.queue.add(source(event))
        finally:
            watch.close()
        raise RuntimeError(f"the watch of {resource} ended")

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                again = self.sync(key)
            except ApiError as error:
                if not is_ending(error):
                    delay = self.queue.retry(key)
                    self.log.warning("%s: %s; again in %g s", "/".join(key), error, delay)
            except Exception:
                self.queue.retry(key)
                self.log.exception("%s failed and is tried again", "/".join(key))
            else:
                self.queue.forget(key)
                if again is not None:
                    self.queue.add_after(key, again)
            await asyncio.sleep(0)


def is_ending(error: ApiError) -> bool:
    """Whether a creation failed because its namespace is being deleted: then trying again is no use."""
    causes = (error.status.get("details") or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


class OwnerKeys:
    """Which owner of one kind a change of its dependents concerns: the present one and the one before."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._known: dict[str, Key] = {}

    def __call__(self, event: WatchEvent) -> set[Key]:
        """The keys of the owners to look at."""
        metadata = event.object["metadata"]
        keys = set()
        reference = controller_of(event.object)
        before = self._known.pop(metadata["uid"], None)
        if before is not None:
            keys.add(before)
        if reference is not None and reference["kind"] == self._kind:
            key = (metadata["namespace"], reference["name"])
            keys.add(key)
            if event.type != "DELETED":
                self._known[metadata["uid"]] = key
        return keys
