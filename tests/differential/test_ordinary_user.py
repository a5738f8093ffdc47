"""As an ordinary user the emulator shows of a tree all that it says it can: all but owners, modes and devices."""

from __future__ import annotations

import os

import pytest

from conformance.differential import Seen, Surveyor, Tree, compare, generate
from conformance.targets import Options, Target, start


def surveyed(trees: list[Tree], isolation: str) -> tuple[list[Seen], set[str]]:
    with start(Options(speed=20, isolation=isolation)) as description:
        target = Target(description)
        with Surveyor(target, workers=2) as surveyor:
            return surveyor.survey(trees), set(target.lacks)


@pytest.mark.skipif(
    os.getuid() != 0, reason="root's view, which the ordinary user's is compared with, is root's to have"
)
def test_root_and_an_ordinary_user_see_the_same_but_for_what_is_declared() -> None:
    trees = generate(25, 11)
    expected, lacks_of_root = surveyed(trees, "root")
    seen, lacks = surveyed(trees, "user")
    assert "owners" in lacks - lacks_of_root
    assert {one.outcome for one in expected} >= {"mounted", "ErrImagePull"}
    found = list(compare(trees, expected, seen, lacks | lacks_of_root))
    assert [(difference.tree, difference.lines) for difference in found] == []
