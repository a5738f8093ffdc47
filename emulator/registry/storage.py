"""What a registry keeps on disk.

    content/<algorithm>/<hex>                              bytes, shared by all repositories
    repositories/<name>/_blobs/<algorithm>/<hex>           the repository has this blob (empty file)
    repositories/<name>/_manifests/<algorithm>/<hex>       … this manifest: JSON of `ManifestRecord`
    repositories/<name>/_tags/<tag>                        the digest the tag points to
    repositories/<name>/_referrers/<algorithm>/<hex>/…     descriptor of a manifest whose subject is <hex>
    incoming/<random>                                      uploads and files about to be renamed into place

No component of a repository name starts with an underscore, so the two cannot be confused. Every file
appears by rename, content before the links to it and a tag last: whatever moment the process dies at,
what can be seen is whole. Bookkeeping is synchronous, so that on the one asyncio thread every change is
atomic for the other requests.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emulator.registry.disk import write
from emulator.registry.errors import RegistryError
from emulator.registry.names import Digest

__all__ = ["ManifestRecord", "Storage"]


@dataclass(frozen=True)
class ManifestRecord:
    """What is known of a stored manifest beside its bytes; `subject` is a digest or None."""

    media_type: str
    subject: str | None = None


class Storage:
    """The content of a registry under `root`, which is created when missing. One `Storage` a directory."""

    def __init__(self, root: Path) -> None:
        self._content = root / "content"
        self._repositories = root / "repositories"
        self._incoming = root / "incoming"
        try:
            # Left by a process that died: nobody can finish these uploads any more.
            shutil.rmtree(self._incoming, ignore_errors=True)
            for directory in (self._content, self._repositories, self._incoming):
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RegistryError(
                f"the registry cannot use {root} as its storage: {error.strerror}; name a directory it may write to"
            ) from error

    # Content

    def incoming(self) -> Path:
        """A path nobody uses yet, on the file system of the content."""
        return self._incoming / secrets.token_hex(16)

    def content(self, digest: Digest) -> Path:
        """Where the bytes of `digest` are, if they are here at all."""
        return self._content / digest.algorithm / digest.hex

    def stage(self, content: bytes) -> Path:
        """A new file with `content`, on disk to stay; may be called from any thread."""
        path = self.incoming()
        try:
            with path.open("xb") as file:
                write(file, content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def keep(self, source: Path, digest: Digest) -> None:
        """Make the file `source` the content of `digest`, which the caller has verified and synced."""
        target = self.content(digest)
        target.parent.mkdir(exist_ok=True)
        source.replace(target)

    def corrupt(self, digest: Digest) -> int:
        """Flip one bit of one byte of stored content, in place; returns its offset. ValueError for empty
        content.
        """
        with self.content(digest).open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                raise ValueError(f"{digest} is empty: there is no byte to flip")
            offset = size // 2
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 1]))
        return offset

    # Blobs

    def has_blob(self, repository: str, digest: Digest) -> bool:
        """Whether `repository` has the blob."""
        return self._link(repository, "_blobs", digest).exists()

    def link_blob(self, repository: str, digest: Digest) -> None:
        """Give `repository` a blob whose content is stored."""
        self._write(self._link(repository, "_blobs", digest), b"")

    def delete_blob(self, repository: str, digest: Digest) -> bool:
        """Take the blob from `repository`, and its content away when nothing refers to it; False if it
        had none.
        """
        return self._unlink(self._link(repository, "_blobs", digest), digest)

    def find_blob(self, digest: Digest) -> bool:
        """Whether any repository has the blob."""
        return any(self.has_blob(repository, digest) for repository in self._with_content())

    # Manifests, tags, referrers

    def manifest(self, repository: str, digest: Digest) -> ManifestRecord | None:
        """What is known of the manifest, None if `repository` has none of this digest."""
        try:
            return ManifestRecord(**json.loads(self._link(repository, "_manifests", digest).read_bytes()))
        except FileNotFoundError:
            return None

    def put_manifest(self, repository: str, digest: Digest, record: ManifestRecord, descriptor: dict[str, Any]) -> None:
        """Give `repository` a manifest whose content is stored; `descriptor` is how the referrers of its
        subject list it.
        """
        if record.subject is not None:
            self._write(self._referrer(repository, record.subject, digest), json.dumps(descriptor).encode())
        self._write(self._link(repository, "_manifests", digest), json.dumps(asdict(record)).encode())

    def delete_manifest(self, repository: str, digest: Digest) -> bool:
        """Take the manifest, every tag that points to it and its entry as a referrer away; False if there
        was none.
        """
        record = self.manifest(repository, digest)
        if record is None:
            return False
        for tag in self.tags(repository):
            if self.tag(repository, tag) == digest:
                self.delete_tag(repository, tag)
        if record.subject is not None:
            self._referrer(repository, record.subject, digest).unlink(missing_ok=True)
        return self._unlink(self._link(repository, "_manifests", digest), digest)

    def tag(self, repository: str, name: str) -> Digest | None:
        """The digest a tag points to."""
        try:
            return Digest.parse((self._tags(repository) / name).read_text("ascii"))
        except FileNotFoundError:
            return None

    def set_tag(self, repository: str, name: str, digest: Digest) -> None:
        """Point a tag to a stored manifest."""
        self._write(self._tags(repository) / name, str(digest).encode())

    def delete_tag(self, repository: str, name: str) -> bool:
        """Remove the tag only; False if there was none."""
        try:
            (self._tags(repository) / name).unlink()
        except FileNotFoundError:
            return False
        return True

    def tags(self, repository: str) -> list[str]:
        """The names of all tags, in ASCII order."""
        return _names(self._tags(repository))

    def referrers(self, repository: str, subject: Digest) -> list[dict[str, Any]]:
        """The descriptors of all manifests whose subject is `subject`, in the order of their digests."""
        directory = self._repositories / repository / "_referrers" / subject.algorithm / subject.hex
        return [json.loads((directory / name).read_bytes()) for name in _names(directory)]

    # Repositories

    def has_repository(self, repository: str) -> bool:
        """Whether a manifest was ever stored in `repository`; blobs alone do not make one."""
        return (self._repositories / repository / "_manifests").is_dir()

    def repositories(self) -> list[str]:
        """The names of all repositories, in ASCII order."""
        return [name for name in self._with_content() if self.has_repository(name)]

    def _with_content(self) -> list[str]:
        """As `repositories`, with those that hold nothing but blobs."""
        return sorted(self._walk(self._repositories, ""))

    def _walk(self, directory: Path, prefix: str) -> Iterator[str]:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries]
        if "_blobs" in names or "_manifests" in names:
            yield prefix.removesuffix("/")
        for name in names:
            if not name.startswith("_"):
                yield from self._walk(directory / name, f"{prefix}{name}/")

    # Files

    def _link(self, repository: str, kind: str, digest: Digest) -> Path:
        return self._repositories / repository / kind / digest.algorithm / digest.hex

    def _tags(self, repository: str) -> Path:
        return self._repositories / repository / "_tags"

    def _referrer(self, repository: str, subject: str, digest: Digest) -> Path:
        algorithm, _, value = subject.partition(":")
        name = f"{digest.algorithm}-{digest.hex}"
        return self._repositories / repository / "_referrers" / algorithm / value / name

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        incoming = self.incoming()
        try:
            with incoming.open("xb") as file:
                write(file, content)
            incoming.replace(path)
        except OSError:
            incoming.unlink(missing_ok=True)
            raise

    def _unlink(self, link: Path, digest: Digest) -> bool:
        try:
            link.unlink()
        except FileNotFoundError:
            return False
        if not any(
            self._link(repository, kind, digest).exists()
            for repository in self._with_content()
            for kind in ("_blobs", "_manifests")
        ):
            # A reader that has the file open goes on reading it.
            self.content(digest).unlink(missing_ok=True)
        return True


def _names(directory: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(entry.name for entry in directory.iterdir())
    return []
