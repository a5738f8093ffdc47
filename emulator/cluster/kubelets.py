"""What the API server asks of a node's kubelet: a container's log and a connection to a pod's port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from emulator.cluster.objects import Object

__all__ = ["Kubelet", "LogOptions"]


@dataclass(frozen=True)
class LogOptions:
    """What of a log to send, as v1.PodLogOptions says it."""

    follow: bool = False
    """Keep sending until the container ends."""
    tail_lines: int | None = None
    """Only the last so many lines."""
    previous: bool = False
    """The container's previous instance."""
    timestamps: bool = False
    """Put the RFC 3339 time of writing before each line."""
    since_seconds: int | None = None
    """Only lines younger than this, in seconds."""
    limit_bytes: int | None = None
    """Stop after so many bytes."""


class Kubelet(Protocol):
    """A node's agent, as the API server reaches it."""

    def logs(self, pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        """The log in chunks. Raises ApiError (400) with the kubelet's text where there is none."""
        ...

    async def dial(self, pod: Object, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a port of the pod. Raises OSError (ConnectionRefusedError …) as the kernel says."""
        ...
