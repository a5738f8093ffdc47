"""The tree that the smoke test expects is the one that the real engine serves, whatever is in the content."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.programs import program
from imgvol.deployment.trees import differences, expected
from packager import Listed

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
NAMES = st.sampled_from(["a", "b", "a.b", "B", "é", "\udcff", '"', "<&>", " "])
LINKS = st.sampled_from(
    [".", "..", "a", "b/a", "../b", "/", "nowhere", "../content", "../content/a", "a/../b", "CONTENT/a"]
)
ENTRY = st.recursive(st.none() | LINKS, lambda children: st.dictionaries(NAMES, children, max_size=4), max_leaves=10)
TREES = st.dictionaries(NAMES, ENTRY, max_size=5)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    root = tmp_path_factory.mktemp("trees") / "content"
    root.mkdir()
    environment = {"CONTENT_PATH": str(root), "LISTEN": "127.0.0.1:0", "DRAIN_SECONDS": "0"}
    command = [str(program("engine", ARCHITECTURE))]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        address = re.search(r" on (\S+)$", process.stderr.readline())[1]

        def tree():
            with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
                connection.request("GET", "/tree")
                return json.loads(connection.getresponse().read())

        yield root, tree
        process.terminate()


def create(directory, entries, root):
    for name, entry in entries.items():
        if entry is None:
            (directory / name).touch()
        elif isinstance(entry, str):
            (directory / name).symlink_to(entry.replace("CONTENT", str(root)))
        else:
            (directory / name).mkdir()
            create(directory / name, entry, root)


def listed(root):
    for directory, names, files in os.walk(root):
        for name in names + files:
            place = Path(directory) / name
            path = str(place.relative_to(root))
            if place.is_symlink():
                yield Listed(path, "symlink", str(place.readlink()))
            else:
                yield Listed(path, "directory" if place.is_dir() else "file")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150)
@given(tree=TREES)
def test_what_is_expected_is_what_the_engine_serves(engine, tree):
    root, serve = engine
    for child in root.iterdir():
        shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    create(root, tree, root)
    served = serve()
    assert differences(expected(listed(root), str(root)), served) == []
    assert expected(listed(root), str(root)) == served


WANTED = expected([Listed("a", "directory"), Listed("a/x", "file"), Listed("b", "file"), Listed("c", "file")])


def changed(change):
    tree = copy.deepcopy(WANTED)
    change(tree["children"])
    return tree


@pytest.mark.parametrize(
    ("served", "said"),
    [
        (changed(lambda all_: all_.pop(1)), ["/b: missing"]),
        (changed(lambda all_: all_[0].pop("children")), ["/a/x: missing"]),
        (
            changed(lambda all_: all_.append({"name": "d", "path": "/d", "is_dir": False})),
            ["/d: not in the image"],
        ),
        (changed(lambda all_: all_[1].update(is_dir=True)), ["/b: is_dir is True, not False"]),
        (changed(lambda all_: all_[1].update(path="/x")), ["/b: path is '/x', not '/b'"]),
        (changed(lambda all_: all_[1].update(size=3)), ["/b: has size, which a tree has not"]),
        (changed(lambda all_: all_[1].update(children=[])), ["/b: children is empty, and should be left out"]),
        (changed(lambda all_: all_.reverse()), ["/: the order of its names differs"]),
        (changed(lambda all_: all_.append(all_[0])), ["/: a name is there twice"]),
        ({**WANTED, "name": "other"}, ["/: name is 'other', not 'content'"]),
        ([], ["/: expected an object, got []"]),
    ],
)
def test_every_difference_is_named(served, said):
    assert differences(WANTED, served) == said
