"""What a push and a verify make of a registry's bad days: the right digest in the end, or one clear sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
from packager_faulty import Fault, FaultyRegistry

import packager
from packager import registries, uploads
from packager.references import Reference

DENIED = b'{"errors":[{"code":"DENIED","message":"not here"}]}'


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """How long was waited between attempts; nobody really waits."""
    waited: list[float] = []
    monkeypatch.setattr(registries.RegistryClient.__init__, "__kwdefaults__", {"push": False, "pause": waited.append})
    return waited


PASSING = {
    "a read is cut": Fault("HEAD", "/blobs/"),
    "a start of an upload is cut": Fault("POST", "/uploads/"),
    "an upload is cut": Fault("PUT", "/uploads/"),
    "a manifest is cut": Fault("PUT", "/manifests/"),
    "an upload is not answered": Fault("PUT", "/uploads/", unanswered=True),
    "a manifest is not answered": Fault("PUT", "/manifests/v1", unanswered=True),
    "too many requests": Fault("POST", "/uploads/", 429, {"Retry-After": "7"}, times=3),
    "an upload is too many": Fault("PUT", "/uploads/", 429),
    "the registry restarts": Fault("HEAD", "/blobs/", 503, times=3),
    "a bad gateway": Fault("PUT", "/uploads/", 502),
    "a time-out behind the gateway": Fault("PUT", "/manifests/v1", 504, times=2),
    "an internal error": Fault("PUT", "/manifests/", 500),
}


@pytest.mark.parametrize("case", PASSING)
def test_a_passing_fault_is_outlasted(content: Path, faulty: FaultyRegistry, tmp_path: Path, case: str) -> None:
    fault = PASSING[case]
    faulty.faults.append(Fault(**vars(fault)))
    pushed = packager.push(content, f"{faulty.address}/c:v1")
    assert pushed.digest == packager.pack(content, tmp_path / "out").digest
    assert packager.verify(f"{faulty.address}/c:v1") == []


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize(
    "fault", [Fault("PATCH", ""), Fault("PATCH", "", 500), Fault("PATCH", "", 503), Fault("PATCH", "", unanswered=True)]
)
def test_an_upload_that_breaks_between_chunks_goes_on_from_what_arrived(
    make_tree, faulty: FaultyRegistry, monkeypatch, after: int, fault: Fault
) -> None:
    monkeypatch.setattr(uploads, "_WHOLE", 1000)
    monkeypatch.setattr(uploads, "_CHUNK", 3000)
    root = make_tree({"random": os.urandom(8000)})
    faulty.faults.append(Fault(**vars(fault) | {"after": after}))
    packager.push(root, f"{faulty.address}/c:v1")
    assert packager.verify(f"{faulty.address}/c:v1") == []
    assert faulty.count("PATCH") == (3 if fault.unanswered else 4)  # no chunk that arrived is sent twice


def test_an_upload_that_the_registry_forgot_is_begun_again(make_tree, faulty: FaultyRegistry, monkeypatch) -> None:
    monkeypatch.setattr(uploads, "_WHOLE", 1000)
    monkeypatch.setattr(uploads, "_CHUNK", 3000)
    root = make_tree({"random": os.urandom(8000)})
    faulty.faults.append(Fault("PATCH", "", 404, after=1))
    packager.push(root, f"{faulty.address}/c:v1")
    assert packager.verify(f"{faulty.address}/c:v1") == []
    assert faulty.count("PATCH") == 1 + 1 + 3


def test_retry_after_is_honoured(content: Path, faulty: FaultyRegistry, pauses: list[float]) -> None:
    faulty.faults.append(Fault("PUT", "/manifests/v1", 429, {"Retry-After": "7"}, times=2))
    packager.push(content, f"{faulty.address}/c:v1")
    assert len(pauses) == 2
    assert all(7 <= pause < 10 for pause in pauses)


def test_retry_after_may_be_a_date(content: Path, faulty: FaultyRegistry, pauses: list[float]) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    faulty.faults.append(Fault("PUT", "/manifests/v1", 429, {"Retry-After": date}))
    packager.push(content, f"{faulty.address}/c:v1")
    assert len(pauses) == 1
    assert pauses[0] >= 30  # the longest that anybody waits here


def test_a_senseless_retry_after_does_not_hold_us_up(content: Path, faulty: FaultyRegistry, pauses) -> None:
    faulty.faults.append(Fault("PUT", "/manifests/v1", 429, {"Retry-After": "86400"}))
    faulty.faults.append(Fault("PUT", "/manifests/v1", 429, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}))
    packager.push(content, f"{faulty.address}/c:v1")
    assert max(pauses) < 40


LASTING = {
    "forbidden": (Fault("POST", "/uploads/", 403, body=DENIED), "forbids this to anonymous users (DENIED not here)"),
    "too large": (Fault("PUT", "/uploads/", 413), "did not take the blob sha256:"),
    "not found": (Fault("POST", "/uploads/", 404, body=b"<html>"), "did not take the blob sha256:"),
    "always down": (Fault("HEAD", "/blobs/", 503, times=99), "it answered 503"),
    "always cut": (Fault("PUT", "/uploads/", times=99), "cannot reach the registry 127.0.0.1:"),
    "a redirected upload": (Fault("POST", "/uploads/", 307, {"Location": "http://127.0.0.2/"}), "it answered 307"),
    "no location": (Fault("POST", "/uploads/", 202), "did not say where to upload to"),
    "a refused manifest": (
        Fault("PUT", "/manifests/sha256", 400, body=b'{"errors":[{"code":"MANIFEST_INVALID"}]}'),
        "did not take the manifest sha256:",
    ),
    "a refused tag": (Fault("PUT", "/manifests/v1", 409, body=b'{"errors":null}'), "did not take the manifest v1"),
    "another digest": (
        Fault("PUT", "/manifests/", 201, {"Docker-Content-Digest": "sha256:0"}),
        "stored the manifest sha256:",
    ),
}


@pytest.mark.parametrize("case", LASTING)
def test_a_lasting_fault_ends_in_one_sentence_and_no_tag(content: Path, faulty: FaultyRegistry, case: str) -> None:
    fault, sentence = LASTING[case]
    faulty.faults.append(Fault(**vars(fault)))
    with pytest.raises(packager.PackagerError) as failed:
        packager.push(content, f"{faulty.address}/c:v1")
    assert sentence in str(failed.value)
    assert "\n" not in str(failed.value)
    assert "v1" not in faulty.manifests


def test_attempts_are_bounded(content: Path, faulty: FaultyRegistry, pauses: list[float]) -> None:
    faulty.faults.append(Fault("HEAD", "/blobs/", 503, times=99))
    with pytest.raises(packager.PackagerError):
        packager.push(content, f"{faulty.address}/c:v1")
    assert faulty.count("HEAD") <= 16
    assert sum(pauses) < 60


class TestDownloads:
    @pytest.fixture
    def pushed(self, content: Path, faulty: FaultyRegistry) -> packager.Pushed:
        return packager.push(content, f"{faulty.address}/c:v1")

    def test_a_changed_manifest_is_noticed(self, pushed: packager.Pushed, faulty: FaultyRegistry) -> None:
        fault = Fault("GET", "/manifests/", change=lambda body: body.replace(b"amd64", b"amd65"), times=99)
        faulty.faults.append(fault)
        with pytest.raises(packager.PackagerError, match="is a broken image: its root is sha256:"):
            packager.inspect(pushed.reference)
        assert "digest" in {violation.what for violation in packager.verify(pushed.reference)}

    def test_a_changed_layer_is_noticed(self, pushed: packager.Pushed, faulty: FaultyRegistry) -> None:
        layer = pushed.variants[0].layer_digests[0]
        faulty.faults.append(Fault("GET", layer, change=lambda body: body[:-9] + b"X" + body[-8:]))
        violations = packager.verify(pushed.reference)
        assert "digest" in {violation.what for violation in violations}

    def test_a_broken_off_download_is_a_failure_not_a_verdict(self, pushed, faulty: FaultyRegistry) -> None:
        faulty.faults.append(Fault("GET", pushed.variants[0].layer_digests[0], cut=20))
        with pytest.raises(packager.PackagerError, match="broke off a download"):
            packager.verify(pushed.reference)

    @pytest.mark.parametrize("status", [503, 404, 401])
    def test_answers_that_are_no_use_hold_no_connection(self, pushed, faulty: FaultyRegistry, status: int) -> None:
        layer = pushed.variants[0].layer_digests[0]
        faulty.faults.append(Fault("GET", layer, status, body=b"x" * 100_000, times=2))
        client = registries.RegistryClient(Reference.parse(pushed.reference))
        answers: list[requests.Response] = []
        client.session.hooks["response"].append(lambda answer, **_: answers.append(answer))
        with client.session:
            if status == 503:
                assert b"".join(client.blob(layer))
            else:
                with pytest.raises(packager.PackagerError):
                    client.blob(layer)
        assert len(answers) == (3 if status == 503 else 1)
        assert all(answer.raw.closed for answer in answers)

    def test_nor_does_a_challenge_that_cannot_be_answered(self, pushed, faulty: FaultyRegistry) -> None:
        headers = {"WWW-Authenticate": f'Bearer realm="http://{faulty.address}/token"'}
        layer = pushed.variants[0].layer_digests[0]
        faulty.faults.append(Fault("GET", layer, 401, headers, body=b"x" * 100_000, times=9))
        faulty.faults.append(Fault("GET", "/token", 503, times=9))
        client = registries.RegistryClient(Reference.parse(pushed.reference))
        answers: list[requests.Response] = []
        client.session.hooks["response"].append(lambda answer, **_: answers.append(answer))
        with client.session, pytest.raises(packager.PackagerError, match="cannot get a token"):
            client.blob(layer)
        assert len(answers) == 8
        assert all(answer.raw.closed for answer in answers)

    def test_an_endless_manifest_is_refused(self, pushed, faulty: FaultyRegistry) -> None:
        faulty.faults.append(Fault("GET", "/manifests/", change=lambda _: bytes(5 << 20)))
        with pytest.raises(packager.PackagerError, match="sent a manifest of more than 4194304 bytes"):
            packager.inspect(pushed.reference)

    def test_a_missing_image(self, faulty: FaultyRegistry) -> None:
        with pytest.raises(packager.PackagerError, match=r"has no c v9 \(MANIFEST_UNKNOWN no such manifest\)"):
            packager.verify(f"{faulty.address}/c:v9")


class TestTokens:
    """Bearer challenges, as public registries answer even anonymous users."""

    def challenge(self, faulty: FaultyRegistry, realm: str) -> Fault:
        headers = {"WWW-Authenticate": f'Bearer realm="{realm}",service="s",scope="repository:c:pull"'}
        return Fault("HEAD", "/v2/c/", 401, headers)

    def test_a_token_is_fetched_for_pull_and_push_at_once(self, content: Path, faulty: FaultyRegistry) -> None:
        realm = f"http://{faulty.address}/token"
        faulty.faults.append(self.challenge(faulty, realm))
        faulty.faults.append(Fault("GET", "/token", 200, body=b'{"token":"t0k3n"}'))
        packager.push(content, f"{faulty.address}/c:v1")
        assert faulty.count("GET", "/token") == 1
        assert faulty.headers[-1]["Authorization"] == "Bearer t0k3n"

    def test_a_token_that_expires_is_fetched_again(self, content: Path, faulty: FaultyRegistry) -> None:
        realm = f"http://{faulty.address}/token"
        faulty.faults.append(self.challenge(faulty, realm))
        expired = self.challenge(faulty, realm)
        expired.method, expired.path, expired.after = "PUT", "/blobs/uploads/", 1
        faulty.faults.append(expired)
        faulty.faults.append(Fault("GET", "/token", 200, body=b'{"access_token":"one"}'))
        faulty.faults.append(Fault("GET", "/token", 200, body=b'{"access_token":"two"}'))
        packager.push(content, f"{faulty.address}/c:v1")
        assert faulty.headers[-1]["Authorization"] == "Bearer two"
        assert packager.verify(f"{faulty.address}/c:v1") == []

    def test_a_realm_in_the_open_is_refused(self, content: Path, faulty: FaultyRegistry, monkeypatch) -> None:
        faulty.faults.append(self.challenge(faulty, "ftp://tokens.example/"))
        with pytest.raises(packager.PackagerError, match="which is not https"):
            packager.push(content, f"{faulty.address}/c:v1", auth=packager.Credentials("u", "s3cret"))


def test_credentials_do_not_follow_a_redirect_to_another_host(content: Path, faulty: FaultyRegistry) -> None:
    from packager_faulty import serve

    pushed = packager.push(content, f"{faulty.address}/c:v1")
    config = pushed.variants[0].config_digest
    with serve() as storage:
        storage.blobs.update(faulty.blobs)
        elsewhere = f"http://{storage.address.replace('127.0.0.1', 'localhost')}/v2/c/blobs/{config}?sig=s3cret"
        faulty.faults.append(Fault("GET", "/manifests/", 401, {"WWW-Authenticate": 'Basic realm="r"'}))
        faulty.faults.append(Fault("GET", config, 307, {"Location": elsewhere}))
        packager.inspect(pushed.reference, auth=packager.Credentials("ci", "s3cret"))
        assert faulty.headers[-1].get("Authorization", "").startswith("Basic ")
        assert storage.count("GET") == 1
        assert "Authorization" not in storage.headers[0]


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        port = taken.getsockname()[1]
        with pytest.raises(packager.PackagerError) as failed:
            packager.verify(f"127.0.0.1:{port}/c:v1")
    assert str(failed.value) == f"cannot reach the registry 127.0.0.1:{port}: connection refused"


def test_a_silent_registry_is_given_up(content: Path, monkeypatch) -> None:
    monkeypatch.setattr(registries, "_TIMEOUT", (0.2, 0.05))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(20)
        with pytest.raises(packager.PackagerError, match=r"cannot reach the registry .*: no answer in time|timed out"):
            packager.push(content, f"127.0.0.1:{silent.getsockname()[1]}/c:v1")


def test_a_registry_that_speaks_something_else(content: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(20)

        def chatter() -> None:
            while True:
                try:
                    connection = other.accept()[0]
                except OSError:
                    return
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.close()

        thread = threading.Thread(target=chatter, daemon=True)
        thread.start()
        with pytest.raises(packager.PackagerError, match="cannot reach the registry"):
            packager.push(content, f"127.0.0.1:{other.getsockname()[1]}/c:v1")
        other.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_proxy_is_not_asked_about_this_machine(content: Path, faulty: FaultyRegistry, monkeypatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    packager.push(content, f"{faulty.address}/c:v1")


@pytest.mark.slow
def test_memory_does_not_grow_with_what_is_pushed(tmp_path: Path, registry) -> None:
    root = tmp_path / "content"
    root.mkdir()
    with (root / "random").open("wb") as file:
        for _ in range(80):
            file.write(os.urandom(1 << 20))
    program = (
        "import packager, re, sys\n"
        "pushed = packager.push(sys.argv[1], sys.argv[2], jobs=2)\n"
        "assert pushed.uploaded > 80 << 20\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    command = [sys.executable, "-c", program, root, f"{registry.address}/c:v1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 80 << 10  # kilobytes
