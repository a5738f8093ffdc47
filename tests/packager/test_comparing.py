"""What changed between two images, as a reviewer wants to know before a roll-out."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packager_images import layer_layout

import packager

BEFORE = {
    "config/app.yaml": b"version: v1\n",
    "data/items.json": b"[1,2,3]\n",
    "data/latest.json": "->items.json",
    "gone.txt": b"gone",
    "run.sh": b"#!/bin/sh\n",
    "same": b"same",
}
AFTER = {
    "config/app.yaml": b"version: v2!\n",
    "data/items.json": b"[1,2,3]\n",
    "data/latest.json": "->new.json",
    "data/new.json": b"[]",
    "run.sh*": b"#!/bin/sh\n",
    "same": b"same",
}


@pytest.fixture
def versions(make_tree, tmp_path: Path) -> tuple[Path, Path]:
    for name, tree in (("one", BEFORE), ("two", AFTER)):
        packager.pack(make_tree(tree, f"{name}-content"), tmp_path / name)
    return tmp_path / "one", tmp_path / "two"


def whats(compared: packager.Differences) -> dict[str, str]:
    return {one.path: one.what for one in compared.differences}


def test_what_came_went_and_changed(versions: tuple[Path, Path]) -> None:
    compared = packager.diff(*versions)
    assert whats(compared) == {
        "config/app.yaml": "changed",
        "data/latest.json": "changed",
        "data/new.json": "added",
        "gone.txt": "removed",
        "run.sh": "mode",
    }
    first = compared.differences[0]
    assert first.before is not None
    assert first.before.digest == "sha256:" + hashlib.sha256(b"version: v1\n").hexdigest()
    assert [compared.before, compared.after] == [packager.inspect(each).digest for each in versions]


def test_as_a_table_and_a_status(versions: tuple[Path, Path], registry, imgvol) -> None:
    packager.push(versions[1], f"{registry.address}/c:v2")
    done = imgvol("diff", versions[0], f"{registry.address}/c:v2")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "changed  config/app.yaml   12 B -> 13 B",
        "changed  data/latest.json  -> items.json -> -> new.json",
        "added    data/new.json     2 B",
        "removed  gone.txt          4 B",
        "mode     run.sh            0644 -> 0755",
        "1 added, 1 removed, 2 changed, 1 mode",
    ]
    fields = json.loads(imgvol("diff", *versions, "--json").stdout)
    assert [one["what"] for one in fields["differences"]] == ["changed", "changed", "added", "removed", "mode"]
    done = imgvol("diff", versions[0], versions[0])
    assert (done.returncode, done.stdout) == (0, "no differences\n")


def test_trouble_is_not_a_difference(versions: tuple[Path, Path], registry, imgvol, tmp_path: Path) -> None:
    done = imgvol("diff", versions[0], f"{registry.address}/c:v9")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    done = imgvol("diff", versions[0], versions[1], "--platform", "linux/s390x")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "it is for linux/amd64, linux/arm64" in done.stderr
    (layer,) = packager.inspect(versions[1]).variants[0].layer_digests
    blob = versions[1] / "blobs/sha256" / layer.removeprefix("sha256:")
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    assert imgvol("diff", *versions).returncode == 2


def test_compression_is_no_difference(make_tree, tmp_path: Path) -> None:
    content = make_tree(BEFORE)
    packager.pack(content, tmp_path / "gzip")
    packager.pack(content, tmp_path / "zstd", compression=packager.Compression("zstd"))
    compared = packager.diff(tmp_path / "gzip", tmp_path / "zstd")
    assert compared.differences == ()
    assert compared.before != compared.after


def test_layers_of_others_are_laid_upon_each_other(tmp_path: Path) -> None:
    """Whiteouts, hard links, directories that an archive leaves out, and a file in the place of a directory."""

    def layer(*members: tuple[str, bytes, bytes]) -> bytes:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as file:
            for name, kind, content in members:
                member = tarfile.TarInfo(name)
                member.type = kind
                if kind in (tarfile.LNKTYPE, tarfile.SYMTYPE):
                    member.linkname = content.decode()
                    file.addfile(member)
                else:
                    member.size = len(content)
                    file.addfile(member, io.BytesIO(content))
        return archive.getvalue()

    regular, hard = tarfile.REGTYPE, tarfile.LNKTYPE
    lower = layer(("a/b/one", regular, b"1"), ("a/two", regular, b"2"), ("link", hard, b"a/two"))
    upper = layer(("a/.wh.two", regular, b""), ("a/b", regular, b"now a file"))
    layer_layout(tmp_path / "one", [lower])
    layer_layout(tmp_path / "two", [lower, upper])
    assert whats(packager.diff(tmp_path / "one", tmp_path / "two")) == {
        "a/b": "changed",
        "a/b/one": "removed",
        "a/two": "removed",
    }
    layer_layout(
        tmp_path / "three", [layer(("a/b/one", regular, b"1"), ("a/two", regular, b"2"), ("link", regular, b"2"))]
    )
    assert whats(packager.diff(tmp_path / "one", tmp_path / "three")) == {}


class TestDirectories:
    """What would change if this directory was pushed over what is deployed?"""

    def test_what_was_just_pushed_does_not_differ(self, make_tree, process, imgvol) -> None:
        root = make_tree({**AFTER, "empty": None, "naïve 漢字": b"x", "long" * 50: b"y", "up": "->data/new.json"})
        (root / "same").chmod(0o600)
        (root / "data/items.json").chmod(0o4666)
        (root / "config/app.yaml").chmod(0o510)
        (root / "data").chmod(0o700)
        reference = f"{process.address}/directories:v1"
        pushed = imgvol("push", root, reference, "--compression", "zstd", "--json")
        assert pushed.returncode == 0, pushed.stderr
        for sides in ((reference, root), (root, reference), (root, root)):
            done = imgvol("diff", *sides)
            assert (done.returncode, done.stdout, done.stderr) == (0, "no differences\n", "")
        fields = json.loads(imgvol("diff", reference, root, "--json").stdout)
        assert fields == {
            "before": json.loads(pushed.stdout)["digest"],
            "after": "",
            "platform": "linux/amd64",
            "differences": [],
        }

    def test_what_a_push_would_change(self, make_tree, versions: tuple[Path, Path], tmp_path: Path, imgvol) -> None:
        done = imgvol("diff", versions[0], tmp_path / "two-content")
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout == imgvol("diff", *versions).stdout
        fields = json.loads(imgvol("diff", tmp_path / "one-content", versions[1], "--json").stdout)
        assert fields["differences"] == json.loads(imgvol("diff", *versions, "--json").stdout)["differences"]
        assert imgvol("diff", tmp_path / "one-content", tmp_path / "two-content").stdout == done.stdout

    def test_what_cannot_be_packed_is_trouble(self, make_tree, versions: tuple[Path, Path], tmp_path, imgvol) -> None:
        root = make_tree({"fine": b"", "away": "->/etc/passwd"})
        (tmp_path / "void").mkdir()
        for side, words in (
            (root, "imgvol diff: cannot pack away: the link leads to /etc/passwd; "),
            (tmp_path / "void", "void is empty; there is nothing to pack"),
            (tmp_path / "nothing", "imgvol diff: there is no "),
        ):
            done = imgvol("diff", versions[0], side)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
            assert words in done.stderr
        done = imgvol("diff", versions[0], tmp_path / "two-content", "--platform", "linux/s390x")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)

    def test_a_tree_that_changes_meanwhile_is_trouble(self, make_tree, versions: tuple[Path, Path]) -> None:
        root = make_tree({"a": b"1" * (2 << 20), "b": b"2"})

        def write(*_: object) -> None:
            (root / "a").write_bytes(b"now another")

        with pytest.raises(packager.PackagerError, match="changed while it was compared; compare again"):
            packager.diff(versions[0], root, progress=write)


NAMES = st.sampled_from(["a", "b", "c/d", "c/e", "ü", "x y"])
TREES = st.dictionaries(NAMES, st.one_of(st.binary(max_size=3), st.sampled_from(["->same", "->other"])), max_size=5)
OPPOSITE = {"added": "removed", "removed": "added", "changed": "changed", "mode": "mode"}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=TREES, after=TREES, executable=st.sets(NAMES))
def test_it_says_exactly_what_differs(tmp_path_factory, before, after, executable) -> None:
    """A tree does not differ from itself; the way back is the way there, turned round; nothing is left out."""
    place = tmp_path_factory.mktemp("diff")
    for name, tree in (("one", before), ("two", after)):
        root = place / f"{name}-content"
        root.mkdir()
        for path in ("same", "other"):
            (root / path).write_bytes(b"for links")
        for path, what in tree.items():
            (root / path).parent.mkdir(exist_ok=True)
            if isinstance(what, str):
                (root / path).symlink_to("../" * path.count("/") + what.removeprefix("->"))
            else:
                (root / path).write_bytes(what)
                (root / path).chmod(0o755 if name == "two" and path in executable else 0o644)
        packager.pack(root, place / name, platforms=["linux/amd64"])
    assert packager.diff(place / "one", place / "one").differences == ()
    there, back = packager.diff(place / "one", place / "two"), packager.diff(place / "two", place / "one")
    assert [(one.path, OPPOSITE[one.what], one.after, one.before) for one in there.differences] == [
        (one.path, one.what, one.before, one.after) for one in back.differences
    ]
    expected = {}
    for path in {*before, *after}:
        if path not in before or path not in after:
            expected[path] = "added" if path in after else "removed"
        elif before[path] != after[path]:
            expected[path] = "changed"
        elif path in executable and isinstance(after[path], bytes):
            expected[path] = "mode"
    shown = whats(there)
    directory = shown.pop("c", None)
    assert (directory is not None) == (any(p[0] == "c" for p in before) != any(p[0] == "c" for p in after))
    assert shown == expected
    # A directory is what it would be packed as, on either side, whatever its modes.
    for path in executable & after.keys():
        if isinstance(after[path], bytes):
            (place / "two-content" / path).chmod(0o751)
    for one in (place / "one", place / "one-content"):
        for other in (place / "two", place / "two-content"):
            assert packager.diff(one, other).differences == there.differences
