"""A client this project did not write: skopeo copies, inspects, lists and deletes, in the open and with a password."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from registry_client import OCI_INDEX, OCI_MANIFEST, descriptor, digest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def skopeo():
    program = shutil.which("skopeo")
    assert program, "these tests need skopeo: apt-get install skopeo"

    def run(*arguments):
        command = [program, "--insecure-policy", *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, f"{command}: {result.stderr}"
        return result.stdout

    return run


@pytest.fixture
def layout(tmp_path):
    """An OCI layout with one image for two platforms, tagged `v1`; its directory and the bytes of its index."""
    root = tmp_path / "layout"
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(content):
        (blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
        return content

    manifests = []
    layer = keep(b"\0" * 10240)
    for architecture in ("amd64", "arm64"):
        config = keep(
            json.dumps(
                {
                    "architecture": architecture,
                    "os": "linux",
                    "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
                    "config": {"Labels": {"for": architecture}},
                }
            ).encode()
        )
        manifest = keep(
            json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": OCI_MANIFEST,
                    "config": descriptor(config, "application/vnd.oci.image.config.v1+json"),
                    "layers": [descriptor(layer, "application/vnd.oci.image.layer.v1.tar")],
                }
            ).encode()
        )
        platform = {"architecture": architecture, "os": "linux"}
        manifests.append(descriptor(manifest, OCI_MANIFEST, platform=platform))
    index = keep(json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).encode())
    named = descriptor(index, OCI_INDEX, annotations={"org.opencontainers.image.ref.name": "v1"})
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return root, index


def blobs_of(layout: Path):
    return {path.name: path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}


def test_there_and_back(served, skopeo, layout, tmp_path):
    source, index = layout
    image = f"docker://{served.host}/lab/app:v1"
    skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", f"oci:{source}:v1", image)
    assert served.get_manifest("lab/app", "v1", OCI_INDEX).content == index
    assert skopeo("inspect", "--raw", "--tls-verify=false", image).encode() == index
    pinned = f"docker://{served.host}/lab/app@{digest(index)}"
    back = tmp_path / "back"
    skopeo("copy", "--all", "--preserve-digests", "--src-tls-verify=false", pinned, f"oci:{back}:v1")
    assert blobs_of(back) == blobs_of(source)


def test_inspect_chooses_a_platform(served, skopeo, layout):
    source, _ = layout
    image = f"docker://{served.host}/lab/app:v1"
    skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", f"oci:{source}:v1", image)
    for architecture in ("amd64", "arm64"):
        found = json.loads(skopeo("--override-arch", architecture, "inspect", "--tls-verify=false", image))
        assert found["Architecture"] == architecture
        assert found["Labels"] == {"for": architecture}
        assert found["RepoTags"] == ["v1"]


def test_docker_format(served, skopeo, layout):
    source, _ = layout
    image = f"docker://{served.host}/lab/app:docker"
    skopeo("copy", "--format=v2s2", "--dest-tls-verify=false", f"oci:{source}:v1", image)
    response = served.get_manifest("lab/app", "docker", DOCKER_MANIFEST)
    assert response.headers["Content-Type"] == response.json()["mediaType"] == DOCKER_MANIFEST


def test_copy_between_repositories_mounts(served, skopeo, layout):
    source, index = layout
    first, second = (f"docker://{served.host}/lab/{name}:v1" for name in ("one", "two"))
    skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", f"oci:{source}:v1", first)
    served.registry.journal.clear()
    skopeo("copy", "--all", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false", first, second)
    assert served.get_manifest("lab/two", "v1", OCI_INDEX).content == index
    mounts = [seen for seen in served.registry.journal if "mount=" in seen.query]
    assert mounts
    assert {seen.status for seen in mounts} == {201}


def test_list_tags_and_delete(served, skopeo, layout):
    source, _ = layout
    repository = f"docker://{served.host}/lab/app"
    for tag in ("v1", "v2"):
        skopeo("copy", "--dest-tls-verify=false", f"oci:{source}:v1", f"{repository}:{tag}")
    assert json.loads(skopeo("list-tags", "--tls-verify=false", repository))["Tags"] == ["v1", "v2"]
    skopeo("delete", "--tls-verify=false", f"{repository}:v1")
    # skopeo deletes by digest: the other tag pointed to the same manifest.
    assert json.loads(skopeo("list-tags", "--tls-verify=false", repository))["Tags"] == []


def test_private(served, skopeo, layout):
    source, _ = layout
    image = f"docker://{served.private_host}/lab/app:v1"
    skopeo("copy", "--dest-tls-verify=false", "--dest-creds=u:p", f"oci:{source}:v1", image)
    assert skopeo("inspect", "--tls-verify=false", "--creds=u:p", image)
    for credentials in ("--no-creds", "--creds=u:wrong"):
        with pytest.raises(AssertionError, match=r"401|unauthorized|authentication required"):
            skopeo("inspect", "--tls-verify=false", credentials, image)


def test_a_tampered_layer_is_noticed(served, skopeo, layout, tmp_path):
    source, _ = layout
    image = f"docker://{served.host}/lab/app:v1"
    skopeo("copy", "--all", "--preserve-digests", "--dest-tls-verify=false", f"oci:{source}:v1", image)
    served.registry.corrupt("lab/app", digest(b"\0" * 10240))
    with pytest.raises(AssertionError, match=r"[Dd]igest"):
        skopeo("copy", "--all", "--preserve-digests", "--src-tls-verify=false", image, f"oci:{tmp_path / 'back'}:v1")
