"""Upload sessions: blobs on their way in.

Source: OCI distribution specification 1.1, "Pushing blobs" and "Cancel a blob upload"; the choices it
leaves open are Docker Distribution's (`registry/handlers/blobupload.go`): what arrived before a
connection broke stays and counts, a wrong digest ends the session, and the session's URL carries a state
the client must send back.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import StreamReader

from emulator.clock import Clock
from emulator.registry.disk import write
from emulator.registry.errors import OciError
from emulator.registry.names import Digest
from emulator.registry.storage import Storage

__all__ = ["ContentRange", "Upload", "Uploads"]

_PART = 1 << 20  # bytes written at a time: the memory an upload takes
_IDLE_LIMIT = 7 * 24 * 3600.0  # emulated seconds; Docker Distribution's uploadpurging.age
_CONTENT_RANGE = re.compile(r"([0-9]+)-([0-9]+)")


@dataclass(frozen=True)
class ContentRange:
    """The bytes a chunk says it is: from `start` to `end`, both inclusive."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> ContentRange:
        """A `Content-Range` of an upload, `<start>-<end>` without a unit; anything else is RANGE_INVALID."""
        match = _CONTENT_RANGE.fullmatch(text)
        if match is None:
            raise OciError("RANGE_INVALID", f"invalid content range format, {text}")
        return cls(int(match[1]), int(match[2]))

    @property
    def length(self) -> int:
        """How many bytes that is; below one when the range runs backwards."""
        return self.end - self.start + 1


class Upload:
    """One session. `size` is the number of bytes kept so far, `state` what its URL carries.

    A session has one writer at a time: the newest request. An older one that still comes in (its client
    gave up on a connection the registry believes open) is refused as soon as it brings more.
    """

    def __init__(self, repository: str, path: Path, now: float) -> None:
        self.id = str(uuid.uuid4())
        self.state = secrets.token_urlsafe(24)
        self.repository = repository
        self.size = 0
        self.touched = now
        self._path = path
        self._sha256 = hashlib.sha256()
        self._lock = asyncio.Lock()
        self._writer = 0
        self._closed = False
        path.touch(exist_ok=False)

    async def receive(self, body: StreamReader, content_range: ContentRange | None) -> None:
        """Append a request's body. With a range that does not follow what is there: RANGE_INVALID,
        nothing is kept; with one that is not as long as the body: SIZE_INVALID, nothing is kept. A body
        that breaks off is kept.
        """
        async with self._lock:
            if self._closed:
                raise _unknown()
            if content_range is not None and (content_range.start != self.size or content_range.length < 1):
                raise OciError("RANGE_INVALID")
            self._writer += 1
            writer, start, before = self._writer, self.size, self._sha256.copy()
        async for part in _parts(body):
            async with self._lock:
                self._check_writer(writer)
                await asyncio.to_thread(self._append, part)
        if content_range is not None and self.size - start != content_range.length:
            async with self._lock:
                self._check_writer(writer)
                self._sha256, self.size = before, start
            raise OciError("SIZE_INVALID")

    def _check_writer(self, writer: int) -> None:
        if self._closed:
            raise _unknown()
        if self._writer != writer:
            raise OciError("RANGE_INVALID", "a newer request writes to this upload")

    def _append(self, part: bytes) -> None:
        try:
            file = self._path.open("r+b")  # never creates it: a session cancelled meanwhile stays gone
        except FileNotFoundError:
            raise _unknown() from None
        with file:
            file.seek(self.size)
            write(file, part)
        self._sha256.update(part)
        self.size += len(part)

    async def seal(self, digest: Digest) -> Path:
        """End the session: the path of its file, on disk to stay, whose content `digest` describes.

        DIGEST_INVALID when it does not; then the file is gone.
        """
        async with self._lock:
            if self._closed:
                raise _unknown()
            self._closed = True
            try:
                if await asyncio.to_thread(self._digest, digest.algorithm) != digest:
                    raise OciError(
                        "DIGEST_INVALID",
                        f"invalid digest for referenced layer: {digest}, content does not match digest",
                    )
            except BaseException:
                self.discard()
                raise
            return self._path

    def _digest(self, algorithm: str) -> Digest:
        with self._path.open("r+b") as file:
            # What counts is what was hashed: a full disk may have taken a part of more, a chunk may have
            # been refused.
            file.truncate(self.size)
            os.fsync(file.fileno())
            if algorithm == "sha256":
                return Digest(algorithm, self._sha256.hexdigest())
            return Digest(algorithm, hashlib.file_digest(file, algorithm).hexdigest())

    def discard(self) -> None:
        """End the session without a result."""
        self._closed = True
        self._path.unlink(missing_ok=True)


def _unknown() -> OciError:
    return OciError("BLOB_UPLOAD_UNKNOWN", "blob upload unknown")


async def _parts(body: StreamReader) -> AsyncIterator[bytes]:
    """The body in parts of about `_PART` bytes; when it breaks off, first what had arrived."""
    gathered = bytearray()
    try:
        while data := await body.readany():
            gathered += data
            if len(gathered) >= _PART:
                yield bytes(gathered)
                gathered.clear()
    except Exception:
        if gathered:
            yield bytes(gathered)
        raise
    if gathered:
        yield bytes(gathered)


class Uploads:
    """All sessions of a registry. One that nobody touches for a week of emulated time is dropped."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._sessions: dict[str, Upload] = {}

    def start(self, repository: str) -> Upload:
        """A new, empty session."""
        now = self._clock.now()
        for upload in [u for u in self._sessions.values() if now - u.touched > _IDLE_LIMIT]:
            self.cancel(upload)
        upload = Upload(repository, self._storage.incoming(), now)
        self._sessions[upload.id] = upload
        return upload

    def get(self, repository: str, upload_id: str) -> Upload:
        """The session of that id in `repository`, or BLOB_UPLOAD_UNKNOWN."""
        upload = self._sessions.get(upload_id)
        if upload is None or upload.repository != repository:
            raise _unknown()
        upload.touched = self._clock.now()
        return upload

    def cancel(self, upload: Upload) -> None:
        """Drop a session and what it received."""
        self._sessions.pop(upload.id, None)
        upload.discard()

    async def commit(self, upload: Upload, digest: Digest) -> None:
        """Make what a session received a blob of its repository, or DIGEST_INVALID; the session ends
        either way.
        """
        self._sessions.pop(upload.id, None)
        self._storage.keep(await upload.seal(digest), digest)
        self._storage.link_blob(upload.repository, digest)
