"""What a container sees of an image: the paths in it, layer upon layer, without unpacking them anywhere."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from posixpath import normpath
from typing import IO, Literal

from packager.compression import GZIP_MAGIC, ZSTD_MAGIC
from packager.credentials import Credentials
from packager.errors import PackagerError
from packager.loading import load
from packager.sources import Source, open_source

__all__ = ["Listed", "Make", "kind", "list_files", "path_order", "read_tree"]

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


Make = Callable[[tarfile.TarFile, tarfile.TarInfo, str], "Listed"]


@dataclass(frozen=True)
class Listed:
    """One path of an image: `path` relative to its root and without a slash at its ends; `target` of a symlink."""

    path: str
    kind: Literal["directory", "file", "symlink", "other"]
    target: str = ""


def list_files(target: str | os.PathLike[str], *, auth: Credentials | None = None) -> tuple[Listed, ...]:
    """The paths of the image in a layout or a registry, sorted by their bytes; whiteouts applied.

    Of an image for several platforms the first one's. Every layer is held to its digest. Raises PackagerError.
    """
    with open_source(target, auth) as source:
        loaded = load(source)
        if not loaded.variants:
            raise PackagerError(f"{source.name} is an image for no platform at all")
        found = read_tree(source, loaded.variants[0].layer_digests, _listed)
    return tuple(found[path] for path in sorted(found, key=path_order))


def path_order(path: str) -> bytes:
    """What paths are sorted by: their bytes, whatever the locale."""
    return path.encode("utf-8", "surrogateescape")


def read_tree(
    source: Source,
    layers: Sequence[str],
    make: Make,
    blob: Callable[[str], Iterator[bytes] | None] | None = None,
) -> dict[str, Listed]:
    """What `layers` make together, lowest first, by path. `make` says what to keep of an archive's member at a path,
    whose content it may read. `blob` gives a layer's bytes instead of the source. Raises PackagerError."""
    found: dict[str, Listed] = {}
    for digest in layers:
        _lay(found, list(_layer(source, digest, make, blob or source.blob)))
    return found


def _listed(_: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> Listed:
    return Listed(path, kind(member), member.linkname if member.issym() else "")


def _lay(found: dict[str, Listed], layer: list[Listed]) -> None:
    """Put a layer on those below it (image-spec layer.md: whiteouts concern the layers below only)."""
    for entry in layer:
        parent, _, name = entry.path.rpartition("/")
        if name == _OPAQUE:
            _remove_below(found, parent)
        elif name.startswith(_WHITEOUT):
            gone = f"{parent}/{name[len(_WHITEOUT) :]}".lstrip("/")
            found.pop(gone, None)
            _remove_below(found, gone)
    for entry in layer:
        if entry.path.rpartition("/")[2].startswith(_WHITEOUT):
            continue
        if entry.kind != "directory":
            _remove_below(found, entry.path)
        found[entry.path] = entry
        parent = entry.path.rpartition("/")[0]
        while parent and (parent not in found or found[parent].kind in ("file", "other")):
            found[parent] = Listed(parent, "directory")  # a tar may leave directories out
            parent = parent.rpartition("/")[0]


def _remove_below(found: dict[str, Listed], directory: str) -> None:
    prefix = f"{directory}/" if directory else ""
    for path in [path for path in found if path.startswith(prefix)]:
        del found[path]


def _layer(source: Source, digest: str, make: Make, blob: Callable[[str], Iterator[bytes] | None]) -> Iterator[Listed]:
    chunks = blob(digest)
    if chunks is None:
        raise PackagerError(f"{source.name} has no layer {digest}")
    stored = _Stored(chunks)
    try:
        with tarfile.open(fileobj=_plain(stored), mode="r|", encoding="utf-8") as archive:
            for member in archive:
                path = normpath(member.name).strip("/")
                if path != ".":
                    yield make(archive, member, path)
        while stored.read(1 << 20):
            pass
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise PackagerError(f"the layer {digest} of {source.name} is no archive: {error}") from error
    if stored.digest != digest:
        raise PackagerError(f"the layer {digest} of {source.name} is {stored.digest}")


def kind(member: tarfile.TarInfo) -> Literal["directory", "file", "symlink", "other"]:
    """What an archive's member becomes; a hard link is a file."""
    if member.isdir():
        return "directory"
    if member.issym():
        return "symlink"
    return "file" if member.isreg() or member.islnk() else "other"


def _plain(stored: _Stored) -> IO[bytes]:
    """The layer uncompressed, whatever its media type says: its first bytes tell."""
    start = stored.peek(len(ZSTD_MAGIC))
    reader = io.BufferedReader(stored)
    if start.startswith(GZIP_MAGIC):
        import gzip

        return gzip.GzipFile(fileobj=reader)  # type: ignore[return-value]
    if start == ZSTD_MAGIC:
        from packager.zstandard import zstd

        return zstd.ZstdFile(reader)  # type: ignore[return-value]
    return reader


class _Stored(io.RawIOBase):
    """The bytes of a layer as they come, hashed as they pass."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        while len(self._rest) < size and (chunk := next(self._chunks, b"")):
            self._rest += chunk
        return self._rest[:size]

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._rest = self._rest or next(self._chunks, b"")
        size = min(len(buffer), len(self._rest))
        taken, self._rest = self._rest[:size], self._rest[size:]
        buffer[:size] = taken
        self._hash.update(taken)
        return size

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"
