"""What a container sees at each path: of an image as it is, of a directory as it would be were it packed."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from packager.errors import PackagerError, from_os_error
from packager.images import Variant
from packager.layers import Progress
from packager.listing import Listed, kind, read_tree
from packager.sources import Source
from packager.tree import Entry, Tree, show

__all__ = ["Content", "Count", "directory_contents", "image_contents"]

_CHUNK = 1 << 20
_DIRECTORY_MODE = 0o755  # of those that are packed, and of those that an archive leaves out


@dataclass(frozen=True)
class Content(Listed):
    """One path with what is in it: a file's `size` in bytes and `digest`; `mode` are its permission bits."""

    mode: int = 0
    size: int = 0
    digest: str = ""


class Count:
    """How much has been read of `total` bytes, for the progress bar."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total = total
        self._done, self._progress = 0, progress

    def add(self, size: int) -> None:
        """So many bytes more."""
        self._done += size
        if self._progress:
            self._progress("diff", self._done, self.total)

    def watch(self, source: Source, digest: str) -> Iterator[bytes] | None:
        """A blob of a source; what is read of it is counted."""
        chunks = source.blob(digest)
        return None if chunks is None else self._watched(chunks)

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self.add(len(chunk))


def image_contents(source: Source, variant: Variant, count: Count) -> dict[str, Content]:
    """An image's content for one platform by path, whiteouts applied, every layer held to its digest.

    Raises PackagerError.
    """
    seen: dict[str, Content] = {}

    def make(archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> Content:
        mode = member.mode & 0o7777
        if member.islnk():
            linked = seen.get(os.path.normpath(member.linkname).strip("/"), Content(path, "file"))
            made = Content(path, linked.kind, linked.target, linked.mode, linked.size, linked.digest)
        elif member.isreg():
            made = Content(path, "file", "", mode, member.size, _digest(archive, member))
        elif member.issym():
            made = Content(path, "symlink", member.linkname)  # its mode means nothing
        else:
            made = Content(path, kind(member), "", mode)
        seen[path] = made
        return made

    tree = read_tree(source, variant.layer_digests, make, partial(count.watch, source))
    return {
        path: entry if isinstance(entry, Content) else Content(path, entry.kind, "", _DIRECTORY_MODE)
        for path, entry in tree.items()
    }


def directory_contents(tree: Tree, count: Count) -> dict[str, Content]:
    """A directory's content by path as packing it would make it: modes 0755 and 0644, links as they are written.

    What cannot be packed is refused as packing refuses it, and so is a tree that changes meanwhile. Raises
    PackagerError.
    """
    before = tree.survey()
    count.total += before.size
    found = {}
    for entry in tree.walk():
        content = _packed(tree, entry, count)
        found[content.path] = content
    if tree.fingerprint() != before.fingerprint:
        raise PackagerError(f"{tree.path} changed while it was compared; compare again when nothing writes to it")
    return found


def _packed(tree: Tree, entry: Entry, count: Count) -> Content:
    path = entry.path.decode()
    if entry.kind == stat.S_IFDIR:
        return Content(path, "directory", "", _DIRECTORY_MODE)
    if entry.kind == stat.S_IFLNK:
        return Content(path, "symlink", tree.target(entry).decode())
    digest, size = hashlib.sha256(), 0
    try:
        file = tree.open(entry)
        try:
            mode = 0o755 if os.fstat(file).st_mode & 0o111 else 0o644
            while chunk := os.read(file, _CHUNK):
                digest.update(chunk)
                size += len(chunk)
                count.add(len(chunk))
        finally:
            os.close(file)
    except OSError as error:
        raise from_os_error(error, f"read {show(entry.path)}") from error
    return Content(path, "file", "", mode, size, f"sha256:{digest.hexdigest()}")


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    found = hashlib.sha256()
    file = archive.extractfile(member)
    while file is not None and (chunk := file.read(_CHUNK)):
        found.update(chunk)
    return f"sha256:{found.hexdigest()}"
