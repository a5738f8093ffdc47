"""What the kubelet remembers of a pod's sandbox and of each attempt to run one of its containers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from emulator.clock import Clock
from emulator.node.containerd import Identity
from emulator.node.sandbox import Container, Exit, PodSandbox

__all__ = ["Attempt", "Ended", "PodRecord"]


@dataclass(frozen=True)
class Ended:
    """How a container ended; `finished_at` is wall time (RFC 3339), `at` the emulated clock's seconds."""

    exit_code: int
    reason: str
    finished_at: str
    at: float
    message: str = ""


@dataclass
class Attempt:
    """One container of the runtime: the n-th start of a container of the pod."""

    id: str
    name: str
    number: int
    image: str
    image_id: str
    log: Path
    identity: Identity
    started_at: str
    started: float
    """Seconds of the emulated clock, for probes."""
    process: Container | None = None
    ended: Ended | None = None
    ready: bool = False
    started_up: bool = False
    """Whether its startup probe, where it has one, succeeded."""
    stopping: bool = False
    stop_signal: int = signal.SIGTERM
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once `ended` is."""

    @property
    def running(self) -> bool:
        """Whether its process has not ended."""
        return self.ended is None

    def end(self, how: Exit, clock: Clock, message: str = "") -> None:
        """Its process has ended, having left `message` for its status."""
        code = how.code or (128 + how.signal if how.signal else 0)
        reason = "OOMKilled" if how.oom else "Error" if code else "Completed"
        self.ended = Ended(code, reason, clock.timestamp(), clock.now(), message)
        self.over.set()


@dataclass
class PodRecord:
    """The sandbox and the containers of one pod, by name and in the order of their attempts."""

    sandbox: PodSandbox | None = None
    sandbox_id: str = ""
    ip: str = ""
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)

    def latest(self, name: str) -> Attempt | None:
        """The last attempt of a container."""
        return self.attempts[name][-1] if self.attempts.get(name) else None

    def previous(self, name: str) -> Attempt | None:
        """The attempt before the last one."""
        attempts = self.attempts.get(name, [])
        return attempts[-2] if len(attempts) > 1 else None

    def running(self) -> Iterator[Attempt]:
        """The attempts whose processes have not ended."""
        for attempts in self.attempts.values():
            yield from (attempt for attempt in attempts if attempt.running)
