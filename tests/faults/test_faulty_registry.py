"""What each fault does, over real connections."""

import contextlib
import json
import socket
import time

import pytest
import requests
import yaml

from emulator.faults import scenario_names

CONTENT = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def image(served):
    manifest, layer = served.image("lab/x", "v1", CONTENT)
    return {
        "manifest": f"/v2/lab/x/manifests/{manifest}",
        "tag": "/v2/lab/x/manifests/v1",
        "layer": f"/v2/lab/x/blobs/{layer}",
    }


def received(served, path, headers=""):
    """All that comes over a new connection, header and body, and whether it ended by a reset."""
    host, port = served.host.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n".encode())
        answer = bytearray()
        try:
            while piece := connection.recv(1 << 16):
                answer += piece
        except ConnectionResetError:
            return bytes(answer), True
        return bytes(answer), False


def body_of(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body


def test_a_status_has_the_errors_of_the_specification(served, image):
    served.faults({"status": 429, "headers": {"Retry-After": 7}})
    answer = served("GET", image["layer"])
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json() == {"errors": [{"code": "TOOMANYREQUESTS", "message": "too many requests"}]}


def test_a_status_may_say_anything(served):
    served.faults(
        {"match": {"operation": "ping"}, "status": 403, "code": "DENIED", "message": "firewall"},
        {"match": {"operation": "catalog"}, "status": 502, "body": "<h1>Bad gateway</h1>"},
    )
    assert served("GET", "/v2/").json() == {"errors": [{"code": "DENIED", "message": "firewall"}]}
    assert served("GET", "/v2/_catalog").text == "<h1>Bad gateway</h1>"


def test_a_drop_sends_so_much_of_the_body_and_ends_the_connection(served, image):
    served.faults({"match": {"operation": "blob-get"}, "drop": "25%"})
    (head, body), was_reset = body_of(received(served, image["layer"])[0]), received(served, image["layer"])[1]
    assert f"Content-Length: {len(CONTENT)}" in head
    assert body == CONTENT[: len(CONTENT) // 4]
    assert not was_reset


def test_a_drop_by_reset(served, image):
    served.faults({"match": {"operation": "blob-get"}, "drop": 1000, "reset": True})
    answer, was_reset = received(served, image["layer"])
    assert was_reset
    assert body_of(answer)[1] == CONTENT[:1000]


def test_a_download_goes_on_by_range_after_a_drop(served, image):
    served.faults({"match": {"operation": "blob-get"}, "times": {"first": 1}, "drop": 100})
    assert body_of(received(served, image["layer"])[0])[1] == CONTENT[:100]
    answer = served("GET", image["layer"], headers={"Range": "bytes=100-"})
    assert answer.status_code == 206
    assert answer.content == CONTENT[100:]


def test_a_truncated_answer_is_whole_by_its_length(served, image):
    served.faults({"match": {"operation": "blob-get"}, "truncate": 10})
    answer = served("GET", image["layer"])
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, "10", CONTENT[:10])
    assert served("HEAD", image["layer"]).headers["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize("where", ["50%", 0, "100%", 70_000])
def test_a_corrupt_answer_has_one_bit_flipped(served, image, where):
    served.faults({"match": {"operation": "blob-get"}, "corrupt": where})
    got = served("GET", image["layer"]).content
    differing = [(ours ^ theirs) for ours, theirs in zip(got, CONTENT, strict=True) if ours != theirs]
    assert len(differing) == 1
    assert differing[0].bit_count() == 1


def test_a_corrupt_manifest(served, image):
    right = served("GET", image["manifest"], headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}).content
    served.faults({"match": {"operation": "manifest-get"}, "corrupt": 0})
    got = served("GET", image["manifest"], headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}).content
    assert got == bytes([right[0] ^ 1]) + right[1:]


def test_headers_are_replaced(served, image):
    served.faults({"match": {"operation": "manifest-head"}, "headers": {"Docker-Content-Digest": "sha256:0"}})
    answer = served("HEAD", image["tag"], headers={"Accept": "*/*, application/vnd.oci.image.manifest.v1+json"})
    assert answer.headers["Docker-Content-Digest"] == "sha256:0"


def test_slow_bodies_and_late_answers_are_whole(served, image):
    served.faults({"match": {"operation": "blob-get"}, "rate": len(CONTENT) * 5, "delay": "100ms"})
    began = time.monotonic()
    assert served("GET", image["layer"]).content == CONTENT
    assert time.monotonic() - began > 0.19  # never faster; how much slower is the machine's business


def test_a_hang_up_leaves_nothing_done_or_all_of_it(served):
    digest = served.push("lab/a", b"content")
    upload = "/v2/lab/b/blobs/uploads/"
    served.faults({"match": {"operation": "upload-post"}, "hang-up": "before"})
    with pytest.raises(requests.ConnectionError):
        served("POST", f"{upload}?mount={digest}&from=lab/a")
    assert served("HEAD", f"/v2/lab/b/blobs/{digest}").status_code == 404
    served.faults({"match": {"operation": "upload-post"}, "hang-up": "after"})
    with pytest.raises(requests.ConnectionError):
        served("POST", f"{upload}?mount={digest}&from=lab/a")
    assert served("HEAD", f"/v2/lab/b/blobs/{digest}").status_code == 200


