"""Reading tar the way Go's archive/tar does, since that is what the runtime reads layers with.

Python's tarfile is more forgiving (it stops silently at a damaged header in the middle of an archive) and has other
words for what is wrong. Archives are read from memory (a memory-mapped file), and an entry says where its bytes lie.

Source: Go's archive/tar (reader.go, strconv.go, format.go), POSIX pax, GNU tar's sparse formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from mmap import mmap

__all__ = ["Segment", "TarEntry", "TarError", "read_entries"]

Archive = bytes | mmap
Segment = tuple[int, int, int]  # offset in the file, offset in the archive, length

_BLOCK = 512
_ZERO = bytes(_BLOCK)
_BIGGEST_SPECIAL_FILE = 1 << 20
_MOST_SPARSE_ENTRIES = 1 << 20
_HEADER_ONLY = frozenset("123456")  # links, devices, directories and fifos have no data, whatever their size says
_HEADER = "archive/tar: invalid tar header"
_TOO_LONG = "archive/tar: header field too long"
_NS = 1_000_000_000
_STRING_KEYS = frozenset({"path", "linkpath", "uname", "gname"})
_XATTR = "SCHILY.xattr."
_LATEST_NS = (1 << 63) - 1


class TarError(Exception):
    """The archive cannot be read; the text is Go's."""


@dataclass(slots=True)
class TarEntry:
    """One file of an archive.

    `name` and `link` are as written (bytes that are not UTF-8 as surrogates); `type` is the header's type flag as
    one character; times are nanoseconds since 1970; `segments` are the pieces of a file's data, with holes between.
    """

    name: str
    type: str
    link: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    atime: int = 0
    major: int = 0
    minor: int = 0
    xattrs: dict[str, bytes] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()


def read_entries(archive: Archive, cut_short_by: str | None = None) -> Iterator[TarEntry]:
    """The entries of an archive in order.

    `cut_short_by` is the error that ended the stream the archive was read from: it shows when the reader runs into
    the end before it has met the archive's own.

    Raises:
        TarError: with Go's text, "archive/tar: invalid tar header" or "unexpected EOF".
    """
    return _Reader(archive, cut_short_by).entries()


class _Reader:
    def __init__(self, archive: Archive, cut_short_by: str | None) -> None:
        self._archive = archive
        self._length = len(archive)
        self._cut_short_by = cut_short_by
        self._position = 0

    def entries(self) -> Iterator[TarEntry]:
        pax: dict[str, str] = {}
        long_name = long_link = ""
        while (block := self._next_header()) is not None:
            entry = _parse_header(block)
            data_size = self._data_size(entry)
            if entry.type in ("x", "g"):
                pax = _parse_pax(self._special_file(data_size))
                if entry.type == "g":
                    yield TarEntry(name=_merge_global(entry, pax).name, type="g")
                    pax, long_name, long_link = {}, "", ""
            elif entry.type in ("L", "K"):
                text = _string(self._special_file(data_size))
                long_name, long_link = (text, long_link) if entry.type == "L" else (long_name, text)
            else:
                _merge_pax(entry, pax)
                entry.name = long_name or entry.name
                entry.link = long_link or entry.link
                if entry.type == "\0":
                    entry.type = "5" if entry.name.endswith("/") else "0"
                self._locate_data(entry, block, pax)
                yield entry
                pax, long_name, long_link = {}, "", ""

    def _next_header(self) -> bytes | None:
        block = self._read(_BLOCK)
        if block is None:
            return None
        if block == _ZERO:
            second = self._read(_BLOCK)
            if second is not None and second != _ZERO:
                raise TarError(_HEADER)
            return None
        return block

    def _read(self, count: int) -> bytes | None:
        """The next bytes, all of them; None at the end."""
        start = self._position
        if start >= self._length:
            if self._cut_short_by:
                raise TarError(self._cut_short_by)
            return None
        if start + count > self._length:
            raise TarError(self._cut_short_by or "unexpected EOF")
        self._position = start + count
        return self._archive[start : start + count]

    def _skip_data(self, size: int) -> None:
        """Pass over data and its padding. Data must be there; padding at the very end may be missing."""
        if self._position + size > self._length:
            raise TarError(self._cut_short_by or "unexpected EOF")
        self._position = min(self._position + size + -size % _BLOCK, self._length)

    def _data_size(self, entry: TarEntry) -> int:
        size = 0 if entry.type in _HEADER_ONLY else entry.size
        if size < 0:
            raise TarError(_HEADER)
        return size

    def _special_file(self, size: int) -> bytes:
        if size > _BIGGEST_SPECIAL_FILE:
            raise TarError(_TOO_LONG)
        start = self._position
        self._skip_data(size)
        return self._archive[start : start + size]

    def _locate_data(self, entry: TarEntry, block: bytes, pax: dict[str, str]) -> None:
        size = self._data_size(entry)
        start = self._position
        sparse: list[tuple[int, int]] | None = None
        if entry.type == "S":
            sparse, start = self._old_gnu_sparse_map(entry, block)
            self._position = start
        elif (version := _pax_sparse_version(pax)) is not None:
            entry.name = pax.get("GNU.sparse.name") or entry.name
            if stated := pax.get("GNU.sparse.size") or pax.get("GNU.sparse.realsize"):
                entry.size = _integer(stated)
            if version == "1.0":
                sparse, used = _sparse_map_1_0(self._archive, start, min(start + size, self._length))
                start += used
            else:
                sparse = _sparse_map_0_1(pax)
        end = self._position + size
        if sparse is None:
            entry.segments = ((0, start, size),) if size else ()
        else:
            if entry.type in _HEADER_ONLY or not _sparse_is_valid(sparse, entry.size):
                raise TarError(_HEADER)
            entry.segments = _sparse_segments(sparse, start, end)
        self._skip_data(size)

    def _old_gnu_sparse_map(self, entry: TarEntry, block: bytes) -> tuple[list[tuple[int, int]], int]:
        if _format(block) != "gnu":
            raise TarError(_HEADER)
        entry.size = _number(block[483:495])
        entries, extended = block[386:482], block[482]
        sparse: list[tuple[int, int]] = []
        while True:
            for at in range(0, len(entries), 24):
                if not entries[at]:
                    break
                sparse.append((_number(entries[at : at + 12]), _number(entries[at + 12 : at + 24])))
            if not extended:
                return sparse, self._position
            more = self._read(_BLOCK)
            if more is None:
                raise TarError("unexpected EOF")
            if len(sparse) > _MOST_SPARSE_ENTRIES:
                raise TarError("archive/tar: sparse map too long")
            entries, extended = more[:504], more[504]


