"""The rules for a layer as it is stored: compressed as its media type says, and what its digests say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from packager.stored import open_stored
from packager.tarreader import Reader
from packager.tarrules import check_archive
from packager.violations import Report

__all__ = ["LayerFacts", "check_layer"]


@dataclass(frozen=True)
class LayerFacts:
    """What a layer turned out to be; `diff_id` is None if it could not be uncompressed, `mtime` if it is
    empty."""

    digest: str
    size: int
    diff_id: str | None
    mtime: int | None


def check_layer(chunks: Iterator[bytes], media_type: str, where: str, report: Report) -> LayerFacts:
    """Report every violation within a layer's bytes, read once and to the end, in memory that does not grow."""
    bytes_ = _Hashing(chunks)
    stored = open_stored(bytes_, media_type, where, report)
    plain = _Hashing(stored.content())
    mtime = check_archive(Reader(plain), where, report) if stored.is_readable else None
    for _ in bytes_:
        pass
    return LayerFacts(bytes_.digest, bytes_.size, plain.digest if stored.is_whole else None, mtime)


class _Hashing:
    """An iterator of chunks that knows the size and the hash of what has passed."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._hash = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self._hash.update(chunk)
        self.size += len(chunk)
        return chunk

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"
