"""A run that is ended politely cleans up, whoever ends it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from conformance.targets.progress import Progress

__all__ = ["ended_as_by_ctrl_c"]


@contextlib.contextmanager
def ended_as_by_ctrl_c(progress: Progress, who: str) -> Iterator[None]:
    """Whoever ends this process politely has it clean up, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        progress.say(f"{who}: ended by {signal.Signals(number).name}")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
