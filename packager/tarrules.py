"""The rules for what a layer's tar may hold, so that it unpacks to the same tree everywhere.

They are the packager's own rules, which are stricter than the image specification (layer.md): what any tar
may hold and a node may still trip over is a violation here.
"""

from __future__ import annotations

from packager import tarwriter
from packager.symlinks import leaves_root
from packager.tarreader import BrokenArchiveError, Member, Reader, members
from packager.tree import show
from packager.violations import Report

__all__ = ["check_archive"]

_KINDS = {
    b"1": "a hard link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"g": "global pax records",
    b"K": "a GNU long link",
    b"L": "a GNU long name",
    b"S": "a GNU sparse file",
}
_UNFIT = {b"\n": "line break", b"\0": "NUL byte"}
_RECORDS = {"path", "linkpath", "size"}


class _Archive:
    """What must be remembered of an archive to judge its next entry."""

    def __init__(self, where: str, report: Report) -> None:
        self._where = where
        self._report = report
        self._before = b""
        self._seen: set[bytes] = set()
        self._directories: set[bytes] = {b""}
        self._links: dict[bytes, bytes] = {}
        self.mtime: int | None = None

    def check(self, member: Member) -> None:
        path = member.path.removesuffix(b"/") if member.kind == tarwriter.DIRECTORY else member.path
        found: list[tuple[str, object, object]] = []
        if member.kind not in (tarwriter.FILE, tarwriter.DIRECTORY, tarwriter.SYMLINK):
            kind = _KINDS.get(member.kind, f"type {member.kind!r}")
            found.append(("entry type", "a file, a directory or a symbolic link", kind))
        found += self._name(member, path)
        found += self._attributes(member)
        if not found:
            found += self._form(member, path)
        where = f"{self._where}, entry {show(path)}"
        for what, expected, actual in found:
            self._report(what, where, expected, actual)
        self._seen.add(path)
        self._before = max(path, self._before)
        if member.kind == tarwriter.DIRECTORY:
            self._directories.add(path)
        elif member.kind == tarwriter.SYMLINK:
            self._links[path] = member.target

    def finish(self) -> None:
        if not self._seen:
            self._report("archive", self._where, "at least one entry", "an empty archive")
        for path, target in self._links.items():
            if leaves_root(path, target, self._links.get):
                where = f"{self._where}, entry {show(path)}"
                self._report("link target", where, "a relative path inside the root", show(target))

    def _name(self, member: Member, path: bytes) -> list[tuple[str, object, object]]:
        found: list[tuple[str, object, object]] = []
        parts = path.split(b"/")
        if any(part in (b"", b".", b"..") for part in parts):
            found.append(("path", "relative, without empty, . or .. components", show(member.path)))
        if (member.kind == tarwriter.DIRECTORY) != member.path.endswith(b"/"):
            found.append(("path", "a slash at the end of directories and of nothing else", show(member.path)))
        if any(part.startswith(b".wh.") for part in parts):
            found.append(("path", "no name that begins with .wh., which deletes", show(member.path)))
        for text in (member.path, member.target):
            try:
                text.decode()
            except UnicodeDecodeError:
                found.append(("path", "UTF-8", show(text)))
            found += [("path", f"no {what}", show(text)) for byte, what in _UNFIT.items() if byte in text]
        if path in self._seen:
            found.append(("duplicate", "each path once", "it again"))
        elif path < self._before:
            found.append(("order", f"paths sorted by bytes, so before {show(self._before)}", "it after that"))
        parent = path.rpartition(b"/")[0]
        if parent not in self._directories:
            found.append(("parent", f"a directory entry {show(parent)} before it", "none"))
        return found

    def _attributes(self, member: Member) -> list[tuple[str, object, object]]:
        found: list[tuple[str, object, object]] = []
        modes = {tarwriter.DIRECTORY: (0o755,), tarwriter.SYMLINK: (0o777,)}.get(member.kind, (0o644, 0o755))
        if member.mode not in modes:
            found.append(("mode", " or ".join(f"{mode:04o}" for mode in modes), f"{member.mode:04o}"))
        if (member.uid, member.gid) != (0, 0):
            found.append(("owner", "0:0", f"{member.uid}:{member.gid}"))
        if member.owner or member.group:
            names = f"{show(member.owner)}:{show(member.group)}"
            found.append(("owner names", "none", names))
        if self.mtime is None:
            self.mtime = member.mtime
        elif member.mtime != self.mtime:
            found.append(("mtime", f"{self.mtime} as in the first entry", member.mtime))
        found.extend(
            ("pax record", "only path, linkpath and size", key) for key in member.records if key not in _RECORDS
        )
        return found

    def _form(self, member: Member, path: bytes) -> list[tuple[str, object, object]]:
        """The header must be written as the packager writes it, if nothing else is wrong."""
        canonical = tarwriter.header(
            path, member.kind, mode=member.mode, mtime=member.mtime, size=member.size, target=member.target
        )
        if canonical == member.raw:
            return []
        return [("header", "written as plain ustar, with pax records where that does not do", "another form")]


def check_archive(reader: Reader, where: str, report: Report) -> int | None:
    """Report every violation in an archive, read to its end; return its entries' time if they have one."""
    archive = _Archive(where, report)

    def on_padding(at: int) -> None:
        report("archive", where, "content filled up with zeros", f"other bytes at byte {at}")

    try:
        for member in members(reader, on_padding):
            archive.check(member)
    except BrokenArchiveError as error:
        report("archive", where, "a tar that can be read to its end", str(error))
        for _ in reader.rest():
            pass
    else:
        dirty = False
        for chunk in reader.rest():
            dirty = dirty or any(chunk)
        if dirty:
            report("archive", where, "nothing but zeros after its end", "other bytes")
        if reader.position % tarwriter.RECORD:
            report("archive", where, f"a multiple of {tarwriter.RECORD} bytes", f"{reader.position} bytes")
    archive.finish()
    return archive.mtime
