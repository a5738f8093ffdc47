"""Pushing to a registry: in the right order, only what is missing, and never a tag on half an image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

import packager


def test_a_directory_is_pushed_and_pinned(content: Path, tmp_path: Path, registry) -> None:
    pushed = packager.push(content, f"{registry.address}/lab/content:v1")
    packed = packager.pack(content, tmp_path / "out")
    assert (pushed.digest, pushed.diff_id) == (packed.digest, packed.diff_id)
    assert pushed.reference == f"{registry.address}/lab/content@{packed.digest}"
    assert packager.verify(pushed.reference) == []
    assert packager.verify(f"{registry.address}/lab/content:v1") == []


def test_blobs_go_first_and_the_tag_last(content: Path, registry) -> None:
    packager.push(content, f"{registry.address}/content:v1")
    assert registry.writes() == ["blob", "blob", "blob", "manifest", "manifest", "tag"]


def test_what_the_registry_has_is_not_sent_again(content: Path, registry) -> None:
    first = packager.push(content, f"{registry.address}/content:v1")
    assert first.uploaded > first.layer_size
    registry.registry.journal.clear()
    second = packager.push(content, f"{registry.address}/content:v2")
    assert second.uploaded == 0
    assert registry.writes() == ["manifest", "manifest", "tag"]


def test_a_layout_is_pushed_as_it_is(content: Path, tmp_path: Path, registry) -> None:
    packed = packager.pack(content, tmp_path / "out", platforms=["linux/arm64"])
    pushed = packager.push(tmp_path / "out", f"{registry.address}/content:v1")
    assert pushed.digest == packed.digest
    assert pushed.diff_id == packed.diff_id
    assert [variant.platform for variant in pushed.variants] == ["linux/arm64"]
    assert packager.verify(pushed.reference) == []


def test_a_layout_has_its_own_platforms(content: Path, tmp_path: Path, registry) -> None:
    packager.pack(content, tmp_path / "out")
    with pytest.raises(packager.UsageError, match="is a layout, which has its platforms already"):
        packager.push(tmp_path / "out", f"{registry.address}/c:v1", platforms=["linux/amd64"])


def test_a_damaged_layout_is_not_pushed(content: Path, tmp_path: Path, registry) -> None:
    packed = packager.pack(content, tmp_path / "out")
    layer = tmp_path / "out/blobs/sha256" / packed.variants[0].layer_digests[0].removeprefix("sha256:")
    layer.chmod(0o644)
    layer.write_bytes(layer.read_bytes()[:-1] + b"!")
    with pytest.raises(packager.PackagerError, match="is not what its name says; nothing was pushed"):
        packager.push(tmp_path / "out", f"{registry.address}/c:v1")
    assert registry.writes() == []


def test_an_expected_digest_is_held_to(content: Path, tmp_path: Path, registry) -> None:
    digest = packager.pack(content, tmp_path / "out").digest
    packager.push(content, f"{registry.address}/c:v1@{digest}")
    packager.push(content, f"{registry.address}/c@{digest}")
    registry.registry.journal.clear()
    (content / "run.sh").write_bytes(b"other")
    with pytest.raises(packager.PackagerError, match=f"not {digest}; nothing was pushed"):
        packager.push(content, f"{registry.address}/c:v1@{digest}")
    assert registry.seen == []


def test_a_failed_push_leaves_the_tag_where_it_was(content: Path, registry) -> None:
    before = packager.push(content, f"{registry.address}/c:v1")
    (content / ".wh.x").touch()
    with pytest.raises(packager.PackagerError):
        packager.push(content, f"{registry.address}/c:v1")
    assert packager.inspect(f"{registry.address}/c:v1").digest == before.digest


def test_a_blob_larger_than_a_chunk_arrives(make_tree, registry) -> None:
    """Random bytes do not shrink: the layer takes two chunks and the closing request."""
    root = make_tree({"random": os.urandom(17 << 20)})
    pushed = packager.push(root, f"{registry.address}/c:v1")
    assert pushed.layer_size > 17 << 20
    patches = [request for request in registry.seen if request.method == "PATCH"]
    assert [request.received for request in patches] == [16 << 20, pushed.layer_size - (16 << 20)]
    assert packager.verify(pushed.reference) == []


def test_two_pushes_of_one_tag_at_once(make_tree, registry) -> None:
    trees = [make_tree({"a": bytes([number]) * 1000}, f"tree{number}") for number in range(4)]
    done: list[packager.Pushed] = []
    threads = [
        threading.Thread(target=lambda tree=tree: done.append(packager.push(tree, f"{registry.address}/c:v1")))
        for tree in trees
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert packager.inspect(f"{registry.address}/c:v1").digest in {pushed.digest for pushed in done}
    assert [packager.verify(pushed.reference) for pushed in done] == [[]] * 4


def test_progress_tells_bytes_up_to_the_total(content: Path, registry) -> None:
    steps: list[tuple[str, int, int]] = []
    packager.push(content, f"{registry.address}/c:v1", progress=lambda *step: steps.append(step))
    packed = [step for step in steps if step[0] == "pack"]
    pushed = [step for step in steps if step[0] == "push"]
    assert packed == sorted(packed)
    assert pushed == sorted(pushed)
    assert all(done <= total for _, done, total in steps)
    assert packed[-1][1] == packed[-1][2] == len(b"version: v1\n[1,2,3]\n#!/bin/sh\n")
    assert pushed[-1][1] == pushed[-1][2]


class TestBasicAuthentication:
    GOOD = packager.Credentials("ci", "s3cret")

    def test_the_right_password(self, content: Path, registry) -> None:
        pushed = packager.push(content, f"{registry.private}/c:v1", auth=self.GOOD)
        assert packager.verify(pushed.reference, auth=self.GOOD) == []

    @pytest.mark.parametrize("auth", [packager.Credentials("ci", "wrong"), packager.Credentials("eve", "s3cret")])
    def test_a_wrong_one(self, content: Path, registry, auth: packager.Credentials) -> None:
        with pytest.raises(packager.PackagerError) as refused:
            packager.push(content, f"{registry.private}/c:v1", auth=auth)
        assert f"does not accept the user name and password of {auth.username!r}" in str(refused.value)
        assert auth.password not in str(refused.value)
        assert auth.password not in repr(auth)
        assert len(registry.seen) == 2  # asked once, answered once

    def test_none(self, content: Path, registry) -> None:
        with pytest.raises(packager.PackagerError, match="wants to know who you are; `imgvol login "):
            packager.push(content, f"{registry.private}/c:v1")

    def test_the_environment(self, content: Path, registry, monkeypatch) -> None:
        monkeypatch.setenv("IMGVOL_USERNAME", "ci")
        monkeypatch.setenv("IMGVOL_PASSWORD", "s3cret")
        packager.push(content, f"{registry.private}/c:v1")

    def test_half_an_environment(self, content: Path, registry, monkeypatch) -> None:
        monkeypatch.setenv("IMGVOL_USERNAME", "ci")
        with pytest.raises(packager.PackagerError, match="IMGVOL_PASSWORD is not set"):
            packager.push(content, f"{registry.private}/c:v1")

    def test_dockers_file(self, content: Path, registry, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        auths = {registry.private: {"auth": "Y2k6czNjcmV0"}, "other:1": {"auth": "eDp5"}}
        (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
        packager.push(content, f"{registry.private}/c:v1")

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("{", "config.json is not JSON; mend it or set DOCKER_CONFIG"),
            ('{"auths": {"ADDRESS": {"auth": "///"}}}', "is not base64 of USER:PASSWORD"),
            ('{"auths": {"ADDRESS": {"auth": "Y2k6", "identitytoken": "x"}}}', "does not accept the identity token"),
            ('{"auths": {"ADDRESS": {}}, "credsStore": "desktop"}', "wants to know who you are"),
            ("[]", "wants to know who you are"),
        ],
    )
    def test_a_file_of_no_use(
        self, content: Path, registry, tmp_path: Path, monkeypatch, text: str, sentence: str
    ) -> None:
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        (tmp_path / "config.json").write_text(text.replace("ADDRESS", registry.private))
        with pytest.raises(packager.PackagerError, match=sentence):
            packager.push(content, f"{registry.private}/c:v1")

    def test_credentials_in_netrc_are_none_of_ours(self, content: Path, registry, tmp_path: Path, monkeypatch) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ci password s3cret\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(packager.PackagerError, match="wants to know who you are"):
            packager.push(content, f"{registry.private}/c:v1")


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")
def test_skopeo_reads_what_was_packed_and_pushed(content: Path, tmp_path: Path, registry) -> None:
    packed = packager.pack(content, tmp_path / "out")
    packager.push(tmp_path / "out", f"{registry.address}/c:v1")
    for place in (f"oci:{tmp_path}/out", f"docker://{registry.address}/c:v1"):
        command = ["skopeo", "inspect", "--tls-verify=false", "--override-arch=arm64", place]
        seen = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert seen["Digest"] == packed.digest
        assert seen["Architecture"] == "arm64"
        assert seen["Layers"] == list(packed.variants[1].layer_digests)
    copy = ["skopeo", "copy", "--all", "--src-tls-verify=false", f"docker://{registry.address}/c:v1"]
    subprocess.run([*copy, f"oci:{tmp_path}/copy"], capture_output=True, check=True)
    assert packager.verify(tmp_path / "copy") == []
