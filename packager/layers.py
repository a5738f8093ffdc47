"""Layers: a tree, or single files, written as one reproducible tar and compressed on the way.

A layer is written in one pass into a file without a name, which the kernel takes back when this process
ends, however it ends. Memory does not grow with the content.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from packager import tarwriter
from packager.compression import GZIP, Compression
from packager.documents import Descriptor
from packager.errors import PackagerError, UsageError, from_os_error
from packager.tree import Entry, Tree, changed, show

__all__ = ["Layer", "LayerWriter", "Progress", "source_date_epoch", "tree_layer"]

Progress = Callable[[str, int, int], None]
"""Called with a stage ("pack", "push"), the bytes done and the bytes in all."""

_CHUNK = 1 << 20
_BATCH = 1 << 18  # what is hashed and compressed at once: a call for each small file would cost more than the work
# What file systems and old kernels that have no nameless files answer.
_NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}


@dataclass(frozen=True)
class Layer:
    """A finished layer, in an open file that has no name; `place` is the directory whose space it takes."""

    descriptor: Descriptor
    diff_id: str
    unpacked_size: int
    entries: int
    fileno: int
    place: Path
    warnings: tuple[str, ...] = ()

    def close(self) -> None:
        """Give the space back."""
        os.close(self.fileno)


class LayerWriter:
    """Writes entries, given in the order of their paths, as one compressed tar; a context manager.

    `mtime` is every entry's time, in seconds since 1970; owners are always 0:0.
    """

    def __init__(self, place: Path, mtime: int, *, compression: Compression = GZIP, jobs: int | None = None) -> None:
        self._place = place
        self._compression = compression
        self._batch = bytearray()
        self._mtime = mtime
        self._plain_hash = hashlib.sha256()
        self._hash = hashlib.sha256()
        self._plain_size = self._size = self._entries = 0
        self._file = _nameless_file(place)
        try:
            self._compressor = compression.compressor(self._store, jobs=jobs)
        except BaseException:
            os.close(self._file)
            raise
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._compressor.__exit__(kind, error, trace)
        if not self._finished:
            os.close(self._file)

    def directory(self, path: bytes) -> None:
        """A directory, 0755."""
        self._entry(tarwriter.header(path, tarwriter.DIRECTORY, mode=0o755, mtime=self._mtime))

    def symlink(self, path: bytes, target: bytes) -> None:
        """A symbolic link."""
        self._entry(tarwriter.header(path, tarwriter.SYMLINK, mode=0o777, mtime=self._mtime, target=target))

    def file(self, path: bytes, content: Iterable[bytes], size: int, *, executable: bool) -> None:
        """A regular file, 0755 or 0644, of exactly `size` bytes of `content`."""
        mode = 0o755 if executable else 0o644
        self._entries += 1
        self._batch += tarwriter.header(path, tarwriter.FILE, mode=mode, mtime=self._mtime, size=size)
        left = size
        for chunk in content:
            left -= len(chunk)
            self._plain(chunk)
        if left:
            raise PackagerError(f"{show(path)} was to be {size} bytes long and is {size - left}")
        self._plain(tarwriter.padding(size))

    def finish(self) -> Layer:
        """End the archive; the caller closes the layer."""
        self._plain(bytes(2 * tarwriter.BLOCK))
        self._plain(bytes(-(self._plain_size + len(self._batch)) % tarwriter.RECORD))
        self._hand_on()
        self._compressor.finish()
        self._finished = True
        descriptor = Descriptor(self._compression.media_type, f"sha256:{self._hash.hexdigest()}", self._size)
        diff_id = f"sha256:{self._plain_hash.hexdigest()}"
        return Layer(descriptor, diff_id, self._plain_size, self._entries, self._file, self._place)

    def _entry(self, header: bytes) -> None:
        self._entries += 1
        self._plain(header)

    def _plain(self, data: bytes) -> None:
        self._batch += data
        if len(self._batch) >= _BATCH:
            self._hand_on()

    def _hand_on(self) -> None:
        data, self._batch = self._batch, bytearray()
        self._plain_hash.update(data)
        self._plain_size += len(data)
        self._compressor.write(data)

    def _store(self, data: bytes | bytearray) -> None:
        self._hash.update(data)
        self._size += len(data)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise from_os_error(error, f"write the layer to {self._place}") from error


def tree_layer(
    directory: str | os.PathLike[str],
    place: Path,
    *,
    compression: Compression = GZIP,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Layer:
    """The layer of a directory's content.

    The tree is looked at before and after: if anything in it was changed meanwhile, the layer might hold
    one half of the change and not the other, and PackagerError is raised.
    """
    with Tree(directory) as tree, LayerWriter(place, source_date_epoch(), compression=compression, jobs=jobs) as writer:
        started = time.time_ns()
        before = tree.survey()
        done = 0
        for entry in tree.walk():
            if entry.kind == stat.S_IFDIR:
                writer.directory(entry.path)
            elif entry.kind == stat.S_IFLNK:
                writer.symlink(entry.path, tree.target(entry))
            else:
                done += _add_file(writer, entry, tree)
                if progress:
                    progress("pack", done, before.size)
        if tree.fingerprint() != before.fingerprint:
            raise changed(tree.changed_since(started), tree.path)
        return replace(writer.finish(), warnings=before.warnings + compression.warnings)


def source_date_epoch() -> int:
    """The time all entries get: SOURCE_DATE_EPOCH (reproducible-builds.org), else 0."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "").strip() or "0"
    if not text.isascii() or not text.isdigit() or int(text) >= 8**11:
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}; it must be whole seconds since 1970, fewer than {8**11}")
    return int(text)


def _add_file(writer: LayerWriter, entry: Entry, tree: Tree) -> int:
    """Add a file; its size. Raises PackagerError if it is none, or is not read to its end.

    Whether it stayed the same meanwhile, the tree's fingerprints tell.
    """
    try:
        file = tree.open(entry)
    except PermissionError as error:
        raise from_os_error(error, f"read {show(entry.path)}") from error
    except OSError as error:
        raise changed(entry.path, tree.path) from error
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise changed(entry.path, tree.path)
        size = status.st_size
        content = _pieces(file, size, entry.path, tree.path)
        writer.file(entry.path, content, size, executable=bool(status.st_mode & 0o111))
    finally:
        os.close(file)
    return size


def _pieces(file: int, size: int, path: bytes, tree: Path) -> Iterator[bytes]:
    left = size
    while left:
        try:
            chunk = os.read(file, min(left, _CHUNK))
        except OSError as error:
            raise from_os_error(error, f"read {show(path)}") from error
        if not chunk:
            raise changed(path, tree)
        left -= len(chunk)
        yield chunk


def _nameless_file(place: Path) -> int:
    """A file to write to and read back, in the file system of `place`, that vanishes with its descriptor."""
    try:
        try:
            # Without O_EXCL, so that a layout on the same file system can give it a name in the end.
            return os.open(place, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o644)
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
        with tempfile.TemporaryFile(dir=place) as file:
            return os.dup(file.fileno())
    except OSError as error:
        raise from_os_error(error, f"write the layer to {place}") from error
