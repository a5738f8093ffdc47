import hashlib
import io
import json
import os
import subprocess
import tarfile

import pytest
from archive import Image, write
from assemble import RUN
from layers import writing


@pytest.fixture
def images(tmp_path):
    parts = []
    for name in ("base", "one", "other"):
        path = tmp_path / f"{name}.tar"
        with writing(path) as layer:
            layer.bytes(name, name.encode() * 1000)
        parts.append(path)
    base, one, other = parts
    return [
        Image("imgvol/node:v1", [base, one], RUN["node"]),
        Image("registry.k8s.io/pause:3.10", [base, other], {"Entrypoint": ["/pause"]}),
    ]


@pytest.fixture
def archive(images, tmp_path):
    path = tmp_path / "images.tar"
    with path.open("wb") as stream:
        write(images, stream)
    return path


def test_each_blob_is_there_once_under_its_digest(archive):
    with tarfile.open(archive) as tar:
        blobs = [entry for entry in tar if entry.name.startswith("blobs/sha256/")]
        assert len(blobs) == len({entry.name for entry in blobs}) == 3 + 2 * 2
        for entry in blobs:
            assert entry.name.rpartition("/")[2] == hashlib.sha256(tar.extractfile(entry).read()).hexdigest()


def test_docker_finds_what_oci_readers_find(archive, images):
    with tarfile.open(archive) as tar:
        index = json.load(tar.extractfile("index.json"))["manifests"]
        for image, oci, docker in zip(images, index, json.load(tar.extractfile("manifest.json")), strict=True):
            manifest = json.load(tar.extractfile(f"blobs/{oci['digest'].replace(':', '/')}"))
            assert docker["Config"] == f"blobs/{manifest['config']['digest'].replace(':', '/')}"
            assert docker["Layers"] == [f"blobs/{layer['digest'].replace(':', '/')}" for layer in manifest["layers"]]
            assert docker["RepoTags"] == [image.name]
            config = json.load(tar.extractfile(docker["Config"]))
            assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_names_are_whole_where_containerd_reads_them(archive):
    with tarfile.open(archive) as tar:
        index = json.load(tar.extractfile("index.json"))["manifests"]
    assert [entry["annotations"]["io.containerd.image.name"] for entry in index] == [
        "docker.io/imgvol/node:v1",
        "registry.k8s.io/pause:3.10",
    ]


def test_the_same_layers_make_the_same_archive(images, archive):
    again = io.BytesIO()
    write(images, again)
    assert again.getvalue() == archive.read_bytes()


# skopeo unpacks this kind to disk with its owners, which root alone can set.
_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="skopeo reads an oci-archive as root only")


@pytest.mark.parametrize("kind", ["docker-archive", pytest.param("oci-archive", marks=_ROOT)])
def test_another_reader_agrees(archive, images, kind):
    """skopeo, which shares no code with Docker's reader or ours."""
    one = {"docker-archive": images[0].name, "oci-archive": "v1"}[kind]
    done = subprocess.run(
        ["skopeo", "inspect", "--config", f"{kind}:{archive}:{one}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["config"]["StopSignal"] == "SIGRTMIN+3"
