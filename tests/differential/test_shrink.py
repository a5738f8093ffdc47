"""Shrinking: to the smallest tree that still differs, many at once."""

from __future__ import annotations

import json

from hypothesis import given, settings

from conformance.differential import Tree, shrink, size_of
from conformance.differential.shrink import simpler
from conformance.differential.trees import trees


@settings(max_examples=20)
@given(trees())
def test_what_is_simpler_is_another_tree_and_no_bigger(tree: Tree) -> None:
    for simple in simpler(tree):
        assert simple != tree
        assert size_of(simple) <= size_of(tree)
        assert simple, "an image has a layer"


def test_what_does_not_matter_goes() -> None:
    def has_whiteout_above(tree: Tree) -> bool:
        return any(entry["path"].endswith(".wh.a") for layer in tree[1:] for entry in layer)

    asked: list[int] = []

    def differ(found: list[Tree]) -> list[bool]:
        asked.append(len(found))
        return [has_whiteout_above(tree) for tree in found]

    big: Tree = [
        [{"path": "a/b", "text": "x", "mode": 0}, {"path": "c"}],
        [{"path": "d"}],
        [{"path": "b/c/.wh.a", "uid": 7}, {"path": "e", "type": "symlink", "link": "c"}],
    ]
    other: Tree = [[], [{"path": ".wh.a", "pax": {"comment": "x"}}, {"path": "a"}]]
    assert shrink([big, other], differ) == [[[], [{"path": "c/.wh.a"}]], [[], [{"path": ".wh.a"}]]]
    assert len(asked) < 15


def test_no_tree_is_asked_for_twice() -> None:
    asked: list[str] = []

    def differ(found: list[Tree]) -> list[bool]:
        asked.extend(json.dumps(tree) for tree in found)
        return [bool(tree[0]) for tree in found]

    shrink([[[{"path": "a"}, {"path": "b"}, {"path": "c/d", "mode": 0}], []]], differ)
    assert len(asked) == len(set(asked))


def test_rounds_and_width_are_limits() -> None:
    sizes: list[int] = []

    def differ(found: list[Tree]) -> list[bool]:
        sizes.append(len(found))
        return [True] * len(found)

    tree: Tree = [[{"path": f"a/{n}", "uid": 1} for n in range(20)]]
    shrink([tree], differ, rounds=3, width=5)
    assert sizes == [5, 5, 5]
