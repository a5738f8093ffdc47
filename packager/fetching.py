"""Blobs that are fetched when they are first read, and held to their digests before anybody sees a byte."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from packager.documents import Descriptor
from packager.errors import PackagerError, from_os_error
from packager.sources import Source

__all__ = ["FetchedBlob"]


class FetchedBlob:
    """A blob of a source, in a nameless file at `place` once it was read; a context manager, which lets go of it."""

    def __init__(
        self, source: Source, descriptor: Descriptor, place: Path, on_bytes: Callable[[int], None] | None = None
    ) -> None:
        self.digest, self.size = descriptor.digest, descriptor.size
        self._source, self._place, self._on_bytes = source, place, on_bytes
        self._file: int | None = None

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises PackagerError if the source gives something else."""
        return os.pread(self.descriptor, length, offset)

    @property
    def descriptor(self) -> int:
        """The open file with all of it."""
        if self._file is None:
            self._file = self._fetch()
        return self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _fetch(self) -> int:
        chunks = self._source.blob(self.digest)
        if chunks is None:
            raise PackagerError(f"{self._source.name} has no blob {self.digest}")
        found, size = hashlib.sha256(), 0
        try:
            with tempfile.TemporaryFile(dir=self._place) as file:
                for chunk in chunks:
                    size += len(chunk)
                    if size > self.size:
                        raise PackagerError(f"{self.digest} of {self._source.name} is longer than {self.size} bytes")
                    found.update(chunk)
                    file.write(chunk)
                    if self._on_bytes:
                        self._on_bytes(size)
                file.flush()
                if size != self.size or f"sha256:{found.hexdigest()}" != self.digest:
                    raise PackagerError(
                        f"{self._source.name} gave {size} bytes of sha256:{found.hexdigest()} for the "
                        f"{self.size} bytes of {self.digest}"
                    )
                return os.dup(file.fileno())
        except OSError as error:
            raise from_os_error(error, f"fetch {self.digest} to {self._place}") from error
