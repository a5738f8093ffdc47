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

_NAMES = ("a", "b", "c", "d")
_ODD_NAMES = (
    "caf\u00e9", "cafe\u0301", "with space", " ", "back\\slash", "new\nline", "tab\t", "\U0001f4e6", "-rf", "*", "%2e",
    "...", "..a", ".hidden", "\u202etxt", "a:b", "x" * 100, "x" * 101, "x" * 255, "\u00e9" * 127,
)  # fmt: skip
_HOSTILE_PATHS = (
    "/a", "//a/b", "/", "./", ".", "..", "../a", "../../a/b", "a/../b", "a/./b", "a//b", "a/..", "a/../../b", "./a",
    "a/b/../../../c", "x" * 256, "a/" + "x" * 256, "/".join(["d"] * 130), "/".join(["deep" * 20] * 40),
)  # fmt: skip
_WHITEOUTS = (".wh.a", ".wh.b", ".wh.c", ".wh..wh..opq")
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
    {"SCHILY.xattr.user.overlay.opaque": "y"},
    {"SCHILY.xattr.trusted.note": "hello"},
    {"SCHILY.xattr.trusted.overlay.opaque": "y"},
    {"SCHILY.xattr.trusted.overlay.redirect": "/a"},
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


_name = _rarely(st.sampled_from(_NAMES), st.sampled_from(_ODD_NAMES), 4)
_inside = st.lists(_name, min_size=1, max_size=3).map("/".join)
_path = _rarely(_inside, st.sampled_from(_HOSTILE_PATHS), 6)


@st.composite
def _whiteout_paths(draw: st.DrawFn) -> str:
    folder = draw(st.lists(st.sampled_from(_NAMES), max_size=2))
    return "/".join([*folder, draw(_rarely(st.sampled_from(_WHITEOUTS), st.sampled_from(_ODD_WHITEOUTS), 7))])


@st.composite
def _entries(draw: st.DrawFn) -> dict[str, Any]:
    kinds = ["file"] * 9 + ["dir"] * 7 + ["symlink"] * 4 + ["hardlink"] * 2 + ["whiteout"] * 5 + ["special"]
    kind = draw(st.sampled_from(kinds))
    if kind == "special":
        kind = draw(st.sampled_from(["fifo", "char", "block", "contiguous"] * 4 + ["unknown"]))
    if kind == "whiteout":
        entry: dict[str, Any] = {"path": draw(_whiteout_paths())}
        if draw(_happens(5)):
            entry["type"] = draw(st.sampled_from(["dir", "symlink", "char"]))
    else:
        entry = {"path": draw(_path)}
        if kind == "dir" and draw(st.booleans()):
            entry["path"] += "/"
        elif kind != "file" or entry["path"].endswith("/"):
            entry["type"] = kind
    if kind in {"file", "contiguous"} and draw(st.booleans()):
        entry["text"] = draw(st.sampled_from(["mine\n", "yours\n", "x" * 600]))
    if kind in {"symlink", "hardlink"}:
        entry["link"] = draw(_rarely(st.sampled_from(_TARGETS), _inside, 40))
    if kind in {"char", "block"} or entry.get("type") == "char":
        entry["device"] = list(draw(st.sampled_from(_DEVICES)))
    return entry | draw(_attributes())


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
    return st.lists(st.lists(_entries(), max_size=7), min_size=1, max_size=4)


def generate(count: int, starting_with: int) -> list[Tree]:
    """So many different trees, the same for the same seed and version of Hypothesis."""
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
