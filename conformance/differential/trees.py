"""Making up trees: few names and many ways to collide, so that entries meet, replace, hide and traverse each other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fixtures import ImageSpec

__all__ = ["Tree", "generate", "image_of", "size_of", "trees"]

# Layers, lowest first, each a list of entries as an image case writes them (fixtures/entries.py).
Tree = Sequence[Sequence[dict[str, Any]]]

# What is mostly a directory or a link to one, and what is mostly a file: were they one, most trees would be refused.
_FOLDERS = ("a", "b", "c")
_LEAVES = ("d", "e", "f")
_ODD_NAMES = (
    "caf\u00e9", "cafe\u0301", "with space", " ", "back\\slash", "new\nline", "tab\t", "\U0001f4e6", "-rf", "*", "%2e",
    "...", "..a", ".hidden", "\u202etxt", "a:b", "x" * 100, "x" * 101, "x" * 255, "\u00e9" * 127,
)  # fmt: skip
_HOSTILE_PATHS = (
    "/a", "//a/b", "/", "./", ".", "..", "../a", "../../a/b", "a/../b", "a/./b", "a//b", "a/..", "a/../../b", "./a",
    "a/b/../../../c", "x" * 256, "a/" + "x" * 256, "/".join(["a"] * 30), "/".join(["deep" * 20] * 12),
    "/".join(["deep" * 20] * 52),
)  # fmt: skip
_WHITEOUTS = (".wh.a", ".wh.b", ".wh.d", ".wh.e", ".wh..wh..opq")
_ODD_WHITEOUTS = (".wh.", ".wh..", ".wh...", ".wh..wh.plnk", ".wh..wh.aufs", ".wh..wh.a", ".wh.a ", "..wh.a", ".wh")
_TARGETS = (
    "a", "b", "c", "a/b", "../a", "../b", "../../a", "/a", "/a/b", "/", ".", "..", "./b", "nowhere", "../../../../etc",
    "/etc/passwd", "a/", "a//b", "/../a",
)  # fmt: skip
_MODES = (0o644, 0o755, 0o600, 0o700, 0, 0o444, 0o4755, 0o2755, 0o1777, 0o6711, 0o7777)
_IDS = (0, 1, 1000, 65532, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_TIMES: tuple[float, ...] = (0, 1, 1_000_000_000, 1_234_567_890.5, 1.25, -1, 0x7FFFFFFF, 0x80000000, 4_000_000_000)
_DEVICES = ((1, 3), (0, 0), (7, 200), (259, 70000), (0, 1))
_PAX = (
    {"SCHILY.xattr.user.note": "hello"},
    {"SCHILY.xattr.user.note": ""},
    {"SCHILY.xattr.user.a": "1", "SCHILY.xattr.user.b": "2"},
    {"SCHILY.xattr.user.caf\u00e9": "\u00e9"},
    {"SCHILY.xattr.trusted.note": "hello"},
    {"SCHILY.xattr.trusted.overlay.opaque": "y"},
    {"SCHILY.xattr.trusted.overlay.redirect": "/a"},
    {"SCHILY.xattr.user.overlay.opaque": "y"},
    {"SCHILY.xattr.user.overlay.metacopy": ""},
    {"SCHILY.xattr.nonsense": "x"},
    {"LIBARCHIVE.xattr.user.note": "aGVsbG8"},
    {"comment": "nothing"},
    {"path": "a/renamed"},
    {"atime": "99.5"},
    {"mtime": "1700000000.123456789"},
    {"uid": "1234"},
    {"VENDOR.thing": "x"},
)


def _happens(percent: int) -> st.SearchStrategy[bool]:
    # Hypothesis likes the ends of a range, so that what is to be rare lies in its middle.
    return st.integers(0, 999).map(lambda drawn: 400 <= drawn < 400 + 10 * percent)


def _rarely(often: st.SearchStrategy[Any], rare: st.SearchStrategy[Any], percent: int) -> st.SearchStrategy[Any]:
    return _happens(percent).flatmap(lambda happens: rare if happens else often)


_leaf = _rarely(st.sampled_from(_LEAVES), st.sampled_from(_ODD_NAMES), 5)
_folder = _rarely(st.sampled_from(_FOLDERS), st.sampled_from(_LEAVES + _ODD_NAMES), 4)


@st.composite
def _paths(draw: st.DrawFn, last: st.SearchStrategy[str]) -> str:
    if draw(_happens(5)):
        return draw(st.sampled_from(_HOSTILE_PATHS))
    return "/".join([*draw(st.lists(_folder, max_size=2)), draw(last)])


def _may_be_linked_to(entry: dict[str, Any]) -> bool:
    return entry.get("type") != "dir" and not entry["path"].endswith(("/", ".")) and ".wh." not in entry["path"]


@st.composite
def _entries(draw: st.DrawFn, earlier: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One entry; a hard link mostly leads to an earlier file of its layer, which it needs to be taken at all."""
    kinds = ["file"] * 8 + ["dir"] * 7 + ["symlink"] * 4 + ["hardlink"] * 3 + ["whiteout"] * 5 + ["special"] * 3
    kind = draw(st.sampled_from(kinds))
    files = [entry["path"] for entry in earlier if _may_be_linked_to(entry)]
    if kind == "hardlink" and not files and not draw(_happens(10)):
        kind = "file"
    if kind == "special":
        kind = draw(_rarely(st.sampled_from(["fifo", "char", "block"]), st.sampled_from(["contiguous", "unknown"]), 15))
    if kind == "whiteout":
        names = _rarely(st.sampled_from(_WHITEOUTS), st.sampled_from(_ODD_WHITEOUTS), 6)
        entry: dict[str, Any] = {
            "path": "/".join([*draw(st.lists(st.sampled_from(_FOLDERS), max_size=2)), draw(names)])
        }
        if draw(_happens(5)):
            entry["type"] = draw(st.sampled_from(["dir", "symlink", "char"]))
    else:
        entry = {"path": draw(_paths(_folder if kind in {"dir", "symlink"} else _leaf))}
        if kind == "dir" and draw(st.booleans()):
            entry["path"] += "/"
        elif kind != "file" or entry["path"].endswith("/"):
            entry["type"] = kind
    if kind in {"file", "contiguous"} and draw(st.booleans()):
        entry["text"] = draw(st.sampled_from(["mine\n", "yours\n", "x" * 600]))
    if kind == "hardlink" and files and not draw(_happens(5)):
        entry["link"] = draw(st.sampled_from(files))
    elif kind in {"symlink", "hardlink"} or entry.get("type") == "symlink":
        entry["link"] = draw(st.one_of(st.sampled_from(_TARGETS), _paths(_folder)))
    if kind in {"char", "block"} or entry.get("type") == "char":
        entry["device"] = list(draw(st.sampled_from(_DEVICES)))
    return entry | draw(_attributes())


