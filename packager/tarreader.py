"""Tar archives read as a stream, header by header, without passing over what is unusual about one.

Python's tarfile forgives (a broken header ends the archive quietly, numbers may be written many ways); one
who checks archives must not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from packager.tarwriter import BLOCK, FILE, SYMLINK

__all__ = ["BrokenArchiveError", "Member", "Reader", "members"]

_PAX, _GLOBAL = b"x", b"g"
_WITHOUT_CONTENT = frozenset((b"1", SYMLINK, b"3", b"4", b"5", b"6"))
_MAX_RECORDS = 1 << 20


class BrokenArchiveError(Exception):
    """The archive cannot be read on from here; `str()` says why."""


@dataclass(frozen=True)
class Member:
    """One header of an archive, with the pax records before it applied.

    `path` is as written, a directory's slash included. `raw` is every header block that led to it.
    `records` are the keys of its pax records.
    """

    path: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    target: bytes
    owner: bytes
    group: bytes
    records: tuple[str, ...]
    raw: bytes


class Reader:
    """Exact reads from chunks of any size."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self.position = 0

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        parts = [self._buffer]
        have = len(self._buffer)
        while have < size and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk)
            have += len(chunk)
        data = b"".join(parts) if len(parts) > 1 else parts[0]
        self._buffer = data[size:]
        self.position += min(size, have)
        return data[:size]

    def skip(self, size: int) -> int:
        """Pass over `size` bytes without keeping them; how many there were."""
        left = size
        while left:
            piece = self._buffer[:left] if self._buffer else next(self._chunks, None)
            if piece is None:
                break
            if self._buffer:
                self._buffer = self._buffer[len(piece) :]
            elif len(piece) > left:
                piece, self._buffer = piece[:left], piece[left:]
            left -= len(piece)
        self.position += size - left
        return size - left

    def rest(self) -> Iterator[bytes]:
        """Everything that follows."""
        buffered, self._buffer = self._buffer, b""
        for chunk in (buffered, *self._chunks):
            self.position += len(chunk)
            yield chunk


def members(reader: Reader, on_padding: Callable[[int], None]) -> Iterator[Member]:
    """The members up to the two zero blocks that end an archive; BrokenArchiveError if it cannot be read.

    `on_padding` is told where content is not filled up with zeros to whole blocks, which nobody else would see.
    """
    raw = b""
    records: dict[str, bytes] = {}
    while True:
        at = reader.position
        block = _block(reader, at)
        if not any(block):
            if raw:
                raise BrokenArchiveError(f"extended records at byte {at} belong to no entry")
            if any(_block(reader, at + BLOCK)):
                raise BrokenArchiveError(f"one zero block at byte {at} where an archive ends with two")
            return
        if _number(block[148:156], at) != sum(block[:148]) + sum(block[156:]) + 8 * 32:
            raise BrokenArchiveError(f"the header at byte {at} has a wrong checksum")
        raw += block
        kind = block[156:157]
        size = _number(block[124:136], at)
        if kind in (_PAX, _GLOBAL):
            if size > _MAX_RECORDS:
                raise BrokenArchiveError(f"the extended header at byte {at} is {size} bytes long")
            content = reader.read(size + -size % BLOCK)
            if len(content) < size:
                raise BrokenArchiveError("it is cut off in an extended header")
            raw += content
            if kind == _PAX:
                records = _records(content[:size], at)
                continue
        member = _member(block, kind, size, records, raw, at)
        yield member
        length = 0 if kind in _WITHOUT_CONTENT or kind == _GLOBAL else member.size
        padding = -length % BLOCK
        if reader.skip(length) < length or len(rest := reader.read(padding)) < padding:
            raise BrokenArchiveError(f"it is cut off in the content of the entry at byte {at}")
        if any(rest):
            on_padding(reader.position - padding)
        raw, records = b"", {}


def _member(block: bytes, kind: bytes, size: int, records: dict[str, bytes], raw: bytes, at: int) -> Member:
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else b""
    name = _text(block[:100])
    path = records.get("path", prefix + b"/" + name if prefix else name)
    return Member(
        path=path,
        kind=FILE if kind == b"\0" else kind,
        mode=_number(block[100:108], at),
        uid=_number(block[108:116], at),
        gid=_number(block[116:124], at),
        size=_decimal(records["size"], at) if "size" in records else size,
        mtime=_number(block[136:148], at),
        target=records.get("linkpath", _text(block[157:257])),
        owner=_text(block[265:297]),
        group=_text(block[297:329]),
        records=tuple(records),
        raw=raw,
    )


def _block(reader: Reader, at: int) -> bytes:
    block = reader.read(BLOCK)
    if len(block) < BLOCK:
        raise BrokenArchiveError(f"it is cut off at byte {at + len(block)}, before the two zero blocks at its end")
    return block


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes, at: int) -> int:
    if field[0] & 0x80:  # GNU's base 256
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    digits = field.strip(b" \0")
    if not digits:
        return 0
    try:
        return int(digits, 8)
    except ValueError:
        raise BrokenArchiveError(f"the header at byte {at} holds {field!r} where a number belongs") from None


def _decimal(text: bytes, at: int) -> int:
    if not text.isdigit():
        raise BrokenArchiveError(f"the extended header at byte {at} says that a size is {text!r}")
    return int(text)


def _records(content: bytes, at: int) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    while content:
        length, space, _ = content.partition(b" ")
        end = int(length) if space and length.isdigit() else 0
        key, equals, value = content[len(length) + 1 : end].partition(b"=")
        if not equals or not value.endswith(b"\n") or end > len(content):
            raise BrokenArchiveError(f"the extended header at byte {at} is not `LENGTH KEY=VALUE` records")
        records[key.decode("utf-8", "replace")] = value[:-1]
        content = content[end:]
    return records
