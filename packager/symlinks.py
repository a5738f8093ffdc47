"""Where a symbolic link leads, inside one tree."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["leaves_root"]

# As many as Linux follows in one path (fs/namei.c, MAXSYMLINKS); a chain longer than that leads nowhere.
_MAX_LINKS = 40


def leaves_root(path: bytes, target: bytes, read_link: Callable[[bytes], bytes | None]) -> bool:
    """Whether following the link `path` → `target` would step above the tree's root.

    `path` is the link's own, relative to the root, without a leading slash. `read_link` gives the target of
    another link of the tree by its path, or None for what is no link. A link that dangles or loops stays
    inside. Every step is followed as the kernel does it, through other links too: `a/../../b` may leave the
    root although it would not on paper, when `a` is a link to a directory higher up.
    """
    if target.startswith(b"/"):
        return True
    at = path.split(b"/")[:-1]
    todo = target.split(b"/")[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not at:
                return True
            at.pop()
            continue
        further = read_link(b"/".join([*at, part]))
        if further is None:
            at.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return False
        if further.startswith(b"/"):
            return True
        todo.extend(further.split(b"/")[::-1])
    return False
