"""A subPath within an image: resolved as Go's os.OpenInRoot does, which lets nothing leave the root.

Source: Go os/root.go, os/root_openat.go; containerd internal/cri/server/container_image_mount.go.
"""

from __future__ import annotations

import errno

from emulator.node.containerd.errors import go_syscall_text
from emulator.node.containerd.tree import Node

__all__ = ["SubpathError", "resolve_subpath"]

_ESCAPES = "path escapes from parent"
_MOST_LINKS = 8


class SubpathError(Exception):
    """A subPath cannot be opened; the text is Go's."""


def resolve_subpath(root: Node, subpath: str) -> tuple[list[str], Node]:
    """The names that lead to a subPath with every link resolved, and what is there, of whatever kind.

    Raises:
        SubpathError: it does not exist, or leads out of the root.
    """
    if not subpath or subpath.startswith("/"):
        raise _failure(subpath, _ESCAPES if subpath else "empty path")
    pending = subpath.split("/")[::-1]
    needs_directory = subpath.endswith("/")
    names: list[str] = []
    nodes = [root]
    links = 0
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if not nodes[-1].is_directory:
            raise _failure(subpath, go_syscall_text(errno.ENOTDIR))
        if name == "..":
            if not names:
                raise _failure(subpath, _ESCAPES)
            names.pop()
            nodes.pop()
            continue
        node = nodes[-1].children.get(name)
        if node is None:
            too_long = len(name.encode("utf-8", "surrogateescape")) > 255
            raise _failure(subpath, go_syscall_text(errno.ENAMETOOLONG if too_long else errno.ENOENT))
        if node.kind != "symlink":
            names.append(name)
            nodes.append(node)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise _failure(subpath, go_syscall_text(errno.ELOOP))
        if node.target.startswith("/"):
            raise _failure(subpath, _ESCAPES)
        pending += node.target.split("/")[::-1]
    if needs_directory and not nodes[-1].is_directory:
        raise _failure(subpath, go_syscall_text(errno.ENOTDIR))
    return names, nodes[-1]


def _failure(subpath: str, text: str) -> SubpathError:
    return SubpathError(f"openat {subpath}: {text}")
