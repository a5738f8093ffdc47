"""What an ordinary user's snapshot lets a process do, against the kernel's own answer on a tree as packed.

As root: a tree is unpacked with its real owners, and a process with a pod's uid, gid and groups asks access(2) of every
path. The same tree, unpacked by an ordinary user for that identity, must give that user the same answers.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.node.containerd import Identity, remove_tree
from emulator.node.containerd.layer import apply_layer
from emulator.node.containerd.owners import Owner, RootOwner, UserOwner
from emulator.node.containerd.tar import read_entries
from emulator.node.containerd.tree import Node
from emulator.node.containerd.unpack import write_tree
from fixtures import Entry, tar_bytes

ORDINARY = Identity(31415, 31415)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")

IDENTITIES = [Identity(65532, 0, (0, 65532)), Identity(0, 0, (0,)), Identity(1000, 1000, (1000, 2000)), Identity(7, 8)]
ids = st.sampled_from([0, 7, 8, 1000, 2000, 65532])
modes = st.integers(0, 0o7777)
inner = st.sampled_from(["", "d/", "d/e/", "p/"])
entries = st.lists(
    st.one_of(
        st.builds(
            Entry,
            path=st.tuples(inner, st.sampled_from(["f", "g", "h"])).map("".join),
            content=st.just(b"content"),
            mode=modes,
            uid=ids,
            gid=ids,
        ),
        st.builds(Entry, path=st.sampled_from(["d/", "d/e/", "p/"]), type=st.just("dir"), mode=modes, uid=ids, gid=ids),
    ),
    max_size=12,
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder every user can walk to."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    remove_tree(path)


def as_user(identity: Identity, work: Callable[[], object]) -> Any:
    """What a child process of another user answers. It is forked, since that user may not reach our Python."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups(identity.groups)
            os.setgid(identity.gid)
            os.setuid(identity.uid)
            os.write(writing, json.dumps(work()).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return json.loads(answer)


def unpack_as(identity: Identity, tree: Node, target: Path, archive: bytes, owner: Owner) -> None:
    as_user(identity, lambda: write_tree(tree, target, [archive], owner))


def answers(root: Path, paths: list[str], identity: Identity) -> dict[str, list[object]]:
    def ask() -> dict[str, list[object]]:
        return {path: ask_of(root / path) for path in paths}

    return as_user(identity, ask)


def ask_of(path: Path) -> list[object]:
    told: list[object] = [os.access(path, wish) for wish in (os.F_OK, os.R_OK, os.W_OK, os.X_OK)]
    try:
        told.append(sorted(child.name for child in path.iterdir()) if path.is_dir() else path.read_bytes().decode())
    except OSError as error:
        told.append(errno.errorcode[error.errno])
    return told


@needs_root
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=entries, identity=st.sampled_from(IDENTITIES))
def test_a_user_may_do_what_the_identity_may_on_a_real_node(
    folder: Path, entries: list[Entry], identity: Identity
) -> None:
    archive = tar_bytes(entries)
    tree = apply_layer(read_entries(archive), [], at="", archive=0)
    paths = [".", *(path for path, _ in tree.walk())]
    real, view = folder / "real", folder / "view"
    view.mkdir()
    os.chown(view, ORDINARY.uid, ORDINARY.gid)
    try:
        unpack_as(Identity(0, 0), tree, real, archive, RootOwner())
        unpack_as(ORDINARY, tree, view / "fs", archive, UserOwner(identity))
        assert answers(view / "fs", paths, ORDINARY) == answers(real, paths, identity)
    finally:
        remove_tree(real)
        remove_tree(view)


@needs_root
def test_the_recorded_modes_case_reads_the_same_for_a_user(folder: Path) -> None:
    archive = tar_bytes(
        [
            Entry("secret", content=b"root only", mode=0o600),
            Entry("priv/", type="dir", mode=0o700),
            Entry("priv/x", content=b"x"),
            Entry("owned", content=b"mine", mode=0o600, uid=65532, gid=65532),
            Entry("open", content=b"all"),
            Entry("dev", type="char", device=(1, 3), mode=0o666),
        ]
    )
    tree = apply_layer(read_entries(archive), [], at="", archive=0)
    folder.chmod(0o777)
    unpack_as(ORDINARY, tree, folder / "fs", archive, UserOwner(IDENTITIES[0]))
    found = answers(folder / "fs", ["secret", "priv", "priv/x", "owned", "open", "dev"], ORDINARY)
    assert {path: answer[-1] for path, answer in found.items()} == {
        "secret": "EACCES",
        "priv": "EACCES",
        "priv/x": "EACCES",
        "owned": "mine",
        "open": "all",
        "dev": "",
    }
    assert [found["open"][2], found["owned"][2]] == [False, True]


@pytest.mark.parametrize(
    ("identity", "mode"),
    [
        (Identity(0, 0), 0o744),
        (Identity(5, 0), 0o544),
        (Identity(9, 6), 0o444),
        (Identity(9, 9, (6,)), 0o444),
        (Identity(9, 9), 0o444),
    ],
)
def test_modes_of_a_view(identity: Identity, mode: int) -> None:
    node = Node("file", 0o544, uid=5, gid=6)
    assert UserOwner(identity).mode(node) == mode


def test_root_may_execute_only_what_someone_may() -> None:
    owner = UserOwner(Identity(0, 0))
    assert owner.mode(Node("file", 0o644)) >> 6 == 6
    assert owner.mode(Node("file", 0o645)) >> 6 == 7
    assert owner.mode(Node("directory", 0o000)) >> 6 == 7
