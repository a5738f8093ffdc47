"""What is made up: the same for the same seed, buildable, and rich in what can go wrong."""

from __future__ import annotations

import json

from conformance.differential import generate, size_of
from conformance.differential.trees import image_of
from fixtures import forge

TREES = generate(120, 3)


def test_the_same_seed_makes_the_same_trees_and_another_others() -> None:
    assert generate(10, 5) == generate(10, 5)
    assert generate(10, 5) != generate(10, 6)


def test_as_many_as_wanted_and_no_tree_twice() -> None:
    assert len({json.dumps(tree) for tree in TREES}) == 120


def test_every_tree_becomes_an_image_with_all_its_layers() -> None:
    for tree in TREES:
        manifest = json.loads(forge(image_of(tree)).manifests[-1].content)
        assert len(manifest["layers"]) == len(tree)


def test_there_is_something_of_everything() -> None:
    entries = [entry for tree in TREES for layer in tree for entry in layer]
    kinds = {entry.get("type", "dir" if entry["path"].endswith("/") else "file") for entry in entries}
    assert kinds >= {"file", "dir", "symlink", "hardlink", "fifo", "char", "block", "contiguous", "unknown"}
    assert {"mode", "uid", "gid", "mtime", "pax", "link", "text", "device"} <= {
        key for entry in entries for key in entry
    }
    names = {entry["path"].rpartition("/")[2] for entry in entries}
    assert {".wh.a", ".wh..wh..opq"} <= names
    assert any(entry["path"].startswith("..") for entry in entries)
    assert {len(tree) for tree in TREES} == {1, 2, 3, 4}


def test_a_tree_with_more_in_it_is_bigger() -> None:
    plain = [[{"path": "a"}]]
    for more in (
        [[{"path": "a"}], []],
        [[{"path": "a"}, {"path": "b"}]],
        [[{"path": "b/a"}]],
        [[{"path": "a", "uid": 1}]],
    ):
        assert size_of(more) > size_of(plain)
