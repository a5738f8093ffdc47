"""Where an image can be read from: a layout or a registry, behind one small protocol."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from packager.credentials import Credentials, credentials_for
from packager.documents import Document
from packager.errors import PackagerError, UsageError, from_os_error
from packager.layouts import is_layout
from packager.references import EXAMPLE, Reference, names_a_registry

__all__ = ["LayoutSource", "Root", "Source", "is_digest", "open_other", "open_source", "registry_of"]

_CHUNK = 1 << 20
_MAX_DOCUMENT = 4 << 20  # what the distribution specification asks registries to take
_NAME = "org.opencontainers.image.ref.name"
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Root:
    """An image's root and what is said of it from outside; None where nothing is said.

    `document` is None if it is not there although something points to it. `name` is what it is called there: a tag.
    """

    document: Document | None
    digest: str | None = None
    size: int | None = None
    name: str = ""


class Source(Protocol):
    """Gives an image's parts by digest, unchecked: whoever reads them hashes them."""

    name: str
    reference: Reference | None
    """Where it is, if that is a registry."""

    def root(self) -> Root:
        """The image's index or manifest; PackagerError if there is no image."""

    def document(self, digest: str, media_type: str) -> Document | None:
        """A manifest, or None if it is not there."""

    def blob(self, digest: str) -> Iterator[bytes] | None:
        """A blob's bytes, or None if it is not there."""

    def referrers(self, digest: str, artifact_type: str | None = None) -> list[dict[str, Any]]:
        """What is attached to a manifest: entries as lists of referrers have them, perhaps of other types too."""


class LayoutSource:
    """An OCI image layout that holds one image, and perhaps what is attached to it."""

    reference: Reference | None = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = str(path)
        self.path = Path(path)

    def root(self) -> Root:
        """What the one entry of index.json points to."""
        entries = self._entries()
        # Some programs list an index's manifests beside it, and name only the index.
        if len(named := [entry for entry in entries if _name(entry)]) == 1:
            entries = named
        if len(entries) > 1:
            entries = [entry for entry in entries if not self._is_attached(entry)]
        if len(entries) != 1:
            raise PackagerError(f"{self.name} holds {len(entries)} images; name a layout that holds one")
        digest, size = entries[0].get("digest"), entries[0].get("size")
        if not is_digest(digest):
            raise PackagerError(f"{self.path / 'index.json'} points to {digest!r}, which is not a digest")
        media_type = str(entries[0].get("mediaType", ""))
        document = self.document(str(digest), media_type)
        return Root(document, digest, size if isinstance(size, int) else None, _name(entries[0]))

    def document(self, digest: str, media_type: str) -> Document | None:
        """A manifest, or None if it is not there."""
        chunks = self.blob(digest)
        if chunks is None:
            return None
        body = b""
        for chunk in chunks:
            body += chunk
            if len(body) > _MAX_DOCUMENT:
                raise PackagerError(f"{digest} in {self.name} is longer than a manifest may be")
        return Document(media_type, body)

    def blob(self, digest: str) -> Iterator[bytes] | None:
        """A blob's bytes, or None if it is not there."""
        path = self.blob_path(digest)
        return self._read(path) if path.is_file() else None

    def blob_path(self, digest: str) -> Path:
        """The file that a blob is in."""
        return self.path / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def referrers(self, digest: str, artifact_type: str | None = None) -> list[dict[str, Any]]:
        """What index.json lists, and is attached to a manifest."""
        from packager.referring import entry_of, subject_of

        listed = [document for entry in self._entries() if (document := self._listed(entry)) is not None]
        return [entry_of(document) for document in listed if subject_of(document) == digest]

    def _is_attached(self, entry: dict[str, Any]) -> bool:
        """Whether something that index.json lists is attached to something in the layout."""
        from packager.referring import subject_of

        document = self._listed(entry)
        subject = subject_of(document) if document is not None else ""
        return bool(subject) and self.blob_path(subject).is_file()

    def _listed(self, entry: dict[str, Any]) -> Document | None:
        digest = entry.get("digest")
        return self.document(str(digest), str(entry.get("mediaType", ""))) if is_digest(digest) else None

    def _entries(self) -> list[dict[str, Any]]:
        entries = self._index().get("manifests")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise PackagerError(f"{self.path / 'index.json'} is not an image index; pack again")
        return entries

    def _index(self) -> dict[str, Any]:
        try:
            marker = json.loads((self.path / "oci-layout").read_bytes())
            index = json.loads((self.path / "index.json").read_bytes())
        except OSError as error:
            raise from_os_error(error, f"read the layout {self.name}") from error
        except ValueError:
            raise PackagerError(f"{self.name} is a broken layout: a file in it is not JSON; pack again") from None
        version = marker.get("imageLayoutVersion") if isinstance(marker, dict) else None
        if not isinstance(version, str) or not version.startswith("1."):
            raise PackagerError(f"{self.name} is a layout of version {version!r}; version 1.0.0 is understood")
        return index if isinstance(index, dict) else {}

    def _read(self, path: Path) -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise from_os_error(error, f"read {path}") from error


