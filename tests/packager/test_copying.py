"""Copying, tagging, attaching: over real HTTP, every byte and every digest as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packager_faulty import Fault, FaultyRegistry
from packager_images import MANIFEST, random_layout

import packager

pytestmark = pytest.mark.usefixtures("well")


def files(layout: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}


def test_there_and_back_every_byte_is_the_same(process, registry, content: Path, tmp_path: Path) -> None:
    packed = packager.pack(content, tmp_path / "layout")
    there = packager.copy(str(tmp_path / "layout"), f"{process.address}/a/content:v1")
    across = packager.copy(there.target, f"{registry.address}/b:v1")
    back = packager.copy(f"{registry.address}/b:v1", str(tmp_path / "back"))
    assert {there.digest, across.digest, back.digest} == {packed.digest}
    assert files(tmp_path / "back") == files(tmp_path / "layout")
    assert packager.verify(tmp_path / "back") == packager.verify(f"{process.address}/a/content:v1") == []
    again = packager.copy(str(tmp_path / "back"), str(tmp_path / "twice"))
    assert (again.digest, files(tmp_path / "twice")) == (packed.digest, files(tmp_path / "layout"))


def test_within_one_registry_nothing_is_fetched_or_sent(process, tmp_path: Path) -> None:
    digest, sizes = random_layout(tmp_path / "layout", [100_000, 200_000])
    packager.copy(str(tmp_path / "layout"), f"{process.address}/one:v1")
    before = len(process.requests())
    copied = packager.copy(f"{process.address}/one:v1", f"{process.address}/two/of:v2")
    assert (copied.digest, copied.uploaded, copied.mounted) == (digest, 0, sum(sizes.values()))
    asked = [(one["method"], one["path"]) for one in process.requests()[before:]]
    assert not [path for method, path in asked if method == "GET" and "/blobs/" in path]
    assert packager.copy(f"{process.address}/one:v1", f"{process.address}/two/of:v3").mounted == 0


def test_what_the_source_gives_is_checked_before_it_is_passed_on(process, registry, tmp_path: Path) -> None:
    random_layout(tmp_path / "layout", [100_000])
    packager.copy(str(tmp_path / "layout"), f"{process.address}/lies:v1")
    for fault in ({"corrupt": 50_000}, {"truncate": "50%"}, {"drop": "50%"}):
        process.faults({"faults": [{"match": {"operation": "blob-*", "method": "GET"}} | fault]})
        for target in (f"{registry.address}/lies:v1", str(tmp_path / "out")):
            with pytest.raises(packager.PackagerError) as failed:
                packager.copy(f"{process.address}/lies:v1", target)
            assert "\n" not in str(failed.value)
        assert not (tmp_path / "out").exists()
        assert "tag" not in registry.writes()
    (layer,) = [path for path in (tmp_path / "layout/blobs/sha256").iterdir() if path.stat().st_size == 100_000]
    layer.write_bytes(layer.read_bytes()[:-1] + b"!")
    with pytest.raises(packager.PackagerError, match="gave 100000 bytes of sha256:"):
        packager.copy(str(tmp_path / "layout"), f"{registry.address}/lies:v1")


def test_images_that_others_made_are_copied_as_they_are(process, tmp_path: Path, registry) -> None:
    """An index within an index, an artifact without layers, manifests with spaces: nothing is written anew."""
    digest, _ = random_layout(tmp_path / "layout", [1000])
    packager.copy(str(tmp_path / "layout"), f"{process.address}/odd:v1")
    from packager.documents import INDEX, Document
    from packager.images import DocumentBlob
    from packager.references import Reference
    from packager.registries import RegistryClient
    from packager.uploads import send_blob

    client = RegistryClient(Reference.parse(f"{process.address}/odd"), push=True)
    with client.session:
        body, _ = client.manifest(digest)
        empty = Document("application/vnd.oci.empty.v1+json", b"{}")
        send_blob(client, DocumentBlob(empty))
        artifact = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "a/b", "layers": []}
        artifact["config"] = empty.descriptor().to_json()
        one = Document(MANIFEST, json.dumps(artifact, indent=3).encode())
        client.put_manifest(one, one.digest)
        entries = [body.descriptor().to_json(), one.descriptor().to_json()]
        inner = Document(INDEX, json.dumps({"schemaVersion": 2, "manifests": entries}, indent=1).encode())
        client.put_manifest(inner, inner.digest)
        outer = Document(INDEX, json.dumps({"schemaVersion": 2, "manifests": [inner.descriptor().to_json()]}).encode())
        client.put_manifest(outer, "odd")
    copied = packager.copy(f"{process.address}/odd:odd", f"{registry.address}/odd:odd")
    assert copied.digest == outer.digest
    packager.copy(f"{registry.address}/odd:odd", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out/blobs/sha256").iterdir()} >= {
        one.digest.removeprefix("sha256:"),
        inner.digest.removeprefix("sha256:"),
        outer.digest.removeprefix("sha256:"),
    }


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=4), name=st.integers(0, 1 << 60))
def test_a_copy_keeps_every_byte(process, tmp_path_factory, sizes: list[int], name: int) -> None:
    place = tmp_path_factory.mktemp("copy")
    digest, _ = random_layout(place / "layout", sizes)
    packager.copy(str(place / "layout"), f"{process.address}/p{name}:v1")
    assert packager.copy(f"{process.address}/p{name}:v1", str(place / "back")).digest == digest
    assert files(place / "back") == files(place / "layout")


def test_the_password_is_for_the_target_alone(registry, content: Path, faulty: FaultyRegistry) -> None:
    """A source in another registry that asks who we are is not told."""
    who = packager.Credentials("ci", "s3cret")
    packager.push(content, f"{registry.private}/c:v1", auth=who)
    faulty.faults.append(Fault("GET", "/manifests/", 401, {"WWW-Authenticate": 'Basic realm="r"'}, times=9))
    with pytest.raises(packager.PackagerError, match="wants to know who you are"):
        packager.copy(f"{faulty.address}/c:v1", f"{registry.private}/c:v2", auth=who)
    with pytest.raises(packager.PackagerError, match="wants to know who you are"):
        packager.diff(f"{faulty.address}/c:v1", f"{registry.private}/c:v1", auth=who)
    assert not [headers for headers in faulty.headers if "Authorization" in headers]
    assert packager.copy(f"{registry.private}/c:v1", f"{registry.private}/d:v1", auth=who).mounted


class TestTag:
    def test_more_tags_for_the_same_bytes(self, process, content: Path, imgvol) -> None:
        pushed = packager.push(content, f"{process.address}/tagged:v1")
        before = len(process.requests())
        done = imgvol("tag", f"{process.address}/tagged:v1", "v1.0", "stable", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "digest": pushed.digest,
            "reference": pushed.reference,
            "tags": ["v1.0", "stable"],
        }
        for name in ("v1.0", "stable"):
            assert packager.inspect(f"{process.address}/tagged:{name}").digest == pushed.digest
        methods = [one["method"] for one in process.requests()[before:]]
        assert methods.count("PUT") == 2
        assert "POST" not in methods

    @pytest.mark.parametrize("wrong", ["a b", "", ".x", "x@sha256:0", "a/b", "x" * 129])
    def test_what_is_no_tag_is_refused_before_anything_is_set(self, process, content, wrong: str) -> None:
        packager.push(content, f"{process.address}/tagged:v2")
        with pytest.raises(packager.UsageError):
            packager.tag(f"{process.address}/tagged:v2", ["fine", wrong])
        with pytest.raises(packager.PackagerError, match="has no tagged fine"):
            packager.inspect(f"{process.address}/tagged:fine")


class TestAttach:
    @pytest.fixture
    def sbom(self, tmp_path: Path) -> Path:
        file = tmp_path / "content.spdx.json"
        file.write_text('{"spdxVersion": "SPDX-2.3"}')
        return file

    def test_what_is_attached_is_listed_with_the_image(self, process, content, sbom: Path, imgvol) -> None:
        pushed = packager.push(content, f"{process.address}/attached:v1")
        kind = ("--artifact-type", "application/spdx+json", "--annotation", "a=b")
        done = imgvol("attach", f"{process.address}/attached:v1", sbom, *kind, "--json")
        assert done.returncode == 0, done.stderr
        attached = json.loads(done.stdout)
        assert (attached["subject"], attached["listed_by"]) == (pushed.digest, "registry")
        packager.attach(pushed.reference, sbom, artifact_type="example/other")
        both = packager.referrers(pushed.reference)
        assert {one.artifact_type for one in both} == {"application/spdx+json", "example/other"}
        (one,) = packager.referrers(pushed.reference, artifact_type="application/spdx+json")
        assert (one.digest, dict(one.annotations)) == (attached["digest"], {"a": "b"})
        assert packager.inspect(f"{process.address}/attached:v1").digest == pushed.digest
        done = imgvol("inspect", f"{process.address}/attached:v1", "--referrers")
        assert f"attached    application/spdx+json\nmanifest    {one.digest}\n" in done.stdout
        shown = json.loads(imgvol("inspect", f"{process.address}/attached:v1", "--referrers", "--json").stdout)
        assert len(shown["referrers"]) == 2
        layer = packager.copy(attached["reference"], str(sbom.parent / "out"))
        assert layer.digest == attached["digest"]
        assert sbom.read_bytes() in files(sbom.parent / "out").values()

    def test_where_the_registry_does_not_list_it_a_tag_does(self, faulty: FaultyRegistry, content, sbom: Path) -> None:
        """A registry of before 1.1: no OCI-Subject, no referrers."""
        pushed = packager.push(content, f"{faulty.address}/c:v1")
        assert packager.referrers(pushed.reference) == ()
        for kind in ("example/one", "example/two", "example/one"):
            assert packager.attach(pushed.reference, sbom, artifact_type=kind).listed_by == "tag"
        assert [one.artifact_type for one in packager.referrers(pushed.reference)] == ["example/one", "example/two"]
        assert len(packager.referrers(pushed.reference, artifact_type="example/two")) == 1
        assert pushed.digest.replace(":", "-") in faulty.manifests

    def test_what_cannot_be_attached(self, process, content, sbom: Path, imgvol) -> None:
        packager.push(content, f"{process.address}/attached:v2")
        done = imgvol("attach", f"{process.address}/attached:v2", sbom, "--artifact-type", "sbom")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        done = imgvol("attach", f"{process.address}/attached:v2", "/nonexistent", "--artifact-type", "a/b")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        done = imgvol("attach", f"{process.address}/attached:v9", sbom, "--artifact-type", "a/b")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert imgvol("inspect", sbom.parent, "--referrers").returncode == 2


def test_copy_as_a_command(process, content: Path, tmp_path: Path, imgvol) -> None:
    packed = packager.pack(content, tmp_path / "layout")
    done = imgvol("copy", tmp_path / "layout", f"{process.address}/cli:v1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"digest      {packed.digest}\nblobs ")
    assert done.stdout.endswith(f"target      {process.address}/cli@{packed.digest}\n")
    done = imgvol("copy", f"{process.address}/cli:v1", tmp_path / "back", "--json")
    assert json.loads(done.stdout)["target"] == str(tmp_path / "back")
    done = imgvol("copy", f"{process.address}/cli:v9", tmp_path / "none")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    done = imgvol("copy", tmp_path / "nothing", f"{process.address}/cli:v2")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
