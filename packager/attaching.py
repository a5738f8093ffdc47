"""Attaching files to images, such as an SBOM or a signature, and finding what is attached (distribution-spec 1.1,
"Pushing manifests with subject")."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.credentials import Credentials, credentials_for
from packager.documents import MANIFEST, Document
from packager.errors import UsageError, from_os_error
from packager.graphs import read_root
from packager.images import DocumentBlob, FileBlob
from packager.layers import Progress
from packager.references import Reference
from packager.referring import Referrer, list_by_tag, referrer
from packager.sources import open_source

__all__ = ["Attached", "attach", "referrers"]

_EMPTY = Document("application/vnd.oci.empty.v1+json", b"{}")
_TITLE = "org.opencontainers.image.title"
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")  # RFC 6838


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
                list_by_tag(client, {subject.digest: [artifact]})
    where = str(image.pinned(artifact.digest))
    listed_by = "registry" if knows_subjects else "tag"
    return Attached(artifact.digest, where, subject.digest, artifact_type, blob.size, listed_by)


def referrers(
    reference: str | os.PathLike[str], *, artifact_type: str | None = None, auth: Credentials | None = None
) -> tuple[Referrer, ...]:
    """What is attached to the image at `reference`, or in a layout, of `artifact_type` if one is given. Raises
    PackagerError."""
    with open_source(reference, auth) as source:
        found = [referrer(entry) for entry in source.referrers(read_root(source).digest, artifact_type)]
    return tuple(one for one in found if artifact_type in (None, one.artifact_type))


@contextlib.contextmanager
def _open(path: Path) -> Iterator[FileBlob]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
            yield FileBlob(f"sha256:{digest}", size, file.fileno(), path)
    except OSError as error:
        raise from_os_error(error, f"read {path}") from error
