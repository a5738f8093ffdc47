"""What an image holds, told from its layers: links, whiteouts, compressions, digests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from packager import Listed, PackagerError, list_files, pack

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def tar(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, target in entries:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return buffer.getvalue()


def file(name):
    return name, tarfile.REGTYPE, ""


def layout(directory, *layers):
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
    described = [blob(layer, LAYER) for layer in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(json.dumps(config).encode(), CONFIG),
        "layers": described,
    }
    index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), MANIFEST)]}
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory, [blobs / each["digest"].removeprefix("sha256:") for each in described]


def paths(where):
    return [entry.path for entry in list_files(where)]


def test_a_packed_directory_holds_what_was_packed(tmp_path):
    content = tmp_path / "content"
    (content / "a" / "empty").mkdir(parents=True)
    (content / "a" / "x").write_text("x")
    (content / "link").symlink_to("a")
    pack(content, tmp_path / "layout")
    assert list_files(tmp_path / "layout") == (
        Listed("a", "directory"),
        Listed("a/empty", "directory"),
        Listed("a/x", "file"),
        Listed("link", "symlink", "a"),
    )


def test_layers_lie_on_each_other(tmp_path):
    lower = tar(file("keep"), file("gone"), file("dir/a"), file("dir/sub/b"), file("opaque/old"), file("was-a-file"))
    upper = tar(
        file(".wh.gone"),
        file("dir/.wh.sub"),
        file("opaque/new"),
        file("opaque/.wh..wh..opq"),
        file("was-a-file/c"),
    )
    where, _ = layout(tmp_path / "l", lower, upper)
    assert paths(where) == [
        "dir",
        "dir/a",
        "keep",
        "opaque",
        "opaque/new",
        "was-a-file",
        "was-a-file/c",
    ]
    assert {entry.path: entry.kind for entry in list_files(where)}["was-a-file"] == "directory"


def test_a_layer_is_uncompressed_by_what_it_is(tmp_path):
    where, _ = layout(tmp_path / "l", gzip.compress(tar(file("a"))), tar(file("./b")))
    assert paths(where) == ["a", "b"]


def test_other_kinds(tmp_path):
    layer = tar(("fifo", tarfile.FIFOTYPE, ""), file("x"), ("hard", tarfile.LNKTYPE, "x"), ("s", tarfile.SYMTYPE, "/x"))
    where, _ = layout(tmp_path / "l", layer)
    assert [(entry.path, entry.kind, entry.target) for entry in list_files(where)] == [
        ("fifo", "other", ""),
        ("hard", "file", ""),
        ("s", "symlink", "/x"),
        ("x", "file", ""),
    ]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-512] + b"x" * 512, lambda data: b"no archive at all", lambda data: data[:-20]]
)
def test_a_damaged_layer_is_refused(tmp_path, damage):
    where, (blob,) = layout(tmp_path / "l", gzip.compress(tar(file("a"), file("b"))))
    blob.write_bytes(damage(blob.read_bytes()))
    with pytest.raises(PackagerError, match="the layer sha256:"):
        list_files(where)
