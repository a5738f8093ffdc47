"""Uploads over real HTTP to a real registry process: what is sent, how it shrinks, and how it goes on after a break."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packager_images import random_layout
from packager_process import REPOSITORY, RegistryProcess, Wire

import packager
from packager import uploads
from packager.documents import Document
from packager.images import DocumentBlob
from packager.references import Reference
from packager.registries import RegistryClient

pytestmark = pytest.mark.usefixtures("well")


@pytest.fixture
def client(process: RegistryProcess) -> Iterator[RegistryClient]:
    name = f"r{random.randrange(1 << 60)}"
    one = RegistryClient(Reference.parse(f"{process.address}/{name}"), push=True, pause=lambda _: None)
    with one.session:
        yield one


def blob_of(size: int) -> DocumentBlob:
    return DocumentBlob(Document("a/b", random.Random(size).randbytes(size)))


def asked(process: RegistryProcess, client: RegistryClient, method: str) -> list[int]:
    """The statuses of the answers to a method in the client's repository."""
    name = f"/v2/{client.reference.repository}/"
    return [seen["status"] for seen in process.requests() if seen["method"] == method and name in seen["path"]]


def received(client: RegistryClient, blob: DocumentBlob) -> bytes:
    return b"".join(client.blob(blob.digest))


@pytest.fixture
def small(monkeypatch) -> None:
    """Chunks of a size that tests can afford."""
    monkeypatch.setattr(uploads, "_WHOLE", 64 << 10)
    monkeypatch.setattr(uploads, "_CHUNK", 64 << 10)
    monkeypatch.setattr(uploads, "_LEAST_CHUNK", 1 << 10)


@pytest.mark.parametrize(
    ("mode", "size", "patches"),
    [("auto", 64 << 10, 0), ("auto", (64 << 10) + 1, 2), ("single", 200_000, 0), ("chunked", 1000, 1)],
)
@pytest.mark.usefixtures("small")
def test_the_mode_decides_how_many_requests(process, client, mode: uploads.Mode, size: int, patches: int) -> None:
    blob = blob_of(size)
    assert uploads.send_blob(client, blob, mode=mode) == "sent"
    assert received(client, blob) == blob.document.body
    assert len(asked(process, client, "PATCH")) == patches
    assert uploads.send_blob(client, blob, mode=mode) == "had"


@pytest.mark.usefixtures("small")
def test_chunks_shrink_until_they_are_not_too_large(process, client) -> None:
    """The faults strike once each: 64 KiB and 32 KiB are too large, 16 KiB are not."""
    for status in (413, 416):
        blob = blob_of(150_000 + status)
        match = {"operation": "upload-patch", "repository": client.reference.repository}
        process.faults({"faults": [{"match": match, "times": {"first": 2}, "status": status}]})
        before = len(asked(process, client, "PATCH"))
        assert uploads.send_blob(client, blob) == "sent"
        assert received(client, blob) == blob.document.body
        patches = asked(process, client, "PATCH")[before:]
        assert patches == [status, status] + [202] * 10  # 150 kB in 16 KiB each


@pytest.mark.usefixtures("small")
def test_a_request_too_large_becomes_chunks_unless_a_single_one_was_asked_for(process, client) -> None:
    match = {"operation": "upload-put", "repository": client.reference.repository}
    process.faults({"faults": [{"match": match, "times": {"first": 1}, "status": 413}]})
    blob = blob_of(50_000)
    assert uploads.send_blob(client, blob) == "sent"
    assert received(client, blob) == blob.document.body
    process.faults({"faults": [{"match": match, "status": 413}]})
    with pytest.raises(packager.PackagerError, match=r"did not take the blob .*: it answered 413.*chunked"):
        uploads.send_blob(client, blob_of(50_001), mode="single")


@pytest.mark.usefixtures("small")
def test_a_registry_that_takes_nothing_is_given_up(process, client) -> None:
    process.faults({"faults": [{"match": {"operation": "upload-*"}, "status": 413}]})
    with pytest.raises(packager.PackagerError, match="it answered 413"):
        uploads.send_blob(client, blob_of(100_000))


@pytest.mark.usefixtures("small")
def test_the_least_that_a_registry_wants_is_sent(process, client) -> None:
    headers = {"OCI-Chunk-Min-Length": "100000"}
    process.faults({"faults": [{"match": {"operation": "upload-post"}, "headers": headers}]})
    blob = blob_of(250_000)
    assert uploads.send_blob(client, blob) == "sent"
    sizes = [seen["received"] for seen in process.requests() if seen["method"] == "PATCH"][-3:]
    assert sizes == [100_000, 100_000, 50_000]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mode", uploads.MODES)
