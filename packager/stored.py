"""A layer's bytes as they are stored, uncompressed on the way, and what is unusual about them reported."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import chain
from typing import ClassVar

from packager import gzipping
from packager.compression import GZIP_MAGIC, ZSTD_MAGIC
from packager.documents import LAYER_PLAIN, LAYER_ZSTD
from packager.tarreader import Reader
from packager.violations import Report

__all__ = ["Stored", "open_stored"]

_PIECE = 1 << 20


class Stored:
    """A layer that is not compressed.

    `is_readable` is whether `content` is worth reading; `is_whole` is known once it was read.
    """

    name: ClassVar[str] = ""
    magic: ClassVar[bytes] = b""
    unit: ClassVar[str] = ""

    def __init__(self, stored: Iterator[bytes], where: str, report: Report) -> None:
        self._where = where
        self._report = report
        reader = Reader(stored)
        self._head = reader.read(gzipping.HEADER_SIZE)
        self._rest = reader.rest()
        self.is_whole = False
        self.is_readable = self._head.startswith(self.magic)
        if not self.is_readable:
            found = self._head[: len(self.magic)].hex() or "nothing"
            report("compression", where, f"{self.name}, which begins {self.magic.hex()}", found)

    def content(self) -> Iterator[bytes]:
        """The layer's archive, as far as it can be had."""
        yield from self._chunks()
        self.is_whole = True

    def _chunks(self) -> Iterator[bytes]:
        return chain([self._head], self._rest)

    def _ended(self, whole: bool, unused: bytes) -> None:
        """The member is read; look at what follows it."""
        if not whole:
            self._report(
                "compression", self._where, f"one whole {self.unit}", f"a {self.unit.split()[-1]} that is cut off"
            )
            return
        self.is_whole = True
        begins, size = unused[: len(self.magic)], len(unused)
        for chunk in self._rest:
            begins = (begins + chunk)[: len(self.magic)]
            size += len(chunk)
        if begins == self.magic:
            self._report("compression", self._where, f"one {self.unit}", f"another one, {size} bytes from the end")
        elif size:
            self._report("compression", self._where, f"nothing after the {self.unit}", f"{size} more bytes")


class _Gzip(Stored):
    name, magic, unit = "gzip", GZIP_MAGIC, "gzip member"

    def __init__(self, stored: Iterator[bytes], where: str, report: Report) -> None:
        super().__init__(stored, where, report)
        if self.is_readable and not gzipping.is_plain_header(self._head):
            expected = f"{gzipping.header(9).hex()}, which holds no name and no time"
            report("gzip header", where, expected, self._head.hex())

    def content(self) -> Iterator[bytes]:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            for chunk in self._chunks():
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
        self._ended(member.eof, member.unused_data)


class _Zstd(Stored):
    name, magic, unit = "zstd", ZSTD_MAGIC, "zstd frame"

    def content(self) -> Iterator[bytes]:
        from packager.zstandard import zstd

        frame = zstd.ZstdDecompressor()
        try:
            for chunk in self._chunks():
                todo = chunk
                while todo or not (frame.eof or frame.needs_input):
                    yield frame.decompress(todo, _PIECE)
                    todo = b""
                if frame.eof:
                    break
        except zstd.ZstdError as error:
            self._report("compression", self._where, "zstd that can be uncompressed", str(error))
            return
        self._ended(frame.eof, frame.unused_data)


def open_stored(stored: Iterator[bytes], media_type: str, where: str, report: Report) -> Stored:
    """A layer of a media type; one of a type that is not a layer's is taken for gzip. What it is not is reported."""
    kind = {LAYER_PLAIN: Stored, LAYER_ZSTD: _Zstd}.get(media_type, _Gzip)
    return kind(stored, where, report)
