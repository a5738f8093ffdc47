"""Applying a layer: what its tar entries make of an empty directory.

Every layer is applied to a directory of its own and then laid over those below as overlayfs does it (overlay.py),
because that is what the runtime's snapshotter does; applying them one after the other into one directory would differ
wherever a layer goes through a lower layer's symbolic link or links to a lower layer's file.

Source: containerd pkg/archive/tar.go (`applyNaive`, `createTarFile`), tar_opts_linux.go (`OverlayConvertWhiteout`).
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable, Sequence

from emulator.node.containerd.errors import go_quote, go_syscall_text
from emulator.node.containerd.tar import TarEntry, bounded
from emulator.node.containerd.tree import (
    LONGEST_NAME,
    LONGEST_PATH,
    Kind,
    Node,
    PathError,
    TooManyLinksError,
    clean,
    exceeds,
    join,
    root_path,
)

__all__ = ["LayerError", "apply_layer"]

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_KINDS: dict[str, Kind] = {"0": "file", "2": "symlink", "3": "character", "4": "block", "5": "directory", "6": "fifo"}
_NO_ID = 0xFFFFFFFF
_TOO_LONG = "file name too long"


class LayerError(Exception):
    """A layer cannot be applied; the text is the runtime's."""


def apply_layer(entries: Iterable[TarEntry], below: Sequence[Node], *, at: str, archive: int) -> Node:
    """The tree a layer makes.

    `below` are the trees of the lower layers, the nearest first: the first layer of an image (none below) is applied
    in place, the others with overlay whiteouts, and directories they do not mention are copied up. `at` is the path
    errors name the root by, `archive` the index the layer's files are marked with.

    Raises:
        LayerError: with the runtime's text.
        TarError: from the entries.
    """
    return _Application(below, at, archive).run(entries)


