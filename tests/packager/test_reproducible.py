"""Any tree packs to the same bytes however it came to be, and unpacks to the same tree."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import packager

# On a tmpfs the order of a directory is that in which it was filled.
FAST = Path("/dev/shm") if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK) else None


@dataclass(frozen=True)
class File:
    content: bytes
    executable: bool = False


@dataclass(frozen=True)
class Link:
    target: str


Node = File | Link | None  # None is a directory
Tree = Mapping[str, Node]

_letters = st.sampled_from("abAB.-_ ~é漢\u0301é")
_names = st.one_of(st.text(_letters, min_size=1, max_size=6), st.text("xyé", min_size=90, max_size=110)).filter(
    lambda name: name not in (".", "..") and not name.startswith(".wh.") and len(name.encode()) < 250
)
_files = st.builds(File, st.one_of(st.binary(max_size=40), st.integers(500, 1600).map(bytes)), st.booleans())
_links = st.one_of(
    st.sampled_from(["a", "./a", "a/b", "nowhere", ".", "a/../b", "x" * 150]), st.text("é漢", min_size=1, max_size=40)
).map(Link)
_levels = st.recursive(
    st.one_of(_files, _links, st.none()), lambda node: st.dictionaries(_names, node, max_size=4), max_leaves=12
)


def _flat(level: object, prefix: str = "") -> dict[str, Node]:
    found: dict[str, Node] = {}
    assert isinstance(level, dict)
    for name, node in level.items():
        if isinstance(node, dict):
            found[prefix + name] = None
            found |= _flat(node, f"{prefix}{name}/")
        else:
            found[prefix + name] = node
    return found


trees = st.dictionaries(_names, _levels, min_size=1, max_size=5).map(_flat)


def build(tree: Tree, root: Path, seed: int, umask: int) -> None:
    """Make a tree in an order, with a umask and times that depend on the seed."""
    chance = random.Random(seed)
    before = os.umask(umask)
    try:
        root.mkdir()
        paths = sorted(tree, key=lambda path: (path.count("/"), chance.random()))
        for path in paths:
            node, place = tree[path], root / path
            if isinstance(node, File):
                place.write_bytes(node.content)
                if node.executable:
                    place.chmod(place.stat().st_mode | stat.S_IXUSR)
            elif isinstance(node, Link):
                place.symlink_to(node.target)
            else:
                place.mkdir()
        for path in paths:
            when = chance.randrange(10**9)
            os.utime(root / path, (when, when + 0.5), follow_symlinks=False)
    finally:
        os.umask(before)


def layer_of(layout: Path, packed: packager.Packed) -> bytes:
    digest = packed.variants[0].layer_digests[0]
    return (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def by_tarfile(tree: Tree) -> bytes:
    """The archive as Python's own tarfile writes it: an independent oracle for every byte."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive:
        for path in sorted(tree, key=lambda path: path.encode()):
            node, member = tree[path], tarfile.TarInfo(path)
            if isinstance(node, File):
                member.size, member.mode = len(node.content), 0o755 if node.executable else 0o644
                archive.addfile(member, io.BytesIO(node.content))
                continue
            member.type = tarfile.SYMTYPE if isinstance(node, Link) else tarfile.DIRTYPE
            member.mode = 0o777 if isinstance(node, Link) else 0o755
            member.linkname = node.target if isinstance(node, Link) else ""
            archive.addfile(member)
    return buffer.getvalue()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees, st.integers(0, 9), st.sampled_from([0o000, 0o022, 0o077, 0o027]))
@example({"a": None, "a/b": File(b"1"), "a.txt": File(b"2"), "a-": None}, 0, 0o022)
def test_any_tree_packs_to_one_digest(tree: Tree, seed: int, umask: int) -> None:
    with tempfile.TemporaryDirectory(dir=FAST) as scratch:
        one, other = Path(scratch, "one"), Path(scratch, "o" * 60)
        build(tree, one, 1, 0o022)
        build(tree, other, seed, umask)
        first = packager.pack(one, Path(scratch, "out1"), jobs=1)
        second = packager.pack(other, Path(scratch, "out2"), jobs=3, platforms=["linux/arm64", "linux/amd64"])
        assert first.digest == second.digest
        plain = gzip.decompress(layer_of(Path(scratch, "out1"), first))
        assert plain == by_tarfile(tree)
        assert first.diff_id == "sha256:" + hashlib.sha256(plain).hexdigest()
        assert first.entries == len(tree)
        assert packager.verify(Path(scratch, "out2")) == []
        shutil.rmtree(other)


