"""GET /tree equals the tree that Python sees, whatever is in it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = st.one_of(
    st.sampled_from([b"a", b"b", b"a.b", b"-", b"B", "é".encode(), b"\xff", b'"', b"\\", b"<&>", b"\n", b" "]),
    st.binary(min_size=1, max_size=12),
    st.text(min_size=1, max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass")),
).filter(lambda name: name not in {b".", b".."} and b"/" not in name and b"\0" not in name)
FILE = st.none()
LINK = st.sampled_from(
    [b".", b"..", b"a", b"b/a", b"../b", b"/", b"../../..", b"nowhere", b"a/../b", b"//usr", b"../content", b"./././a"]
)
ENTRY = st.recursive(FILE | LINK, lambda children: st.dictionaries(NAMES, children, max_size=4), max_leaves=12)
TREES = st.dictionaries(NAMES, ENTRY, max_size=5)


def create(directory: Path, entries: dict[bytes, Any]) -> None:
    for name, entry in entries.items():
        path = directory / os.fsdecode(name)
        if entry is None:
            path.touch()
        elif isinstance(entry, bytes):
            path.symlink_to(os.fsdecode(entry))
        else:
            path.mkdir()
            create(path, entry)


def count_links(entries: dict[bytes, Any]) -> int:
    links = [count_links(e) if isinstance(e, dict) else isinstance(e, bytes) for e in entries.values()]
    return sum(links)


def shown(name: str) -> str:
    """A name as JSON carries it: U+FFFD for every byte that is not UTF-8 (Python's surrogates)."""
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in name)


def expected(root: Path) -> dict[str, Any]:
    """The contract, by way of os.path.realpath."""
    real_root = Path(os.path.realpath(root))

    def node(path: str, place: Path, ancestors: tuple[Path, ...]) -> dict[str, Any]:
        real = Path(os.path.realpath(place))
        this: dict[str, Any] = {"name": shown(place.name), "path": path, "is_dir": False}
        loops = place.is_symlink() and real in ancestors
        if loops or not place.is_dir() or not real.is_relative_to(real_root):
            return this
        children = [
            node(f"{path.rstrip('/')}/{shown(child.name)}", child, (*ancestors, real))
            for child in sorted(real.iterdir(), key=os.fsencode)
        ]
        return this | {"is_dir": True} | ({"children": children} if children else {})

    return node("/", root, ())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES.filter(lambda tree: count_links(tree) <= 5))
def test_any_tree(tree: dict[bytes, Any], module_engine: Any) -> None:
    engine, root = module_engine
    shutil.rmtree(root)
    root.mkdir()
    create(root, tree)
    assert engine.tree() == expected(root)


def test_the_project_content(engine: Callable[..., Any]) -> None:
    root = Path(__file__).parents[2] / "project-content"
    with engine(root) as started:
        tree = started.tree()
    assert tree == expected(root)
    assert tree["name"] == "project-content"
    assert [child["name"] for child in tree["children"]] == ["README.md", "bin", "config", "data", "docs", "rules"]


def test_an_empty_root_has_no_children(engine: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    with engine(tmp_path / "content") as started:
        status, headers, body = started.request("GET", "/tree")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == {"name": "content", "path": "/", "is_dir": True}


def test_a_change_is_seen_by_the_next_request(engine: Callable[..., Any], tmp_path: Path) -> None:
    with engine(tmp_path) as started:
        assert "children" not in started.tree()
        (tmp_path / "new").touch()
        assert started.tree()["children"] == [{"name": "new", "path": "/new", "is_dir": False}]


@pytest.mark.parametrize("root", ["none", "file"])
def test_a_root_that_is_no_directory(root: str, engine: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with engine(tmp_path / root) as started:
        status, _, body = started.request("GET", "/tree")
        assert status == 500
        assert body.startswith(b"failed to read content path: ")
        assert started.request("GET", "/health")[0] == 200


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A temporary directory that other users get to, unlike pytest's."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def test_denied_directories(engine: Callable[..., Any], open_directory: Path) -> None:
    root = open_directory / "content"
    for directory in ("open", "priv", "z"):
        (root / directory).mkdir(parents=True)
        (root / directory / "inside").touch()
    (root / "priv").chmod(0)
    user = 65532 if os.getuid() == 0 else None
    try:
        with engine(root, user=user) as started:
            children = started.tree()["children"]
        with engine(root / "priv", user=user) as started:
            status, _, body = started.request("GET", "/tree")
    finally:
        (root / "priv").chmod(0o755)
    assert [(c["name"], c["is_dir"], len(c.get("children", []))) for c in children] == [
        ("open", True, 1),
        ("priv", True, 0),
        ("z", True, 1),
    ]
    assert status == 500
    assert body.startswith(b"failed to read content path: ")
    assert b"permission denied" in body


@pytest.mark.slow
def test_memory_does_not_grow_with_the_tree(engine: Callable[..., Any], tmp_path: Path) -> None:
    peaks = []
    made = 0
    for directories in (10, 300):
        for number in range(made, directories):
            (tmp_path / f"{number:03}").mkdir()
            for file in range(100):
                (tmp_path / f"{number:03}" / f"{file:050}").touch()
        made = directories
        with engine(tmp_path) as started:
            started.request("GET", "/tree")
            peaks.append(started.peak_kib())
    small, large = peaks
    assert large - small < 3 * 1024, peaks  # the answer alone grew by 4 MiB
