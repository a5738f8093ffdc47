"""A file system in memory: what a layer holds, before anything is written to disk.

Layers are applied here, so no path of an archive is ever resolved by the host's kernel: an entry can reach nothing
but the tree it belongs to.
"""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from emulator.node.containerd.tar import Segment

__all__ = [
    "LONGEST_NAME",
    "LONGEST_PATH",
    "Kind",
    "Node",
    "PathError",
    "TooManyLinksError",
    "clean",
    "exceeds",
    "join",
    "root_path",
]

Kind = Literal["directory", "file", "symlink", "fifo", "character", "block"]

_MOST_LINKS = 255
_MOST_KERNEL_LINKS = 40
# The kernel's NAME_MAX, and PATH_MAX without the byte that ends a path.
LONGEST_NAME = 255
LONGEST_PATH = 4095


class TooManyLinksError(Exception):
    """Links lead in circles; the text is continuity's."""

    def __init__(self) -> None:
        super().__init__("too many links")


class PathError(Exception):
    """A path cannot be resolved: `number` is the errno, `path` where it happened."""

    def __init__(self, number: int, path: str) -> None:
        super().__init__(number, path)
        self.number = number
        self.path = path


@dataclass(slots=True, eq=False)
class Node:
    """A file of any kind. Two names of one node are hard links of each other.

    `mode` holds the twelve permission bits; times are nanoseconds since 1970, or None for "when it was made";
    `archive` is the index of the layer a file's `segments` lie in.
    """

    kind: Kind
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int | None = None
    atime: int | None = None
    xattrs: dict[str, bytes] = field(default_factory=dict)
    children: dict[str, Node] = field(default_factory=dict)
    opaque: bool = False
    target: str = ""
    size: int = 0
    archive: int = 0
    segments: tuple[Segment, ...] = ()
    device: tuple[int, int] = (0, 0)

    @property
    def is_directory(self) -> bool:
        """Whether it can have children."""
        return self.kind == "directory"

    @property
    def is_whiteout(self) -> bool:
        """Whether overlayfs takes it for the absence of a lower file: the character device 0, 0."""
        return self.kind == "character" and self.device == (0, 0)

    def lookup(self, path: str, at: str = "") -> Node | None:
        """The node at a path below this directory as lstat finds it; None when there is none.

        Links on the way are followed only within the directory: what lies beyond is not there. `at` is where the
        directory is on the node: the kernel is given the whole path, all of which counts for its length.

        Raises:
            PathError: the path or a component is too long, one before the last is no directory, or links lead in
                circles.
        """
        if exceeds(at + path, LONGEST_PATH):
            raise PathError(errno.ENAMETOOLONG, path)
        way = [self]
        pending = path.split("/")[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            if not way[-1].is_directory:
                raise PathError(errno.ENOTDIR, path)
            if name == "..":
                if len(way) == 1:
                    return None
                way.pop()
                continue
            if exceeds(name, LONGEST_NAME):
                raise PathError(errno.ENAMETOOLONG, path)
            child = way[-1].children.get(name)
            if child is None:
                return None
            if child.kind != "symlink" or not pending:
                way.append(child)
                continue
            links += 1
            if links > _MOST_KERNEL_LINKS:
                raise PathError(errno.ELOOP, path)
            if child.target.startswith("/"):
                return None
            pending += child.target.split("/")[::-1]
        return way[-1]

    def walk(self) -> Iterator[tuple[str, Node]]:
        """Every name below this directory with its node, parents first, in the order of their making."""
        pending = [("", iter(self.children.items()))]
        while pending:
            prefix, items = pending[-1]
            for name, node in items:
                path = f"{prefix}{name}"
                yield path, node
                if node.is_directory:
                    pending.append((f"{path}/", iter(node.children.items())))
                    break
            else:
                pending.pop()


def clean(path: str) -> str:
    """A path as Go's filepath.Clean leaves it."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def join(*parts: str) -> str:
    """Paths joined as Go's filepath.Join does: empty ones left out, the result cleaned."""
    given = [part for part in parts if part]
    return clean("/".join(given)) if given else ""


def exceeds(text: str, longest: int) -> bool:
    """Whether a name or path has more bytes than the kernel takes."""
    # No character has more than four.
    return 4 * len(text) > longest and len(text.encode("utf-8", "surrogateescape")) > longest


def root_path(root: Node, path: str, at: str = "") -> str:
    """Resolve every symbolic link of a path within a root; what does not exist is taken as it is written.

    `at` is where the root is on the node.
    Returns an absolute path in which nothing leads out of the root: "/" for the root itself.
    Source: containerd/continuity fs.RootPath.

    Raises:
        PathError: a component is no directory, or too long.
        TooManyLinksError: links lead in circles.
    """
    if (plain := _plain_path(root, path, at)) is not None:
        return plain
    links = 0
    while True:
        before = links
        current = "/" if path.startswith("/") else ""
        for name in path.split("/"):
            if not name:
                continue
            if links > _MOST_LINKS:
                raise TooManyLinksError
            here = join("/", current, name)
            node = root.lookup(here, at)
            if node is None or node.kind != "symlink":
                current = here
            else:
                links += 1
                current = node.target if node.target.startswith("/") else join(current, node.target)
        path = current
        if links == before:
            resolved = join("/", path)
            if resolved == path or path == "":
                return resolved
            path = resolved


def _plain_path(root: Node, path: str, at: str) -> str | None:
    """The path itself where no link, ".." or wrong component lies on its way; None when it has to be resolved."""
    if ".." in path or exceeds(f"{at}/{path}", LONGEST_PATH):
        return None
    node: Node | None = root
    names = [name for name in path.split("/") if name not in ("", ".")]
    for name in names:
        if len(name) > LONGEST_NAME // 4 or (node is not None and not node.is_directory):
            return None
        node = node and node.children.get(name)
        if node is not None and node.kind == "symlink":
            return None
    return "/" + "/".join(names)
