"""Attaching files to images, such as an SBOM or a signature, and finding what is attached (distribution-spec 1.1,
"Pushing manifests with subject", "Listing referrers", "Referrers tag schema")."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from packager.credentials import Credentials, credentials_for
from packager.documents import INDEX, MANIFEST, Document
from packager.errors import PackagerError, UsageError, from_os_error
from packager.graphs import read_root
from packager.images import DocumentBlob, FileBlob
from packager.layers import Progress
from packager.references import Reference
from packager.sources import is_digest, open_source

if TYPE_CHECKING:
    from packager.registries import RegistryClient

__all__ = ["Attached", "Referrer", "attach", "referrers"]

_EMPTY = Document("application/vnd.oci.empty.v1+json", b"{}")
_TITLE = "org.opencontainers.image.title"
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")  # RFC 6838
_CHUNK = 1 << 20
_MAX_PAGES = 100
_UNKNOWN = {404, 405}  # a registry of before the specification 1.1


@dataclass(frozen=True)
class Referrer:
    """Something that is attached to an image: a manifest by `digest`, `size` bytes long."""

    digest: str
    media_type: str
    artifact_type: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Attached:
    """What was attached: `digest` is the new artifact's, `subject` the image's. `listed_by` is "registry", or "tag"
    where the registry does not know referrers and a tag lists them."""

    digest: str
    reference: str
    subject: str
    artifact_type: str
    size: int
    listed_by: str


def attach(
    reference: str,
    file: str | os.PathLike[str],
    *,
    artifact_type: str,
    media_type: str = "application/octet-stream",
    annotations: Mapping[str, str] | None = None,
    auth: Credentials | None = None,
    progress: Progress | None = None,
) -> Attached:
    """Attach a file to the image at `reference`: an artifact of `artifact_type` whose subject is the image.

    The image itself does not change. The same file attached twice is one artifact. Raises PackagerError.
    """
    from packager.registries import RegistryClient
    from packager.uploads import send_blob

    for one in (artifact_type, media_type):
        if not _TYPE.fullmatch(one):
            raise UsageError(f"{one!r} is not a media type, for example application/spdx+json")
    image = Reference.parse(reference)
    found = credentials_for(image, auth)
    with _open(Path(file)) as blob, open_source(reference, found) as source:
        subject = read_root(source)
        layer = {"mediaType": media_type, "digest": blob.digest, "size": blob.size}
        fields: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": artifact_type,
            "config": _EMPTY.descriptor().to_json(),
            "layers": [layer | {"annotations": {_TITLE: Path(file).name}}],
            "subject": subject.descriptor().to_json(),
        }
        if annotations:
            fields["annotations"] = dict(annotations)
        artifact = Document(MANIFEST, json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())
        client = RegistryClient(image, found, push=True)
        with client.session:
            on_bytes = (lambda sent: progress("push", sent, blob.size)) if progress else None
            send_blob(client, DocumentBlob(_EMPTY))
            send_blob(client, blob, on_bytes=on_bytes)
            knows_subjects = client.put_manifest(artifact, artifact.digest)
            if not knows_subjects:
                _list_by_tag(client, subject.digest, artifact, artifact_type, annotations or {})
    where = str(image.pinned(artifact.digest))
    listed_by = "registry" if knows_subjects else "tag"
    return Attached(artifact.digest, where, subject.digest, artifact_type, blob.size, listed_by)


def referrers(
    reference: str, *, artifact_type: str | None = None, auth: Credentials | None = None
) -> tuple[Referrer, ...]:
    """What is attached to the image at `reference`, of `artifact_type` if one is given. Raises PackagerError."""
    from packager.registries import RegistryClient

    image = Reference.parse(reference)
    found = credentials_for(image, auth)
    with open_source(reference, found) as source:
        digest = read_root(source).digest
    client = RegistryClient(image, found)
    with client.session:
        entries = _listed(client, digest, artifact_type)
    listed = (_referrer(entry) for entry in entries)
    return tuple(one for one in listed if artifact_type in (None, one.artifact_type))


def _listed(client: RegistryClient, digest: str, artifact_type: str | None) -> list[dict[str, Any]]:
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    url = f"{client.reference.api}/referrers/{digest}{query}"
    entries: list[dict[str, Any]] = []
    for _ in range(_MAX_PAGES):
        response = client.do_request(url, headers={"Accept": INDEX})
        if response.status_code in _UNKNOWN:
            break
        client.expect(response, {200}, f"does not list what is attached to {digest}")
        entries += _manifests(response.content, f"the referrers of {digest}")
        following = response.links.get("next", {}).get("url")
        if not following:
            return entries
        url = urljoin(str(response.url), following)
    else:
        raise PackagerError(f"{client.reference.registry} lists referrers of {digest} without an end")
    return _manifests(index.body, digest) if (index := _tagged(client, digest)) else []


def _tagged(client: RegistryClient, digest: str) -> Document | None:
    from packager.answers import MissingError

    try:
        return client.manifest(digest.replace(":", "-"))[0]
    except MissingError:
        return None


def _list_by_tag(
    client: RegistryClient, subject: str, artifact: Document, artifact_type: str, annotations: Mapping[str, str]
) -> None:
    """Keep the list that the registry does not keep, under the tag that the specification names for it."""
    index = _tagged(client, subject)
    entries = _manifests(index.body, subject) if index else []
    entry = artifact.descriptor().to_json() | {"artifactType": artifact_type}
    if annotations:
        entry["annotations"] = dict(annotations)
    entries = [one for one in entries if one.get("digest") != artifact.digest] + [entry]
    body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    listing = Document(INDEX, json.dumps(body, sort_keys=True, separators=(",", ":")).encode())
    client.put_manifest(listing, subject.replace(":", "-"))


def _manifests(body: bytes, where: str) -> list[dict[str, Any]]:
    try:
        entries = json.loads(body)["manifests"]
    except (ValueError, LookupError, TypeError):
        entries = None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and is_digest(entry.get("digest")) and isinstance(entry.get("size"), int)
        for entry in entries
    ):
        raise PackagerError(f"the list of what is attached to {where} is not an image index")
    return entries


def _referrer(entry: Mapping[str, Any]) -> Referrer:
    annotations = entry.get("annotations")
    return Referrer(
        digest=str(entry["digest"]),
        media_type=str(entry.get("mediaType", "")),
        artifact_type=str(entry.get("artifactType", "")),
        size=entry["size"],
        annotations={str(key): str(value) for key, value in annotations.items()}
        if isinstance(annotations, dict)
        else {},
    )


@contextlib.contextmanager
def _open(path: Path) -> Iterator[FileBlob]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
            yield FileBlob(f"sha256:{digest}", size, file.fileno(), path)
    except OSError as error:
        raise from_os_error(error, f"read {path}") from error
