"""Manifests: kept as pushed, checked against the repository, deleted with their tags."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_client import OCI_INDEX, OCI_MANIFEST, code, descriptor, digest, send_part, wait_for

from emulator.registry.errors import OciError
from emulator.registry.manifest import Manifest

LIMIT = 4 * 1024 * 1024


def document(**changes):
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(b"{}", "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(b"layer", "application/vnd.oci.image.layer.v1.tar")],
        **changes,
    }


def test_a_manifest_is_kept_byte_for_byte(served):
    served.manifest("a", "v1")
    odd = json.dumps(document(unknown={"ü": [1, None]}), indent=7).encode() + b"\n \n"
    response = served.put("a", "odd", odd)
    assert response.status_code == 201
    assert response.headers["Docker-Content-Digest"] == digest(odd)
    for reference in ("odd", digest(odd)):
        response = served.get_manifest("a", reference)
        assert (response.content, response.headers["Content-Type"]) == (odd, OCI_MANIFEST)


def test_sha512_manifest(served):
    content = served.manifest("a", "v1")
    wanted = digest(content, "sha512")
    assert served.put("a", wanted, content).headers["Docker-Content-Digest"] == wanted
    assert served.get_manifest("a", wanted).content == content
    wrong = "sha512:" + "0" * 128
    assert code(served.put("a", wrong, content)) == "DIGEST_INVALID"


def test_a_tag_moves(served):
    first, second = served.manifest("a", "v1"), served.manifest("a", "v1", annotations={"n": "2"})
    assert served.get_manifest("a", "v1").content == second
    assert served.get_manifest("a", digest(first)).content == first


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_size_limit(served, size):
    served.manifest("a", "v1")
    content = json.dumps(document(padding="")).encode()
    content = json.dumps(document(padding="x" * (size - len(content)))).encode()
    assert len(content) == size
    response = served.put("a", "large", content)
    assert response.status_code == (201 if size == LIMIT else 413)
    assert served.get_manifest("a", "large").status_code == (200 if size == LIMIT else 404)


def test_all_missing_blobs_are_named(served):
    layers = [descriptor(text, "x/y") for text in (b"1", b"2")]
    response = served.put("a", "v1", json.dumps(document(layers=layers)).encode())
    assert response.status_code == 400
    errors = response.json()["errors"]
    assert [error["code"] for error in errors] == ["MANIFEST_BLOB_UNKNOWN"] * 3
    assert [error["detail"] for error in errors] == [digest(b"{}"), digest(b"1"), digest(b"2")]
    assert served.files() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": []},
        {"layers": None},
        {"layers": [descriptor(b"layer", "application/vnd.example.odd")] * 2},
        {"artifactType": "application/vnd.example", "config": descriptor(b"{}", "application/vnd.oci.empty.v1+json")},
        {"mediaType": None},
        {"subject": descriptor(b"absent", OCI_MANIFEST)},
        {"layers": [{**descriptor(b"layer", "x/y"), "size": 99}]},
    ],
)
def test_malformed_images_a_registry_takes(served, changes):
    served.manifest("a", "v1")
    changed = {key: value for key, value in document(**changes).items() if value is not None}
    assert served.put("a", "v2", json.dumps(changed).encode()).status_code == 201


def test_an_index_may_name_what_is_not_there(served):
    content = json.dumps({"schemaVersion": 2, "manifests": [descriptor(b"absent", OCI_MANIFEST)]}).encode()
    assert served.put("a", "v1", content, OCI_INDEX).status_code == 201
    assert served.get_manifest("a", "v1", OCI_INDEX).content == content


def test_other_json_types_are_kept_as_they_are(served):
    kind = "application/vnd.example.manifest.v1+json"
    content = b'{"anything": [1]}'
    assert served.put("a", "v1", content, kind).status_code == 201
    response = served("GET", "/v2/a/manifests/v1")
    assert (response.content, response.headers["Content-Type"]) == (content, kind)


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b"[" * 200_000,
    json.dumps(document(schemaVersion=1)).encode(),
    json.dumps(document(schemaVersion="2")).encode(),
    json.dumps(document(mediaType=OCI_INDEX)).encode(),
    json.dumps(document(mediaType=7)).encode(),
    json.dumps(document(layers={})).encode(),
    json.dumps(document(layers=["x"])).encode(),
    json.dumps(document(config="x")).encode(),
    json.dumps(document(config=None)).encode(),
    json.dumps(document(manifests=[])).encode(),
    json.dumps(document(subject="x")).encode(),
    json.dumps(document(annotations=[])).encode(),
]


@pytest.mark.parametrize("content", BROKEN)
def test_broken_manifests_are_refused(served, content):
    served.manifest("a", "v1")
    before = served.files()
    response = served.put("a", "v2", content)
    assert (response.status_code, code(response)) == (400, "MANIFEST_INVALID")
    assert response.json()["errors"][0]["detail"]
    assert served.files() == before


@pytest.mark.parametrize("field", ["config", "subject", "layers"])
@pytest.mark.parametrize("wrong", [{}, {"digest": "sha256:abc"}, {"digest": 7}, {"digest": "sha1:" + "0" * 40}])
def test_wrong_digests_inside_are_refused(served, field, wrong):
    served.manifest("a", "v1")
    changed = document(**{field: [wrong] if field == "layers" else wrong})
    response = served.put("a", "v2", json.dumps(changed).encode())
    assert (response.status_code, code(response)) == (400, "DIGEST_INVALID")


FIELDS = st.sampled_from(
    ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "annotations", "digest", "urls"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)


@given(changes=st.dictionaries(FIELDS, JSON, max_size=4), index=st.booleans())
def test_any_json_is_taken_or_refused_with_a_code(changes, index):
    kind = OCI_INDEX if index else OCI_MANIFEST
    base = {"schemaVersion": 2, "manifests": []} if index else document()
    status = 201
    try:
        manifest = Manifest.parse(kind, json.dumps({**base, **changes}).encode())
        list(manifest.blobs())
        manifest.descriptor(manifest.subject or digest(b""))
    except OciError as error:
        status = error.status
    assert status in (201, 400)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json", "application/octet-stream"])
def test_a_manifest_needs_its_type(served, kind):
    content = served.manifest("a", "v1")
    response = served.put("a", "v2", content, kind)
    assert (response.status_code, code(response)) == (400, "MANIFEST_INVALID")


def test_delete_by_tag_and_by_digest(served):
    content = served.manifest("a", "v1")
    served.put("a", "v2", content)
    other = served.manifest("a", "v3", annotations={"n": "2"})
    assert served("DELETE", "/v2/a/manifests/v1").status_code == 202
    assert served.get_manifest("a", "v2").content == content
    assert served("DELETE", f"/v2/a/manifests/{digest(content)}").status_code == 202
    assert served.get_manifest("a", "v2").status_code == 404
    assert served.get_manifest("a", "v3").content == other


def test_deleting_everything_leaves_no_content(served):
    content = served.manifest("a", "v1", subject=descriptor(b"absent", OCI_MANIFEST))
    for path in (f"manifests/{digest(content)}", f"blobs/{digest(b'{}')}", f"blobs/{digest(b'layer')}"):
        assert served("DELETE", f"/v2/a/{path}").status_code == 202
    assert served.files() == []


def test_a_manifest_of_an_interrupted_push_is_not_tagged(served):
    content = served.manifest("a", "v1")
    before = len(served.registry.journal)
    headers = f"Content-Type: {OCI_MANIFEST}\r\n"
    send_part(served, "PUT", "/v2/a/manifests/v2", content, len(content) + 1, headers).close()
    wait_for(lambda: len(served.registry.journal) > before)
    assert served.get_manifest("a", "v2").status_code == 404
