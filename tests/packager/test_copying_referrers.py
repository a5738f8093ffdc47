"""Copying what is attached: to the image, to its platforms' manifests, to what is attached; into whatever keeps it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import packager
from packager.documents import INDEX, Document
from packager.images import DocumentBlob
from packager.references import Reference
from packager.registries import RegistryClient
from packager.uploads import send_blob

pytestmark = pytest.mark.usefixtures("well")

EMPTY = Document("application/vnd.oci.empty.v1+json", b"{}")
Forest = dict[str, set[str]]
"""What is attached to each digest."""


@pytest.fixture
def attached(content: Path, registry, tmp_path: Path) -> tuple[packager.Pushed, Forest]:
    """An image with something attached to it, to one of its manifests, and to what is attached."""
    pushed = packager.push(content, f"{registry.address}/from:v1")
    forest: Forest = {}
    at = pushed.digest
    for number, kind in enumerate(("example/sbom", "example/signature")):
        at = attach(pushed.reference, at, tmp_path / f"{number}", kind, forest)
    attach(pushed.reference, pushed.variants[1].digest, tmp_path / "2", "example/sbom", forest)
    return pushed, forest


def attach(reference: str, subject: str, file: Path, kind: str, forest: Forest) -> str:
    file.write_text(file.name)
    found = packager.attach(
        f"{reference.partition('@')[0]}@{subject}", file, artifact_type=kind, annotations={"file": file.name}
    )
    forest.setdefault(subject, set()).add(found.digest)
    return found.digest


def listed(place: Callable[[str], str | Path], forest: Forest) -> Forest:
    """What a target lists, asked for all that the forest knows."""
    everything = {*forest, *itertools.chain.from_iterable(forest.values())}
    found = {digest: {one.digest for one in packager.referrers(place(digest))} for digest in everything}
    return {digest: digests for digest, digests in found.items() if digests}


def test_into_a_registry_that_lists_them(attached, process, imgvol) -> None:
    pushed, forest = attached
    done = imgvol("copy", pushed.reference, f"{process.address}/to:v1", "--referrers", "--json")
    assert done.returncode == 0, done.stderr
    copied = json.loads(done.stdout)
    assert copied["digest"] == pushed.digest
    assert {one["digest"] for one in copied["referrers"]} == set(itertools.chain.from_iterable(forest.values()))
    assert {one["artifact_type"] for one in copied["referrers"]} == {"example/sbom", "example/signature"}
    assert listed(lambda digest: f"{process.address}/to@{digest}", forest) == forest
    (one,) = packager.referrers(f"{process.address}/to:v1")
    assert (one.artifact_type, dict(one.annotations)) == ("example/sbom", {"file": "0"})
    assert packager.verify(f"{process.address}/to:v1") == []
    done = imgvol("copy", pushed.reference, f"{process.address}/plain:v1")
    assert "referrers" not in done.stdout
    assert packager.referrers(f"{process.address}/plain:v1") == ()
    done = imgvol("copy", pushed.reference, f"{process.address}/to:v1", "--referrers")
    assert "\nreferrers   3\n" in done.stdout


def test_into_a_layout_and_back(attached, process, tmp_path: Path, imgvol) -> None:
    pushed, forest = attached
    source = f"{pushed.reference.partition('@')[0]}:v1"
    assert imgvol("copy", source, tmp_path / "out", "--referrers").returncode == 0
    assert packager.verify(tmp_path / "out") == []
    assert packager.inspect(tmp_path / "out").digest == pushed.digest
    shown = json.loads(imgvol("inspect", tmp_path / "out", "--referrers", "--json").stdout)
    assert [one["digest"] for one in shown["referrers"]] == list(forest[pushed.digest])
    index = json.loads((tmp_path / "out/index.json").read_bytes())["manifests"]
    assert index[0]["annotations"] == {"org.opencontainers.image.ref.name": "v1"}
    assert {entry["artifactType"] for entry in index[1:]} == {"example/sbom", "example/signature"}
    packager.copy(tmp_path / "out", f"{process.address}/back:v1", referrers=True)
    assert listed(lambda digest: f"{process.address}/back@{digest}", forest) == forest
    # By digest it has no name in the layout, and is found all the same: the others are attached to it.
    packager.copy(pushed.reference, tmp_path / "nameless", referrers=True)
    assert packager.copy(tmp_path / "nameless", tmp_path / "twice", referrers=True).digest == pushed.digest
    assert (tmp_path / "twice/index.json").read_bytes() == (tmp_path / "nameless/index.json").read_bytes()
    assert {path.name for path in (tmp_path / "twice/blobs/sha256").iterdir()} == {
        path.name for path in (tmp_path / "out/blobs/sha256").iterdir()
    }
    assert packager.push(tmp_path / "out", f"{process.address}/pushed:v1").digest == pushed.digest


def test_into_a_registry_that_keeps_no_list_and_on(attached, process, tmp_path: Path, pauses) -> None:
    pushed, forest = attached
    process.faults("no-referrers")
    packager.copy(pushed.reference, f"{process.address}/tagged:v1", referrers=True)
    assert listed(lambda digest: f"{process.address}/tagged@{digest}", forest) == forest
    tags = requests.get(f"http://{process.address}/v2/tagged/tags/list", timeout=30).json()["tags"]
    assert set(tags) == {"v1", *(digest.replace(":", "-") for digest in forest)}
    packager.copy(f"{process.address}/tagged:v1", tmp_path / "out", referrers=True)
    assert {one.digest for one in packager.referrers(tmp_path / "out")} == forest[pushed.digest]
    # An artifact that is copied by itself is listed, too: who copies the image later finds it.
    (digest,) = forest[pushed.digest]
    packager.copy(f"{process.address}/tagged@{digest}", f"{process.address}/alone@{digest}")
    packager.copy(pushed.reference, f"{process.address}/alone:v1")
    assert [one.digest for one in packager.referrers(f"{process.address}/alone:v1")] == [digest]


def test_of_one_platform_what_is_attached_to_it(attached, process) -> None:
    pushed, forest = attached
    for variant in pushed.variants:
        copied = packager.copy(
            pushed.reference,
            f"{process.address}/one/{variant.platform.partition('/')[2]}:v1",
            platforms=[variant.platform],
            referrers=True,
        )
        assert copied.digest == variant.digest
        assert copied.referrers is not None
        assert {one.digest for one in copied.referrers} == forest.get(variant.digest, set())
        assert {one.digest for one in packager.referrers(copied.target)} == forest.get(variant.digest, set())


@pytest.mark.parametrize("keeps_list", [True, False])
def test_no_tag_is_on_something_that_cannot_be_pulled(attached, process, tmp_path: Path, pauses, keeps_list) -> None:
    """Whatever write is refused: each tag there is leads to all of its image, and the image's to all attached to it."""
    pushed, forest = attached
    writes = {"operation": ["upload-post", "upload-patch", "upload-put", "manifest-put"]}
    before_1_1: list[dict[str, Any]] = [
        {"match": {"operation": "referrers"}, "status": 404},
        {"match": {"operation": "manifest-put"}, "headers": {"OCI-Subject": None}},
    ]
    others = [] if keeps_list else before_1_1
    for allowed in itertools.count():
        target = f"{process.address}/cut/{keeps_list}-{allowed}".lower()
        fault: dict[str, Any] = {"match": writes, "times": {"skip": allowed}, "status": 403}
        process.faults({"faults": [others[0], fault, others[1]] if others else [fault]})
        try:
            packager.copy(pushed.reference, f"{target}:v1", referrers=True)
        except packager.PackagerError as error:
            failed = str(error)
        else:
            failed = ""
        process.well()
        process.faults({"faults": others})
        answer = requests.get(f"http://{target.replace('/cut/', '/v2/cut/')}/tags/list", timeout=30)
        tags = answer.json()["tags"] or [] if answer.ok else []
        for tag in tags:
            packager.copy(f"{target}:{tag}", tmp_path / "pulled", referrers=True)
        assert ("v1" in tags) == (not failed)
        if not failed:
            break
        assert "\n" not in failed
    assert allowed > 12
    assert listed(lambda digest: f"{target}@{digest}", forest) == forest