@st.composite
def _layers(draw: st.DrawFn) -> list[dict[str, Any]]:
    layer: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 8))):
        layer.append(draw(_entries(layer)))
    return layer


@st.composite
def _attributes(draw: st.DrawFn) -> dict[str, Any]:
    chosen = {}
    for key, values, percent in (
        ("mode", st.sampled_from(_MODES), 30),
        ("uid", st.sampled_from(_IDS), 15),
        ("gid", st.sampled_from(_IDS), 15),
        ("mtime", st.sampled_from(_TIMES), 30),
        ("pax", st.sampled_from(_PAX).map(dict), 8),
    ):
        if draw(_happens(percent)):
            chosen[key] = draw(values)
    return chosen


def trees() -> st.SearchStrategy[Tree]:
    """Trees of one to four layers."""
    return st.lists(_layers(), min_size=1, max_size=4)


def generate(count: int, starting_with: int) -> list[Tree]:
    """So many different trees, the same for the same seed, code and version of Hypothesis.

    Hypothesis also draws constants that it finds in the modules that are loaded, so that the code is part of the seed.
    """
    found: dict[str, Tree] = {}
    number = starting_with
    while len(found) < count:

        @seed(number)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(trees())
        def collect(tree: Tree) -> None:
            found.setdefault(json.dumps(tree), tree)

        collect()
        number += 1
    return list(found.values())[:count]


def image_of(tree: Tree) -> ImageSpec:
    """The image of a tree: as the forge builds it, with nothing added."""
    layers = tuple({"content": list(layer), "nonce": False} for layer in tree)
    return ImageSpec(layers=layers, config={}, manifest={}, index=None, registry={})


def size_of(tree: Tree) -> int:
    """How much there is to understand in a tree: its layers, entries, and what the entries say."""
    entries = [entry for layer in tree for entry in layer]
    return len(tree) + sum(len(entry) + str(entry["path"]).count("/") for entry in entries)
