"""Registries over the distribution API, on the `oras` package.

`oras.provider.Registry` gives the session, the naming of repositories and the blob requests. What decides
whether a push arrives is done here instead, because oras 0.2.43 (pinned;
tests/packager/test_oras_contract.py shows each)

- waits two minutes on a wrong password and forever on a silent registry, yet gives up at the first 429 or 503;
- reads a blob whole to send it, and re-sends a chunk blindly;
- re-serialises manifests, so their digest is not ours, and can send no index;
- believes whatever it downloads.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import oras.provider
import requests

from packager.authentication import Authenticator
from packager.credentials import Credentials
from packager.documents import INDEX, MANIFEST, Document
from packager.errors import PackagerError
from packager.images import Blob
from packager.references import Reference

__all__ = ["MissingError", "RegistryClient"]

# Docker's types too: to be able to say that an image is of the wrong one.
_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPT = f"{INDEX}, {MANIFEST}, {_DOCKER}.list.v2+json, {_DOCKER}.v2+json"
_OCTETS = "application/octet-stream"
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte from the registry
_SETTLE_TIMEOUT = (10.0, 300.0)  # a registry may hash and move a whole blob before it answers
_ATTEMPTS = 4
_LONGEST_WAIT = 30.0
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY = 200, 401, 403, 404, 429
_TRANSIENT = {_TOO_MANY, 500, 502, 503, 504}
_WHOLE = 4 << 20  # up to here a blob goes in one request
_CHUNK = 16 << 20
_SMALL_CHUNK = 4 << 20  # what ACR's own client sends, and the most GHCR takes
_SMALL_CHUNK_HOSTS = (".azurecr.io", "ghcr.io")
_PIECE = 256 << 10
_MAX_MANIFEST = 4 << 20  # the least that registries must take is the most that they do (distribution-spec)

OnBytes = Callable[[int], None]


class MissingError(PackagerError):
    """The registry says that it does not have what was asked for."""


class _BrokenError(PackagerError):
    """A connection or a registry failed in the middle: trying again from the start may help."""


class RegistryClient(oras.provider.Registry):  # type: ignore[misc]  # oras has no types
    """One repository in a registry, for one piece of work.

    Plain http for loopback addresses only. `pause` sleeps between attempts. Every method raises
    PackagerError with the registry's own words; no message carries a credential or a query string.
    """

    def __init__(
        self,
        reference: Reference,
        credentials: Credentials | None = None,
        *,
        push: bool = False,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(hostname=reference.registry, insecure=reference.is_loopback)
        self.reference = reference
        self._authenticator = Authenticator(reference, "pull,push" if push else "pull", credentials)
        self._pause = pause
        # An auth callable that adds nothing keeps requests from adding what it finds in ~/.netrc.
        self.session.auth = _as_it_is
        if reference.is_loopback:
            self.session.trust_env = False  # no proxy between us and ourselves

    def manifest(self, version: str) -> tuple[Document, str]:
        """A manifest or index by tag or digest, as it came; and the digest the registry says it has, or
        ""."""
        url = f"{self.reference.api}/manifests/{version}"
        response = self.do_request(url, headers={"Accept": _ACCEPT}, stream=True)
        self._expect(response, {200}, f"has no {self.reference.repository} {version}")
        body = b"".join(self._body(response, _MAX_MANIFEST))
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        return Document(media_type, body), response.headers.get("Docker-Content-Digest", "")

    def blob(self, digest: str) -> Iterator[bytes]:
        """A blob's bytes as they come, unchecked: for one who hashes them anyway."""
        response = self.do_request(f"{self.reference.api}/blobs/{digest}", stream=True)
        self._expect(response, {200}, f"has no blob {digest}")
        return self._body(response, None)

    def has_blob(self, digest: str) -> bool:
        """Whether the repository already has a blob."""
        response = self.do_request(f"{self.reference.api}/blobs/{digest}", "HEAD")
        if response.status_code != _NOT_FOUND:
            self._expect(response, {200}, f"has no blob {digest}")
        return response.status_code == _OK

    def send_blob(self, blob: Blob, on_bytes: OnBytes | None = None) -> bool:
        """Upload a blob the repository does not have; False if it had it. `on_bytes` is told how many were
        sent.

        Memory does not grow with the blob. An upload that breaks is begun again, a bounded number of times.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            if self.has_blob(blob.digest):
                return attempt > 1
            try:
                self._upload(blob, on_bytes or (lambda _: None))
            except _BrokenError:
                if attempt == _ATTEMPTS:
                    raise
                self._wait(attempt, "")
            else:
                return True
        raise AssertionError("unreachable")

    def put_manifest(self, document: Document, version: str) -> None:
        """Store a manifest or an index, byte for byte, under a tag or under its digest."""
        url = f"{self.reference.api}/manifests/{version}"
        headers = {"Content-Type": document.media_type}
        response = self.do_request(url, "PUT", data=document.body, headers=headers)
        self._expect(response, {200, 201, 202}, f"did not take the manifest {version}")
        stored = response.headers.get("Docker-Content-Digest", document.digest)
        if stored != document.digest:
            raise PackagerError(
                f"{self.reference.registry} stored the manifest {version} as {stored}, not as {document.digest}"
            )

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: Any = None,
        headers: dict[str, str] | None = None,
        json: Any = None,
        stream: bool = False,
    ) -> requests.Response:
        """One request of oras's, with our authentication, time-outs and bounded retries.

        Repeated are requests that do the same when done twice, and any that the registry says it did not
        begin (429). Chunks of a blob are not: `send_blob` begins the whole upload again.
        """
        repeatable = method in ("GET", "HEAD", "POST") or "/manifests/" in urlsplit(url).path
        for attempt in range(1, _ATTEMPTS + 1):
            last = attempt == _ATTEMPTS
            try:
                response = self._authenticated(url, method, data, dict(headers or {}), json, stream)
            except requests.exceptions.SSLError as error:
                raise PackagerError(f"cannot trust {self._host(url)}: {_reason(error)}") from error
            except (requests.ConnectionError, requests.Timeout) as error:
                if last or not repeatable or _is_final(error):
                    raise _BrokenError(f"cannot reach the registry {self._host(url)}: {_reason(error)}") from error
                self._wait(attempt, "")
                continue
            except requests.RequestException as error:
                raise PackagerError(f"cannot ask the registry {self._host(url)}: {_reason(error)}") from error
            status = response.status_code
            if last or status not in _TRANSIENT or not (repeatable or status == _TOO_MANY):
                return response
            self._wait(attempt, response.headers.get("Retry-After", ""))
            if hasattr(data, "rewind"):
                data.rewind()
        raise AssertionError("unreachable")

    def _authenticated(
        self, url: str, method: str, data: Any, headers: dict[str, str], json: Any, stream: bool
    ) -> requests.Response:
        settles = method in ("PUT", "PATCH")
        for again in (False, True):
            # A redirect or an upload location may lead to another host, which our credentials do not concern.
            if self._authenticator.header and self._is_ours(url):
                headers["Authorization"] = self._authenticator.header
            response: requests.Response = self.session.request(
                method,
                url,
                data=data,
                json=json,
                headers={"Accept-Encoding": "identity", **headers},
                stream=stream,
                timeout=_SETTLE_TIMEOUT if settles else _TIMEOUT,
                allow_redirects=method in ("GET", "HEAD"),
            )
            challenge = response.headers.get("WWW-Authenticate", "")
            if (
                again
                or response.status_code != _UNAUTHORIZED
                or not self._authenticator.answer(challenge, self.session)
            ):
                break
            response.close()
            if hasattr(data, "rewind"):
                data.rewind()
        return response

    def _upload(self, blob: Blob, on_bytes: OnBytes) -> None:
        refused = f"did not take the blob {blob.digest}"
        url = f"{self.reference.api}/blobs/uploads/"
        response = self.do_request(url, "POST", headers={"Content-Length": "0"})
        self._expect(response, {202}, refused)
        place = self._location(response)
        chunk = self._chunk_size(response)
        if blob.size > _WHOLE:
            for start in range(0, blob.size, chunk):
                part = _Part(blob, start, min(chunk, blob.size - start), on_bytes)
                headers = {"Content-Type": _OCTETS, "Content-Range": f"{start}-{start + len(part) - 1}"}
                response = self.do_request(place, "PATCH", data=part, headers=headers)
                self._expect(response, {200, 201, 202}, refused)
                place = self._location(response)
            rest = _Part(blob, blob.size, 0, on_bytes)
        else:
            rest = _Part(blob, 0, blob.size, on_bytes)
        place += f"{'&' if urlsplit(place).query else '?'}digest={blob.digest.replace(':', '%3A')}"
        # requests sends a stream of length 0 without a Content-Length.
        body = rest if len(rest) else b""
        headers = {"Content-Type": _OCTETS, "Content-Length": str(len(rest))}
        response = self.do_request(place, "PUT", data=body, headers=headers)
        self._expect(response, {200, 201, 204}, refused)

    def _chunk_size(self, response: requests.Response) -> int:
        minimum = response.headers.get("OCI-Chunk-Min-Length", "")
        chunk = _SMALL_CHUNK if self.reference.registry.endswith(_SMALL_CHUNK_HOSTS) else _CHUNK
        return max(chunk, int(minimum)) if minimum.isdigit() else chunk

    def _location(self, response: requests.Response) -> str:
        location = response.headers.get("Location")
        if not location:
            raise PackagerError(f"{self.reference.registry} did not say where to upload to")
        return urljoin(str(response.url), location)

    def _expect(self, response: requests.Response, statuses: set[int], otherwise: str) -> None:
        """Raise the sentence for an answer that is not among `statuses`."""
        status = response.status_code
        if status in statuses:
            return
        registry, user = self.reference.registry, self._authenticator.credentials
        said = _said(response)
        if status == _UNAUTHORIZED:
            if user is None:
                raise PackagerError(f"{registry} wants to know who you are; give --username and --password-stdin")
            raise PackagerError(f"{registry} does not accept the user name and password of {user.username!r}")
        if status == _FORBIDDEN:
            who = repr(user.username) if user else "anonymous users"
            raise PackagerError(f"{registry} forbids this to {who}{said}")
        if status == _NOT_FOUND:
            raise MissingError(f"{registry} {otherwise}{said}")
        kind = _BrokenError if status in _TRANSIENT else PackagerError
        raise kind(f"{registry} {otherwise}: it answered {status}{said}")

    def _body(self, response: requests.Response, limit: int | None) -> Iterator[bytes]:
        size = 0
        try:
            for piece in response.iter_content(_PIECE):
                size += len(piece)
                if limit is not None and size > limit:
                    raise PackagerError(f"{self.reference.registry} sent a manifest of more than {limit} bytes")
                yield piece
        except requests.RequestException as error:
            raise PackagerError(f"{self.reference.registry} broke off a download: {_reason(error)}") from error
        finally:
            response.close()

    def _is_ours(self, url: str) -> bool:
        ours, theirs = urlsplit(self.reference.api), urlsplit(url)
        return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)

    def _host(self, url: str) -> str:
        return self.reference.registry if self._is_ours(url) else urlsplit(url).netloc

    def _wait(self, attempt: int, retry_after: str) -> None:
        """Longer each time, and never all clients at once."""
        seconds = float(retry_after) if retry_after.isdigit() else 0.2 * 3 ** (attempt - 1)
        self._pause(min(seconds, _LONGEST_WAIT) * random.uniform(1.0, 1.25))  # noqa: S311 -- not a secret


class _Part:
    """Part of a blob as a request's body: its length known, read piece by piece, from the start again if
    need be."""

    def __init__(self, blob: Blob, start: int, length: int, on_bytes: OnBytes) -> None:
        self._blob, self._start, self._length, self._on_bytes = blob, start, length, on_bytes
        self._done = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(_PIECE):
            yield piece

    def read(self, size: int = -1) -> bytes:
        left = self._length - self._done
        wanted = left if size < 0 else min(size, left)
        if not wanted:
            return b""
        piece = self._blob.read(self._start + self._done, wanted)
        if not piece:
            raise PackagerError(f"{self._blob.digest} ended before its {self._blob.size} bytes")
        self._done += len(piece)
        self._on_bytes(self._start + self._done)
        return piece

    def rewind(self) -> None:
        self._done = 0


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _said(response: requests.Response) -> str:
    """The registry's own words, from the body the specification gives errors; "" if it has none."""
    try:
        errors = response.json()["errors"]
        words = [f"{error.get('code', '')} {error.get('message', '')}".strip() for error in errors]
    except (ValueError, LookupError, TypeError, AttributeError, requests.RequestException):
        return ""
    text = "; ".join(word for word in words if word)
    return f" ({text[:300]})" if text else ""


def _cause(error: BaseException) -> BaseException:
    """What lies under a failed request: the operating system's error, if that is what it was."""
    seen: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in seen:
        if isinstance(at, OSError) and at.strerror and not isinstance(at, requests.RequestException):
            return at
        seen.append(at)
        at = at.__cause__ or at.__context__
    return error


def _reason(error: BaseException) -> str:
    cause = _cause(error)
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return "no answer in time" if isinstance(error, requests.Timeout) else "the connection broke"


def _is_final(error: BaseException) -> bool:
    """Whether asking again at once is pointless: nobody listens there, or the name means nothing."""
    return isinstance(_cause(error), ConnectionRefusedError | socket.gaierror)