def test_lists_that_lie_copy_nothing(attached, process, registry) -> None:
    """A list of what is not there, or of what is attached to something else."""
    pushed, forest = attached
    packager.copy(pushed.reference, f"{process.address}/lies:v1", referrers=True)
    (theirs,) = forest[pushed.variants[1].digest]
    process.faults({"faults": [{"match": {"operation": "referrers"}, "status": 404}]})
    for digest, words in (("sha256:" + "0" * 64, "and does not have it"), (theirs, "and it is not")):
        entry = {"mediaType": pushed.media_type, "digest": digest, "size": 2}
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
        client = RegistryClient(Reference.parse(f"{process.address}/lies"), push=True)
        with client.session:
            client.put_manifest(Document(INDEX, body), pushed.digest.replace(":", "-"))
        before = registry.writes()
        with pytest.raises(packager.PackagerError, match=f"lists {digest} as attached to {pushed.digest}, {words}"):
            packager.copy(f"{process.address}/lies:v1", f"{registry.address}/true:v1", referrers=True)
        assert registry.writes() == before


_FORESTS = itertools.count()


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(parents=st.lists(st.integers(0, 99), min_size=1, max_size=5))
def test_there_and_back_all_that_is_attached_is_the_same(process, tmp_path_factory, parents) -> None:
    """Whatever is attached to whatever: from a registry to a layout, to a registry."""
    name = next(_FORESTS)  # not drawn: what was attached in an example before would still be there
    place = tmp_path_factory.mktemp("forest")
    (place / "content").mkdir()
    (place / "content" / "name").write_text(str(name))
    pushed = packager.push(place / "content", f"{process.address}/f{name}/a:v1")
    nodes = [pushed.digest, *(variant.digest for variant in pushed.variants)]
    forest: Forest = {}
    for number, parent in enumerate(parents):
        subject = nodes[parent % len(nodes)]
        nodes.append(attach(pushed.reference, subject, place / f"{number}", "example/any", forest))
    packager.copy(f"{process.address}/f{name}/a:v1", place / "layout", referrers=True)
    back = packager.copy(place / "layout", f"{process.address}/f{name}/b:v1", referrers=True)
    assert back.digest == pushed.digest
    assert listed(lambda digest: f"{process.address}/f{name}/b@{digest}", forest) == forest