def _format(block: bytes) -> str:
    """Which flavour a header is of; raises when its checksum is wrong."""
    try:
        stated = _octal(block[148:156])
    except TarError:
        raise TarError(_HEADER) from None
    unsigned = sum(block) - sum(block[148:156]) + 8 * 32
    if stated != unsigned:
        signed = unsigned - 256 * sum(1 for byte in block[:148] + block[156:] if byte > 127)
        if stated != signed:
            raise TarError(_HEADER)
    if block[257:263] == b"ustar\0":
        return "star" if block[508:512] == b"tar\0" else "ustar"
    return "gnu" if block[257:265] == b"ustar  \0" else "v7"


def _parse_header(block: bytes) -> TarEntry:
    flavour = _format(block)
    entry = TarEntry(
        name=_string(block[:100]),
        type=chr(block[156]),
        link=_string(block[157:257]),
        size=_number(block[124:136]),
        mode=_number(block[100:108]),
        uid=_number(block[108:116]),
        gid=_number(block[116:124]),
        mtime=_number(block[136:148]) * _NS,
    )
    if flavour == "v7":
        return entry
    entry.major, entry.minor = _number(block[329:337]), _number(block[337:345])
    prefix = ""
    if flavour == "ustar":
        prefix = _string(block[345:500])
    elif flavour == "star":
        prefix = _string(block[345:476])
        entry.atime = _number(block[476:488]) * _NS
        _number(block[488:500])
    else:
        try:
            entry.atime = _number(block[345:357]) * _NS if block[345] else 0
            if block[357]:
                _number(block[357:369])
        except TarError:
            # Old versions of Go wrote a prefix here; Go still reads those.
            entry.atime = 0
            text = _string(block[345:500])
            prefix = text if text.isascii() else ""
    if prefix:
        entry.name = f"{prefix}/{entry.name}"
    return entry


