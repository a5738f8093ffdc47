"""What the packager makes, read by skopeo, umoci, crane and oras, from a layout and from the registry."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from peer_programs import Survey, run, surveyed

import emulator
import packager

COMPRESSIONS = ("gzip", "zstd", "none")
INSECURE = "--tls-verify=false"


@pytest.fixture(params=COMPRESSIONS)
def packed(request: pytest.FixtureRequest, content: Path, tmp_path: Path) -> packager.Packed:
    return packager.pack(content, tmp_path / "layout", compression=packager.Compression(request.param))


@pytest.fixture
def pushed(packed: packager.Packed, running: emulator.Emulator) -> str:
    """The packed image in the registry, by a tag."""
    tag = f"{running.registry}/read/{packed.codec.split()[0]}:v1"
    packager.push(packed.output, tag)
    return tag


def archived(data: bytes) -> Survey:
    """A tar, as `surveyed` says it of a directory."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = member.name.rstrip("/")
            if member.isdir():
                found[name] = "drwxr-xr-x"
            elif member.issym():
                found[name] = f"Lrwxrwxrwx -> {member.linkname}"
            else:
                file = archive.extractfile(member)
                assert file
                mode = "-rwxr-xr-x" if member.mode == 0o755 else "-rw-r--r--"
                found[name] = f"{mode} {hashlib.sha256(file.read()).hexdigest()[:8]}"
    return found


def test_skopeo_copies_a_layout_to_the_registry_and_back(packed, tmp_path: Path, running: emulator.Emulator) -> None:
    there = f"docker://{running.registry}/read/by-skopeo:{packed.codec.split()[0]}"
    run("skopeo", "copy", "--all", "--preserve-digests", "--dest-tls-verify=false", f"oci:{packed.output}", there)
    assert packager.verify(there.removeprefix("docker://")) == []
    for architecture in ("amd64", "arm64"):
        seen = json.loads(run("skopeo", f"--override-arch={architecture}", "inspect", INSECURE, there))
        assert (seen["Digest"], seen["Architecture"]) == (packed.digest, architecture)
        config = json.loads(run("skopeo", f"--override-arch={architecture}", "inspect", "--config", INSECURE, there))
        assert config["rootfs"]["diff_ids"] == [packed.diff_id]
    run("skopeo", "copy", "--all", "--preserve-digests", "--src-tls-verify=false", there, f"oci:{tmp_path}/back")
    assert packager.inspect(tmp_path / "back").digest == packed.digest
    assert packager.verify(tmp_path / "back") == []


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_umoci_unpacks_it(content: Path, packed, tmp_path: Path, platform: str) -> None:
    architecture = platform.removeprefix("linux/")
    # umoci takes a tag that leads to one manifest; of the layout, skopeo makes that.
    one = ["--preserve-digests", f"oci:{packed.output}", f"oci:{tmp_path}/one:v1"]
    run("skopeo", f"--override-arch={architecture}", "copy", *one)
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/one:v1", tmp_path / "bundle")
    assert surveyed(tmp_path / "bundle" / "rootfs") == surveyed(content)


def test_crane_validates_and_exports_it(content: Path, packed, pushed: str, tmp_path: Path) -> None:
    # Of layers, its `validate` knows gzip only (pkg/v1/validate/layer.go); `export` reads them all.
    fast = [] if packed.codec.startswith("zlib") else ["--fast"]
    assert "PASS" in run("crane", "--insecure", "validate", *fast, "--remote", pushed)
    assert run("crane", "--insecure", "digest", pushed).strip() == packed.digest
    for variant in packed.variants:
        manifest = json.loads(run("crane", "--insecure", "manifest", "--platform", variant.platform, pushed))
        assert [layer["digest"] for layer in manifest["layers"]] == list(variant.layer_digests)
        tar = tmp_path / f"{variant.platform.replace('/', '-')}.tar"
        run("crane", "--insecure", "export", "--platform", variant.platform, pushed, tar)
        assert archived(tar.read_bytes()) == surveyed(content)


def test_crane_pulls_and_copies_the_whole_index(packed, pushed: str, tmp_path: Path) -> None:
    run("crane", "--insecure", "pull", "--format", "oci", pushed, tmp_path / "pulled")
    assert packager.verify(tmp_path / "pulled") == []
    assert packager.inspect(tmp_path / "pulled").digest == packed.digest
    elsewhere = pushed.replace("/read/", "/copied-by-crane/")
    run("crane", "--insecure", "copy", pushed, elsewhere)
    assert packager.verify(elsewhere) == []
    assert run("crane", "--insecure", "digest", elsewhere).strip() == packed.digest
    assert run("crane", "--insecure", "ls", elsewhere.rpartition(":")[0]).split() == ["v1"]


def test_oras_fetches_and_copies_it(packed, pushed: str, tmp_path: Path, running: emulator.Emulator) -> None:
    assert run("oras", "resolve", "--plain-http", pushed).strip() == packed.digest
    for variant in packed.variants:
        fetched = run("oras", "manifest", "fetch", "--plain-http", "--platform", variant.platform, pushed)
        (layer,) = json.loads(fetched)["layers"]
        assert layer["digest"] == variant.layer_digests[0]
        blob = f"{pushed.rpartition(':')[0]}@{layer['digest']}"
        run("oras", "blob", "fetch", "--plain-http", "--output", tmp_path / "blob", blob)
        assert "sha256:" + hashlib.sha256((tmp_path / "blob").read_bytes()).hexdigest() == layer["digest"]
    run("oras", "copy", "--from-plain-http", "--to-oci-layout", pushed, f"{tmp_path}/copy:v1")
    assert packager.verify(tmp_path / "copy") == []
    back = f"{running.registry}/copied-by-oras:{packed.codec.split()[0]}"
    run("oras", "copy", "--from-oci-layout", "--to-plain-http", f"{tmp_path}/copy:v1", back)
    assert packager.inspect(back).digest == packed.digest
    assert packager.verify(back) == []


def test_oras_attaches_to_it_and_finds_it_again(packed, pushed: str, tmp_path: Path) -> None:
    sbom = tmp_path / "sbom.json"
    sbom.write_text('{"spdxVersion": "SPDX-2.3"}')
    kind = "application/spdx+json"
    attach = ["--plain-http", "--disable-path-validation", "--artifact-type", kind, pushed, f"{sbom}:{kind}"]
    run("oras", "attach", *attach)
    found = json.loads(run("oras", "discover", "--plain-http", "--format", "json", pushed))
    assert found["digest"] == packed.digest
    (referrer,) = found["referrers"]
    assert referrer["artifactType"] == kind
    run("oras", "pull", "--plain-http", "--output", tmp_path / "got", "--allow-path-traversal", referrer["reference"])
    # What refers to the image leaves it as it was, and goes with it where it is copied so.
    assert packager.verify(pushed) == []
    elsewhere = pushed.replace("/read/", "/copied-with-referrers/")
    run("oras", "copy", "--recursive", "--from-plain-http", "--to-plain-http", pushed, elsewhere)
    again = json.loads(run("oras", "discover", "--plain-http", "--format", "json", elsewhere))
    assert [each["digest"] for each in again["referrers"]] == [referrer["digest"]]
