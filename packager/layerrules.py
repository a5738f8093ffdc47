"""The rules for a layer as it is stored: one gzip member, and what its digests say."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

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
    """Report every violation within a layer's bytes, read once and to the end, in memory that does not
    grow."""
    stored = _Hashing(chunks)
    plain = _Hashing(_uncompressed(stored, where, report))
    first = next(plain, None)
    if first is None:
        for _ in stored:
            pass
        return LayerFacts(stored.digest, stored.size, None, None)
    mtime = check_archive(Reader(_chain(first, plain)), where, report)
    for _ in stored:
        pass
    return LayerFacts(stored.digest, stored.size, plain.digest, mtime)


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


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _uncompressed(stored: Iterator[bytes], where: str, report: Report) -> Iterator[bytes]:
    """The content of the first gzip member; everything that is not one well-formed member is reported."""
    reader = Reader(iter(stored))
    header = reader.read(len(HEADER))
    if not header.startswith(_MAGIC):
        report("compression", where, f"gzip, which begins {_MAGIC.hex()}", header[:3].hex() or "nothing")
        return
    if header != HEADER:
        report("gzip header", where, f"{HEADER.hex()}, which holds no name and no time", header.hex())
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    rest = reader.rest()
    try:
        for chunk in _chain(header, rest):
            todo = chunk
            while todo and not member.eof:
                piece = member.decompress(todo, _PIECE)
                todo = member.unconsumed_tail
                if piece:
                    yield piece
            if member.eof:
                break
        while not member.eof and (piece := member.decompress(member.unconsumed_tail, _PIECE)):
            yield piece
    except zlib.error as error:
        report("compression", where, "gzip that can be uncompressed", str(error))
        return
    if not member.eof:
        report("compression", where, "one whole gzip member", "a member that is cut off")
        return
    follows = member.unused_data[: len(HEADER)]
    trailing = len(member.unused_data)
    for chunk in rest:
        follows = (follows + chunk)[: len(HEADER)]
        trailing += len(chunk)
    if follows.startswith(_MAGIC):
        report("compression", where, "one gzip member", f"a second one, {trailing} bytes further on")
    elif trailing:
        report("compression", where, "nothing after the gzip member", f"{trailing} more bytes")
