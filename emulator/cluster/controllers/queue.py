"""A work queue: what needs looking at, each key once, with a later date for what failed.

The shape of client-go's `workqueue`: a key added while it waits is not added twice, a key that failed
comes back after 5 ms, then twice that, up to 1000 s (client-go, `DefaultTypedControllerRateLimiter`).
Delays are emulated seconds of a `Clock`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from emulator.clock import Clock

__all__ = ["WorkQueue"]

FIRST_RETRY = 0.005
LAST_RETRY = 1000.0

K = TypeVar("K")


class WorkQueue(Generic[K]):
    """Keys waiting for one worker, in the order in which they were added."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[K, None] = {}
        self._order: deque[K] = deque()
        self._arrived = asyncio.Event()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def add(self, keys: Iterable[K]) -> None:
        """Have these keys looked at as soon as the worker gets to them."""
        for key in keys:
            if key not in self._waiting:
                self._waiting[key] = None
                self._order.append(key)
                self._arrived.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Have `key` looked at in `seconds`, unless that is already due sooner."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(0.0, seconds) / self._clock.speed
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = loop.call_at(due, self._expire, key)

    def retry(self, key: K) -> float:
        """Have a key that failed looked at again, later each time; the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_RETRY * 2.0 ** min(failures, 30), LAST_RETRY)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """`key` went well: its next failure counts as its first."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The key that has waited longest."""
        while not self._order:
            self._arrived.clear()
            await self._arrived.wait()
        key = self._order.popleft()
        del self._waiting[key]
        return key

    def close(self) -> None:
        """Drop every key and every timer."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        self._order.clear()
        self._failures.clear()

    def _expire(self, key: K) -> None:
        del self._timers[key]
        self.add((key,))
