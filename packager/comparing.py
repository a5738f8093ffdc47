"""Comparing two images by what a container sees: which files came, went, and changed."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from packager.credentials import Credentials
from packager.errors import PackagerError, UsageError
from packager.images import Variant
from packager.layers import Progress
from packager.listing import Listed, kind, read_tree
from packager.loading import Loaded, load
from packager.sources import Source, open_other, open_source, registry_of

__all__ = ["Content", "Difference", "Differences", "diff"]

_CHUNK = 1 << 20
_DIRECTORY_MODE = 0o755  # of directories that an archive leaves out


@dataclass(frozen=True)
class Content(Listed):
    """One path with what is in it: a file's `size` in bytes and `digest`; `mode` are its permission bits."""

    mode: int = 0
    size: int = 0
    digest: str = ""


@dataclass(frozen=True)
class Difference:
    """One path that differs: `what` happened from the first image to the second; None where there is nothing.

    "mode" is said where nothing but the permission bits changed.
    """

    path: str
    what: Literal["added", "removed", "changed", "mode"]
    before: Content | None
    after: Content | None


@dataclass(frozen=True)
class Differences:
    """Two images, by digest, and how the second's content differs from the first's, sorted by path.

    Images of one content may have different digests: other platforms, compression or annotations.
    """

    before: str
    after: str
    platform: str
    differences: tuple[Difference, ...]


def diff(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    *,
    platform: str | None = None,
    auth: Credentials | None = None,
    progress: Progress | None = None,
) -> Differences:
    """Compare the content of two images in layouts or registries, whiteouts applied.

    Of images for several platforms, `platform`, or the first one's. Layers that both have are not read; all others
    are held to their digests. Owners and times are not compared: no image made here has any. `auth` is for the
    second's registry, and for the first if that is the same one. Raises PackagerError.
    """
    with open_other(before, auth, registry_of(after)) as one, open_source(after, auth) as other:
        first, second = load(one), load(other)
        left, right = _variant(one, first, platform), _variant(other, second, platform)
        found: tuple[Difference, ...] = ()
        if left.layer_digests != right.layer_digests:
            count = _Count(sum((*left.layer_sizes, *right.layer_sizes)), progress)
            found = tuple(_differences(_content(one, left, count), _content(other, right, count)))
    return Differences(first.root.digest, second.root.digest, right.platform, found)


def _variant(source: Source, loaded: Loaded, platform: str | None) -> Variant:
    for variant in loaded.variants:
        if platform in (None, variant.platform):
            return variant
    if platform is None:
        raise PackagerError(f"{source.name} is an image for no platform at all")
    known = ", ".join(variant.platform for variant in loaded.variants)
    raise UsageError(f"{source.name} has nothing for {platform}; it is for {known}")


class _Count:
    """How much has been read, for the progress bar."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done, self._total, self._progress = 0, total, progress

    def watch(self, source: Source, digest: str) -> Iterator[bytes] | None:
        """A blob of a source; what is read of it is counted."""
        chunks = source.blob(digest)
        return None if chunks is None else self._watched(chunks)

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self._done += len(chunk)
            if self._progress:
                self._progress("diff", self._done, self._total)


def _content(source: Source, variant: Variant, count: _Count) -> dict[str, Content]:
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


def _digest(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    found = hashlib.sha256()
    file = archive.extractfile(member)
    while file is not None and (chunk := file.read(_CHUNK)):
        found.update(chunk)
    return f"sha256:{found.hexdigest()}"


def _differences(before: Mapping[str, Content], after: Mapping[str, Content]) -> list[Difference]:
    found = []
    for path in sorted({*before, *after}, key=os.fsencode):
        one, other = before.get(path), after.get(path)
        if one == other:
            continue
        if one is None or other is None:
            found.append(Difference(path, "added" if one is None else "removed", one, other))
            continue
        same = (one.kind, one.target, one.digest) == (other.kind, other.target, other.digest)
        found.append(Difference(path, "mode" if same else "changed", one, other))
    return found
