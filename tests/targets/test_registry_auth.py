"""Proving to a registry who we are, as its challenge asks, over real HTTP."""

import base64
import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from conformance.registry_auth import RegistryAuth

BASIC = "Basic " + base64.b64encode(b"suite:word").decode()


class Registry:
    def __init__(self, kind, token_host="127.0.0.1"):
        self.seen = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                shown = self.headers.get("Authorization", "")
                registry.seen.append((self.command, self.path, shown))
                if self.path.startswith("/token"):
                    return self.send(200, b'{"token": "t0ken"}')
                if shown == (BASIC if kind == "basic" else "Bearer t0ken"):
                    return self.send(201, body)
                token = registry.url.replace("127.0.0.1", token_host) + "/token"
                realm = f'Bearer realm="{token}",service="r.example",scope="repository:other:pull"'
                return self.send(401, b"", {"WWW-Authenticate": 'Basic realm="r"' if kind == "basic" else realm})

            do_GET = do_PUT = answer

            def send(self, status, body, headers=None):
                self.send_response(status)
                for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(params=["basic", "bearer"])
def registry(request):
    registry = Registry(request.param)
    yield registry
    registry.close()


@pytest.fixture
def http():
    with requests.Session() as session:
        yield session


def test_the_challenge_is_answered_and_the_body_sent_again(registry, http):
    http.auth = RegistryAuth("ours/content", "suite", "word")
    answer = http.put(f"{registry.url}/v2/ours/content/blobs/uploads/1", data=b"the blob")
    assert (answer.status_code, answer.content) == (201, b"the blob")


def test_what_was_proved_is_shown_at_once_the_next_time(registry, http):
    http.auth = RegistryAuth("ours/content", "suite", "word")
    http.get(f"{registry.url}/v2/")
    before = len(registry.seen)
    assert http.get(f"{registry.url}/v2/").status_code == 201
    assert len(registry.seen) == before + 1


# To another host the password goes by https alone.
@pytest.mark.parametrize(("token_host", "expected"), [("127.0.0.1", BASIC), ("127.0.0.2", "")])
def test_a_token_is_for_our_repository_and_all_that_we_do(token_host, expected):
    with contextlib.closing(Registry("bearer", token_host)) as registry, requests.Session() as http:
        http.auth = RegistryAuth("ours/content", "suite", "word")
        http.get(f"{registry.url}/v2/")
        ((_, path, shown),) = [seen for seen in registry.seen if seen[1].startswith("/token")]
    assert parse_qs(urlsplit(path).query) == {
        "service": ["r.example"],
        "scope": ["repository:ours/content:pull,push,delete"],
    }
    assert shown == expected


def test_without_credentials_a_refusal_is_a_refusal():
    with contextlib.closing(Registry("basic")) as registry, requests.Session() as http:
        http.auth = RegistryAuth("ours/content", "", "")
        assert http.get(f"{registry.url}/v2/").status_code == 401
    assert len(registry.seen) == 1


def test_wrong_credentials_are_shown_once():
    with contextlib.closing(Registry("basic")) as registry, requests.Session() as http:
        http.auth = RegistryAuth("ours/content", "suite", "wrong")
        assert http.get(f"{registry.url}/v2/").status_code == 401
    assert len(registry.seen) == 2
