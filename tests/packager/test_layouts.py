"""Layouts appear whole or not at all, and replace nothing but layouts."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import packager
from packager import images


def test_a_layout_holds_the_index_its_manifests_configs_and_one_layer(content: Path, tmp_path: Path) -> None:
    packed = packager.pack(content, tmp_path / "out")
    assert json.loads((tmp_path / "out/oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (root,) = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    assert root["digest"] == packed.digest
    assert len(list((tmp_path / "out/blobs/sha256").iterdir())) == 1 + 2 + 2 + 1
    assert [variant.platform for variant in packed.variants] == ["linux/amd64", "linux/arm64"]
    assert len({variant.layer_digests for variant in packed.variants}) == 1
    assert [path.name for path in (tmp_path / "out/blobs").iterdir()] == ["sha256"]


def test_a_single_platform_gives_a_plain_manifest(content: Path, tmp_path: Path) -> None:
    packed = packager.pack(content, tmp_path / "out", platforms=["linux/arm64"])
    assert packed.media_type == "application/vnd.oci.image.manifest.v1+json"
    assert packed.digest == packed.variants[0].digest
    assert packager.verify(tmp_path / "out") == []


def test_an_earlier_layout_and_an_empty_directory_are_replaced(content: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    first = packager.pack(content, tmp_path / "out")
    (content / "run.sh").write_bytes(b"new")
    second = packager.pack(content, tmp_path / "out")
    assert second.digest != first.digest
    assert packager.verify(tmp_path / "out") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["content", "out"]


def test_a_failed_packing_leaves_the_earlier_layout(content: Path, tmp_path: Path) -> None:
    first = packager.pack(content, tmp_path / "out")
    (content / ".wh.x").touch()
    with pytest.raises(packager.PackagerError):
        packager.pack(content, tmp_path / "out")
    assert packager.inspect(tmp_path / "out").digest == first.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["content", "out"]


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("notes", "notes holds something else than a layout; name a new or an empty directory"),
        ("notes/a.txt", "a.txt is a file; name a directory for the layout"),
        ("absent/out", "there is no directory .*absent to write out in; make it first"),
        ("content/out", "out is inside .*content, which is being packed"),
        ("content", "holds something else"),
        ("link", "link is a symbolic link; name the directory itself"),
        ("..", "cannot be written as a layout"),
    ],
)
def test_outputs_that_are_refused(content: Path, tmp_path: Path, output: str, sentence: str) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("mine")
    (tmp_path / "link").symlink_to("notes")
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(packager.UsageError, match=sentence):
        packager.pack(content, tmp_path / output)
    assert sorted(path for path in tmp_path.rglob("*")) == before


def test_killed_while_packing_it_leaves_nothing(tmp_path: Path, make_tree) -> None:
    """The layer is in a file without a name, which goes with the process even on kill -9."""
    root = make_tree({"a": b"x", "b": b"y"})
    output = tmp_path / "place"
    output.mkdir()
    program = (
        "import packager, sys, time\n"
        "def stop(*_):\n"
        "    print('packing', flush=True)\n"
        "    time.sleep(60)\n"
        "packager.pack(sys.argv[1], sys.argv[2], progress=stop)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, root, output / "out"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "packing\n"
        process.kill()
    assert [path.name for path in output.iterdir()] == []


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGINT"])
def test_interrupted_it_leaves_nothing(tmp_path: Path, signal_name: str) -> None:
    root = tmp_path / "content"
    root.mkdir()
    with (root / "large").open("wb") as file:
        file.truncate(8 << 30)
    output = tmp_path / "place"
    output.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "imgvol", "pack", root, "--output", output / "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            until = time.monotonic() + 120
            while not _has_open(process.pid, root / "large"):  # then it is at work
                assert time.monotonic() < until
            process.send_signal(getattr(signal, signal_name))
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (out, err) == ("", "")
    assert process.returncode == (143 if signal_name == "SIGTERM" else 130)
    assert [path.name for path in output.iterdir()] == []


def _has_open(pid: int, file: Path) -> bool:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if descriptor.readlink() == file:
                return True
    return False


def test_the_layer_is_not_copied_into_the_layout(content: Path, tmp_path: Path, monkeypatch) -> None:
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_RDWR))
    except OSError:
        pytest.skip("this file system has no nameless files")
    monkeypatch.setattr(images.FileBlob, "read", None)
    packager.pack(content, tmp_path / "out")
    assert packager.verify(tmp_path / "out") == []


def test_without_nameless_files_the_layer_is_copied(content: Path, tmp_path: Path, monkeypatch) -> None:
    really = os.open

    def without(path: object, flags: int, *rest: object, **options: object) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return really(path, flags, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", without)
    packager.pack(content, tmp_path / "out")
    assert packager.verify(tmp_path / "out") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["content", "out"]