class _Application:
    def __init__(self, below: Sequence[Node], at: str, archive: int) -> None:
        self._root = Node("directory")
        self._below = below
        self._at = at
        self._archive = archive
        self._unpacked: set[str] = set()
        self._emptied: set[str] = set()
        self._parents: dict[str, tuple[str, Node]] = {}  # resolved so far, until a name is removed or links

    def run(self, entries: Iterable[TarEntry]) -> Node:
        directories: list[TarEntry] = []
        for entry in entries:
            entry.name = clean(entry.name)
            if self._apply(entry) and entry.type == "5":
                directories.append(entry)
        for entry in directories:
            path = self._resolve(entry.name, "")
            node = self._lstat(path)
            if node is None:
                raise LayerError(f"failed call to UtimesNanoAt for {self._at}{path}: no such file or directory")
            _set_times(node, entry)
        return self._root

    def _apply(self, entry: TarEntry) -> bool:
        """Apply one entry; whether it made a file."""
        parent_name, _, base = entry.name.rpartition("/")
        if entry.name.startswith("/") and not parent_name:
            parent_name = "/"
        parent_path, parent = self._parents.get(parent_name, ("", None))
        if parent is None:
            parent_path = self._resolve(parent_name, "failed to get root path: ")
        path = join(parent_path, join("/", base))
        if path == "/":
            return False
        if parent is None:
            parent = self._make_parent(parent_path)
            self._parents[parent_name] = parent_path, parent
        if base.startswith(_WHITEOUT):
            self._parents.clear()
            self._whiteout(entry, parent, parent_path, base)
            return False
        existing = parent.children.get(base)
        if existing is None or entry.type != "5":
            parent.mtime = None  # the time of the directory is when it was changed last
        if existing is not None and not (existing.is_directory and entry.type == "5"):
            del parent.children[base]
            self._parents.clear()
        if entry.type in ("1", "2"):
            self._parents.clear()
        self._create(entry, parent, path, base)
        self._unpacked.add(path)
        return True

    def _resolve(self, path: str, context: str, root: Node | None = None) -> str:
        try:
            return root_path(root or self._root, path, self._at)
        except TooManyLinksError as error:
            raise LayerError(f"{context}{error}") from None
        except PathError as error:
            raise LayerError(f"{context}{self._lstat_failed(error)}") from None

    def _lstat_failed(self, error: PathError) -> str:
        return f"lstat {join(self._at, error.path)}: {go_syscall_text(error.number)}"

    def _lstat(self, path: str) -> Node | None:
        try:
            return self._root.lookup(path, self._at)
        except PathError as error:
            raise LayerError(self._lstat_failed(error)) from None

    def _make_parent(self, path: str) -> Node:
        """The directory at a resolved path, made with its own parents where it is missing."""
        node = self._root
        at = ""
        for name in path.split("/"):
            if not name:
                continue
            at = f"{at}/{name}"
            child = node.children.get(name)
            if child is None:
                child = self._implied_directory(node, at)
                node.children[name] = child
                node.mtime = None
            elif not child.is_directory:
                raise LayerError(f"mkparent {self._at}{at}: not a directory")
            node = child
        return node

    def _implied_directory(self, parent: Node, path: str) -> Node:
        """A directory no entry made: like the one below it, where a lower layer has one."""
        for layer in self._below:
            try:
                found = layer.lookup(self._resolve(path, "", layer))
            except PathError as error:
                raise LayerError(self._lstat_failed(error)) from None
            if found is None:
                continue
            if not found.is_directory:
                break
            return Node("directory", found.mode, found.uid, found.gid, found.mtime, found.atime, dict(found.xattrs))
        return Node("directory", 0o755, gid=parent.gid if parent.mode & stat.S_ISGID else 0)

    def _whiteout(self, entry: TarEntry, parent: Node, parent_path: str, base: str) -> None:
        context = f"failed to convert whiteout file {go_quote(entry.name)}: "
        if base == _OPAQUE:
            if self._below:
                parent.opaque = True
            elif parent_path not in self._emptied:
                self._emptied.add(parent_path)
                self._remove_unmentioned(parent, parent_path)
            return
        hidden = base[len(_WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise LayerError(f"invalid whiteout name: {base}: invalid archive")
        where = f"{self._at}{join(parent_path, hidden)}"
        if not self._below:
            # Removed from within its directory, so that the rest of its path does not count.
            if exceeds(hidden, LONGEST_NAME):
                raise LayerError(f"{context}unlinkat {where}: {_TOO_LONG}")
            if parent.children.pop(hidden, None) is not None:
                parent.mtime = None
        elif exceeds(hidden, LONGEST_NAME) or exceeds(where, LONGEST_PATH):
            raise LayerError(f"{context}{_TOO_LONG}")
        elif hidden in parent.children:
            raise LayerError(f"{context}file exists")
        else:
            node = Node("character", 0)
            _set_owner(node, entry)
            parent.children[hidden] = node
            parent.mtime = None

    def _remove_unmentioned(self, directory: Node, path: str) -> None:
        pending = [(directory, path)]
        while pending:
            node, at = pending.pop()
            for name, child in list(node.children.items()):
                child_path = join(at, name)
                if child_path not in self._unpacked:
                    del node.children[name]
                    node.mtime = None
                elif child.is_directory:
                    pending.append((child, child_path))

    def _create(self, entry: TarEntry, parent: Node, path: str, base: str) -> None:
        where = f"{self._at}{path}"
        too_long = exceeds(base, LONGEST_NAME) or exceeds(where, LONGEST_PATH)
        if entry.type == "g":
            return
        if entry.type == "1":
            node = self._link_target(entry, where, too_long=too_long)
        elif entry.type == "5" and base in parent.children:
            node = parent.children[base]
        elif (kind := _KINDS.get(entry.type)) is not None:
            node = Node(kind)
            if kind == "symlink":
                node.target = _checked_target(entry.link, where)
            elif kind == "file":
                node.size, node.segments, node.archive = entry.size, entry.segments, self._archive
            elif kind in ("character", "block"):
                node.device = (entry.major & 0xFFFFFFFF, entry.minor & 0xFFFFFFFF)
            if too_long:
                raise LayerError(f"{_making(node, where)}{_TOO_LONG}")
        else:
            raise LayerError(f"unhandled tar header type {ord(entry.type)}")
        parent.children[base] = node
        _set_owner(node, entry)
        _set_xattrs(node, entry)
        if node.kind != "symlink":
            node.mode = entry.mode & 0o7777
        _set_times(node, entry)

    def _link_target(self, entry: TarEntry, where: str, *, too_long: bool) -> Node:
        directory, _, base = entry.link.rpartition("/")
        if entry.link.startswith("/") and not directory:
            directory = "/"
        # A last component of "..", "." or nothing names a directory, which cannot be linked to.
        target_path = join(self._resolve(directory, ""), base)
        number = errno.ENOENT
        try:
            target = self._root.lookup(target_path, self._at)
        except PathError as error:
            target, number = None, error.number
        if target is not None:
            if not too_long and not target.is_directory:
                return target
            number = errno.ENAMETOOLONG if too_long else errno.EPERM
        reason = go_syscall_text(number)
        raise LayerError(f"link {join(self._at, target_path)} {where}: {reason}")


def _making(node: Node, where: str) -> str:
    """What an error of making a node begins with: Go names the call and the path, but mknod's number stands alone."""
    call = {"directory": "mkdir", "symlink": f"symlink {node.target}", "file": "open"}.get(node.kind)
    return f"{call} {where}: " if call else ""


def _checked_target(target: str, where: str) -> str:
    if not target:
        raise LayerError(f"symlink  {where}: no such file or directory")
    if exceeds(target, LONGEST_PATH):
        raise LayerError(f"symlink {target} {where}: {_TOO_LONG}")
    return target


def _set_owner(node: Node, entry: TarEntry) -> None:
    uid, gid = entry.uid & _NO_ID, entry.gid & _NO_ID
    # The kernel takes the highest id for "leave it".
    node.uid = node.uid if uid == _NO_ID else uid
    node.gid = node.gid if gid == _NO_ID else gid


def _set_xattrs(node: Node, entry: TarEntry) -> None:
    for key, value in entry.xattrs.items():
        if key.startswith("trusted."):
            continue  # refused as "not supported", which is passed over
        if key.startswith("user.") and node.kind not in ("file", "directory"):
            continue  # only files and directories can have them
        node.xattrs[key] = value


def _set_times(node: Node, entry: TarEntry) -> None:
    node.mtime = bounded(entry.mtime)
    node.atime = bounded(max(entry.atime, entry.mtime))
