"""gzip on all cores, the same bytes for any number of them.

The stream is cut into blocks of 1 MiB. Each is deflated by itself, with the 32 KiB before it as its
dictionary and a sync flush at its end, so that put together they are one deflate stream in one gzip member:
what any gunzip reads. The cuts depend on nothing but the position in the stream; so neither do the bytes.
A block that a quick look finds to be noise, as files are that were compressed before, is stored as it is.
The header is written by hand, since what libraries put there (time, operating system, name) differs between
them.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType, TracebackType
from typing import Self

from packager.compression import GZIP_MAGIC

__all__ = ["HEADER_SIZE", "ParallelGzip", "gzip_codec", "header", "is_plain_header"]

HEADER_SIZE = 10
_FASTEST, _SLOWEST = 1, 9
_EXTRA_FLAGS = {_FASTEST: b"\4", _SLOWEST: b"\2"}
_BLOCK = 1 << 20
_WINDOW = 1 << 15
_LOOKS, _LOOK = 4, 1 << 14  # so many stretches of a block, of so many bytes, tell whether it is noise
_QUICK = 1
_AHEAD = 2  # blocks in hand beyond one for each worker, so that none waits


def header(level: int) -> bytes:
    """A gzip header with no flags, no name, no time, and "unknown operating system"."""
    return GZIP_MAGIC + bytes(5) + _EXTRA_FLAGS.get(level, b"\0") + b"\xff"


def is_plain_header(found: bytes) -> bool:
    """Whether a gzip header is one that `header` writes."""
    return found in {header(level) for level in range(_FASTEST, _SLOWEST + 1)}


def gzip_codec(level: int, *, fast: bool) -> str:
    """What decides the compressed bytes: library, version, level. zlib-ng's bytes differ from zlib's."""
    library = _library(fast)
    ng: str = getattr(library, "ZLIBNG_VERSION", "")
    name = f"zlib-ng {ng}" if ng else f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    return f"{name} level {level}"


class ParallelGzip:
    """A writer that hands on its input as one gzip member, compressed by `jobs` threads.

    zlib lets go of the interpreter lock while it works. At most `jobs` + 2 blocks are in memory. `fast` takes zlib-ng
    in place of zlib.
    """

    def __init__(self, write: Callable[[bytes], object], *, level: int, jobs: int, fast: bool = False) -> None:
        self._write = write
        self._level = level
        self._library = _library(fast)
        self._buffer = bytearray()
        self._before = b""
        self._crc = 0
        self._size = 0
        self._pending: deque[Future[bytes]] = deque()
        self._jobs = jobs
        self._workers = ThreadPoolExecutor(jobs, "gzip") if jobs > 1 else None
        write(header(level))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._workers:
            self._workers.shutdown(cancel_futures=True)

    def write(self, data: bytes | bytearray) -> None:
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
        self._crc = self._library.crc32(block, self._crc)
        self._size += len(block)
        before, self._before = self._before, block[-_WINDOW:]
        if self._workers is None:
            self._write(self._deflate(block, before, last))
            return
        self._pending.append(self._workers.submit(self._deflate, block, before, last))
        while len(self._pending) > self._jobs + _AHEAD:
            self._write(self._pending.popleft().result())

    def _deflate(self, block: bytes, before: bytes, last: bool) -> bytes:
        deflate = self._library
        raw, memory = -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL
        if self._is_noise(block):
            compressor = deflate.compressobj(zlib.Z_NO_COMPRESSION, zlib.DEFLATED, raw, memory)
        elif before:
            compressor = deflate.compressobj(self._level, zlib.DEFLATED, raw, memory, zdict=before)
        else:
            compressor = deflate.compressobj(self._level, zlib.DEFLATED, raw, memory)
        piece: bytes = compressor.compress(block) + compressor.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)
        return piece

    def _is_noise(self, block: bytes) -> bool:
        """Whether stretches of a whole block do not shrink: deflating noise takes longest of all, and gains nothing."""
        if len(block) < _BLOCK:
            return False
        stretches = (block[start : start + _LOOK] for start in range(0, _BLOCK, _BLOCK // _LOOKS))
        return all(len(self._library.compress(stretch, _QUICK)) >= len(stretch) for stretch in stretches)


def _library(fast: bool) -> ModuleType:
    if not fast:
        return zlib
    from zlib_ng import zlib_ng

    return zlib_ng
