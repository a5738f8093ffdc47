"""What a target that takes its time is doing, step by step, on standard error."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

__all__ = ["Progress", "Step"]


class Step:
    """A step under way."""

    def __init__(self, what: str, status: Status) -> None:
        self._what = what
        self._status = status

    def waits_for(self, detail: str) -> None:
        """Show what the step waits for at this moment; only a terminal shows it."""
        from rich.markup import escape

        self._status.update(f"{escape(self._what)} [dim]{escape(detail)}[/dim]")


class Progress:
    """On a terminal a line that lives while its step lasts and then says how long it took; elsewhere plain lines."""

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console(stderr=True)

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """One step, from when it begins until it is done or fails."""
        began = time.monotonic()
        if not self._console.is_terminal:
            self.say(f"{what} ...")
        with self._console.status(what) as status:
            try:
                yield Step(what, status)
            except BaseException:
                self.say(f"{what}: not done after {time.monotonic() - began:.1f} s")
                raise
        self.say(f"{what}: {time.monotonic() - began:.1f} s")

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
