"""What the packager copies, with what is attached and for some platforms, as oras, skopeo, crane and umoci see it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peer_programs import run, surveyed

import emulator
import packager

INSECURE = "--tls-verify=false"
SBOM, SIGNATURE = "application/spdx+json", "example/signature"


@pytest.fixture(scope="module")
def before_1_1() -> Iterator[str]:
    """A registry that keeps no list of what is attached."""
    with emulator.start_registry(faults=["no-referrers"]) as running:
        yield running.registry


@pytest.fixture
def place(running: emulator.Emulator, tmp_path: Path) -> str:
    """Repositories of this test alone."""
    return f"{running.registry}/copies/{tmp_path.name.replace('_', '-').lower().strip('-')}"


@pytest.fixture
def attached(content: Path, tmp_path: Path, place: str) -> packager.Pushed:
    """An image with an SBOM that oras attached, and a signature of that; and one of a platform's manifest."""
    pushed = packager.push(content, f"{place}/from:v1")
    repository = pushed.reference.partition("@")[0]
    (sbom := tmp_path / "sbom.json").write_text('{"spdxVersion": "SPDX-2.3"}')
    (signature := tmp_path / "signature").write_text("signed")
    digest = _attach(pushed.reference, SBOM, sbom)
    _attach(f"{repository}@{digest}", SIGNATURE, signature)
    _attach(f"{repository}@{pushed.variants[0].digest}", SBOM, sbom)
    return pushed


def _attach(reference: str, kind: str, file: Path) -> str:
    options = ["--plain-http", "--disable-path-validation", "--format", "json", "--artifact-type", kind]
    return str(json.loads(run("oras", "attach", *options, reference, f"{file}:{kind}"))["digest"])


def _tree(found: dict[str, Any]) -> dict[str, Any]:
    """What `oras discover` shows, by digest."""
    return {one["digest"]: (one["artifactType"], _tree(one)) for one in found.get("referrers") or ()}


def _discovered(*arguments: str) -> dict[str, Any]:
    return _tree(json.loads(run("oras", "discover", "--format", "json", *arguments)))


@pytest.fixture
def expected(attached: packager.Pushed) -> dict[str, Any]:
    found = _discovered("--plain-http", attached.reference)
    ((kind, below),) = found.values()
    assert (kind, [one[0] for one in below.values()]) == (SBOM, [SIGNATURE])
    return found


def test_oras_sees_what_was_copied_into_a_registry(attached, expected, place: str) -> None:
    target = f"{place}/to:v1"
    packager.copy(attached.reference, target, referrers=True)
    assert _discovered("--plain-http", target) == expected
    one = f"{target.rpartition(':')[0]}@{attached.variants[0].digest}"
    assert [kind for kind, _ in _discovered("--plain-http", one).values()] == [SBOM]
    seen = json.loads(run("skopeo", "inspect", INSECURE, f"docker://{target}"))
    assert seen["Digest"] == attached.digest
    assert "PASS" in run("crane", "--insecure", "validate", "--remote", target)


def test_oras_sees_it_where_the_registry_keeps_no_list(attached, expected, before_1_1: str) -> None:
    target = f"{before_1_1}/copies/to:v1"
    packager.copy(attached.reference, target, referrers=True)
    assert _discovered("--plain-http", "--distribution-spec", "v1.1-referrers-tag", target) == expected
    assert _discovered("--plain-http", target) == expected
    packager.copy(target, f"{before_1_1}/copies/on:v1", referrers=True)
    assert _discovered("--plain-http", f"{before_1_1}/copies/on:v1") == expected


def test_two_programs_write_one_list(attached, before_1_1: str, tmp_path: Path) -> None:
    """What oras attaches where no list is kept, and what the packager does, is in one list for both."""
    target = f"{before_1_1}/copies/both:v1"
    packager.copy(attached.reference, target)
    (note := tmp_path / "note").write_text("noted")
    ours = packager.attach(target, note, artifact_type="example/note")
    theirs = _attach(target, SBOM, tmp_path / "sbom.json")
    also = packager.attach(target, tmp_path / "signature", artifact_type=SIGNATURE)
    assert {one.digest for one in packager.referrers(target)} == {ours.digest, theirs, also.digest}
    assert set(_discovered("--plain-http", target)) == {ours.digest, theirs, also.digest}


def test_a_layout_is_read_by_others(attached, expected, content: Path, tmp_path: Path, place: str) -> None:
    source = f"{attached.reference.partition('@')[0]}:v1"
    packager.copy(source, tmp_path / "out", referrers=True)
    assert _discovered("--oci-layout", f"{tmp_path}/out:v1") == expected
    seen = json.loads(run("skopeo", "inspect", "--raw", f"oci:{tmp_path}/out:v1"))
    assert [entry["digest"] for entry in seen["manifests"]] == [one.digest for one in attached.variants]
    target = f"{place}/by-oras:v1"
    run("oras", "copy", "--recursive", "--from-oci-layout", "--to-plain-http", f"{tmp_path}/out:v1", target)
    assert _discovered("--plain-http", target) == expected
    packager.copy(source, tmp_path / "one", platforms=["linux/amd64"])
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/one:v1", tmp_path / "bundle")
    assert surveyed(tmp_path / "bundle" / "rootfs") == surveyed(content)


def test_a_layout_by_oras_is_copied_with_what_is_attached(attached, expected, tmp_path: Path, place: str) -> None:
    options = ["--recursive", "--from-plain-http", "--to-oci-layout"]
    run("oras", "copy", *options, f"{attached.reference.partition('@')[0]}:v1", f"{tmp_path}/theirs:v1")
    copied = packager.copy(tmp_path / "theirs", f"{place}/from-theirs:v1", referrers=True)
    assert copied.digest == attached.digest
    assert _discovered("--plain-http", copied.target) == expected


@pytest.mark.parametrize(
    "platforms", [["linux/arm64"], ["linux/amd64", "linux/s390x"], ["linux/s390x", "linux/arm64", "linux/amd64"]]
)
def test_platforms_are_what_others_make_of_them(content: Path, place: str, platforms: list[str]) -> None:
    """The same digest as of `oras copy`; of one platform also of `crane copy`."""
    source, place = f"{place}/three:v1", f"{place}/some"
    packager.push(content, source, platforms=["linux/amd64,linux/arm64,linux/s390x"], annotations={"ü": "<&>"})
    copied = packager.copy(source, f"{place}:ours", platforms=platforms)
    options = ["--from-plain-http", "--to-plain-http", "--platform", ",".join(platforms)]
    run("oras", "copy", *options, source, f"{place}:oras")
    assert run("oras", "resolve", "--plain-http", f"{place}:oras").strip() == copied.digest
    assert packager.verify(f"{place}:ours") == []
    assert "PASS" in run("crane", "--insecure", "validate", "--remote", f"{place}:ours")
    if len(platforms) == 1:
        run("crane", "--insecure", "copy", "--platform", platforms[0], source, f"{place}:crane")
        assert run("crane", "--insecure", "digest", f"{place}:crane").strip() == copied.digest
    for platform in platforms:
        architecture = platform.partition("/")[2]
        seen = json.loads(
            run("skopeo", f"--override-arch={architecture}", "inspect", INSECURE, f"docker://{place}:ours")
        )
        assert (seen["Digest"], seen["Architecture"]) == (copied.digest, architecture)