class RegistrySource:
    """An image in a registry."""

    def __init__(self, reference: Reference, credentials: Credentials | None) -> None:
        from packager.registries import RegistryClient

        self.name = str(reference)
        self.reference: Reference | None = reference
        self._client = RegistryClient(reference, credentials)

    def close(self) -> None:
        """Close the connections."""
        self._client.session.close()

    def root(self) -> Root:
        """What the tag or the digest names."""
        document, announced = self._client.manifest(self._client.reference.version)
        reference = self._client.reference
        return Root(document, reference.digest or announced or None, name=reference.tag)

    def document(self, digest: str, media_type: str) -> Document | None:
        """A manifest, or None if it is not there. The media type is the registry's own word."""
        from packager.answers import MissingError

        try:
            return self._client.manifest(digest)[0]
        except MissingError:
            return None

    def blob(self, digest: str) -> Iterator[bytes] | None:
        """A blob's bytes, or None if it is not there."""
        from packager.answers import MissingError

        try:
            return self._client.blob(digest)
        except MissingError:
            return None

    def referrers(self, digest: str, artifact_type: str | None = None) -> list[dict[str, Any]]:
        """What the registry, or a tag, lists for a manifest."""
        from packager.referring import listed

        return listed(self._client, digest, artifact_type)


@contextmanager
def open_source(
    target: str | os.PathLike[str], auth: Credentials | None, environ: Mapping[str, str] = os.environ
) -> Iterator[Source]:
    """The layout in a directory, else the image a reference names. Without `auth`, what the user has set up
    is used, as `environ` says."""
    path = Path(target)
    if is_layout(path):
        yield LayoutSource(target)
        return
    if path.is_dir():
        raise UsageError(f"{target} is a directory but not a layout; make one with `imgvol pack`")
    if not isinstance(target, str) or not names_a_registry(target):
        what = f"{target} is a file" if path.is_file() else f"there is no directory {target}"
        raise UsageError(f"{what}; name a layout's directory or an image reference, for example {EXAMPLE}")
    reference = Reference.parse(target)
    source = RegistrySource(reference, credentials_for(reference, auth, environ))
    try:
        yield source
    finally:
        source.close()


@contextmanager
def open_other(target: str | os.PathLike[str], auth: Credentials | None, registry: str) -> Iterator[Source]:
    """Like `open_source`, for one of two images, the other of which is in `registry`.

    What options and environment say of who we are is said to that registry, and to no other.
    """
    ours = registry_of(target) in (registry, "") or not registry
    others = {key: value for key, value in os.environ.items() if key not in ("IMGVOL_USERNAME", "IMGVOL_PASSWORD")}
    with open_source(target, auth if ours else None, os.environ if ours else others) as source:
        yield source


def registry_of(target: str | os.PathLike[str]) -> str:
    """The registry that an image is named to be in; "" for a layout."""
    if isinstance(target, str) and not Path(target).is_dir() and names_a_registry(target):
        return Reference.parse(target).registry
    return ""


def _name(entry: dict[str, Any]) -> str:
    annotations = entry.get("annotations")
    return str(annotations.get(_NAME, "")) if isinstance(annotations, dict) else ""


def is_digest(text: object) -> bool:
    """Whether this is a sha256 digest as the image specification writes it."""
    return isinstance(text, str) and len(text) == 71 and text.startswith("sha256:") and _HEX.issuperset(text[7:])
