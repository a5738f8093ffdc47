"""A directory about to be packed: walked in the order of the archive, and refused if it cannot be mounted
as it is.

The walk never follows a link and never resolves a path twice: every directory is opened relative to its
parent's descriptor, so nothing outside the root can be reached even while someone rearranges the tree.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from packager.errors import PackagerError, UsageError, from_os_error
from packager.symlinks import leaves_root

__all__ = ["Entry", "Survey", "Tree", "changed", "show"]

_SPECIAL = {
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "named pipe",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# A node unpacks below a snapshot directory of some 100 bytes, and Linux takes paths of 4095 (PATH_MAX).
_MAX_PATH = 3900
# How Python decoded the names it gives us: what os.fsencode looks up for each.
_ENCODING = (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
_CONTENT = -1  # not an entry, but what is in a directory
_CLOCK_TICK = 20_000_000  # by so many ns file systems' clocks may be behind the system's


class Entry(NamedTuple):  # a million of them are made: a frozen dataclass takes four times as long
    """One entry of a tree.

    `path` is relative to the root, without slashes at the ends, and `name` its last component; `kind` is
    stat.S_IFDIR, stat.S_IFLNK or, for what has to be looked at or opened to be known, 0; `parent` is a descriptor of
    its directory, open until the walk goes on.
    """

    path: bytes
    name: bytes
    kind: int
    parent: int


@dataclass(frozen=True)
class Survey:
    """What a tree holds: `entries` counted, the bytes of their `size`, and warnings worth a look.

    `fingerprint` is equal for two surveys between which nothing was changed.
    """

    entries: int
    size: int
    warnings: tuple[str, ...]
    fingerprint: bytes


class Tree:
    """A directory opened for packing; a context manager."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(directory)
        try:
            # The root itself may be a link: it is what the user named.
            self._root = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise UsageError(f"there is no directory {self.path}; name the one to pack") from None
        except NotADirectoryError:
            raise UsageError(f"{self.path} is not a directory; name the one to pack") from None
        except OSError as error:
            raise from_os_error(error, f"read {self.path}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)

    def walk(self) -> Iterator[Entry]:
        """Every entry below the root, in the order of the raw bytes of its path; so parents come first.

        One directory's names are in memory at a time for each level, never the whole tree's.
        """
        root = os.open(".", _OPEN_DIRECTORY, dir_fd=self._root)
        levels = [(root, b"", self._names(root, b""))]
        try:
            while levels:
                parent, prefix, names = levels[-1]
                for name, kind in names:
                    if kind == _CONTENT:
                        path = prefix + name[:-1]
                        child = self._open_directory(path, name[:-1], parent)
                        levels.append((child, path + b"/", self._names(child, path)))
                        break
                    yield Entry(prefix + name, name, kind, parent)
                else:
                    os.close(parent)
                    levels.pop()
        finally:
            for descriptor, _, _ in levels:
                os.close(descriptor)

    def survey(self) -> Survey:
        """Look at everything without reading any file; raise PackagerError for what an image cannot hold."""
        entries = size = refusals = 0
        first = ""
        fingerprint = hashlib.blake2b()
        collisions = _Collisions()
        for entry in self.walk():
            entries += 1
            status, target = self._look(entry)
            refusal = self._refusal(entry, status.st_mode, target)
            if refusal:
                refusals += 1
                first = first or f"cannot pack {show(entry.path)}: {refusal}"
            else:
                collisions.see(entry)
            if stat.S_ISREG(status.st_mode):
                size += status.st_size
            fingerprint.update(_identity(entry, status, target))
        if refusals:
            more = f" (and {refusals - 1} more like it)" if refusals > 1 else ""
            raise PackagerError(first + more)
        if not entries:
            raise PackagerError(f"{self.path} is empty; there is nothing to pack")
        return Survey(entries, size, tuple(collisions.warnings), fingerprint.digest())

    def fingerprint(self) -> bytes:
        """As in a `Survey`, of the tree as it is now."""
        fingerprint = hashlib.blake2b()
        for entry in self.walk():
            status, target = self._look(entry)
            fingerprint.update(_identity(entry, status, target))
        return fingerprint.digest()

    def changed_since(self, moment: int) -> bytes:
        """The path of an entry that was changed after `moment` (ns since 1970); "" if none tells, as when one went.

        A file rather than its directory.
        """
        found = b""
        for entry in self.walk():
            if self._status(entry).st_ctime_ns >= moment - _CLOCK_TICK:
                if entry.kind != stat.S_IFDIR:
                    return entry.path
                found = found or entry.path
        return found

    def target(self, entry: Entry) -> bytes:
        """Where a link leads."""
        try:
            return os.readlink(entry.name, dir_fd=entry.parent)
        except OSError as error:
            raise _unreadable(error, entry.path, self.path) from error

    def open(self, entry: Entry) -> int:
        """A descriptor to read a file by; what is no file any more is opened without waiting, a link is not. Raises
        OSError."""
        return os.open(entry.name, _OPEN_FILE, dir_fd=entry.parent)

    def _look(self, entry: Entry) -> tuple[os.stat_result, bytes]:
        """Its status, and where it leads if it is a link."""
        status = self._status(entry)
        return status, self.target(entry) if stat.S_ISLNK(status.st_mode) else b""

    def _status(self, entry: Entry) -> os.stat_result:
        """The entry's own, never a link's target's."""
        try:
            return os.stat(entry.name, dir_fd=entry.parent, follow_symlinks=False)
        except OSError as error:
            raise _unreadable(error, entry.path, self.path) from error

    def _refusal(self, entry: Entry, mode: int, target: bytes) -> str:
        kind = stat.S_IFMT(mode)
        if kind in _SPECIAL:
            return f"a {_SPECIAL[kind]} has no place in an image; remove it"
        if entry.name.startswith(b".wh."):
            return "names that begin with .wh. delete files when an image is unpacked; rename it"
        try:
            entry.path.decode()
        except UnicodeDecodeError:
            return "its name is not UTF-8; rename it"
        if b"\n" in entry.name:
            return "its name holds a line break; rename it"
        if len(entry.path) > _MAX_PATH:
            return f"its path is {len(entry.path)} bytes long, and a node takes no more than {_MAX_PATH}"
        if stat.S_ISLNK(kind):
            if target.startswith(b"/"):
                where = show(target)
                return f"the link leads to {where}; only relative links keep their meaning in a volume"
            try:
                target.decode()
            except UnicodeDecodeError:
                return "the link's target is not UTF-8"
            if b"\n" in target:
                return "the link's target holds a line break"
            if leaves_root(entry.path, target, self._read_link):
                return f"the link leads outside the directory, to {show(target)}; a volume ends at its root"
        return ""

    def _read_link(self, path: bytes) -> bytes | None:
        try:
            return os.readlink(path, dir_fd=self._root)
        except OSError:
            return None

    def _names(self, directory: int, path: bytes) -> Iterator[tuple[bytes, int]]:
        """The names in a directory and their kinds, each directory once as itself and once, with a slash, as what it
        holds.

        Sorted together they interleave as whole paths do: `a`, `a.txt`, then what is in `a/`.
        """
        names: list[bytes] = []
        directories, links = set(), set()
        try:
            with os.scandir(directory) as found:
                for item in found:
                    name = item.name.encode(*_ENCODING)
                    names.append(name)
                    if item.is_dir(follow_symlinks=False):
                        names.append(name + b"/")
                        directories.add(name)
                    elif item.is_symlink():
                        links.add(name)
        except OSError as error:
            raise from_os_error(error, f"read the directory {show(path or b'.')}") from error
        names.sort()
        for name in names:
            if name.endswith(b"/"):
                yield name, _CONTENT
            else:
                yield name, stat.S_IFDIR if name in directories else stat.S_IFLNK if name in links else 0

    def _open_directory(self, path: bytes, name: bytes, parent: int) -> int:
        try:
            return os.open(name, _OPEN_DIRECTORY, dir_fd=parent)
        except OSError as error:
            raise _unreadable(error, path, self.path) from error


def changed(path: bytes, tree: Path) -> PackagerError:
    """The sentence for an entry that is not what it was a moment ago; for the tree if `path` is empty."""
    what = f"{show(path)} changed while {tree}" if path else f"{tree} changed while it"
    return PackagerError(f"{what} was packed; pack again when nothing writes to it")


def show(path: bytes) -> str:
    """A path as a message shows it: as it is when it can be printed, else quoted and escaped."""
    text = path.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else repr(text)


def _unreadable(error: OSError, path: bytes, tree: Path) -> PackagerError:
    if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EINVAL):
        return changed(path, tree)
    return from_os_error(error, f"read {show(path)}")


