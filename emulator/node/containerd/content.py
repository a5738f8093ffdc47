"""The content store: blobs on disk by digest, put there only when size and digest are right."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from emulator.node.containerd.errors import CriError, go_syscall_text
from emulator.node.containerd.profile import Profile
from emulator.node.containerd.reference import digest_error

__all__ = ["ContentStore"]


class ContentStore:
    """Blobs below one directory."""

    def __init__(self, root: Path, profile: Profile) -> None:
        self._blobs = root / "blobs"
        self._ingest = root / "ingest"
        self._profile = profile
        self._numbers = itertools.count()
        self._blobs.mkdir(parents=True)
        self._ingest.mkdir()

    def path(self, digest: str) -> Path:
        """Where a blob is, or would be.

        Raises:
            CriError: this is no digest; what else it may be is never taken for a path.
        """
        if error := digest_error(digest):
            raise CriError.unknown(error)
        return self._blobs / digest.replace(":", "-")

    def has(self, digest: str) -> bool:
        """Whether a blob is present."""
        return self.path(digest).exists()

    def read(self, digest: str) -> bytes:
        """A blob's bytes.

        Raises:
            CriError: NotFound.
        """
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError:
            raise CriError.not_found(f"content digest {digest}") from None

    async def write(self, key: str, digest: str, size: int, pieces: AsyncIterator[bytes]) -> None:
        """Keep a blob as it comes in. Nothing is left of one that is not what it should be.

        `key` is what errors call the download.

        Raises:
            CriError: FailedPrecondition for a wrong digest, Unknown for a wrong size.
        """
        digester = hashlib.new(digest.partition(":")[0])
        ingest = self._ingest / str(next(self._numbers))
        count = 0
        try:
            with ingest.open("xb") as sink:
                async for piece in pieces:
                    count += len(piece)
                    if count > size:
                        past = CriError.failed_precondition(f"httpReadSeeker: read past expected size {size}")
                        raise past.wrapped("failed to copy")
                    if len(piece) < 1 << 16:
                        digester.update(piece)
                        sink.write(piece)
                    else:
                        await asyncio.to_thread(_take, piece, digester, sink)
            if count < size:
                short = self._profile.say("short-read", size=size, count=count)
                raise CriError.unknown(f"{short}: unexpected EOF")
            found = f"{digester.name}:{digester.hexdigest()}"
            if found != digest:
                text = self._profile.say("unexpected-digest", found=found, digest=digest)
                raise CriError.failed_precondition(text).wrapped(self._profile.say("commit", key=key))
            ingest.replace(self.path(digest))
        except OSError as error:
            text = f"failed to copy: write {ingest}: {go_syscall_text(error.errno or errno.EIO)}"
            raise CriError.unknown(text) from error
        finally:
            ingest.unlink(missing_ok=True)

    def remove_all(self) -> None:
        """Remove every blob."""
        for folder in (self._blobs, self._ingest):
            for blob in folder.iterdir():
                blob.unlink()


def _take(piece: bytes, digester: hashlib._Hash, sink: BinaryIO) -> None:
    digester.update(piece)
    sink.write(piece)
