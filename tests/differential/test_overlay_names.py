"""Attributes whose names mean something to the emulator's own overlays are a file's like any other, as on a node."""

from __future__ import annotations

import os
import re

import pytest

from conformance.differential import Seen, Surveyor, Tree
from conformance.targets import Options, Target, start

KERNEL = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
XATTR = "SCHILY.xattr.user.overlay"


def surveyed(trees: list[Tree]) -> list[Seen]:
    with start(Options(speed=20)) as description, Surveyor(Target(description)) as surveyor:
        return surveyor.survey(trees)


def test_no_attribute_makes_a_file_disappear_or_unreadable() -> None:
    [seen] = surveyed(
        [
            [
                [
                    {"path": "a/", "pax": {f"{XATTR}.whiteouts": "y", f"{XATTR}.opaque": "y"}},
                    {"path": "a/b", "text": "mine\n", "pax": {f"{XATTR}.whiteout": "y"}},
                    {"path": "c", "text": "mine\n", "pax": {f"{XATTR}.metacopy": ""}},
                ]
            ]
        ]
    )
    assert seen.outcome == "mounted"
    assert {name: line.split(" ")[4] for name, line in seen.files.items() if name in ("a/b", "c")} == {
        "a/b": "fcbc800d",
        "c": "fcbc800d",
    }


@pytest.mark.skipif(KERNEL < (6, 7), reason="overlayfs shows such attributes from Linux 6.7 on")
def test_attributes_are_shown_as_they_were_packed() -> None:
    names = ["overlay.opaque", "overlay.overlay.opaque", "overlay", "overlayfs.x"]
    trees: list[Tree] = [[[{"path": "a/", "pax": {f"SCHILY.xattr.user.{name}": "y"}}]] for name in names]
    shown = [seen.files["a"].partition(" user.")[2] for seen in surveyed(trees)]
    assert shown == [f"{name}=y" for name in names]
