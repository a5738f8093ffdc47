"""zstd on all cores, the same bytes for any number of them.

libzstd's own workers cut the stream into jobs of a fixed size. Without workers it would compress it whole, to other
bytes: so there is always one, at least.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["ParallelZstd", "zstd", "zstd_codec"]

_JOB = 1 << 20  # as small as larger ones make it, and each worker holds a few


def zstd_codec(level: int) -> str:
    """What decides the compressed bytes: library, version, level."""
    return f"zstd {zstd.zstd_version} level {level}"


class ParallelZstd:
    """A writer that hands on its input as one zstd frame with a checksum, compressed by `jobs` threads.

    Memory is a few jobs of 1 MiB for each thread.
    """

    def __init__(self, write: Callable[[bytes], object], *, level: int, jobs: int) -> None:
        self._write = write
        option = zstd.CompressionParameter
        self._compressor = zstd.ZstdCompressor(
            options={
                option.compression_level: level,
                option.nb_workers: jobs,
                option.job_size: _JOB,
                option.checksum_flag: 1,
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The library has nothing to be closed."""

    def write(self, data: bytes | bytearray) -> None:
        """Take more input."""
        self._hand_on(self._compressor.compress(data))

    def finish(self) -> None:
        """Compress what is left, and end the frame."""
        self._hand_on(self._compressor.flush())

    def _hand_on(self, compressed: bytes) -> None:
        if compressed:
            self._write(compressed)
