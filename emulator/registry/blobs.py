"""Blobs that are there: fetch, look up, delete.

Source: OCI distribution specification 1.1, "Pulling blobs" and "Deleting Blobs"; RFC 9110 section 14 for
ranges; headers as Docker Distribution sends them (`registry/storage/blobserver.go`).
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import BinaryIO

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from emulator.registry.errors import OciError
from emulator.registry.names import Digest
from emulator.registry.routes import Handler, Target
from emulator.registry.storage import Storage

__all__ = ["Blobs", "FileRange", "byte_range"]

_RANGE = re.compile(r"bytes=\s*([0-9]*)-([0-9]*)\s*")


def byte_range(header: str | None, size: int) -> range | None:
    """The bytes of `size` that a Range header asks for; None for all of them.

    As RFC 9110 allows, a unit other than bytes and several ranges at once mean all of them, and so does
    any range of an empty blob. One that names no byte is RANGE_INVALID.
    """
    if not header or not header.startswith("bytes=") or "," in header or size == 0:
        return None
    match = _RANGE.fullmatch(header)
    unsatisfiable = OciError("RANGE_INVALID", headers={"Content-Range": f"bytes */{size}"})
    if match is None or match.groups() == ("", ""):
        raise unsatisfiable
    first, last = match.groups()
    if not first:
        wanted = range(max(0, size - int(last)), size)
    else:
        wanted = range(int(first), min(int(last), size - 1) + 1 if last else size)
    if not wanted:
        raise unsatisfiable
    return wanted


class FileRange(web.StreamResponse):
    """A part of a file, sent by the kernel (`sendfile`)."""

    def __init__(self, path: Path, part: range, *, status: int, headers: dict[str, str]) -> None:
        super().__init__(status=status, headers=headers)
        self.content_length = len(part)
        self._path = path
        self._part = part

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes of the part, from `offset` on."""
        with self._path.open("rb") as file:
            file.seek(self._part.start + offset)
            return file.read(max(0, min(size, len(self._part) - offset)))

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send header and body."""
        if request.method == "HEAD" or not self._part:
            return await super().prepare(request)
        # Opened before the headers go out: a blob deleted meanwhile is still read to its end.
        with self._path.open("rb") as file:
            writer = await super().prepare(request)
            await self._send(request, file)
            await self.write_eof()
            return writer

    async def _send(self, request: BaseRequest, file: BinaryIO) -> None:
        if request.transport is None:
            raise ConnectionResetError("the client has gone")
        loop = asyncio.get_running_loop()
        await loop.sendfile(request.transport, file, self._part.start, len(self._part))


class Blobs:
    """The handlers of `/v2/<name>/blobs/<digest>`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def handlers(self) -> dict[str, Handler]:
        """By method."""
        return {"GET": self.get, "HEAD": self.get, "DELETE": self.delete}

    async def get(self, request: web.Request, target: Target) -> web.StreamResponse:
        """200 with the blob, 206 with a part of it, 304 when the client has it already."""
        digest = Digest.required(target.argument)
        if not self._storage.has_blob(target.repository, digest):
            raise OciError("BLOB_UNKNOWN", str(digest))
        path = self._storage.content(digest)
        size = os.stat(path).st_size  # noqa: PTH116 - one system call, no event-loop detour
        etag = f'"{digest}"'
        headers = {
            "Cache-Control": "max-age=31536000",
            "Docker-Content-Digest": str(digest),
            "ETag": etag,
        }
        if etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        headers |= {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        wanted = None
        if request.method == "GET" and request.headers.get("If-Range", etag) == etag:
            wanted = byte_range(request.headers.get("Range"), size)
        if wanted is None:
            return FileRange(path, range(size), status=200, headers=headers)
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
        return FileRange(path, wanted, status=206, headers=headers)

    async def delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        """202; the blob stays in other repositories, and manifests that name it stay as they are."""
        if not self._storage.delete_blob(target.repository, Digest.required(target.argument)):
            raise OciError("BLOB_UNKNOWN")
        return web.Response(status=202)
