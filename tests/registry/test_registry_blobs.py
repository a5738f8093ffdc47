"""Blobs that are there: whole, in ranges, deleted, tampered with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_client import code, digest

from emulator.registry.blobs import byte_range
from emulator.registry.errors import OciError


@given(size=st.integers(1, 50), first=st.integers(0, 60), last=st.none() | st.integers(0, 60))
def test_range_is_the_slice(size, first, last):
    header = f"bytes={first}-{'' if last is None else last}"
    expected = list(range(size))[first : None if last is None else last + 1]
    if expected:
        assert list(byte_range(header, size)) == expected
    else:
        with pytest.raises(OciError) as error:
            byte_range(header, size)
        assert error.value.status == 416
        assert error.value.headers["Content-Range"] == f"bytes */{size}"


@given(size=st.integers(1, 50), suffix=st.integers(1, 60))
def test_suffix_range_is_the_end(size, suffix):
    assert list(byte_range(f"bytes=-{suffix}", size)) == list(range(size))[-suffix:]


@pytest.mark.parametrize("header", [None, "", "items=0-3", "bytes=0-1,4-5"])
def test_ranges_that_mean_everything(header):
    assert byte_range(header, 10) is None


def test_get_head_and_ranges(served):
    content = bytes(range(256)) * 1024
    path = f"/v2/a/b/c/blobs/{served.push('a/b/c', content)}"
    response = served("GET", path)
    assert response.content == content
    head = served("HEAD", path)
    assert head.content == b""
    ignored = ("Date",)
    assert {k: v for k, v in head.headers.items() if k not in ignored} == {
        k: v for k, v in response.headers.items() if k not in ignored
    }
    part = served("GET", path, headers={"Range": "bytes=1000-199999"})
    assert (part.status_code, part.content) == (206, content[1000:200000])
    assert part.headers["Content-Range"] == f"bytes 1000-199999/{len(content)}"
    assert part.headers["Content-Length"] == "199000"


def test_a_digest_may_be_percent_encoded(served):
    wanted = served.push("a", b"content")
    assert served("GET", f"/v2/a/blobs/{wanted.replace(':', '%3A')}").content == b"content"


def test_sha512(served):
    wanted = served.push("a", b"content", "sha512")
    response = served("GET", f"/v2/a/blobs/{wanted}")
    assert (response.content, response.headers["Docker-Content-Digest"]) == (b"content", wanted)
    assert served("GET", f"/v2/a/blobs/{digest(b'content')}").status_code == 404


def test_delete_takes_the_blob_from_its_repository_only(served):
    wanted = served.push("a", b"content")
    served.push("b", b"content")
    assert served("DELETE", f"/v2/a/blobs/{wanted}").status_code == 202
    assert code(served("GET", f"/v2/a/blobs/{wanted}")) == "BLOB_UNKNOWN"
    assert served("GET", f"/v2/b/blobs/{wanted}").content == b"content"
    assert served("DELETE", f"/v2/b/blobs/{wanted}").status_code == 202
    assert served.files() == []


def test_a_deleted_layer_leaves_its_image(served):
    """How the suite makes the image of the case missing-blob."""
    content = served.manifest("a", "v1")
    assert served("DELETE", f"/v2/a/blobs/{digest(b'layer')}").status_code == 202
    assert served.get_manifest("a", "v1").content == content
    assert served("GET", f"/v2/a/blobs/{digest(b'layer')}").status_code == 404


def test_a_blob_deleted_while_it_is_read_is_read_to_its_end(served):
    content = bytes(8 << 20)
    wanted = served.push("a", content)
    response = served("GET", f"/v2/a/blobs/{wanted}", stream=True)
    first = response.raw.read(1024)
    assert served("DELETE", f"/v2/a/blobs/{wanted}").status_code == 202
    assert first + response.raw.read() == content


def corrupt(served, repository, wanted):
    return served("POST", "/_emulator/corrupt", params={"repository": repository, "digest": wanted})


def test_corrupt_flips_one_bit_and_the_registry_does_not_notice(served):
    content = b"0123456789"
    wanted = served.push("a", content)
    response = corrupt(served, "a", wanted)
    assert response.json() == {"digest": wanted, "offset": 5}
    got = served("GET", f"/v2/a/blobs/{wanted}")
    assert (got.status_code, got.headers["Docker-Content-Digest"]) == (200, wanted)
    assert got.content == b"0123446789"
    served.push("b", content)
    assert served("GET", f"/v2/a/blobs/{wanted}").content == content


def test_corrupt_a_manifest(served):
    content = served.manifest("a", "v1")
    assert corrupt(served, "a", digest(content)).status_code == 200
    response = served.get_manifest("a", "v1")
    assert response.headers["Docker-Content-Digest"] == digest(content) != digest(response.content)


def test_corrupt_what_is_not_there(served):
    empty = served.push("a", b"")
    assert code(corrupt(served, "a", digest(b"absent"))) == "BLOB_UNKNOWN"
    assert code(corrupt(served, "b", empty)) == "BLOB_UNKNOWN"
    assert code(corrupt(served, "a", "nonsense")) == "DIGEST_INVALID"
    assert code(corrupt(served, "../..", empty)) == "NAME_INVALID"
    assert code(corrupt(served, "a", empty)) == "SIZE_INVALID"
    response = served("GET", "/_emulator/corrupt")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
