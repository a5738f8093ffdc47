"""Comparing two images, or directories that would be images, by what a container sees: which files came, went, and
changed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packager.contents import Content, Count, directory_contents, image_contents
from packager.credentials import Credentials
from packager.errors import PackagerError, UsageError
from packager.images import Variant
from packager.layers import Progress
from packager.layouts import is_layout
from packager.listing import path_order
from packager.loading import Loaded, load
from packager.sources import Source, open_other, registry_of
from packager.tree import Tree

__all__ = ["Content", "Difference", "Differences", "diff"]


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

    Images of one content may have different digests: other platforms, compression or annotations. A directory has no
    digest until it is packed, and no platform: both are empty then.
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
    """Compare the content of two images in layouts or registries, whiteouts applied; or of directories, as they would
    be if they were packed now: a directory does not differ from the image it was pushed as.

    Of images for several platforms, `platform`, or the first one's. Layers that both have are not read; all others
    are held to their digests. Owners and times are not compared: no image made here has any. `auth` is for the
    second's registry, and for the first if that is the same one. Raises PackagerError.
    """
    registry = registry_of(after)
    if platform and _is_plain(before) and _is_plain(after):
        raise UsageError(f"{before} and {after} are directories, which are for no platform; leave out the platform")
    with _open(before, platform, auth, registry) as left, _open(after, platform, auth, registry) as right:
        found: tuple[Difference, ...] = ()
        if left.layers is None or left.layers != right.layers:
            count = Count(left.size + right.size, progress)
            found = tuple(_differences(left.contents(count), right.contents(count)))
    return Differences(left.digest, right.digest, right.platform or left.platform, found)


class _Directory:
    """A directory that might be packed."""

    digest, platform, size, layers = "", "", 0, None

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def contents(self, count: Count) -> dict[str, Content]:
        return directory_contents(self._tree, count)


class _Image:
    """An image for one platform."""

    def __init__(self, source: Source, platform: str | None) -> None:
        loaded = load(source)
        self._source, self._variant = source, _variant(source, loaded, platform)
        self.digest, self.platform = loaded.root.digest, self._variant.platform
        self.size, self.layers = sum(self._variant.layer_sizes), self._variant.layer_digests

    def contents(self, count: Count) -> dict[str, Content]:
        return image_contents(self._source, self._variant, count)


@contextmanager
def _open(
    target: str | os.PathLike[str], platform: str | None, auth: Credentials | None, registry: str
) -> Iterator[_Directory | _Image]:
    if _is_plain(target):
        with Tree(target) as tree:
            yield _Directory(tree)
    else:
        with open_other(target, auth, registry) as source:
            yield _Image(source, platform)


def _is_plain(target: str | os.PathLike[str]) -> bool:
    return Path(target).is_dir() and not is_layout(target)


def _variant(source: Source, loaded: Loaded, platform: str | None) -> Variant:
    for variant in loaded.variants:
        if platform in (None, variant.platform):
            return variant
    if platform is None:
        raise PackagerError(f"{source.name} is an image for no platform at all")
    known = ", ".join(variant.platform for variant in loaded.variants)
    raise UsageError(f"{source.name} has nothing for {platform}; it is for {known}")


def _differences(before: Mapping[str, Content], after: Mapping[str, Content]) -> list[Difference]:
    found = []
    for path in sorted({*before, *after}, key=path_order):
        one, other = before.get(path), after.get(path)
        if one == other:
            continue
        if one is None or other is None:
            found.append(Difference(path, "added" if one is None else "removed", one, other))
            continue
        same = (one.kind, one.target, one.digest) == (other.kind, other.target, other.digest)
        found.append(Difference(path, "mode" if same else "changed", one, other))
    return found
