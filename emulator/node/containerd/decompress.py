"""A layer's tar out of its blob: gzip, zstd or as it is.

Source: containerd core/diff/stream.go, pkg/archive/compression (the first bytes decide); Go compress/gzip (texts).
"""

from __future__ import annotations

import hashlib
import os
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from emulator.node.containerd import media_types
from emulator.node.containerd.layer import LayerError

__all__ = ["Unpacked", "decompress"]

_GZIP_MAGIC = b"\x1f\x8b\x08"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP_HEADER = 10
_PIECE = 16 << 10  # deflate makes at most a thousand times that of it
_ZSTD_OUTPUT = 1 << 20


@dataclass(frozen=True)
class Unpacked:
    """A layer's tar: where it is, its digest (the diff_id), and what cut the stream short, if anything did."""

    tar: Path
    digest: str
    cut_short_by: str | None


class _StreamError(Exception):
    """The compressed stream is broken; the text is Go's."""


def decompress(blob: Path, media_type: str, target: Path) -> Unpacked:
    """Write a layer's tar to `target`, or leave it where it is when it is not compressed.

    What comes before the place where a stream breaks is kept: the tar in it may still be whole.

    Raises:
        LayerError: a layer of this media type cannot be applied.
        OSError: nothing can be written.
    """
    detected = media_types.compression_is_detected(media_type)
    if detected is None or media_type.endswith("+encrypted"):
        raise LayerError(f"failed to get stream processor for {media_type}: no processor for media-type")
    with blob.open("rb") as source:
        magic = source.read(8)
        source.seek(0)
        if detected and magic.startswith(_GZIP_MAGIC):
            if os.fstat(source.fileno()).st_size < _GZIP_HEADER:
                raise LayerError(f"failed to get stream processor for {media_type}: unexpected EOF")
            pieces = _gunzip(source)
        elif detected and (magic.startswith(_ZSTD_MAGIC) or _is_skippable(magic)):
            pieces = _unzstd(source)
        else:
            return Unpacked(blob, f"sha256:{hashlib.file_digest(source, 'sha256').hexdigest()}", None)
        digester = hashlib.sha256()
        cut_short_by = None
        with target.open("xb") as sink:
            try:
                for piece in pieces:
                    digester.update(piece)
                    sink.write(piece)
            except _StreamError as error:
                cut_short_by = str(error)
    return Unpacked(target, f"sha256:{digester.hexdigest()}", cut_short_by)


def _is_skippable(magic: bytes) -> bool:
    return len(magic) == 8 and int.from_bytes(magic[:4], "little") & 0xFFFFFFF0 == 0x184D2A50


def _gunzip(source: BinaryIO) -> Iterator[bytes]:
    member = zlib.decompressobj(wbits=31)
    position = 0  # within the member
    while piece := source.read(_PIECE):
        while piece:
            if member.eof:  # members follow one another
                piece += source.read(_GZIP_HEADER) if len(piece) < _GZIP_HEADER else b""
                if len(piece) < _GZIP_HEADER:
                    raise _StreamError("unexpected EOF")
                member, position = zlib.decompressobj(wbits=31), 0
            before = member.copy()
            try:
                yield member.decompress(piece)
            except zlib.error:
                yield from _until_broken(before, piece, position)
            position += len(piece)
            piece = member.unused_data
    if not member.eof:
        yield member.flush()
        raise _StreamError("unexpected EOF")


def _until_broken(member: zlib._Decompress, piece: bytes, position: int) -> Iterator[bytes]:
    """What can still be had of a piece, byte by byte, and then the error."""
    for at in range(len(piece)):
        try:
            yield member.decompress(piece[at : at + 1])
        except zlib.error as error:
            text = str(error)
            if "header" in text or "compression method" in text:
                raise _StreamError("gzip: invalid header") from None
            if "data check" in text or "length check" in text:
                raise _StreamError("gzip: invalid checksum") from None
            raise _StreamError(f"flate: corrupt input before offset {position + at}") from None


def _unzstd(source: BinaryIO) -> Iterator[bytes]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    frame = zstd.ZstdDecompressor()
    start = b""  # of the frame
    while piece := source.read(_PIECE):
        while True:
            if frame.eof:
                frame, start = zstd.ZstdDecompressor(), b""
            start = start or piece[:8]
            try:
                yield frame.decompress(piece, _ZSTD_OUTPUT)
            except zstd.ZstdError as error:
                raise _StreamError(_zstd_text(str(error), start)) from None
            piece = frame.unused_data if frame.eof else b""
            if not piece and (frame.eof or frame.needs_input):
                break
    if not frame.eof:
        raise _StreamError("unexpected EOF")


def _zstd_text(error: str, start: bytes) -> str:
    if not start.startswith(_ZSTD_MAGIC) and not _is_skippable(start):
        return "invalid input: magic number mismatch" if len(start) >= len(_ZSTD_MAGIC) else "unexpected EOF"
    # The runtime's decoder tells a dozen kinds of corruption apart; these words begin most of them.
    return "CRC check failed" if "checksum" in error else "corruption detected"
