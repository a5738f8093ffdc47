"""Work in threads that is seen to its end, whoever stops waiting for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["Workers"]

P = ParamSpec("P")
R = TypeVar("R")


class Workers:
    """Threads that write files. A thread cannot be cancelled, so what it writes to must outlive it: see `finish`."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[object]] = set()

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do the work in a thread. Cancelling this stops the waiting, not the work."""
        task = asyncio.create_task(asyncio.to_thread(work, *args, **kwargs))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # it may be that nobody waits for it any more

    async def finish(self) -> None:
        """Wait for every thread to end; how it ends does not matter."""
        await asyncio.gather(*self._running, return_exceptions=True)
