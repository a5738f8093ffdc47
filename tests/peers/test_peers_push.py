"""Images that others make and push, and that the emulated node mounts."""

from __future__ import annotations

import gzip
import hashlib
import json
import platform
import subprocess
from pathlib import Path

import pytest
from peer_programs import Node, run, surveyed

import packager

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
def tar(content: Path, tmp_path: Path) -> Path:
    """The content as GNU tar archives it."""
    path = tmp_path / "content.tar"
    command = ["tar", "--sort=name", "--owner=0", "--group=0", "--mode=u=rwX,go=rX", "--format=pax", "-C", content]
    subprocess.run([*command, "-cf", path, "."], check=True)
    return path


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_skopeo(node: Node, content: Path, tmp_path: Path, compression: str) -> None:
    """It packs nothing itself: it pushes the packager's layout, all platforms."""
    packager.pack(content, tmp_path / "layout", compression=packager.Compression(compression))
    reference = f"{node.registry}/pushed-by/skopeo:{compression}"
    run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci:{tmp_path}/layout", f"docker://{reference}")
    assert node.mounted(f"skopeo-{compression}", reference) == surveyed(content)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_skopeo_compressing_anew(node: Node, content: Path, tmp_path: Path, compression: str) -> None:
    packager.pack(content, tmp_path / "layout", compression=packager.Compression("none"))
    reference = f"{node.registry}/pushed-by/skopeo:again-{compression}"
    one = [f"oci:{tmp_path}/layout", f"docker://{reference}"]
    run("skopeo", "copy", "--dest-tls-verify=false", f"--dest-compress-format={compression}", *one)
    assert node.mounted(f"skopeo-again-{compression}", reference) == surveyed(content)


@pytest.mark.parametrize("compressed", [True, False])
def test_oras(node: Node, content: Path, tar: Path, tmp_path: Path, compressed: bool) -> None:
    """oras makes no config: with one made by hand, the artifact is an image."""
    diff_id = "sha256:" + hashlib.sha256(tar.read_bytes()).hexdigest()
    config = {"architecture": ARCHITECTURE, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    layer = tar
    if compressed:
        layer = tmp_path / "content.tar.gz"
        layer.write_bytes(gzip.compress(tar.read_bytes(), mtime=0))
    name = "gzip" if compressed else "plain"
    reference = f"{node.registry}/pushed-by/oras:{name}"
    options = ["--plain-http", "--disable-path-validation", "--config", f"{tmp_path}/config.json:{CONFIG}"]
    run("oras", "push", *options, reference, f"{layer}:{LAYER}{'+gzip' if compressed else ''}")
    assert node.mounted(f"oras-{name}", reference) == surveyed(content)


def test_crane(node: Node, content: Path, tar: Path) -> None:
    """Its image on nothing names no platform: that is put right, as its users must."""
    reference = f"{node.registry}/pushed-by/crane:v1"
    run("crane", "--insecure", "append", "--oci-empty-base", "--new_layer", tar, "--new_tag", reference)
    run("crane", "--insecure", "mutate", "--set-platform", f"linux/{ARCHITECTURE}", "--tag", reference, reference)
    assert node.mounted("crane", reference) == surveyed(content)


def test_crane_with_media_types_of_docker(node: Node, content: Path, tar: Path) -> None:
    reference = f"{node.registry}/pushed-by/crane:docker"
    run("crane", "--insecure", "append", "--new_layer", tar, "--new_tag", reference)
    run("crane", "--insecure", "mutate", "--set-platform", f"linux/{ARCHITECTURE}", "--tag", reference, reference)
    manifest = json.loads(run("crane", "--insecure", "manifest", reference))
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert node.mounted("crane-docker", reference) == surveyed(content)


def test_an_index_by_crane(node: Node, content: Path, tar: Path) -> None:
    """One manifest for each platform, put together by another program than made them."""
    repository = f"{node.registry}/pushed-by/crane-index"
    for architecture in ("amd64", "arm64"):
        reference = f"{repository}:{architecture}"
        run("crane", "--insecure", "append", "--oci-empty-base", "--new_layer", tar, "--new_tag", reference)
        run("crane", "--insecure", "mutate", "--set-platform", f"linux/{architecture}", "--tag", reference, reference)
    parts = [f"--manifest={repository}:{architecture}" for architecture in ("amd64", "arm64")]
    run("crane", "--insecure", "index", "append", *parts, "--tag", f"{repository}:v1")
    index = json.loads(run("crane", "--insecure", "manifest", f"{repository}:v1"))
    assert len(index["manifests"]) == 2
    assert node.mounted("crane-index", f"{repository}:v1") == surveyed(content)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_crane_appends_to_what_the_packager_made(node: Node, content: Path, tmp_path: Path, compression: str) -> None:
    base = f"{node.registry}/pushed-by/base:{compression}"
    packager.push(content, base, compression=packager.Compression(compression), platforms=[f"linux/{ARCHITECTURE}"])
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "NEWS.txt").write_text("news\n")
    subprocess.run(["tar", "-C", tmp_path / "more", "-cf", tmp_path / "more.tar", "NEWS.txt"], check=True)
    reference = f"{node.registry}/pushed-by/crane:on-{compression}"
    run("crane", "--insecure", "append", "--base", base, "--new_layer", tmp_path / "more.tar", "--new_tag", reference)
    seen = node.mounted(f"crane-on-{compression}", reference)
    assert seen == {**surveyed(content), **surveyed(tmp_path / "more")}


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_umoci(node: Node, content: Path, tmp_path: Path, compression: str) -> None:
    """It makes layouts, which skopeo pushes."""
    layout, image = tmp_path / "umoci", f"{tmp_path}/umoci:v1"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", image)
    run("umoci", "config", "--image", image, "--architecture", ARCHITECTURE, "--os", "linux")
    run("umoci", "insert", "--rootless", f"--compress={compression}", "--image", image, content, "/")
    reference = f"{node.registry}/pushed-by/umoci:{compression}"
    run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{image}", f"docker://{reference}")
    assert node.mounted(f"umoci-{compression}", reference) == surveyed(content)


def test_umoci_changes_what_the_packager_made(node: Node, content: Path, tmp_path: Path) -> None:
    """Its second layer deletes and changes: whiteouts by another hand."""
    packager.pack(content, tmp_path / "layout", platforms=[f"linux/{ARCHITECTURE}"])
    image, root = f"{tmp_path}/changed:v1", tmp_path / "bundle" / "rootfs"
    run("skopeo", "copy", f"oci:{tmp_path}/layout", f"oci:{image}")
    run("umoci", "unpack", "--rootless", "--image", image, tmp_path / "bundle")
    (root / "zero").unlink()
    (root / "empty").rmdir()
    (root / "run.sh").write_text("#!/bin/sh\necho changed\n")
    run("umoci", "repack", "--image", image, tmp_path / "bundle")
    reference = f"{node.registry}/pushed-by/umoci:changed"
    run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{image}", f"docker://{reference}")
    assert node.mounted("umoci-changed", reference) == surveyed(root)
