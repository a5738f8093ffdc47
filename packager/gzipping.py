"""gzip -9 on all cores, the same bytes for any number of them.

The stream is cut into blocks of 1 MiB. Each is deflated by itself, with the 32 KiB before it as its
dictionary and a sync flush at its end, so that put together they are one deflate stream in one gzip member:
what any gunzip reads. The cuts depend on nothing but the position in the stream; so neither do the bytes.
The header is written by hand, since what libraries put there (time, operating system, name) differs between
them.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from packager.errors import UsageError

__all__ = ["HEADER", "ParallelGzip", "codec", "default_jobs"]

# RFC 1952: magic, deflate, no flags, no time, "slowest algorithm", "unknown operating system".
HEADER = bytes.fromhex("1f8b08000000000002ff")
LEVEL = 9
_BLOCK = 1 << 20
_WINDOW = 1 << 15
_AHEAD = 2  # blocks in hand beyond one for each worker, so that none waits


def default_jobs() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def codec() -> str:
    """What decides the compressed bytes: library, version, level. zlib-ng's bytes differ from zlib's."""
    version = getattr(zlib, "ZLIBNG_VERSION", "")
    return f"zlib-ng {version} level {LEVEL}" if version else f"zlib {zlib.ZLIB_RUNTIME_VERSION} level {LEVEL}"


class ParallelGzip:
    """A writer that hands on its input as one gzip member, compressed by `jobs` threads.

    zlib lets go of the interpreter lock while it works. At most `jobs` + 2 blocks are in memory.
    """

    def __init__(self, write: Callable[[bytes], object], *, jobs: int | None = None) -> None:
        jobs = default_jobs() if jobs is None else jobs
        if jobs < 1:
            raise UsageError(f"the number of jobs must be at least 1, not {jobs}")
        self._write = write
        self._buffer = bytearray()
        self._before = b""
        self._crc = 0
        self._size = 0
        self._pending: deque[Future[bytes]] = deque()
        self._jobs = jobs
        self._workers = ThreadPoolExecutor(jobs, "gzip") if jobs > 1 else None
        write(HEADER)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._workers:
            self._workers.shutdown(cancel_futures=True)

    def write(self, data: bytes) -> None:
        """Take more input."""
        self._buffer += data
        # One byte is kept back: the last block is compressed otherwise than the rest.
        while len(self._buffer) > _BLOCK:
            block = bytes(memoryview(self._buffer)[:_BLOCK])
            del self._buffer[:_BLOCK]
            self._submit(block, last=False)

    def finish(self) -> None:
        """Compress what is left, and write the trailer."""
        self._submit(bytes(self._buffer), last=True)
        self._buffer.clear()
        while self._pending:
            self._write(self._pending.popleft().result())
        self._write(self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little"))

    def _submit(self, block: bytes, *, last: bool) -> None:
        self._crc = zlib.crc32(block, self._crc)
        self._size += len(block)
        before, self._before = self._before, block[-_WINDOW:]
        if self._workers is None:
            self._write(_deflate(block, before, last))
            return
        self._pending.append(self._workers.submit(_deflate, block, before, last))
        while len(self._pending) > self._jobs + _AHEAD:
            self._write(self._pending.popleft().result())


def _deflate(block: bytes, before: bytes, last: bool) -> bytes:
    raw = -zlib.MAX_WBITS
    if before:
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, raw, zlib.DEF_MEM_LEVEL, zdict=before)
    else:
        compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, raw, zlib.DEF_MEM_LEVEL)
    return compressor.compress(block) + compressor.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
