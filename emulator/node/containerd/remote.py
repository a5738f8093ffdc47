"""Talking to a registry as the runtime does: resolving a reference, fetching what a descriptor points at.

Source: containerd core/remotes/docker (resolver.go, fetcher.go, errcode.go).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import ClientResponse

from emulator.node.containerd import media_types
from emulator.node.containerd.authorizer import Authorizer, Credential, unexpected_status
from emulator.node.containerd.descriptor import Descriptor
from emulator.node.containerd.errors import CriError
from emulator.node.containerd.profile import Profile
from emulator.node.containerd.reference import Reference, digest_error
from emulator.node.containerd.transport import Transport

__all__ = ["Remote"]

_RESUMPTIONS = 3  # of a download that breaks off without a further byte
_PAUSE = 0.05  # seconds before a request is repeated whose connection broke
# The errors that the runtime knows, and their usual messages, which it leaves out.
_KNOWN = {
    "UNKNOWN": "unknown error",
    "UNSUPPORTED": "The operation is unsupported.",
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "UNAVAILABLE": "service unavailable",
    "TOOMANYREQUESTS": "too many requests",
}
_BIGGEST_MANIFEST = 4 << 20
_PIECE = 1 << 20


class Remote:
    """One repository, asked with one credential."""

    def __init__(
        self, transport: Transport, profile: Profile, reference: Reference, credential: Credential | None
    ) -> None:
        self._transport = transport
        self._profile = profile
        self._reference = reference
        self.reference = str(reference)
        self._host = "registry-1.docker.io" if reference.domain == "docker.io" else reference.domain
        self._authorizer = Authorizer(transport, profile, credential, f"repository:{reference.path}:pull")

    async def resolve(self) -> Descriptor:
        """What the reference names: a HEAD of the manifest, and a GET when the answer says too little.

        Raises:
            CriError: NotFound, or what went wrong on the way.
        """
        paths = [f"manifests/{self._reference.digest or self._reference.tag}"]
        if self._reference.digest:
            paths.append(f"blobs/{self._reference.digest}")
        for path in paths:
            async with await self._ask("HEAD", path, {"Accept": media_types.MANIFEST_ACCEPT}) as response:
                if response.status == 404:
                    continue
                if response.status == 403 and self._profile.dialogue.explained_refusals:
                    raise await self._explained(response, path)
                if response.status > 299:
                    raise await _refusal(response)
                return await self._described(response, path)
        raise CriError.not_found(str(self._reference))

    async def pieces(self, descriptor: Descriptor) -> AsyncIterator[bytes]:
        """The bytes a descriptor points at; a download that breaks off is resumed where it stopped.

        Raises:
            CriError: NotFound, or what went wrong on the way.
        """
        if descriptor.data is not None:
            yield descriptor.data
            return
        position, idle = 0, 0
        while True:
            try:
                response = await self._open(descriptor, position)
            except CriError:
                if position:  # what cannot be resumed ends where it broke off
                    return
                raise
            before, ends = position, self._transport.addresses(response)
            try:
                async with response:
                    async for piece in response.content.iter_chunked(_PIECE):
                        position += len(piece)
                        yield piece
                break
            except aiohttp.ClientPayloadError as error:
                if ConnectionResetError.__name__ in str(error):  # aiohttp tells it in words only
                    text = f"failed to copy: read tcp {ends}: read: connection reset by peer"
                    raise CriError.unknown(text) from error
                idle = idle + 1 if position == before else 0
                if idle > _RESUMPTIONS:
                    return
            except (aiohttp.ClientError, TimeoutError) as error:
                raise CriError.unknown(f"failed to copy: {error or 'i/o timeout'}") from error

    async def _open(self, descriptor: Descriptor, offset: int) -> ClientResponse:
        is_document = media_types.is_manifest(descriptor.media_type) or media_types.is_index(descriptor.media_type)
        path = f"{'manifests' if is_document else 'blobs'}/{descriptor.digest}"
        headers = {"Accept": f"{descriptor.media_type}, */*" if descriptor.media_type else "*/*"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            response = await self._ask("GET", path, headers)
            if response.status == 404:
                response.release()
                raise self._missing(descriptor, path, is_document=is_document)
            if response.status > 299:
                async with response:
                    raise await self._refused(response)
        except CriError as error:
            raise error.wrapped("failed to copy: httpReadSeeker: failed open") from error
        if offset and response.status != 206:
            await _skip(response, offset)
        return response

    async def _refused(self, response: ClientResponse) -> CriError:
        """A download that was refused, in the words of this version."""
        status = f"{response.status} {response.reason}"
        text = self._profile.say("open-refused", url=response.url, status=status)
        if said := await _said(response):
            text = self._profile.say("open-explained", refused=text, said=said, newline="\n")
        return CriError.unknown(text)

    def _missing(self, descriptor: Descriptor, path: str, *, is_document: bool) -> CriError:
        if is_document:
            return CriError.not_found(f"content at {self._url(path)} not found")
        text = self._profile.say("missing-blob", digest=descriptor.digest, media_type=descriptor.media_type)
        return CriError.not_found(text)

    def _url(self, path: str) -> str:
        return self._transport.url(self._host, self._path(path))

    def _path(self, path: str) -> str:
        return f"/v2/{self._reference.path}/{path}"

    async def _ask(self, method: str, path: str, headers: dict[str, str]) -> ClientResponse:
        """Ask, answering challenges and trying again what may pass; the caller releases the response."""
        statuses: list[int] = []
        left = self._profile.dialogue.attempts
        while True:
            left -= 1
            asked = {"Accept-Encoding": "identity", "User-Agent": f"containerd/{self._profile.version}"}
            asked |= headers | await self._authorizer.headers()
            try:
                response = await self._transport.request(method, self._host, self._path(path), asked)
            except CriError as error:
                if left and self._profile.dialogue.broken_connections and error.message.endswith(": EOF"):
                    await asyncio.sleep(_PAUSE)
                    continue
                raise error.wrapped("failed to do request") from error
            statuses.append(response.status)
            if not self._try_again(response, statuses, method) or not left:
                return response
            if response.status == 405:
                method = "GET"
            await response.read()
            response.release()

    def _try_again(self, response: ClientResponse, statuses: list[int], method: str) -> bool:
        if response.status == 401:
            challenges = response.headers.getall("WWW-Authenticate", [])
            try:
                return self._authorizer.challenged(challenges, again=statuses[-2:] == [401, 401])
            except CriError:
                response.release()
                raise
        if response.status == 405:
            return method == "HEAD" and "/manifests/" in response.url.path
        if response.status in (408, 429):
            return True
        is_first = statuses[-2:-1] != [response.status]
        return response.status in (500, 503, 504) and is_first and self._profile.dialogue.server_errors

    async def _explained(self, refused: ClientResponse, path: str) -> CriError:
        """A refused HEAD, with what the registry says to a GET of the same."""
        async with await self._ask("GET", path, {"Accept": media_types.MANIFEST_ACCEPT}) as response:
            if response.status != refused.status:
                return unexpected_status(refused)
            return await _refusal(refused, response)

    async def _described(self, response: ClientResponse, path: str) -> Descriptor:
        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        digest = self._reference.digest
        length = response.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else -1
        if not digest and size >= 0 and (stated := response.headers.get("Docker-Content-Digest", "")):
            if error := digest_error(stated):
                raise CriError.unknown(f'"{stated}" in header not a valid digest: {error}')
            digest = stated
        if not digest or size < 0:
            async with await self._ask("GET", path, {"Accept": media_types.MANIFEST_ACCEPT}) as again:
                if again.status >= 400:
                    raise await _refusal(again)
                body = await again.content.read(_BIGGEST_MANIFEST + 1)
                media_type = again.headers.get("Content-Type", "").partition(";")[0]
            digest = digest or f"sha256:{hashlib.sha256(body).hexdigest()}"
            size = len(body)
        if size > _BIGGEST_MANIFEST:
            raise CriError.not_found(f"rejecting {size} byte manifest for {self._reference}")
        return Descriptor(media_type, digest, size)


async def _skip(response: ClientResponse, offset: int) -> None:
    """Read what is already there from a registry that heeds no ranges."""
    while offset:
        piece = await response.content.read(min(offset, _PIECE))
        if not piece:
            raise CriError.unknown("failed to copy: unable to discard to offset")
        offset -= len(piece)


async def _refusal(response: ClientResponse, told: ClientResponse | None = None) -> CriError:
    """A status that is none of success, with the errors of its body, or another's, in the runtime's words."""
    error = unexpected_status(response)
    said = await _said(told or response)
    return CriError(error.code, f"{error.message}\n{said}") if said else error


async def _said(response: ClientResponse) -> str:
    """The errors in a body of the distribution specification's form; "" if it is none."""
    try:
        errors = json.loads(await response.content.read(64_000))["errors"]
        texts = [_error_text(one) for one in errors]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return texts[0] if len(texts) == 1 else "".join(["errors:\n"] * bool(texts) + [f"{text}\n" for text in texts])


def _error_text(error: dict[str, Any]) -> str:
    code = str(error["code"])
    code = code if code in _KNOWN else "UNKNOWN"
    message = str(error.get("message", ""))
    if error.get("detail") is None and message in ("", _KNOWN[code]):
        return code.lower()
    return f"{code.lower()}: {message}"
