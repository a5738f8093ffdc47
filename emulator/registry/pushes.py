"""Blobs on their way in: the HTTP side of upload sessions, and mounts.

Source: OCI distribution specification 1.1, "Pushing blobs", "Pushing a blob in chunks", "Cancel a blob
upload", "Mounting a blob from another repository".
"""

from __future__ import annotations

import hmac

from aiohttp import web

from emulator.registry.errors import OciError
from emulator.registry.names import Digest
from emulator.registry.routes import Handler, Target
from emulator.registry.storage import Storage
from emulator.registry.uploads import ContentRange, Upload, Uploads

__all__ = ["Pushes"]


class Pushes:
    """The handlers of `/v2/<name>/blobs/uploads/` and of the sessions below it."""

    def __init__(self, storage: Storage, uploads: Uploads) -> None:
        self._storage = storage
        self._uploads = uploads

    def start_handlers(self) -> dict[str, Handler]:
        """Of the collection, by method."""
        return {"POST": self.start}

    def session_handlers(self) -> dict[str, Handler]:
        """Of one session, by method."""
        return {
            "GET": self.status,
            "HEAD": self.status,
            "PATCH": self.append,
            "PUT": self.finish,
            "DELETE": self.cancel,
        }

    async def start(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Mount a blob (201), take a whole one (201), or begin a session (202), which is also the answer
        to a mount that cannot be had.
        """
        if (mounted := self._mount(request, target.repository)) is not None:
            return _created(target.repository, mounted)
        if "digest" in request.query:
            digest = Digest.required(request.query["digest"])
            upload = self._uploads.start(target.repository)
            try:
                await upload.receive(request.content, None)
                await self._uploads.commit(upload, digest)
            finally:
                self._uploads.cancel(upload)
            return _created(target.repository, digest)
        return _session(self._uploads.start(target.repository), 202)

    def _mount(self, request: web.Request, repository: str) -> Digest | None:
        try:
            digest = Digest.parse(request.query.get("mount", ""))
        except ValueError:
            return None
        source = request.query.get("from")
        found = self._storage.find_blob(digest) if source is None else self._storage.has_blob(source, digest)
        if not found:
            return None
        self._storage.link_blob(repository, digest)
        return digest

    async def status(self, request: web.Request, target: Target) -> web.StreamResponse:
        """204; Range says what has arrived."""
        return _session(self._uploads.get(target.repository, target.argument), 204)

    async def append(self, request: web.Request, target: Target) -> web.StreamResponse:
        """A chunk (with Content-Range) or a stream (without): 202."""
        upload = self._session(request, target)
        await upload.receive(request.content, _content_range(request))
        return _session(upload, 202)

    async def finish(self, request: web.Request, target: Target) -> web.StreamResponse:
        """The rest of the blob, if any, and its digest: 201."""
        upload = self._session(request, target)
        if "digest" not in request.query:
            raise OciError("DIGEST_INVALID", "digest missing")
        try:
            digest = Digest.parse(request.query["digest"])
        except ValueError:
            raise OciError("DIGEST_INVALID", "digest parsing failed") from None
        await upload.receive(request.content, _content_range(request))
        await self._uploads.commit(upload, digest)
        return _created(target.repository, digest)

    async def cancel(self, request: web.Request, target: Target) -> web.StreamResponse:
        """Drop the session: 204."""
        upload = self._session(request, target)
        self._uploads.cancel(upload)
        return web.Response(status=204, headers={"Docker-Upload-UUID": upload.id})

    def _session(self, request: web.Request, target: Target) -> Upload:
        upload = self._uploads.get(target.repository, target.argument)
        # The session's URL is opaque, query included: a client that builds its own fails here as on real
        # registries.
        if not hmac.compare_digest(request.query.get("_state", "").encode(), upload.state.encode()):
            raise OciError("BLOB_UPLOAD_INVALID", "the _state of the upload's Location is missing or not this upload's")
        return upload


def _content_range(request: web.Request) -> ContentRange | None:
    text = request.headers.get("Content-Range")
    if text is None:
        return None
    content_range = ContentRange.parse(text)
    if request.content_length is not None and request.content_length != content_range.length:
        # A range out of order is named as such first: clients resume on that, and give up on a wrong size.
        if content_range.length < 1:
            raise OciError("RANGE_INVALID")
        raise OciError("SIZE_INVALID")
    return content_range


def _session(upload: Upload, status: int) -> web.Response:
    return web.Response(
        status=status,
        headers={
            "Docker-Upload-UUID": upload.id,
            "Location": f"/v2/{upload.repository}/blobs/uploads/{upload.id}?_state={upload.state}",
            "Range": f"0-{max(0, upload.size - 1)}",
        },
    )


def _created(repository: str, digest: Digest) -> web.Response:
    return web.Response(
        status=201,
        headers={"Docker-Content-Digest": str(digest), "Location": f"/v2/{repository}/blobs/{digest}"},
    )