def test_what_arrived_before_a_loss_is_kept(served):
    session = served("POST", "/v2/lab/x/blobs/uploads/").headers["Location"]
    served.faults({"match": {"operation": "upload-patch"}, "lose": 100})
    with pytest.raises(requests.ConnectionError):
        served("PATCH", session, data=CONTENT)
    assert served("GET", session).headers["Range"] == "0-99"


def test_a_manifest_that_is_lost_is_not_there(served, image):
    served.faults({"match": {"operation": "manifest-put"}, "lose": "50%"})
    with pytest.raises(requests.ConnectionError):
        served.image("lab/x", "v2", CONTENT)
    assert served("GET", "/v2/lab/x/tags/list").json()["tags"] == ["v1"]


def test_a_full_disk_says_so_and_leaves_nothing_half_written(served, tmp_path):
    session = served("POST", "/v2/lab/x/blobs/uploads/").headers["Location"]
    before = served("PATCH", session, data=b"before")
    assert before.status_code == 202
    served.faults({"match": {"operation": ["upload-*", "manifest-put"]}, "full-disk": True})
    for _ in range(2):
        refused = served("PATCH", before.headers["Location"], data=CONTENT)
        assert refused.status_code == 500
        assert refused.json()["errors"][0]["detail"] == "the registry's storage failed: No space left on device"
    assert served("GET", session).headers["Range"] == "0-5"
    served("DELETE", f"{served.control}/faults/test")
    after = served("PUT", f"{before.headers['Location']}&digest=sha256:{'0' * 64}", data=b"")
    assert after.json()["errors"][0]["code"] == "DIGEST_INVALID"  # and the session is gone
    assert not list((tmp_path / "registry" / "incoming").iterdir())


def test_a_full_disk_refuses_manifests(served, tmp_path):
    served.image("lab/x", "v1", b"one")
    served.faults({"match": {"operation": "manifest-put"}, "full-disk": True})
    with pytest.raises(AssertionError, match="No space left on device"):
        served.image("lab/x", "v1", b"two")
    assert served("GET", "/v2/lab/x/tags/list").json()["tags"] == ["v1"]
    assert not list((tmp_path / "registry" / "incoming").iterdir())


def test_a_registry_that_refuses_keeps_its_port_and_comes_back(served):
    for _ in range(3):
        served.faults({"refuse": True})
        with pytest.raises(ConnectionRefusedError), socket.create_connection(tuple(served.host.split(":"))):
            pass
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", int(served.host.split(":")[1])))
        served("DELETE", f"{served.control}/faults")
        assert served("GET", "/v2/").status_code == 200


def test_a_connection_from_before_a_refusal_ends(served):
    assert served("GET", "/v2/").status_code == 200
    served.faults({"refuse": True})
    with pytest.raises(requests.ConnectionError):
        served("GET", "/v2/")


def test_the_journal_says_which_fault_struck(served, image):
    served.faults({"times": {"skip": 1}, "hang-up": "before"}, name="bad")
    assert served("GET", "/v2/").status_code == 200
    with pytest.raises(requests.ConnectionError):
        served("GET", "/v2/")
    seen = [
        (one["status"], one["fault"])
        for one in served("GET", f"{served.control}/requests").json()
        if one["path"] == "/v2/"
    ]
    assert seen == [(200, ""), (0, "bad[0]")]


def test_scenarios_are_switched_by_name(served):
    assert served("PUT", f"{served.control}/faults/internal-error").status_code == 200
    served.faults({"match": {"operation": "ping"}, "status": 418}, name="tea", says="Tea.")
    assert served("GET", "/v2/").status_code == 500
    assert served("GET", f"{served.control}/faults").json() == {
        "internal-error": {"says": "Whatever is asked, something breaks.", "faults": [{"asked": 1, "struck": 1}]},
        "tea": {"says": "Tea.", "faults": [{"asked": 0, "struck": 0}]},
    }
    assert served("DELETE", f"{served.control}/faults/internal-error").status_code == 204
    assert served("GET", "/v2/").status_code == 418
    assert served("DELETE", f"{served.control}/faults/nope").status_code == 404
    assert served("DELETE", f"{served.control}/faults").status_code == 204
    assert served("GET", "/v2/").status_code == 200


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("nope", b"", "there is no fault scenario 'nope'"),
        ("mine", b"faults: [{stat: 1}]", "mine: faults[0] has no key 'stat'"),
        ("mine", b"\xff", "mine is not UTF-8 text"),
    ],
)
def test_what_is_no_scenario_is_refused_in_a_sentence(served, name, body, says):
    answer = served("PUT", f"{served.control}/faults/{name}", data=body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_in_force_never_harms_what_is_there(served, image, name):
    """Whatever a bad day does to answers, what is stored is right when it is over."""
    assert served("PUT", f"{served.control}/faults/{name}").status_code == 200
    if name != "slow-bodies":
        for method, path in [("GET", image["layer"]), ("GET", image["tag"]), ("POST", "/v2/lab/y/blobs/uploads/")]:
            with contextlib.suppress(requests.RequestException):
                served(method, path)
    served("DELETE", f"{served.control}/faults")
    assert served("GET", image["layer"]).content == CONTENT
    assert yaml.safe_load(json.dumps(served("GET", "/v2/lab/x/tags/list").json()))["tags"] == ["v1"]
