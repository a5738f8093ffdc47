"""Surveying on a real emulator: trees share pods, and those that stop a pod are found without being known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.differential import Seen, Surveyor, Tree
from conformance.targets import Options, Target, start

GOOD: Tree = [[{"path": "a", "text": "mine\n", "mtime": 5}, {"path": "d/", "mtime": 6}]]
LOST: Tree = [[{"path": "a", "type": "hardlink", "link": "nowhere"}]]
WRONG: Tree = [[], [{"path": "a", "type": "unknown"}]]


@pytest.fixture(scope="module")
def surveyor() -> Iterator[Surveyor]:
    with start(Options(speed=20)) as description, Surveyor(Target(description), per_pod=4, workers=2) as surveyor:
        yield surveyor


def kept(seen: Seen) -> dict[str, str]:
    """Name → kind, time and content, which every emulator keeps."""
    return {name: line[0] + " " + " ".join(line.split(" ")[2:]) for name, line in seen.files.items()}


def test_every_tree_gets_its_own_outcome(surveyor: Surveyor) -> None:
    told: list[int] = []
    trees = [GOOD, LOST, GOOD, WRONG, LOST, [[{"path": "b/c"}]]]
    seen = surveyor.survey(trees, tell=told.append)
    assert [one.outcome for one in seen] == ["mounted", "ErrImagePull", "mounted"] + ["ErrImagePull"] * 2 + ["mounted"]
    assert kept(seen[0]) == {".": "d now", "a": "- 5 5 fcbc800d", "d": "d 6"}
    assert kept(seen[5]) == {".": "d now", "b": "d now", "b/c": "- 0 0 e3b0c442"}
    assert seen[0] == seen[2]
    assert seen[1] == seen[4]
    assert 'pull and unpack image "<image>"' in seen[1].message
    assert seen[1].message.endswith("link <path>/nowhere <path>/a: no such file or directory")
    assert seen[3].message.endswith("unhandled tar header type 90")
    assert told[-1] == len(trees)


def test_knowing_which_are_refused_changes_nothing(surveyor: Surveyor) -> None:
    trees = [LOST, GOOD, WRONG]
    seen = surveyor.survey(trees)
    for refused in ([0, 2], [0], [1], []):
        assert surveyor.survey(trees, refused=refused) == seen


def test_what_the_packer_says_is_seen(surveyor: Surveyor) -> None:
    tree: Tree = [
        [
            {"path": "a", "mtime": 1.25, "pax": {"SCHILY.xattr.user.note": "hello"}},
            {"path": "b", "type": "hardlink", "link": "a", "mtime": 1.25},
            {"path": "l", "type": "symlink", "link": "a b", "mtime": 1_000_000_000},
        ]
    ]
    (seen,) = surveyor.survey([tree])
    lines = kept(seen)
    assert lines["a"].removesuffix(" user.note=hello") == "- 1.25 0 e3b0c442"
    assert lines["b"].removesuffix(" user.note=hello") == "- 1.25 0 e3b0c442 = a"
    assert lines["l"] == "L 1000000000 -> a b"
