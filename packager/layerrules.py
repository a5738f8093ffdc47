"""The rules for a layer as it is stored: one gzip member, and what its digests say."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from packager.gzipping import HEADER
from packager.tarreader import Reader
from packager.tarrules import check_archive
from packager.violations import Report

__all__ = ["LayerFacts", "check_layer"]

_PIECE = 1 << 20
_MAGIC = HEADER[:3]


@dataclass(frozen=True)
class LayerFacts:
    """What a layer turned out to be; `diff_id` is None if it could not be uncompressed, `mtime` if it is
    empty."""

    digest: str
    size: int
    diff_id: str | None
    mtime: int | None


def check_layer(chunks: Iterator[bytes], where: str, report: Report) -> LayerFacts:
    """Report every violation within a layer's bytes, read once and to the end, in memory that does not grow."""
    stored = _Hashing(chunks)
    member = _Member(stored, where, report)
    plain = _Hashing(member.content())
    mtime = check_archive(Reader(plain), where, report) if member.is_gzip else None
    for _ in stored:
        pass
    return LayerFacts(stored.digest, stored.size, plain.digest if member.is_whole else None, mtime)


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


class _Member:
    """The first gzip member of a layer. Everything that keeps the layer from being one such is reported.

    `is_whole` is known once the content has been read.
    """

    def __init__(self, stored: Iterator[bytes], where: str, report: Report) -> None:
        self._where = where
        self._report = report
        reader = Reader(stored)
        self._header = reader.read(len(HEADER))
        self._rest = reader.rest()
        self.is_whole = False
        self.is_gzip = self._header.startswith(_MAGIC)
        if not self.is_gzip:
            found = self._header[:3].hex() or "nothing"
            report("compression", where, f"gzip, which begins {_MAGIC.hex()}", found)
        elif self._header != HEADER:
            expected = f"{HEADER.hex()}, which holds no name and no time"
            report("gzip header", where, expected, self._header.hex())

    def content(self) -> Iterator[bytes]:
        """What the member holds, as far as it can be uncompressed."""
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            for chunk in chain([self._header], self._rest):
                todo = chunk
                while todo and not member.eof:
                    if piece := member.decompress(todo, _PIECE):
                        yield piece
                    todo = member.unconsumed_tail
                if member.eof:
                    break
            while not member.eof and (piece := member.decompress(b"", _PIECE)):
                yield piece
        except zlib.error as error:
            self._report("compression", self._where, "gzip that can be uncompressed", str(error))
            return
        if not member.eof:
            self._report("compression", self._where, "one whole gzip member", "a member that is cut off")
            return
        self.is_whole = True
        self._trailing(member.unused_data)

    def _trailing(self, data: bytes) -> None:
        begins, size = data[: len(HEADER)], len(data)
        for chunk in self._rest:
            begins = (begins + chunk)[: len(HEADER)]
            size += len(chunk)
        if begins.startswith(_MAGIC):
            self._report("compression", self._where, "one gzip member", f"another one, {size} bytes from the end")
        elif size:
            self._report("compression", self._where, "nothing after the gzip member", f"{size} more bytes")
