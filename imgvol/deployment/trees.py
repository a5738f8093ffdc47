"""The tree that the engine must serve of an image, and in what another tree differs from it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from packager import Listed

__all__ = ["differences", "expected"]

Node = dict[str, Any]
_LINKS = 40  # what Linux follows at most on the way to one file


def expected(entries: Iterable[Listed], mount: str = "/content") -> Node:
    """The engine's tree of an image's paths, mounted at `mount`: `{name, path, is_dir, children}`.

    As engine/tree.go: a symlink to a directory inside is shown with its children, any other, and one that leads back to
    a directory it is in, as a leaf.
    """
    listed = {f"{mount}/{entry.path}": entry for entry in entries}
    below: dict[str, list[str]] = {}
    for path in listed:
        below.setdefault(posixpath.dirname(path), []).append(path)
    for children in below.values():
        children.sort(key=os.fsencode)

    def directory(path: str) -> str | None:
        """The directory that a path really is, links followed as the kernel does; None if it is none, or outside."""
        at, todo, links = "/", path.split("/")[::-1], 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                at = posixpath.dirname(at)
                continue
            here = posixpath.join(at, part)
            entry = listed.get(here)
            if entry is not None and entry.kind == "symlink":
                links += 1
                if links > _LINKS:
                    return None
                at = "/" if entry.target.startswith("/") else at
                todo.extend(entry.target.split("/")[::-1])
            elif f"{mount}/".startswith(f"{here}/") or (entry is not None and entry.kind == "directory"):
                at = here
            else:
                return None
        return at if f"{at}/".startswith(f"{mount}/") else None

    def node(name: str, path: str, place: str | None, above: tuple[str, ...]) -> Node:
        found: Node = {"name": _shown(name), "path": _shown(path) or "/", "is_dir": place is not None}
        if place is None:
            return found
        open_, children = (*above, place), []
        for child in below.get(place, ()):
            base, inside = posixpath.basename(child), directory(child)
            leads_back = listed[child].kind == "symlink" and inside in open_
            children.append(node(base, f"{path}/{base}", None if leads_back else inside, open_))
        if children:
            found["children"] = children
        return found

    return node(posixpath.basename(mount), "", mount, ())


def _shown(name: str) -> str:
    """A name as JSON carries it: U+FFFD for every byte that is not UTF-8."""
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in name)


def differences(wanted: Node, served: Any) -> list[str]:
    """A line for everything in which a served tree is not the wanted one: names, paths, kinds, order; none if equal."""
    if wanted == served:
        return []
    lines = list(_compare(wanted, served, "/"))
    return lines or ["the order of names differs"]


def _compare(wanted: Node, served: Any, path: str) -> Iterator[str]:
    if not isinstance(served, dict):
        yield f"{path}: expected an object, got {served!r}"
        return
    for key in ("name", "path", "is_dir"):
        if served.get(key) != wanted[key]:
            yield f"{path}: {key} is {served.get(key)!r}, not {wanted[key]!r}"
    for key in sorted(set(served) - {"name", "path", "is_dir", "children"}):
        yield f"{path}: has {key}, which a tree has not"
    children = served.get("children", [])
    if not isinstance(children, list) or not all(isinstance(each, dict) for each in children):
        yield f"{path}: children is no list of objects"
        return
    if children == [] and "children" in served:
        yield f"{path}: children is empty, and should be left out"
    ours = {each["name"]: each for each in wanted.get("children", ())}
    theirs = {str(each.get("name")): each for each in children}
    if len(theirs) < len(children):
        yield f"{path}: a name is there twice"
    base = path.rstrip("/")
    for name, each in ours.items():
        if name in theirs:
            yield from _compare(each, theirs[name], f"{base}/{name}")
        else:
            yield f"{base}/{name}: missing"
    yield from (f"{base}/{name}: not in the image" for name in theirs if name not in ours)
    if list(ours) != list(theirs) and set(ours) == set(theirs):
        yield f"{path}: the order of its names differs"
