"""A layer's compression changes its bytes and nothing else: the content, its identity and what verify says stay."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import packager
from packager.compression import Compression
from packager.layers import LayerWriter
from packager.zstandard import zstd

LAYER = "application/vnd.oci.image.layer.v1.tar"
KINDS = {
    "gzip": Compression("gzip"),
    "gzip 1": Compression("gzip", 1),
    "gzip 5": Compression("gzip", 5),
    "fast": Compression("gzip", fast=True),
    "zstd": Compression("zstd"),
    "zstd 9": Compression("zstd", 9),
    "none": Compression("none"),
}
PLAIN: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": zstd.decompress,
    "none": lambda stored: stored,
}


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A directory of several blocks, text and noise."""
    root = tmp_path / "content"
    root.mkdir()
    chance = random.Random(1)
    (root / "noise").write_bytes(chance.randbytes(3 << 20))
    (root / "words").write_text(" ".join(chance.choices(["reference", "digest", "manifest"], k=500_000)))
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    return root


def layer_of(layout: Path, digest: str) -> tuple[str, bytes]:
    """The media type and the bytes of the layer of a layout's first manifest."""
    blobs = layout / "blobs" / "sha256"

    def read(name: str) -> bytes:
        return (blobs / name.removeprefix("sha256:")).read_bytes()

    manifest = json.loads(read(json.loads(read(digest))["manifests"][0]["digest"]))
    return manifest["layers"][0]["mediaType"], read(manifest["layers"][0]["digest"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_content_is_the_same_whatever_compresses_it(content: Path, tmp_path: Path, kind: str) -> None:
    plain = packager.pack(content, tmp_path / "plain", compression=Compression("none"))
    packed = packager.pack(content, tmp_path / "layout", compression=KINDS[kind])
    name = KINDS[kind].name
    media_type, stored = layer_of(tmp_path / "layout", packed.digest)
    assert media_type == LAYER + ("" if name == "none" else f"+{name}")
    assert packed.diff_id == plain.diff_id == f"sha256:{hashlib.sha256(PLAIN[name](stored)).hexdigest()}"
    assert packed.codec == KINDS[kind].codec
    assert packager.verify(tmp_path / "layout") == []


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30), size=st.integers(0, 9 << 20), jobs=st.integers(1, 6), cuts=st.integers(1, 40))
def test_workers_and_cuts_do_not_change_a_byte(
    tmp_path: Path, kind: str, seed: int, size: int, jobs: int, cuts: int
) -> None:
    chance = random.Random(seed)
    data = chance.randbytes(min(size, 1 << 20)) + b"digest" * (max(0, size - (1 << 20)) // 6)

    def compressed(jobs: int, pieces: int) -> str:
        found = hashlib.sha256()
        step = max(1, len(data) // pieces)
        with KINDS[kind].compressor(found.update, jobs=jobs) as writer:
            for start in range(0, len(data), step):
                writer.write(data[start : start + step])
            writer.finish()
        return found.hexdigest()

    assert compressed(jobs, cuts) == compressed(1, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("lz4",), "there is no compression 'lz4'; there are gzip, zstd, none"),
        (("gzip", 0), "level 0 is not one of gzip's; its levels are from 1 to 9"),
        (("zstd", 23), "level 23 is not one of zstd's; its levels are from 1 to 19"),
        (("none", 3), "level 3 is not one of none's; its levels are none at all"),
        (("zstd", None, True), "only gzip has a fast form, not zstd; leave out --fast"),
    ],
)
def test_what_there_is_not_is_refused(arguments: tuple[str], sentence: str) -> None:
    with pytest.raises(packager.UsageError, match=sentence.replace("(", r"\(")):
        Compression(*arguments)


def test_jobs_are_at_least_one(tmp_path: Path) -> None:
    with pytest.raises(packager.UsageError, match="must be at least 1, not 0"):
        LayerWriter(tmp_path, 0, jobs=0)


def test_a_zlib_with_other_bytes_is_warned_of(content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("zlib" in warning for warning in packager.pack(content, tmp_path / "zlib").warnings) or hasattr(
        zlib, "ZLIBNG_VERSION"
    )
    monkeypatch.setattr(zlib, "ZLIBNG_VERSION", "2.2.4", raising=False)
    packed = packager.pack(content, tmp_path / "ng")
    assert packed.codec == "zlib-ng 2.2.4 level 9"
    assert any("other hosts get another digest, but the same diff_id" in warning for warning in packed.warnings)
    assert packager.pack(content, tmp_path / "zstd", compression=Compression("zstd")).warnings == ()


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "gzip in its place": (gzip.compress, "zstd, which begins 28b52ffd", "1f8b0800"),
    "cut off": (lambda stored: stored[:-3], "one whole zstd frame", "cut off"),
    "a wrong checksum": (lambda stored: stored[:-4] + bytes(4), "zstd that can be uncompressed", "checksum"),
    "two frames": (lambda stored: stored + stored, "one zstd frame", "another one"),
    "bytes after it": (lambda stored: stored + b"abc", "nothing after the zstd frame", "3 more bytes"),
    "nothing": (lambda stored: b"", "zstd, which begins", "nothing"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_zstd_layer_that_is_broken_is_reported(content: Path, tmp_path: Path, case: str) -> None:
    layout = tmp_path / "layout"
    packed = packager.pack(content, layout, compression=Compression("zstd"))
    _, stored = layer_of(layout, packed.digest)
    change, expected, found = BROKEN[case]
    name = hashlib.sha256(stored).hexdigest()
    (layout / "blobs" / "sha256" / name).write_bytes(change(stored))
    (violation,) = [one for one in packager.verify(layout) if one.what == "compression"]
    assert expected in violation.expected
    assert found in violation.found.lower()


@pytest.mark.parametrize("kind", ["gzip", "gzip 1", "fast"])
def test_what_cannot_be_compressed_is_stored(kind: str) -> None:
    """Deflating noise takes longer than all the rest, and gains nothing."""
    noise = random.Random(2).randbytes(5 << 20)
    found = bytearray()
    with KINDS[kind].compressor(found.extend, jobs=2) as writer:
        writer.write(noise)
        writer.finish()
    assert gzip.decompress(found) == noise
    # A stored block has 5 bytes before its 65,535 (RFC 1951).
    assert noise[:60_000] in found
    assert len(found) - len(noise) < len(noise) // 5_000


@pytest.mark.parametrize("gain", [0.1, 0.03])
def test_what_can_be_compressed_a_little_is_not_stored(gain: float) -> None:
    """Here a share of each stretch of 16 KiB is of one byte: no block may be taken for noise."""
    chance = random.Random(3)
    zeros = int(16_384 * gain)
    content = b"".join(chance.randbytes(16_384 - zeros) + bytes(zeros) for _ in range(192))
    found = bytearray()
    with Compression().compressor(found.extend) as writer:
        writer.write(content)
        writer.finish()
    assert gzip.decompress(found) == content
    assert len(found) < len(content) * (1 - gain / 2)


def test_a_level_is_part_of_the_header_and_of_the_report(content: Path, tmp_path: Path) -> None:
    packed = packager.pack(content, tmp_path / "one", compression=Compression("gzip", 1))
    _, stored = layer_of(tmp_path / "one", packed.digest)
    assert stored[:10].hex() == "1f8b08000000000004ff"
    assert packed.codec.endswith(" level 1")
    assert packed.layer_size > packager.pack(content, tmp_path / "nine").layer_size
