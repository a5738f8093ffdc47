"""Layers laid over one another, as overlayfs shows them.

Source: Linux Documentation/filesystems/overlayfs.rst (merged directories, whiteouts, opaque directories).
"""

from __future__ import annotations

from collections.abc import Sequence

from emulator.node.containerd.tree import Node

__all__ = ["merge"]


def merge(layers: Sequence[Node]) -> Node:
    """The tree that layers make together, the lowest first.

    In a directory that one layer alone has, a real node lists the names of its whiteouts, too, though nothing can be
    done with them; here they are not there at all.

    The layers are left as they are; files are shared with them, so hard links within a layer stay links.
    """
    root = Node("directory", 0o755)
    pending: list[tuple[Node, list[Node]]] = [(root, list(reversed(layers)))]
    while pending:
        merged, sources = pending.pop()
        names: dict[str, list[Node]] = {}
        hidden: set[str] = set()
        for source in sources:
            for name, node in source.children.items():
                if name in hidden:
                    continue
                above = names.get(name)
                if node.is_directory:
                    names.setdefault(name, []).append(node)
                    if node.opaque:
                        hidden.add(name)
                else:
                    hidden.add(name)
                    if above is None and not node.is_whiteout:
                        names[name] = [node]
        for name, nodes in names.items():
            top = nodes[0]
            if top.is_directory:
                top = Node("directory", top.mode, top.uid, top.gid, top.mtime, top.atime, top.xattrs)
                pending.append((top, nodes))
            merged.children[name] = top
    return root