@settings(max_examples=40, deadline=None)
@given(trees)
def test_a_round_trip_restores_the_tree(tree: Tree) -> None:
    with tempfile.TemporaryDirectory(dir=FAST) as scratch:
        root, back = Path(scratch, "tree"), Path(scratch, "back")
        build(tree, root, 1, 0o022)
        layer = layer_of(Path(scratch, "out"), packager.pack(root, Path(scratch, "out")))
        back.mkdir()
        subprocess.run(["tar", "-xzf", "-", "-C", back], input=layer, check=True)
        found: dict[str, Node] = {}
        for path in back.rglob("*"):
            name = str(path.relative_to(back))
            if path.is_symlink():
                found[name] = Link(os.readlink(path))  # noqa: PTH115 -- pathlib would tidy it
            elif path.is_dir():
                found[name] = None
            else:
                found[name] = File(path.read_bytes(), bool(path.stat().st_mode & 0o111))
        assert found == tree


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"}, {"PYTHONUTF8": "0", "LC_ALL": "POSIX"}],
)
def test_locale_and_time_zone_do_not_matter(content: Path, tmp_path: Path, imgvol, environment) -> None:
    (content / "naïve 漢字.txt").write_text("x")
    expected = packager.pack(content, tmp_path / "here")
    done = imgvol("pack", content, "--output", tmp_path / "there", env=environment)
    assert done.returncode == 0, done.stderr
    assert expected.digest in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owners_and_special_bits_do_not_matter(content: Path, tmp_path: Path) -> None:
    before = packager.pack(content, tmp_path / "before")
    os.chown(content / "run.sh", 1234, 5678)
    (content / "run.sh").chmod(0o6711)
    (content / "data").chmod(0o1700)
    assert packager.pack(content, tmp_path / "after").digest == before.digest


def test_hard_links_are_packed_as_files(make_tree, tmp_path: Path) -> None:
    linked = make_tree({"a": b"same"}, "linked")
    os.link(linked / "a", linked / "b")
    copied = make_tree({"a": b"same", "b": b"same"}, "copied")
    assert packager.pack(linked, tmp_path / "1").digest == packager.pack(copied, tmp_path / "2").digest


def test_the_number_of_workers_does_not_reach_the_bytes(make_tree, tmp_path: Path) -> None:
    """Over several blocks, at sizes around their edges."""
    chance = random.Random(7)
    words = [chance.randbytes(6) for _ in range(400)]
    text = b"".join(chance.choice(words) for _ in range(600_000))
    tree = make_tree({"a": text[: (1 << 20) - 512], "b": text[: 1 << 20], "c": text})
    digests = {packager.pack(tree, tmp_path / f"out{jobs}", jobs=jobs).digest for jobs in (1, 2, 3, 8)}
    assert len(digests) == 1
    layout = tmp_path / "out8"
    layer = next(path for path in (layout / "blobs/sha256").iterdir() if path.stat().st_size > 10_000)
    assert subprocess.run(["gzip", "-t"], input=layer.read_bytes(), check=False).returncode == 0
    assert packager.verify(layout) == []


def test_source_date_epoch_sets_every_time(content: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    packed = packager.pack(content, tmp_path / "out")
    assert packager.verify(tmp_path / "out") == []
    assert packager.inspect(tmp_path / "out").created == "2023-11-14T22:13:20Z"
    with tarfile.open(fileobj=io.BytesIO(layer_of(tmp_path / "out", packed))) as archive:
        assert {member.mtime for member in archive} == {1700000000}


@pytest.mark.parametrize("text", ["yesterday", "-1", "1.5", "²", str(8**11)])
def test_a_senseless_source_date_epoch_is_refused(content: Path, tmp_path: Path, monkeypatch, text: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(packager.UsageError, match="SOURCE_DATE_EPOCH"):
        packager.pack(content, tmp_path / "out")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_content(tmp_path: Path) -> None:
    root = tmp_path / "big"
    root.mkdir()
    with (root / "zeros").open("wb") as file:
        file.truncate(600 << 20)
    peak = (
        "import packager, re, sys\n"
        "packager.pack(sys.argv[1], sys.argv[2], jobs=2)\n"
        "assert packager.verify(sys.argv[2]) == []\n"
        # Not ru_maxrss: across exec it keeps what the parent had.
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", peak, root, tmp_path / "out"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 60 << 10  # kilobytes
