"""Copying an image for some of its platforms: one manifest, or an index without the others."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packager_images import MANIFEST, layer_layout

import packager

pytestmark = pytest.mark.usefixtures("well")

INDEX = "application/vnd.oci.image.index.v1+json"
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/s390x")
SUBSETS = st.lists(st.sampled_from(PLATFORMS), min_size=1, max_size=4)


@pytest.fixture
def packed(content: Path, tmp_path: Path) -> packager.Packed:
    return packager.pack(content, tmp_path / "layout", platforms=PLATFORMS, annotations={"a": "b"})


def blobs(layout: Path) -> set[str]:
    return {f"sha256:{path.name}" for path in (layout / "blobs/sha256").iterdir()}


def index_layout(path: Path, entries: list[dict[str, Any]]) -> str:
    """A layout of an index whose manifests, each of another image, are described as said; its digest."""
    described = []
    for number, entry in enumerate(entries):
        digest, _ = layer_layout(path / f"part{number}", [f"{number}".encode()])
        for blob in (path / f"part{number}/blobs/sha256").iterdir():
            (path / "blobs/sha256").mkdir(parents=True, exist_ok=True)
            (path / "blobs/sha256" / blob.name).write_bytes(blob.read_bytes())
        size = (path / "blobs/sha256" / digest.removeprefix("sha256:")).stat().st_size
        told = json.loads(json.dumps(entry).replace("DIGEST0", described[0]["digest"] if described else ""))
        described.append({"mediaType": MANIFEST, "digest": digest, "size": size} | told)
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": described}, indent=1).encode()
    digest = hashlib.sha256(body).hexdigest()
    (path / "blobs/sha256" / digest).write_bytes(body)
    root = {"mediaType": INDEX, "digest": f"sha256:{digest}", "size": len(body)}
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
    return f"sha256:{digest}"


def manifests(layout: Path) -> list[str]:
    """The digests that a layout's index lists."""
    root = packager.copy(layout, layout.with_name(f"{layout.name}-again")).digest
    body = json.loads((layout / "blobs/sha256" / root.removeprefix("sha256:")).read_bytes())
    return [entry["digest"] for entry in body["manifests"]]


def test_of_one_its_manifest_is_the_image(packed, process, tmp_path: Path, imgvol) -> None:
    source = f"{process.address}/three:v1"
    packager.copy(tmp_path / "layout", source)
    for variant in packed.variants:
        target = f"{process.address}/one:{variant.platform.partition('/')[2]}"
        done = imgvol("copy", source, target, "--platform", variant.platform, "--json")
        assert done.returncode == 0, done.stderr
        copied = json.loads(done.stdout)
        assert (copied["digest"], copied["media_type"]) == (variant.digest, MANIFEST)
        assert packager.verify(target) == []
        assert packager.inspect(target).variants == (variant,)
    packager.copy(source, tmp_path / "one", platforms=["linux/arm64"])
    arm = packed.variants[1]
    assert blobs(tmp_path / "one") == {arm.digest, arm.config_digest, *arm.layer_digests}


def test_of_several_an_index_without_the_others(packed, process, tmp_path: Path, imgvol) -> None:
    target = f"{process.address}/two:v1"
    done = imgvol("copy", tmp_path / "layout", target, "--platform", "linux/s390x", "--platform", "linux/amd64")
    assert done.returncode == 0, done.stderr
    found = packager.inspect(target)
    assert found.digest != packed.digest
    assert found.variants == (packed.variants[0], packed.variants[2])
    assert packager.verify(target) == []
    packager.copy(target, tmp_path / "two")
    fields = json.loads((tmp_path / "two/blobs/sha256" / found.digest.removeprefix("sha256:")).read_bytes())
    assert fields["annotations"] == {"a": "b"}
    with pytest.raises(packager.PackagerError, match=r"the image is .*, not .*; nothing was copied"):
        packager.copy(
            tmp_path / "layout", f"{process.address}/two@{packed.digest}", platforms=["linux/amd64,linux/arm64"]
        )


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=SUBSETS, second=SUBSETS)
def test_manifests_keep_their_digests(packed, tmp_path: Path, first: list[str], second: list[str]) -> None:
    """Whatever is asked for, and in whatever order: each manifest is the one it was, and all of them are the image."""
    whole, some = tmp_path / "layout", tmp_path / "some"
    copied = packager.copy(whole, some, platforms=first)
    assert packager.inspect(some).variants == tuple(one for one in packed.variants if one.platform in first)
    assert (copied.digest == packed.digest) == (set(first) == set(PLATFORMS))
    assert packager.copy(whole, tmp_path / "other", platforms=[",".join(reversed(first))]).digest == copied.digest
    both = [platform for platform in second if platform in first]
    if both:
        there = packager.copy(some, tmp_path / "fewer", platforms=both)
        assert there.digest == packager.copy(whole, tmp_path / "direct", platforms=both).digest
        assert blobs(tmp_path / "fewer") == blobs(tmp_path / "direct")


def test_what_the_image_is_not_for(packed, process, tmp_path: Path, imgvol) -> None:
    packager.copy(tmp_path / "layout", tmp_path / "one", platforms=["linux/amd64"])
    for source, platform, sentence in (
        ("layout", "linux/riscv64", "has nothing for linux/riscv64; it is for linux/amd64, linux/arm64, linux/s390x"),
        ("layout", "linux/amd64,linux/riscv64", "has nothing for linux/riscv64; it is for linux/amd64, "),
        ("one", "linux/arm64", "has nothing for linux/arm64; it is for linux/amd64"),
        ("layout", "amd64", "'amd64' is not a platform: did you mean"),
    ):
        done = imgvol("copy", tmp_path / source, f"{process.address}/none:v1", "--platform", platform)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert sentence.removesuffix(": did you mean") in done.stderr
    assert not [one for one in process.requests() if "/none/" in one["path"] and one["method"] != "GET"]
    assert packager.copy(tmp_path / "one", tmp_path / "again", platforms=["linux/amd64"]).media_type == MANIFEST


def test_variants_and_what_is_for_no_platform(tmp_path: Path) -> None:
    """A platform without a variant means all of them; attestations go with what they are about."""
    arm: dict[str, Any] = {"os": "linux", "architecture": "arm"}
    attested = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": "DIGEST0"}
    digest = index_layout(
        tmp_path / "odd",
        [
            {"platform": arm | {"variant": "v6"}},
            {"platform": arm | {"variant": "v7"}},
            {"platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            {"platform": {"os": "unknown", "architecture": "unknown"}, "annotations": attested},
            {"artifactType": "example/notes"},
        ],
    )
    parts = manifests(tmp_path / "odd")
    for asked, expected in (
        (["linux/arm/v7"], parts[1:2]),
        (["linux/arm64"], parts[2:3]),
        (["linux/arm64/v8"], parts[2:3]),
        (["linux/arm"], [parts[0], parts[1], parts[3], parts[4]]),
        (["linux/arm/v7", "linux/arm64"], [parts[1], parts[2], parts[4]]),
        (["linux/arm", "linux/arm64"], parts),
    ):
        copied = packager.copy(tmp_path / "odd", tmp_path / "some", platforms=asked)
        found = [copied.digest] if len(expected) == 1 else manifests(tmp_path / "some")
        assert found == expected
        assert (copied.digest == digest) == (expected == parts)
    with pytest.raises(packager.UsageError, match="has nothing for linux/amd64; it is for linux/arm/v6, linux/arm/v7,"):
        packager.copy(tmp_path / "odd", tmp_path / "some", platforms=["linux/amd64"])
