"""Reading a container's log: the kubelet's ReadLogs (staging/src/k8s.io/cri-client/pkg/logs), in asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from emulator.node.sandbox.inotify import Changes

if TYPE_CHECKING:  # the cluster is a lot to load for a type
    from emulator.cluster.kubelets import LogOptions

__all__ = ["read_log"]

_BLOCK = 64 * 1024


async def read_log(path: Path, options: LogOptions, ended: Awaitable[Any] | None = None) -> AsyncIterator[bytes]:
    """A container's output from its log file, in chunks, as `options` ask.

    Following stops once `ended` (such as `container.wait()`) is done and the log read to its end; without `ended`,
    never. `options.previous` is the caller's to turn into a path. Raises FileNotFoundError.
    """
    over = asyncio.ensure_future(ended) if ended is not None else None
    with contextlib.ExitStack() as stack:
        if over is not None:
            stack.callback(over.cancel)
        file = stack.enter_context(path.open("rb"))
        # Watch before reading, so that nothing written in between is missed.
        changes = stack.enter_context(Changes(path)) if options.follow else None
        file.seek(0 if options.tail_lines is None else _tail(file, options.tail_lines))
        reader = _Reader(options)
        while True:
            stopping = over is not None and over.done()
            for chunk in reader.read(file):
                yield chunk
            if reader.full or changes is None or stopping:
                return
            await _either(changes.wait(), over)


async def _either(change: Awaitable[None], over: asyncio.Future[Any] | None) -> None:
    waiting = asyncio.ensure_future(change)
    try:
        await asyncio.wait([waiting, over] if over else [waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _tail(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` entries of the log begin."""
    position = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return position
    wanted = lines + 1  # the newline that ends the log begins no line
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        end = size
        while (found := block.rfind(b"\n", 0, end)) >= 0:
            wanted -= 1
            if wanted == 0:
                return position + found + 1
            end = found
    return 0


class _Reader:
    """Turns log entries into output."""

    def __init__(self, options: LogOptions) -> None:
        self._timestamps = options.timestamps
        self._left = options.limit_bytes
        self._since = ""
        if options.since_seconds is not None:
            # Times of one format in UTC compare as text.
            since = datetime.now(UTC) - timedelta(seconds=options.since_seconds)
            self._since = since.strftime("%Y-%m-%dT%H:%M:%S.%f")
        self._rest = b""
        self._at_line_start = True
        self.full = False
        """Whether as many bytes as wanted have been read."""

    def read(self, file: BinaryIO) -> list[bytes]:
        """The output of all whole entries from here to the end of the file."""
        chunks = []
        while not self.full and (block := file.read(_BLOCK)):
            *entries, self._rest = (self._rest + block).split(b"\n")
            output = b"".join(map(self._output, entries))
            if self._left is not None:
                output = output[: self._left]
                self._left -= len(output)
                self.full = self._left <= 0
            if output:
                chunks.append(output)
        return chunks

    def _output(self, entry: bytes) -> bytes:
        time, _, tag, text = entry.split(b" ", 3)
        if time.decode().removesuffix("Z") < self._since:
            return b""
        output = text if tag == b"P" else text + b"\n"
        if self._timestamps and self._at_line_start:
            output = _nanoseconds(time) + b" " + output
        self._at_line_start = tag != b"P"
        return output


def _nanoseconds(time: bytes) -> bytes:
    """A time with all nine digits of its fraction (RFC3339NanoFixed), which RFC3339Nano shortens."""
    seconds, _, fraction = time.removesuffix(b"Z").partition(b".")
    return seconds + b"." + fraction.ljust(9, b"0") + b"Z"