class _Collisions:
    """Names in one directory that some file systems take for the same."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._seen: dict[bytes, dict[str, bytes]] = {}

    def see(self, entry: Entry) -> None:
        path, name = entry.path, entry.name
        parent = path[: -len(name) - 1]
        if parent not in self._seen:
            # The walk is in path order, so of all directories only the entry's ancestors can still grow.
            self._seen = {other: names for other, names in self._seen.items() if _is_within(parent, other)}
            self._seen[parent] = {}
        folded = name.decode().lower() if name.isascii() else _normal(name).casefold()
        before = self._seen[parent].setdefault(folded, name)
        if before is not name:
            how = "how their accents are encoded" if _normal(before) == _normal(name) else "upper and lower case"
            other = path[: -len(name)] + before
            self.warnings.append(f"{show(other)} and {show(path)} differ only in {how}")


def _normal(name: bytes) -> str:
    return unicodedata.normalize("NFC", name.decode())


def _identity(entry: Entry, status: os.stat_result, target: bytes) -> bytes:
    """What changes when an entry is changed."""
    path = entry.path
    numbers = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return struct.pack("<IqqqI", *numbers, len(path)) + path + target


def _is_within(path: bytes, ancestor: bytes) -> bool:
    return not ancestor or path == ancestor or path.startswith(ancestor + b"/")