def test_after_a_break_only_what_did_not_arrive_is_sent(process, client, mode: uploads.Mode) -> None:
    match = {"operation": ["upload-patch", "upload-put"], "repository": client.reference.repository}
    process.faults({"faults": [{"match": match, "times": {"first": 1}, "lose": 40_000}]})
    blob = blob_of(200_000)
    assert uploads.send_blob(client, blob, mode=mode) == "sent"
    assert received(client, blob) == blob.document.body
    name = f"/v2/{client.reference.repository}/"
    assert sum(seen["received"] for seen in process.requests() if name in seen["path"]) < 200_000 + 64_000
    assert len(asked(process, client, "POST")) == 1


def test_a_blob_is_mounted_from_another_repository(process, client) -> None:
    blob = blob_of(10_000)
    uploads.send_blob(client, blob)
    other = RegistryClient(Reference.parse(f"{process.address}/other-{client.reference.repository}"), push=True)
    with other.session:
        assert uploads.send_blob(other, blob, mounts=["nobody/here", client.reference.repository]) == "mounted"
        assert received(other, blob) == blob.document.body
        # A session that was begun where there was nothing to mount is used, or left; nothing is sent twice.
        assert asked(process, other, "PUT") == []
        assert uploads.send_blob(other, blob_of(10_001), mounts=["nobody/here"]) == "sent"
        assert len(asked(process, other, "POST")) == 3


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("scenario", ["lost-answers", "lost-uploads", "out-of-step", "throttled", "unavailable-once"])
def test_bad_days_that_pass_are_outlasted(process, client, scenario: str) -> None:
    process.faults(scenario)
    blob = blob_of(300_000)
    assert uploads.send_blob(client, blob) == "sent"
    process.well()
    assert received(client, blob) == blob.document.body


@pytest.mark.usefixtures("small")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_interrupted_upload_ends_in_the_same_bytes(process, client, data: st.DataObject) -> None:
    """Whatever happens to a few requests: the blob is there, byte for byte, at the latest when it is sent again."""
    size = data.draw(st.integers(0, 300_000))
    mode = data.draw(st.sampled_from(uploads.MODES))
    what = st.one_of(
        st.builds(lambda at: {"lose": at}, st.integers(0, 70_000)),
        st.sampled_from([{"hang-up": "before"}, {"hang-up": "after"}]),
        st.builds(lambda status: {"status": status}, st.sampled_from([413, 416, 429, 500, 502, 503, 404])),
    )
    faults = [
        {
            "match": {"operation": data.draw(st.sampled_from(["upload-patch", "upload-put"]))},
            "times": {"skip": data.draw(st.integers(0, 3)), "first": data.draw(st.integers(1, 2))},
        }
        | data.draw(what)
        for _ in range(data.draw(st.integers(1, 3)))
    ]
    process.faults({"faults": faults})
    blob = DocumentBlob(Document("a/b", random.Random(data.draw(st.integers(0, 1 << 60))).randbytes(size)))
    try:
        uploads.send_blob(client, blob, mode=mode)
    except packager.PackagerError:
        process.well()
        uploads.send_blob(client, blob, mode=mode)  # repeated on a better day
    process.well()
    assert received(client, blob) == blob.document.body


@pytest.mark.slow
def test_a_push_killed_at_ten_random_moments_ends_in_the_right_digest(process, tmp_path: Path) -> None:
    """Killed once so many bytes went out, repeated each time; what was finished before is never sent again."""
    digest, sizes = random_layout(tmp_path / "layout", [300_000, 6 << 20, 1_000_000, 17 << 20, 2_000_000, 500_000])
    size = sum(sizes.values())
    reference = "killed/content:v1"
    seed = random.randrange(1 << 32)
    print(f"moments by random.Random({seed})")
    moments = random.Random(seed)
    left = size
    for _ in range(10):
        _push_until(process, tmp_path / "layout", reference, moments.randrange(max(left, 500)))
        left = size - sum(sizes[one] for one in _finished(process))
    assert packager.push(tmp_path / "layout", f"{process.address}/{reference}").digest == digest
    assert packager.inspect(f"{process.address}/{reference}").digest == digest
    finished = _finished(process)
    assert set(finished) == set(sizes)
    assert set(finished.values()) == {1}


def _finished(process: RegistryProcess) -> Counter[str]:
    """How often each blob was sent to its end."""
    return Counter(
        parse_qs(seen["query"])["digest"][0]
        for seen in process.requests()
        if seen["path"].startswith("/v2/killed/content/blobs/uploads/") and seen["status"] == 201
    )


def _push_until(process: RegistryProcess, layout: Path, reference: str, bytes_sent: int) -> None:
    victim: list[subprocess.Popen[bytes]] = []

    def kill(passed: int) -> None:
        if victim and passed > bytes_sent:
            victim[0].send_signal(signal.SIGKILL)

    wire = Wire(process.address, kill)
    try:
        command = [sys.executable, "-m", "imgvol", "push", str(layout), f"{wire.address}/{reference}"]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        victim.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment))
        assert victim[0].wait(120) in (-signal.SIGKILL, 0)  # 0: the signal came when all was sent
    finally:
        wire.close()
