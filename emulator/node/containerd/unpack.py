"""Writing a tree to disk, and removing it again."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from emulator.node.containerd.errors import go_quote, go_syscall_text
from emulator.node.containerd.owners import Owner
from emulator.node.containerd.tar import Archive
from emulator.node.containerd.tree import Node

__all__ = ["UnpackError", "remove_tree", "write_tree"]

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20
# What overlayfs keeps to itself in the overlays that an ordinary user may make, through which containers see a tree. A
# node's own overlays keep `trusted.overlay.` instead. From Linux 6.7 on, overlayfs shows an escaped name as it was.
_OVERLAY = "user.overlay."
_ESCAPED = "user.overlay.overlay."


class UnpackError(Exception):
    """A file cannot be written; the text is the runtime's."""


def write_tree(tree: Node, target: Path, archives: Sequence[Archive], owner: Owner) -> None:
    """Write a tree into a new directory.

    `archives` hold the bytes of the tree's files, by `Node.archive`. Directories get their modes and times last, so
    that what may not be written to can still be filled. A name in a tree never leads out of it: its parents are
    directories this function made.

    Raises:
        UnpackError: with the runtime's text.
    """
    root = str(target)
    Path(root).mkdir(mode=0o755)
    written: dict[Node, str] = {}
    directories: list[tuple[str, Node]] = [(root, tree)]
    for name, node in tree.walk():
        path = f"{root}/{name}"
        try:
            if node.is_directory:
                os.mkdir(path, 0o700)  # noqa: PTH102 - 5,000 Path objects cost more than their files
                directories.append((path, node))
            elif (first := written.get(node)) is not None:
                os.link(first, path, follow_symlinks=False)
            else:
                written[node] = path
                _write_file(path, node, archives, owner)
        except OSError as error:
            raise UnpackError(f"{_operation(node)} {path}: {go_syscall_text(error.errno or 0)}") from error
    for path, node in reversed(directories):
        _finish(path, node, owner)


def _operation(node: Node) -> str:
    return {"directory": "mkdir", "symlink": f"symlink {node.target}", "file": "open"}.get(node.kind, "mknod")


def _write_file(path: str, node: Node, archives: Sequence[Archive], owner: Owner) -> None:
    if node.kind == "file":
        handle = os.open(path, _CREATE, 0o600)
        try:
            _write_data(handle, node, archives)
        finally:
            os.close(handle)
    elif node.kind == "symlink":
        os.symlink(node.target, path)  # noqa: PTH211
    elif node.kind == "fifo":
        os.mkfifo(path, 0o600)
    else:
        owner.make_device(path, node)
    _finish(path, node, owner)


def _write_data(handle: int, node: Node, archives: Sequence[Archive]) -> None:
    for offset, start, length in node.segments:
        if offset:
            os.lseek(handle, offset, os.SEEK_SET)
        archive = archives[node.archive]
        end = start + length
        while start < end:
            start += os.write(handle, archive[start : min(end, start + _PIECE)])
    if node.size != (node.segments[-1][0] + node.segments[-1][2] if node.segments else 0):
        os.ftruncate(handle, node.size)  # a sparse file that ends in a hole


def _finish(path: str, node: Node, owner: Owner) -> None:
    """Owner first, since changing it clears setuid bits; then attributes, mode and times."""
    try:
        owner.own(path, node)
    except OSError as error:
        text = f"failed to Lchown {go_quote(path)} for UID {node.uid}, GID {node.gid}: lchown {path}"
        raise UnpackError(f"{text}: {go_syscall_text(error.errno or 0)}") from error
    for key, value in node.xattrs.items():
        _set_xattr(path, key, value, owner)
    if node.kind != "symlink":
        os.chmod(path, owner.mode(node))  # noqa: PTH101
    if node.mtime is not None:
        atime = node.mtime if node.atime is None else node.atime
        os.utime(path, ns=(atime, node.mtime), follow_symlinks=False)


def _set_xattr(path: str, key: str, value: bytes, owner: Owner) -> None:
    stored = _ESCAPED + key.removeprefix(_OVERLAY) if key.startswith(_OVERLAY) else key
    try:
        os.setxattr(path, stored, value, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP or (error.errno == errno.EPERM and not owner.real):
            return  # passed over by the runtime; and an ordinary user may not set what a node's root may
        text = f"failed to setxattr {go_quote(path)} for key {go_quote(key)}"
        raise UnpackError(f"{text}: {go_syscall_text(error.errno or 0)}") from error


def remove_tree(path: Path) -> None:
    """Remove a tree whatever its modes; what is not there is no error. Never follows a link."""
    pending = [str(path)]
    directories = []
    while pending:
        directory = pending.pop()
        try:
            if not stat.S_ISDIR(os.lstat(directory).st_mode):
                os.unlink(directory)  # noqa: PTH108
                continue
            os.chmod(directory, 0o700)  # noqa: PTH101
        except FileNotFoundError:
            continue
        directories.append(directory)
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    os.unlink(entry.path)  # noqa: PTH108
    for directory in reversed(directories):
        os.rmdir(directory)  # noqa: PTH106
