"""Lists: tags and repositories page by page, referrers."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_client import OCI_INDEX, OCI_MANIFEST, Served, code, descriptor, digest


@pytest.fixture(scope="module")
def shared():
    with tempfile.TemporaryDirectory() as root:
        served = Served(Path(root))
        yield served
        served.close()


def pages(served, path):
    """All pages from `path` on, following the Link headers."""
    found = []
    while path:
        response = served("GET", path)
        assert response.status_code == 200
        found.append(response.json())
        path = response.links.get("next", {}).get("url")
    return found


TAG = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,3}", fullmatch=True)


@settings(max_examples=20, deadline=None)
@given(tags=st.sets(TAG, min_size=1, max_size=9), size=st.integers(1, 10), after=TAG)
def test_pages_of_tags_make_up_the_list(shared, tags, size, after):
    repository = f"r{len(shared.registry.journal)}"
    content = shared.manifest(repository, digest_of_manifest(repository))
    for tag in tags:
        assert shared.put(repository, tag, content).status_code == 201
    path = f"/v2/{repository}/tags/list"
    assert shared("GET", path).json() == {"name": repository, "tags": sorted(tags)}
    found = pages(shared, f"{path}?n={size}")
    assert [tag for page in found for tag in page["tags"]] == sorted(tags)
    assert all(len(page["tags"]) == size for page in found[:-1])
    rest = shared("GET", f"{path}?last={after}").json()["tags"]
    assert rest == [tag for tag in sorted(tags) if tag > after]


def digest_of_manifest(repository):
    """Where to push the first manifest of a repository without giving it a tag."""
    import json

    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(b"{}", "application/vnd.oci.image.config.v1+json"),
        "layers": [descriptor(b"layer", "application/vnd.oci.image.layer.v1.tar")],
    }
    return digest(json.dumps(document).encode())


def test_no_page_of_nothing(served):
    served.manifest("a", "v1")
    for path in ("/v2/a/tags/list?n=0", "/v2/_catalog?n=0"):
        response = served("GET", path)
        assert response.status_code == 200
        assert "Link" not in response.headers
        assert [] in response.json().values()


def test_catalog(served):
    names = [f"lab/r{number:03}" for number in range(120)]
    content = served.manifest("lab", "v1")
    for name in names:
        for layer in (b"{}", b"layer"):
            served("POST", f"/v2/{name}/blobs/uploads/?mount={digest(layer)}&from=lab")
        assert served.put(name, "v1", content).status_code == 201
    everything = ["lab", *names]
    assert served("GET", "/v2/_catalog").json()["repositories"] == everything[:100]
    found = pages(served, "/v2/_catalog")
    assert [name for page in found for name in page["repositories"]] == everything
    assert code(served("GET", "/v2/_catalog?n=1001")) == "PAGINATION_NUMBER_INVALID"


def test_a_repository_whose_name_is_a_path_of_the_api(served):
    name = "a/tags/list/manifests/v1/blobs/uploads"
    content = served.manifest(name, "v1")
    assert served.get_manifest(name, "v1").content == content
    assert served("GET", f"/v2/{name}/tags/list").json() == {"name": name, "tags": ["v1"]}


def referrers(served, subject, query=""):
    response = served("GET", f"/v2/a/referrers/{subject}{query}")
    assert (response.status_code, response.headers["Content-Type"]) == (200, OCI_INDEX)
    assert response.json()["schemaVersion"] == 2
    assert response.json()["mediaType"] == OCI_INDEX
    return response, response.json()["manifests"]


def test_referrers(served):
    image = served.manifest("a", "v1")
    subject = descriptor(image, OCI_MANIFEST)
    config_type = "application/vnd.oci.image.config.v1+json"
    plain = served.manifest("a", "plain", subject=subject)
    typed = served.manifest("a", "typed", subject=subject, artifactType="x/sbom", annotations={"a": "b"})
    index = b'{"schemaVersion":2,"manifests":[],"subject":{"digest":"%s"}}' % digest(image).encode()
    response = served.put("a", "index", index, OCI_INDEX)
    assert response.headers["OCI-Subject"] == digest(image)
    response, found = referrers(served, digest(image))
    assert "OCI-Filters-Applied" not in response.headers
    expected = [
        descriptor(plain, OCI_MANIFEST, artifactType=config_type),
        descriptor(typed, OCI_MANIFEST, artifactType="x/sbom", annotations={"a": "b"}),
        descriptor(index, OCI_INDEX),
    ]
    assert found == sorted(expected, key=lambda entry: entry["digest"])
    response, found = referrers(served, digest(image), "?artifactType=x/sbom")
    assert response.headers["OCI-Filters-Applied"] == "artifactType"
    assert found == expected[1:2]
    assert referrers(served, digest(image), "?artifactType=x/none")[1] == []
    served("DELETE", f"/v2/a/manifests/{digest(typed)}")
    assert len(referrers(served, digest(image))[1]) == 2
    served("DELETE", "/v2/a/manifests/plain")
    assert len(referrers(served, digest(image))[1]) == 2


def test_referrers_of_what_is_not_there(served):
    assert referrers(served, digest(b"absent"))[1] == []
    response = served("GET", "/v2/a/referrers/sha256:abc")
    assert (response.status_code, code(response)) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize(
    "name", ["A", "a//b", "/a", "a/", "-a", "a..b", "a___b", "a.", "_a", "a b", "ä", "..", "a/../b", "a" * 256]
)
def test_invalid_repository_names(served, name):
    host, port = served.host.split(":")
    import http.client
    from urllib.parse import quote

    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", f"/v2/{quote(name)}/tags/list")
    response = connection.getresponse()
    assert (response.status, b"NAME_INVALID" in response.read()) in ((400, True), (404, False))
    connection.close()


@pytest.mark.parametrize("name", ["a", "a" * 255, "a/b/c", "a-b", "a--b", "a_b", "a__b", "a.b", "0"])
def test_valid_repository_names(served, name):
    assert code(served("GET", f"/v2/{name}/tags/list")) == "NAME_UNKNOWN"
