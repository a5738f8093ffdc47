"""Uploads: sessions, chunks, resuming, cancelling, and what a broken one leaves."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_client import Served, code, digest, send_part, wait_for

from emulator.clock import Clock


def blob(served, repository, wanted):
    return served("GET", f"/v2/{repository}/blobs/{wanted}")


@pytest.fixture(scope="module")
def shared():
    with tempfile.TemporaryDirectory() as root:
        served = Served(Path(root))
        yield served
        served.close()


@settings(max_examples=40, deadline=None)
@given(
    chunks=st.lists(st.binary(max_size=200), max_size=6),
    last=st.binary(max_size=200),
    ranged=st.lists(st.booleans(), min_size=7, max_size=7),
    algorithm=st.sampled_from(["sha256", "sha512"]),
)
def test_any_chunking_gives_the_blob(shared, chunks, last, ranged, algorithm):
    content = b"".join(chunks) + last
    wanted = digest(content, algorithm)
    url = shared.start("any/chunking")
    offset = 0
    for chunk, with_range in zip(chunks, ranged, strict=False):
        headers = {"Content-Range": f"{offset}-{offset + len(chunk) - 1}"} if with_range and chunk else {}
        response = shared("PATCH", url, data=chunk, headers=headers)
        assert response.status_code == 202
        offset += len(chunk)
        assert response.headers["Range"] == f"0-{max(0, offset - 1)}"
        url = response.headers["Location"]
    headers = {"Content-Range": f"{offset}-{len(content) - 1}"} if ranged[-1] and last else {}
    response = shared("PUT", f"{url}&digest={wanted}", data=last, headers=headers)
    assert response.status_code == 201
    assert response.headers["Docker-Content-Digest"] == wanted
    assert shared("GET", response.headers["Location"]).content == content
    shared("DELETE", f"/v2/any/chunking/blobs/{wanted}")


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20])
def test_sizes_around_the_buffer(served, size):
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    wanted = digest(content)
    response = served("POST", f"/v2/a/blobs/uploads/?digest={wanted}", data=content)
    assert response.status_code == 201
    assert served("GET", response.headers["Location"]).content == content


def test_single_post_with_wrong_digest_leaves_nothing(served):
    before = served.files()
    response = served("POST", f"/v2/a/blobs/uploads/?digest={digest(b'x')}", data=b"y")
    assert (response.status_code, code(response)) == (400, "DIGEST_INVALID")
    assert served.files() == before


@pytest.mark.parametrize("wrong", ["sha256:abc", "md5:" + "0" * 32, "x", ""])
def test_single_post_with_malformed_digest(served, wrong):
    response = served("POST", "/v2/a/blobs/uploads/", params={"digest": wrong}, data=b"y")
    assert (response.status_code, code(response)) == (400, "DIGEST_INVALID")


def test_wrong_digest_ends_the_session_and_leaves_nothing(served):
    url = served.start("a")
    served("PATCH", url, data=b"abc")
    response = served("PUT", f"{url}&digest={digest(b'abd')}")
    assert (response.status_code, code(response)) == (400, "DIGEST_INVALID")
    assert served("GET", url).status_code == 404
    assert served.files() == []


def test_streamed_body_longer_or_shorter_than_its_range_is_taken_back(served):
    url = served.start("a")
    served("PATCH", url, data=b"ab")
    for body in ([b"cd", b"ef"], [b"c"]):
        response = served("PATCH", url, data=iter(body), headers={"Content-Range": "2-4"})
        assert (response.status_code, code(response)) == (400, "SIZE_INVALID")
        assert served("GET", url).headers["Range"] == "0-1"
    assert served("PUT", f"{url}&digest={digest(b'abc')}", data=b"c").status_code == 201
    assert blob(served, "a", digest(b"abc")).content == b"abc"


@pytest.mark.parametrize("text", ["bytes 0-2", "0-", "-2", "a-b", "0-2/3", "2-0", "0 - 2"])
def test_malformed_content_range(served, text):
    url = served.start("a")
    response = served("PATCH", url, data=b"abc", headers={"Content-Range": text})
    assert (response.status_code, code(response)) == (416, "RANGE_INVALID")
    assert served("PUT", f"{url}&digest={digest(b'')}").status_code == 201


def test_put_needs_the_state_of_its_location(served):
    url = served.start("a").partition("?")[0]
    response = served("PUT", f"{url}?digest={digest(b'x')}", data=b"x")
    assert (response.status_code, code(response)) == (404, "BLOB_UPLOAD_INVALID")


def test_a_session_belongs_to_its_repository(served):
    url = served.start("a").replace("/v2/a/", "/v2/b/")
    assert code(served("PUT", f"{url}&digest={digest(b'x')}", data=b"x")) == "BLOB_UPLOAD_UNKNOWN"


def test_resume_after_a_broken_connection(served):
    content = bytes(range(256)) * 8192
    url = served.start("a")
    connection = send_part(served, "PATCH", url, content[:1500000], len(content))
    connection.close()
    wait_for(lambda: len(served.registry.journal) == 2)
    kept = kept_of(served, url)
    assert 1 << 20 <= kept <= 1500000
    headers = {"Content-Range": f"{kept}-{len(content) - 1}"}
    response = served("PATCH", url, data=content[kept:], headers=headers)
    assert response.status_code == 202
    assert served("PUT", f"{response.headers['Location']}&digest={digest(content)}").status_code == 201
    assert blob(served, "a", digest(content)).content == content


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_an_interrupted_upload_is_never_visible(served, method):
    content = b"x" * 100
    url = served.start("a")
    wanted = digest(content[:50])
    connection = send_part(served, method, f"{url}&digest={wanted}", content[:50], len(content))
    connection.close()
    wait_for(lambda: len(served.registry.journal) == 2)
    for name in (wanted, digest(content)):
        assert blob(served, "a", name).status_code == 404
    assert all(name.startswith("incoming/") for name in served.files())


def test_an_interrupted_single_post_leaves_nothing(served):
    url = f"/v2/a/blobs/uploads/?digest={digest(b'x' * 50)}"
    send_part(served, "POST", url, b"x" * 50, 100).close()
    wait_for(lambda: len(served.registry.journal) == 1)
    assert served.files() == []


def kept_of(served, url):
    """How many bytes a session says it has (0 and 1 look the same)."""
    return int(served("GET", url).headers["Range"].removeprefix("0-")) + 1


STALLED = bytes(range(256)) * 8192  # 2 MiB, of which the registry writes at least the first before it has all


def stall(served, url):
    """A PATCH of `STALLED` that stops in the middle, when the registry has kept a part of it."""
    connection = send_part(served, "PATCH", url, STALLED[:1500000], len(STALLED))
    wait_for(lambda: kept_of(served, url) > 1)
    return connection


def test_the_newest_writer_wins(served):
    """A client that lost its connection may come back while the registry still holds the old one open."""
    url = served.start("a")
    with stall(served, url) as stalled:
        kept = kept_of(served, url)
        headers = {"Content-Range": f"{kept}-{len(STALLED) - 2}"}
        assert served("PATCH", url, data=STALLED[kept:-1], headers=headers).status_code == 202
        stalled.sendall(b"X" * (len(STALLED) - 1500000))
        assert b" 416 " in stalled.recv(100)
    response = served("PUT", f"{url}&digest={digest(STALLED)}", data=STALLED[-1:])
    assert response.status_code == 201


def test_cancel_beats_a_stalled_writer(served):
    url = served.start("a")
    with stall(served, url) as stalled:
        assert served("DELETE", url).status_code == 204
        stalled.sendall(b"X" * (len(STALLED) - 1500000))
        assert b" 404 " in stalled.recv(100)
    assert served.files() == []


def test_finish_beats_a_stalled_writer(served):
    url = served.start("a")
    with stall(served, url) as stalled:
        kept = STALLED[: kept_of(served, url)]
        assert served("PUT", f"{url}&digest={digest(kept)}").status_code == 201
        stalled.sendall(b"X" * (len(STALLED) - 1500000))
        assert b" 404 " in stalled.recv(100)
    assert blob(served, "a", digest(kept)).content == kept


def test_content_encoding_is_not_undone(served):
    content = b"\x1f\x8b not really gzip"
    url = f"/v2/a/blobs/uploads/?digest={digest(content)}"
    assert served("POST", url, data=content, headers={"Content-Encoding": "gzip"}).status_code == 201


def test_abandoned_uploads_are_dropped_after_a_week(tmp_path):
    class Hand(Clock):
        time = 0.0

        def now(self):
            return self.time

    clock = Hand()
    served = Served(tmp_path, clock=clock)
    old, touched = served.start("a"), served.start("a")
    clock.time = 6 * 24 * 3600
    assert served("GET", touched).status_code == 204
    clock.time = 8 * 24 * 3600
    served.start("a")
    assert served("GET", touched).status_code == 204
    assert served("GET", old).status_code == 404
    assert len(served.files()) == 2
    served.close()


def test_mount_with_and_without_a_source(served):
    wanted = served.push("a", b"content")
    for query in (f"mount={wanted}&from=a", f"mount={wanted}"):
        target = f"to/{len(query)}"
        response = served("POST", f"/v2/{target}/blobs/uploads/?{query}")
        assert (response.status_code, response.headers["Docker-Content-Digest"]) == (201, wanted)
        assert served("GET", response.headers["Location"]).content == b"content"


@pytest.mark.parametrize("query", ["mount={absent}&from=a", "mount={absent}", "mount={there}&from=b", "mount=x&from=a",
                                   "mount={there}&from=../a"])  # fmt: skip
def test_mount_that_cannot_be_had_begins_an_upload(served, query):
    there = served.push("a", b"content")
    query = query.format(absent=digest(b"absent"), there=there)
    response = served("POST", f"/v2/to/blobs/uploads/?{query}")
    assert response.status_code == 202
    assert served("PUT", f"{response.headers['Location']}&digest={there}", data=b"content").status_code == 201
