"""How a layer is compressed, and by what."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from packager.documents import LAYER_GZIP, LAYER_PLAIN, LAYER_ZSTD
from packager.errors import UsageError

__all__ = ["COMPRESSIONS", "GZIP", "GZIP_MAGIC", "ZSTD_MAGIC", "Compression", "Compressor", "default_jobs"]

GZIP_MAGIC = bytes.fromhex("1f8b08")  # RFC 1952: magic, deflate
ZSTD_MAGIC = bytes.fromhex("28b52ffd")  # RFC 8878
COMPRESSIONS = ("gzip", "zstd", "none")
_MEDIA_TYPES = {"gzip": LAYER_GZIP, "zstd": LAYER_ZSTD, "none": LAYER_PLAIN}
_LEVELS = {"gzip": range(1, 10), "zstd": range(1, 20), "none": range(1)}
_DEFAULT_LEVELS = {"gzip": 9, "zstd": 3, "none": 0}


class Compressor(Protocol):
    """A writer that compresses; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, data: bytes | bytearray) -> None:
        """Take more input."""

    def finish(self) -> None:
        """Write what is left."""


@dataclass(frozen=True)
class Compression:
    """gzip (levels 1 to 9, by default 9), zstd (1 to 19, by default 3) or none.

    `fast` is gzip by zlib-ng: as small, in a third of the time, but other bytes than zlib's, and maybe others again in
    zlib-ng's next version. The layer's `diff_id` is the same whatever is chosen. Raises UsageError.
    """

    name: str = "gzip"
    level: int | None = None
    fast: bool = False

    def __post_init__(self) -> None:
        if self.name not in COMPRESSIONS:
            raise UsageError(f"there is no compression {self.name!r}; there are {', '.join(COMPRESSIONS)}")
        levels = _LEVELS[self.name]
        if self.level is not None and self.level not in levels:
            allowed = f"from {levels[0]} to {levels[-1]}" if self.name != "none" else "none at all"
            raise UsageError(f"level {self.level} is not one of {self.name}'s; its levels are {allowed}")
        if self.fast and self.name != "gzip":
            raise UsageError(f"only gzip has a fast form, not {self.name}; leave out --fast")
        object.__setattr__(self, "level", _DEFAULT_LEVELS[self.name] if self.level is None else self.level)

    @property
    def media_type(self) -> str:
        """The layer's (image-spec layer.md)."""
        return _MEDIA_TYPES[self.name]

    @property
    def codec(self) -> str:
        """Library, version and level: what decides the compressed bytes beside the content."""
        if self.name == "gzip":
            from packager.gzipping import gzip_codec

            return gzip_codec(self._level, fast=self.fast)
        if self.name == "zstd":
            from packager.zstandard import zstd_codec

            return zstd_codec(self._level)
        return "none"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the digest may be another one on another host, if this host is to blame."""
        version = getattr(zlib, "ZLIBNG_VERSION", "")
        if self.name != "gzip" or self.fast or not version:
            return ()
        return (f"this Python's zlib is zlib-ng {version}: other hosts get another digest, but the same diff_id",)

    def compressor(self, write: Callable[[bytes | bytearray], object], *, jobs: int | None = None) -> Compressor:
        """What compresses for `write`, in `jobs` threads: by default one for each processor."""
        jobs = default_jobs() if jobs is None else jobs
        if jobs < 1:
            raise UsageError(f"the number of jobs must be at least 1, not {jobs}")
        if self.name == "gzip":
            from packager.gzipping import ParallelGzip

            return ParallelGzip(write, level=self._level, jobs=jobs, fast=self.fast)
        if self.name == "zstd":
            from packager.zstandard import ParallelZstd

            return ParallelZstd(write, level=self._level, jobs=jobs)
        return _Plain(write)

    @property
    def _level(self) -> int:
        return self.level or 0


GZIP = Compression()


def default_jobs() -> int:
    """The processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Plain:
    def __init__(self, write: Callable[[bytes | bytearray], object]) -> None:
        self._write = write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was opened."""

    def write(self, data: bytes | bytearray) -> None:
        self._write(data)

    def finish(self) -> None:
        """Everything is written already."""
