"""How long a process serves: until it is told to end by a signal, or by the end of its standard input."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading

__all__ = ["told_to_end"]

_ENDED_BY_SIGNAL = (signal.SIGINT, signal.SIGTERM)


def told_to_end(*, until_stdin_closes: bool) -> asyncio.Event:
    """An event of the running loop that is set once the process is to end."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in _ENDED_BY_SIGNAL:
        loop.add_signal_handler(number, told.set)
    if until_stdin_closes:
        _watch_stdin(loop, told)
    return told


def _watch_stdin(loop: asyncio.AbstractEventLoop, told: asyncio.Event) -> None:
    """Read standard input to its end in a thread of its own: what it is, a pipe or not, does not matter."""

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(told.set)

    threading.Thread(target=read, daemon=True).start()
