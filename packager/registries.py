"""Registries over the distribution API (distribution-spec 1.1), on `requests`.

Not on the `oras` package: what decides whether a push arrives would be done here nevertheless. oras 0.2.43
(tests/packager/test_oras_contract.py shows each)

- waits two minutes on a wrong password and forever on a silent registry, yet gives up at the first 429 or 503;
- reads a blob whole to send it, and re-sends a chunk blindly;
- re-serialises manifests, so their digest is not ours, and can send no index;
- believes whatever it downloads.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from packager.answers import PASSING, TRANSIENT, BrokenError, MissingError, is_final, reason, said
from packager.authentication import Authenticator, bearer_parameters
from packager.credentials import Credentials
from packager.documents import INDEX, MANIFEST, Document
from packager.errors import PackagerError
from packager.references import Reference

__all__ = ["RegistryClient"]

# Docker's types too: to be able to say that an image is of the wrong one.
_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPT = f"{INDEX}, {MANIFEST}, {_DOCKER}.list.v2+json, {_DOCKER}.v2+json"
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte from the registry
_SETTLE_TIMEOUT = (10.0, 300.0)  # a registry may hash and move a whole blob before it answers
_ATTEMPTS = 4
_LONGEST_WAIT = 30.0
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY = 200, 401, 403, 404, 429
_PIECE = 256 << 10
_MAX_MANIFEST = 4 << 20  # the least that registries must take is the most that they do (distribution-spec)


class RegistryClient:
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
        self.session = requests.Session()
        self.reference = reference
        self._authenticator = Authenticator(reference, "pull,push" if push else "pull", credentials)
        self._pause = pause
        # An auth callable that adds nothing keeps requests from adding what it finds in ~/.netrc.
        self.session.auth = _as_it_is
        if reference.is_loopback:
            self.session.trust_env = False  # no proxy between us and ourselves

    def ping(self) -> bool:
        """See whether the registry lets us in; whether it asked who we are. Raises PackagerError if it does not."""
        root = f"{self.reference.api.partition('/v2/')[0]}/v2/"
        self.expect(self.do_request(root), {200}, "does not speak the distribution API")
        return bool(self._authenticator.header)

    def manifest(self, version: str) -> tuple[Document, str]:
        """A manifest or index by tag or digest, as it came; and the digest the registry says it has, or
        ""."""
        url = f"{self.reference.api}/manifests/{version}"
        response = self.do_request(url, headers={"Accept": _ACCEPT}, stream=True)
        self.expect(response, {200}, f"has no {self.reference.repository} {version}")
        body = b"".join(self._body(response, _MAX_MANIFEST))
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        return Document(media_type, body), response.headers.get("Docker-Content-Digest", "")

    def blob(self, digest: str) -> Iterator[bytes]:
        """A blob's bytes as they come, unchecked: for one who hashes them anyway."""
        response = self.do_request(f"{self.reference.api}/blobs/{digest}", stream=True)
        self.expect(response, {200}, f"has no blob {digest}")
        return self._body(response, None)

    def has_blob(self, digest: str, size: int | None = None) -> bool:
        """Whether the repository already has a blob; one of another size than given is not it."""
        response = self.do_request(f"{self.reference.api}/blobs/{digest}", "HEAD")
        if response.status_code != _NOT_FOUND:
            self.expect(response, {200}, f"has no blob {digest}")
        length = response.headers.get("Content-Length")
        return response.status_code == _OK and (size is None or length is None or length == str(size))

    def also_pull(self, repository: str) -> None:
        """Ask for what mounting from another repository needs, too, with the next token."""
        self._authenticator.also_pull(repository)

    def no_longer_pull(self, repository: str) -> None:
        """Do not ask for that any more."""
        self._authenticator.no_longer_pull(repository)

    def put_manifest(self, document: Document, version: str, *, attempts: int = _ATTEMPTS) -> bool:
        """Store a manifest or an index, byte for byte, under a tag or under its digest; whether the registry says that
        it lists it with its subject."""
        url = f"{self.reference.api}/manifests/{version}"
        headers = {"Content-Type": document.media_type}
        response = self.do_request(url, "PUT", data=document.body, headers=headers, attempts=attempts)
        self.expect(response, {200, 201, 202}, f"did not take the manifest {version}")
        stored = response.headers.get("Docker-Content-Digest", document.digest)
        if stored != document.digest:
            raise PackagerError(
                f"{self.reference.registry} stored the manifest {version} as {stored}, not as {document.digest}"
            )
        return "OCI-Subject" in response.headers

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: Any = None,
        headers: dict[str, str] | None = None,
        json: Any = None,
        stream: bool = False,
        attempts: int = _ATTEMPTS,
    ) -> requests.Response:
        """One request, with authentication, time-outs and bounded retries.

        Repeated are requests that do the same when done twice, and any that the registry says it did not
        begin (429). Chunks of a blob are not: packager.uploads asks first what has arrived.
        """
        repeatable = method in ("GET", "HEAD", "POST") or "/manifests/" in urlsplit(url).path
        for attempt in range(1, attempts + 1):
            last = attempt == attempts
            try:
                response = self._authenticated(url, method, data, dict(headers or {}), json, stream)
            except BrokenError as error:  # no token could be had, and nothing was done
                if last:
                    raise
                self.wait(attempt, error.retry_after)
                _rewind(data)
                continue
            except requests.exceptions.SSLError as error:
                raise PackagerError(f"cannot trust {self._host(url)}: {reason(error)}") from error
            except PASSING as error:
                if last or not repeatable or is_final(error):
                    raise BrokenError(f"cannot reach the registry {self._host(url)}: {reason(error)}") from error
                self.wait(attempt, "")
                _rewind(data)
                continue
            except requests.RequestException as error:
                raise PackagerError(f"cannot ask the registry {self._host(url)}: {reason(error)}") from error
            status = response.status_code
            if last or status not in TRANSIENT or not (repeatable or status == _TOO_MANY):
                return response
            response.close()  # of a stream, nobody will read the rest
            self.wait(attempt, response.headers.get("Retry-After", ""))
            _rewind(data)
        raise AssertionError("unreachable")

    def _authenticated(
        self, url: str, method: str, data: Any, headers: dict[str, str], json: Any, stream: bool
    ) -> requests.Response:
        settles = method in ("PUT", "PATCH")
        for again in (False, True):
            # A redirect or an upload location may lead to another host, which our credentials do not concern.
            if self._is_ours(url) and (header := self._authenticator.current(self.session)):
                headers["Authorization"] = header
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
            if (
                again
                or response.status_code != _UNAUTHORIZED
                or not self._is_ours(str(response.url))  # whoever we were led to does not get our credentials either
            ):
                break
            try:
                answered = self._authenticator.answer(response.headers.get("WWW-Authenticate", ""), self.session)
            except PackagerError:
                response.close()
                raise
            if not answered:
                break
            response.close()
            _rewind(data)
        return response

    def expect(self, response: requests.Response, statuses: set[int], otherwise: str) -> None:
        """Raise the sentence for an answer that is not among `statuses`."""
        status = response.status_code
        if status in statuses:
            return
        registry, user = self.reference.registry, self._authenticator.credentials
        words = said(response)
        response.close()
        who = (user.who or "this identity") if user else "anonymous users"
        if status == _FORBIDDEN:
            raise PackagerError(f"{registry} forbids this to {who}{words}")
        if status == _UNAUTHORIZED:
            refused = bearer_parameters(response.headers.get("WWW-Authenticate", ""))
            if user is None:
                raise PackagerError(
                    f"{registry} wants to know who you are; `imgvol login {registry}`, or give --username and "
                    "--password-stdin"
                )
            if refused.get("error") == "insufficient_scope":
                raise PackagerError(f"{registry} forbids this to {who}; it takes {refused.get('scope')}{words}")
            if refused.get("error") == "invalid_token" and self._authenticator.header.startswith("Bearer "):
                raise PackagerError(
                    f"{registry} does not accept the token that it gave for this just now; do its clock and its "
                    "token service's differ?"
                )
            if not user.who:
                raise PackagerError(f"{registry} does not accept the identity token; it may have expired: sign in anew")
            raise PackagerError(f"{registry} does not accept the user name and password of {who}")
        if status == _NOT_FOUND:
            raise MissingError(f"{registry} {otherwise}{words}")
        kind = BrokenError if status in TRANSIENT else PackagerError
        raise kind(f"{registry} {otherwise}: it answered {status}{words}")

    def _body(self, response: requests.Response, limit: int | None) -> Iterator[bytes]:
        size = 0
        try:
            for piece in response.iter_content(_PIECE):
                size += len(piece)
                if limit is not None and size > limit:
                    raise PackagerError(f"{self.reference.registry} sent a manifest of more than {limit} bytes")
                yield piece
        except requests.RequestException as error:
            raise PackagerError(f"{self.reference.registry} broke off a download: {reason(error)}") from error
        finally:
            response.close()

    def _is_ours(self, url: str) -> bool:
        ours, theirs = urlsplit(self.reference.api), urlsplit(url)
        return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)

    def _host(self, url: str) -> str:
        return self.reference.registry if self._is_ours(url) else urlsplit(url).netloc

    def pause(self, seconds: float) -> None:
        """Do nothing for so long."""
        self._pause(seconds)

    def wait(self, attempt: int, retry_after: str) -> None:
        """Longer each time, and never all clients at once."""
        seconds = _asked_for(retry_after)
        if seconds is None:
            seconds = 0.2 * 3 ** (attempt - 1)
        self._pause(min(seconds, _LONGEST_WAIT) * random.uniform(1.0, 1.25))  # noqa: S311 -- not a secret


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _asked_for(retry_after: str) -> float | None:
    """The seconds that a Retry-After asks for, as a number or as a date; None if it does not."""
    if retry_after.isdigit():
        return float(retry_after)
    try:
        seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None
    return seconds if seconds > 0 else None


def _rewind(data: Any) -> None:
    if hasattr(data, "rewind"):
        data.rewind()
