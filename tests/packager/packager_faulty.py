"""A small registry that misbehaves on request, for what a real one does on its bad days."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Fault:
    """What to answer instead, `times` times after letting `after` pass, to requests that `method` and `path` match.

    Without a status the connection is cut: before the request is read; when it has been done but not answered
    (`unanswered`); or after `cut` bytes of the answer. `change` alters the answer's body.
    """

    method: str
    path: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    times: int = 1
    after: int = 0
    cut: int = 0
    unanswered: bool = False
    change: Callable[[bytes], bytes] | None = None


@dataclass
class FaultyRegistry:
    address: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, method: str, path: str = "") -> int:
        return sum(1 for one, other in self.seen if one == method and re.search(path, other))

    def due(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.method == method and re.search(fault.path, path) and fault.times:
                    if fault.after:
                        fault.after -= 1
                        return None
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: FaultyRegistry

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        registry, parts = self.registry, urlsplit(self.path)
        registry.seen.append((self.command, parts.path))
        registry.headers.append(dict(self.headers))
        fault = registry.due(self.command, parts.path)
        if fault and not (fault.status or fault.change or fault.cut or fault.unanswered):
            self.close_connection = True  # before the body is read: the sender notices in the middle
            self.connection.close()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if fault and fault.status:
            self._answer(fault.status, fault.headers, fault.body)
            return
        status, headers, answer = self._normal(parts.path, parse_qs(parts.query), body)
        if fault and fault.change:
            answer = fault.change(answer)
        if fault and (fault.cut or fault.unanswered):
            if fault.cut:
                self._answer(status, headers, answer, cut=fault.cut)
            self.close_connection = True
            self.connection.close()
            return
        self._answer(status, headers, answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:cut])
            self.wfile.flush()

    def _normal(self, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, dict[str, str], bytes]:
        registry = self.registry
        kind, _, last = path.removeprefix("/v2/c/").partition("/")
        if kind == "manifests":
            if self.command == "PUT":
                digest = "sha256:" + hashlib.sha256(body).hexdigest()
                registry.manifests[last] = registry.manifests[digest] = (self.headers["Content-Type"], body)
                return 201, {"Docker-Content-Digest": digest}, b""
            if last not in registry.manifests:
                return 404, {}, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such manifest"}]}'
            media_type, found = registry.manifests[last]
            return 200, {"Content-Type": media_type}, found
        if not last.startswith("uploads/"):
            blob = registry.blobs.get(last)
            return (404, {}, b"") if blob is None else (200, {}, blob)
        session = last.removeprefix("uploads/")
        if self.command == "POST":
            session = str(len(registry.uploads))
            registry.uploads[session] = bytearray()
            return 202, {"Location": f"/v2/c/blobs/uploads/{session}?state=x%2By"}, b""
        upload = registry.uploads.get(session)
        if upload is None:
            return 404, {}, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"no such upload"}]}'
        if self.command == "DELETE":
            del registry.uploads[session]
            return 204, {}, b""
        if self.command == "GET":
            return 204, {"Range": f"0-{max(0, len(upload) - 1)}"}, b""
        content_range = self.headers.get("Content-Range")
        if content_range and not content_range.startswith(f"{len(upload)}-"):
            return 416, {"Range": f"0-{len(upload) - 1}"}, b""
        upload += body
        if self.command == "PATCH":
            return 202, {"Location": f"/v2/c/blobs/uploads/{session}?state=x%2By", "Range": f"0-{len(upload) - 1}"}, b""
        (digest,) = query["digest"]
        if digest != "sha256:" + hashlib.sha256(upload).hexdigest():
            return 400, {}, b'{"errors":[{"code":"DIGEST_INVALID","message":"it is something else"}]}'
        registry.blobs[digest] = bytes(upload)
        return 201, {"Docker-Content-Digest": digest}, b""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that went away is what these tests are about."""


@contextmanager
def serve() -> Iterator[FaultyRegistry]:
    registry = FaultyRegistry()
    handler = type("Handler", (_Handler,), {"registry": registry})
    with _Server(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        registry.address = f"127.0.0.1:{server.server_port}"
        yield registry
        server.shutdown()
        thread.join()
