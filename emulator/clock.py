"""Time as a parameter: emulated seconds that pass `speed` times as fast as real ones.

Everything a node waits for (back-offs, probe periods, grace periods, resyncs) waits on a `Clock`, so that a
test run can speed all of it up together without changing the order of anything.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

__all__ = ["Clock"]


class Clock:
    """A monotonic clock in emulated seconds.

    `speed` is how many emulated seconds pass in a real one; it must be above zero.
    """

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"the speed of a clock must be above zero, not {speed}")
        self.speed = speed
        self._start = time.monotonic()

    def now(self) -> float:
        """Emulated seconds since this clock was made."""
        return (time.monotonic() - self._start) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for emulated seconds."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    @staticmethod
    def timestamp() -> str:
        """The wall time as Kubernetes writes `metav1.Time`: RFC 3339 to the second, in UTC."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @staticmethod
    def micro_timestamp() -> str:
        """The wall time as Kubernetes writes `metav1.MicroTime`: RFC 3339 to the microsecond, in UTC."""
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
