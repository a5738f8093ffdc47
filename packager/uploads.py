"""Uploading one blob: not at all where the registry has it, else whole or in chunks, and taken up again where a
connection broke (distribution-spec 1.1, "Pushing blobs", "Pushing a blob in chunks").

A chunk is never sent again before the session was asked what has arrived: a registry may have taken it and
failed to say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode, urljoin, urlsplit

import requests

from packager.answers import TRANSIENT, BrokenError
from packager.errors import PackagerError
from packager.images import Blob

if TYPE_CHECKING:
    from packager.registries import RegistryClient

__all__ = ["MODES", "Mode", "OnBytes", "Outcome", "send_blob"]

Mode = Literal["auto", "chunked", "single"]
MODES: tuple[Mode, ...] = ("auto", "chunked", "single")
Outcome = Literal["had", "mounted", "sent"]
OnBytes = Callable[[int], None]

_OCTETS = "application/octet-stream"
_WHOLE = 4 << 20  # auto: up to here a blob goes in one request
_CHUNK = 16 << 20
_SMALL_CHUNK = 4 << 20  # what ACR's own client sends, and the most GHCR takes
_SMALL_CHUNK_HOSTS = (".azurecr.io", "ghcr.io")
_LEAST_CHUNK = 64 << 10  # who takes no more than this takes no layers
_PIECE = 256 << 10
_ATTEMPTS = 4  # in a row that bring nothing forward
_TAKEN = {200, 201, 202, 204}
_CREATED, _NOT_FOUND, _TOO_LARGE, _OUT_OF_RANGE = 201, 404, 413, 416
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")


def send_blob(
    client: RegistryClient,
    blob: Blob,
    *,
    mode: Mode = "auto",
    mounts: Iterable[str] = (),
    on_bytes: OnBytes | None = None,
) -> Outcome:
    """See to it that the client's repository has a blob: "had" it, "mounted" from another repository, or "sent".

    `mounts` are repositories of the same registry that may hold it. `mode`: "single" sends it in one request,
    "chunked" in several, "auto" by its size; chunks shrink where the registry finds them too large, except with
    "single". `on_bytes` is told how many bytes are sent; the number goes back where a connection broke. Memory does
    not grow with the blob. Raises PackagerError.
    """
    if client.has_blob(blob.digest, blob.size):
        return "had"
    upload = _Upload(client, blob, mode, on_bytes or (lambda _: None))
    for repository in mounts:
        if repository != client.reference.repository and upload.mount(repository):
            return "mounted"
    upload.send()
    return "sent"


class _Upload:
    """One blob's way into a registry, over as many sessions and requests as it takes.

    `_offset` bytes are known to have arrived in the session at `_place`; None where there is no session.
    """

    def __init__(self, client: RegistryClient, blob: Blob, mode: Mode, on_bytes: OnBytes) -> None:
        self._client, self._blob, self._on_bytes = client, blob, on_bytes
        self._fixed = mode == "single"
        self._single = mode == "single" or (mode == "auto" and blob.size <= _WHOLE)
        self._chunk = _SMALL_CHUNK if client.reference.registry.endswith(_SMALL_CHUNK_HOSTS) else _CHUNK
        self._least = _LEAST_CHUNK
        self._place: str | None = None
        self._offset = 0
        self._doubted = False
        self._refused = f"did not take the blob {blob.digest}"

    def mount(self, repository: str) -> bool:
        """Have the registry link the blob from another of its repositories; False if it would not."""
        self._client.also_pull(repository)
        try:
            response = self._post({"mount": self._blob.digest, "from": repository})
        except BrokenError:
            raise
        except PackagerError:
            self._client.no_longer_pull(repository)  # it may be that we must not read there
            return False
        if response.status_code == _CREATED:
            return True
        self._opened(response)
        return False

    def send(self) -> None:
        """Send what is missing until the registry has all of it."""
        failed = best = 0
        while True:
            try:
                if self._place is None:
                    self._begin()
                if self._advance():
                    return
            except BrokenError as error:
                failed = 1 if self._offset > best else failed + 1
                best = max(best, self._offset)
                if failed == _ATTEMPTS:
                    raise
                self._client.wait(failed, error.retry_after)
                if self._client.has_blob(self._blob.digest, self._blob.size):
                    return  # it arrived, and only the answer did not
                before = self._offset
                self._locate()
                if failed > 1 and self._offset <= before and self._shrinkable:
                    self._shrink(self._blob.size)  # some say that a request is too large by closing the connection

    def _begin(self) -> None:
        response = self._post({})
        self._client.expect(response, {202}, self._refused)
        self._opened(response)

    def _post(self, query: dict[str, str]) -> requests.Response:
        url = f"{self._client.reference.api}/blobs/uploads/"
        response = self._client.do_request(
            f"{url}?{urlencode(query)}" if query else url, "POST", headers={"Content-Length": "0"}
        )
        if query:
            self._client.expect(response, {201, 202}, self._refused)
        return response

    def _opened(self, response: requests.Response) -> None:
        location = response.headers.get("Location")
        if not location:
            raise PackagerError(f"{self._client.reference.registry} did not say where to upload to")
        self._place, self._offset, self._doubted = urljoin(str(response.url), location), 0, False
        minimum = response.headers.get("OCI-Chunk-Min-Length", "")
        if minimum.isdigit():
            self._least = max(_LEAST_CHUNK, int(minimum))
            self._chunk = max(self._chunk, self._least)

    def _advance(self) -> bool:
        """One request more; whether it was the last."""
        assert self._place is not None
        last = self._single or self._offset == self._blob.size
        length = self._blob.size - self._offset if last else min(self._chunk, self._blob.size - self._offset)
        part = _Part(self._blob, self._offset, length, self._on_bytes)
        headers = {"Content-Type": _OCTETS, "Content-Length": str(length)}
        if length and (not last or self._offset):
            headers["Content-Range"] = f"{self._offset}-{self._offset + length - 1}"
        url = self._place
        if last:
            url += f"{'&' if urlsplit(url).query else '?'}digest={self._blob.digest.replace(':', '%3A')}"
        # requests sends a stream of length 0 without a Content-Length.
        body = part if length else b""
        response = self._client.do_request(url, "PUT" if last else "PATCH", data=body, headers=headers)
        status = response.status_code
        if status in _TAKEN:
            self._taken(response, length)
            if last:
                self._check(response.headers.get("Docker-Content-Digest", ""))
            return last
        if status == _TOO_LARGE and length and self._shrinkable:
            self._shrink(length)
            self._locate()
        elif status == _OUT_OF_RANGE and length:
            before = self._offset
            self._locate()
            if self._offset != before:
                raise BrokenError(f"{self._client.reference.registry} {self._refused}: it lost what it had of it")
            # Nothing is missing before it, so it is the size that is wrong (GHCR above 4 MiB).
            if not self._shrinkable:
                self._client.expect(response, _TAKEN, self._refused)
            self._shrink(length)
        elif status == _NOT_FOUND and self._offset:
            self._place, self._offset = None, 0
            raise BrokenError(f"{self._client.reference.registry} {self._refused}: it forgot the upload")
        elif status in TRANSIENT:
            retry_after = response.headers.get("Retry-After", "")
            try:
                self._client.expect(response, _TAKEN, self._refused)
            except BrokenError as error:
                error.retry_after = retry_after
                raise
        elif status == _TOO_LARGE and self._fixed:
            raise PackagerError(
                f"{self._client.reference.registry} {self._refused} in one request: it answered {status}; "
                "give --upload-mode chunked"
            )
        else:
            self._client.expect(response, _TAKEN, self._refused)
        return False

    def _taken(self, response: requests.Response, length: int) -> None:
        arrived = _arrived(response)
        # A registry may take less of a chunk than it was sent.
        self._offset = arrived if self._offset < arrived < self._offset + length else self._offset + length
        if location := response.headers.get("Location"):
            self._place = urljoin(str(response.url), location)

    def _check(self, stored: str) -> None:
        """Hold a registry to what it says it stored; it may say so by another algorithm, or not at all."""
        if stored.startswith("sha256:") and stored != self._blob.digest:
            raise PackagerError(f"{self._client.reference.registry} stored the blob {self._blob.digest} as {stored}")

    def _locate(self) -> None:
        """Ask the session what has arrived. Without a clear answer there is no session any more."""
        place, before, self._place, self._offset = self._place, self._offset, None, 0
        if place is None:
            return
        try:
            response = self._client.do_request(place, "GET")
        except BrokenError:
            return
        arrived = _arrived(response)
        if response.status_code not in _TAKEN or arrived > self._blob.size:
            return
        if arrived <= 1:
            # "0-0" is said of one byte and of none: it is taken for none once, where none is known to be there.
            if before or self._doubted:
                self._cancel(place)
                return
            self._doubted = True
            arrived = 0
        self._offset = arrived
        location = response.headers.get("Location")
        self._place = urljoin(str(response.url), location) if location else place

    def _cancel(self, place: str) -> None:
        """Let the registry throw away a session that will not be used."""
        try:
            self._client.do_request(place, "DELETE")
        except PackagerError:
            return

    @property
    def _shrinkable(self) -> bool:
        return not self._fixed and min(self._chunk, self._blob.size) // 2 >= self._least

    def _shrink(self, length: int) -> None:
        self._single = False
        self._chunk = max(min(self._chunk, length) // 2, self._least)


def _arrived(response: requests.Response) -> int:
    """How many bytes a session says that it has; 0 if it does not say."""
    found = _RANGE.fullmatch(response.headers.get("Range", "").strip())
    return int(found[1]) + 1 if found else 0


class _Part:
    """Part of a blob as a request's body: its length known, read piece by piece, from the start again if need be."""

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
