"""The bytes of a fixed tree, pinned: a change here changes every digest that users have written down."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

import packager
from packager import tarwriter

DIFF_ID = "sha256:a453c751376de97791352c0a611323401e5fa8cbddca2eead0477e4fc9765347"
PLATFORMS = {
    "linux/amd64,linux/arm64": "sha256:49eff6f21198171f49b7c85cd54d4e16c386d8d5fe2a380c6f56c493b3cf2024",
    "linux/amd64": "sha256:017e73a43e93b64ed9377b3ef56ba8f5c8f49ba6b942c5b53ab7947bd393c98c",
    "linux/arm64": "sha256:154827e950e6060e528c3289163f255c287aa14c0d26c295128dc9088138ce55",
}


@pytest.fixture
def golden(make_tree) -> Path:
    lines = b"".join(b"%07d the quick brown fox\n" % number for number in range(70_000))
    return make_tree(
        {
            "README.md": b"# Content\n",
            "a.txt": b"",
            "a/b/c/deep.txt": b"deep\n",
            "bin/tool*": b"#!/bin/sh\nexit 0\n",
            "current": "->a/b",
            "empty": None,
            "large.txt": lines,
            "long/" + "n" * 120: b"long name\n",
            "ünïcödé/漢字.txt": b"wide\n",
        }
    )


def test_the_diff_id_is_what_it_always_was(golden: Path, tmp_path: Path) -> None:
    assert packager.pack(golden, tmp_path / "out").diff_id == DIFF_ID


@pytest.mark.skipif(hasattr(zlib, "ZLIBNG_VERSION"), reason="zlib-ng compresses to other bytes than zlib")
@pytest.mark.parametrize(("platforms", "digest"), PLATFORMS.items())
def test_the_digest_is_what_it_always_was(golden: Path, tmp_path: Path, platforms: str, digest: str) -> None:
    assert packager.pack(golden, tmp_path / "out", platforms=[platforms]).digest == digest


def test_sizes_beyond_octal_digits_get_a_record() -> None:
    header = tarwriter.header(b"big", tarwriter.FILE, mode=0o644, mtime=0, size=1 << 34)
    assert header[512:532] == b"20 size=17179869184\n"
    assert len(header) == 3 * tarwriter.BLOCK
