"""Tar headers, the same bytes on every machine and every Python.

The format is POSIX pax (IEEE Std 1003.1, pax Interchange Format): a plain ustar header where name and
numbers fit in it, with a pax record before it where they do not; byte for byte what Python's tarfile writes
with PAX_FORMAT. Owner and times are not the file's: they would differ from machine to machine.
"""

from __future__ import annotations

import zlib

__all__ = ["BLOCK", "DIRECTORY", "FILE", "RECORD", "SYMLINK", "header", "padding"]

BLOCK = 512
RECORD = 20 * BLOCK  # an archive is filled up with zeros to a multiple of this
FILE, SYMLINK, DIRECTORY = b"0", b"2", b"5"
_PAX = b"x"
_MAGIC = b"ustar\x0000"
_MAX_NAME = 100
_REST = bytes(BLOCK - 265)  # user, group and device, which nobody has
_MAX_OCTAL = 8**11 - 1


def header(path: bytes, kind: bytes, *, mode: int, mtime: int, size: int = 0, target: bytes = b"") -> bytes:
    """The header blocks of one entry. `path` and `target` are UTF-8; a directory's slash is added here."""
    name = path + b"/" if kind == DIRECTORY else path
    records = b""
    if len(name) > _MAX_NAME or not name.isascii():
        records += _record(b"path", name)
    if len(target) > _MAX_NAME or not target.isascii():
        records += _record(b"linkpath", target)
    if size > _MAX_OCTAL:
        records += _record(b"size", b"%d" % size)
        size = 0
    plain = _block(_ascii(name), kind, mode, size, mtime, _ascii(target))
    if not records:
        return plain
    return _block(b"././@PaxHeader", _PAX, 0, len(records), 0, b"") + records + padding(len(records)) + plain


def padding(size: int) -> bytes:
    """The zeros that fill `size` bytes up to whole blocks."""
    return bytes(-size % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(b"%d" % rest)
    length = rest + len(b"%d" % length)
    return b"%d %s=%s\n" % (length, key, value)


def _ascii(name: bytes) -> bytes:
    if name.isascii():
        return name
    return name.decode().encode("ascii", "replace")


def _block(name: bytes, kind: bytes, mode: int, size: int, mtime: int, target: bytes) -> bytes:
    start = b"%b%07o\x000000000\x000000000\0%011o\0%011o\0" % (name[:_MAX_NAME].ljust(100, b"\0"), mode, size, mtime)
    end = b"%b%b%b" % (kind, target[:_MAX_NAME].ljust(100, b"\0"), _MAGIC)
    block = b"%b        %b%b" % (start, end, _REST)
    # The checksum is the sum of all bytes, which is one half of Adler-32, less its start at 1; names are ASCII here,
    # so the sum stays far below the 65,521 where Adler-32 begins anew.
    return b"%b%06o\0 %b%b" % (start, (zlib.adler32(block) & 0xFFFF) - 1, end, _REST)