def test_an_index_that_is_attached_goes_with_what_is_below_it(attached, registry, process, tmp_path: Path) -> None:
    pushed, _ = attached
    inner = json.dumps({"schemaVersion": 2, "config": EMPTY.descriptor().to_json(), "layers": []}).encode()
    child = Document("application/vnd.oci.image.manifest.v1+json", inner)
    subject = {"mediaType": pushed.media_type, "digest": pushed.digest, "size": 1}
    outer = {"schemaVersion": 2, "mediaType": INDEX, "artifactType": "example/bundle", "subject": subject}
    bundle = Document(INDEX, json.dumps(outer | {"manifests": [child.descriptor().to_json()]}).encode())
    client = RegistryClient(Reference.parse(f"{registry.address}/from"), push=True)
    with client.session:
        send_blob(client, DocumentBlob(EMPTY))
        for document in (child, bundle):
            client.put_manifest(document, document.digest)
    copied = packager.copy(pushed.reference, f"{process.address}/bundle:v1", referrers=True)
    assert copied.referrers is not None
    assert bundle.digest in {one.digest for one in copied.referrers}
    assert child.digest not in {one.digest for one in copied.referrers}
    assert packager.copy(f"{process.address}/bundle@{bundle.digest}", tmp_path / "out").digest == bundle.digest