def _string(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _octal(raw: bytes) -> int:
    digits = raw.strip(b" \0").split(b"\0", 1)[0]
    if not digits:
        return 0
    if not digits.isdigit() or max(digits) > 0x37:
        raise TarError(_HEADER)
    return int(digits, 8)


def _number(raw: bytes) -> int:
    if not raw[0] & 0x80:
        return _octal(raw)
    value = int.from_bytes(bytes([raw[0] & 0x7F]) + raw[1:], "big")
    if raw[0] & 0x40:  # two's complement over all but the marker bit
        value -= 1 << (8 * len(raw) - 1)
    if not -(1 << 63) <= value < 1 << 63:
        raise TarError(_HEADER)
    return value


def _integer(text: str) -> int:
    """A decimal number as Go's ParseInt takes it: a sign, digits, no more than 64 bits."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        raise TarError(_HEADER)
    value = int(text)
    if not -(1 << 63) <= value < 1 << 63:
        raise TarError(_HEADER)
    return value


def _time(text: str) -> int:
    seconds, _, fraction = text.partition(".")
    whole = _integer(seconds)
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        raise TarError(_HEADER)
    nanoseconds = int(fraction[:9].ljust(9, "0")) if fraction else 0
    return whole * _NS + (-nanoseconds if seconds.startswith("-") else nanoseconds)


def _parse_pax(data: bytes) -> dict[str, str]:
    records: dict[str, str] = {}
    sparse_map: list[str] = []
    while data:
        length_text, space, rest = data.partition(b" ")
        try:
            length = _integer(length_text.decode("ascii"))
        except UnicodeDecodeError:
            raise TarError(_HEADER) from None
        if not space or not 5 <= length <= len(data):
            raise TarError(_HEADER)
        length -= len(length_text) + 1
        record = rest[: max(length - 1, 0)]
        key_bytes, equals, value_bytes = record.partition(b"=")
        key, value = key_bytes.decode("utf-8", "surrogateescape"), value_bytes.decode("utf-8", "surrogateescape")
        if length <= 0 or rest[length - 1 : length] != b"\n" or not equals or not key:
            raise TarError(_HEADER)
        if "\0" in (value if key in _STRING_KEYS else key):
            raise TarError(_HEADER)
        data = rest[length:]
        if key in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
            # Sparse format 0.0 repeats two keys; turned into format 0.1, which lists them.
            if (key == "GNU.sparse.offset") == bool(len(sparse_map) % 2) or "," in value:
                raise TarError(_HEADER)
            sparse_map.append(value)
        else:
            records[key] = value
    if sparse_map:
        records["GNU.sparse.map"] = ",".join(sparse_map)
    return records


def _merge_pax(entry: TarEntry, pax: dict[str, str]) -> None:
    for key, value in pax.items():
        if key.startswith(_XATTR):
            entry.xattrs[key.removeprefix(_XATTR)] = value.encode("utf-8", "surrogateescape")
        elif not value:
            continue  # an empty value keeps what the header says
        elif key == "path":
            entry.name = value
        elif key == "linkpath":
            entry.link = value
        elif key == "uid":
            entry.uid = _integer(value)
        elif key == "gid":
            entry.gid = _integer(value)
        elif key == "size":
            entry.size = _integer(value)
        elif key == "mtime":
            entry.mtime = _time(value)
        elif key == "atime":
            entry.atime = _time(value)
        elif key == "ctime":
            _time(value)


def _merge_global(entry: TarEntry, pax: dict[str, str]) -> TarEntry:
    try:
        _merge_pax(entry, pax)
    except TarError:
        return entry  # Go pays no heed to what is wrong in a global header's values
    return entry


def _pax_sparse_version(pax: dict[str, str]) -> str | None:
    major, minor = pax.get("GNU.sparse.major", ""), pax.get("GNU.sparse.minor", "")
    if (major, minor) in (("0", "0"), ("0", "1")):
        return "0.1"
    if (major, minor) == ("1", "0"):
        return "1.0"
    return "0.1" if not (major or minor) and pax.get("GNU.sparse.map") else None


def _sparse_map_0_1(pax: dict[str, str]) -> list[tuple[int, int]]:
    count = _integer(pax.get("GNU.sparse.numblocks", ""))
    text = pax.get("GNU.sparse.map", "")
    numbers = [_integer(part) for part in text.split(",")] if text else []
    if count < 0 or len(numbers) != 2 * count:
        raise TarError(_HEADER)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _sparse_map_1_0(archive: Archive, start: int, end: int) -> tuple[list[tuple[int, int]], int]:
    """The map at the head of the data: newline-terminated numbers in whole blocks, and how many bytes it takes."""
    used, text = 0, b""

    def tokens(count: int) -> list[str]:
        nonlocal used, text
        while text.count(b"\n") < count:
            if start + used + _BLOCK > end:
                raise TarError("unexpected EOF")
            if used >= _BIGGEST_SPECIAL_FILE:
                raise TarError("archive/tar: sparse map too long")
            text += archive[start + used : start + used + _BLOCK]
            used += _BLOCK
        *found, text = text.split(b"\n", count)
        return [token.decode("latin-1") for token in found]

    count = _integer(tokens(1)[0])
    if not 0 <= count <= _MOST_SPARSE_ENTRIES:
        raise TarError(_HEADER)
    numbers = [_integer(token) for token in tokens(2 * count)] if count else []
    return list(zip(numbers[::2], numbers[1::2], strict=True)), used


def _sparse_is_valid(sparse: list[tuple[int, int]], size: int) -> bool:
    if size < 0:
        return False
    previous_end = 0
    for offset, length in sparse:
        if offset < previous_end or length < 0 or offset > size - length:
            return False
        previous_end = offset + length
    return True


def _sparse_segments(sparse: list[tuple[int, int]], start: int, end: int) -> tuple[Segment, ...]:
    segments = []
    for offset, length in sparse:
        if start + length > end:
            raise TarError("archive/tar: sparse file references non-existent data")
        if length:
            segments.append((offset, start, length))
        start += length
    if start < end:
        raise TarError("archive/tar: sparse file contains unreferenced data")
    return tuple(segments)


def bounded(nanoseconds: int) -> int:
    """A time that file systems can keep, as the runtime bounds it: from 1970 to what 64 bits of nanoseconds hold."""
    return nanoseconds if 0 <= nanoseconds <= _LATEST_NS else 0
