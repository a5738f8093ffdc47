"""What refers to an image: listed by its registry, or where that does not, under a tag (distribution-spec 1.1, "Listing
referrers", "Referrers tag schema")."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from packager.documents import INDEX, Document
from packager.errors import PackagerError
from packager.sources import is_digest

if TYPE_CHECKING:
    from packager.registries import RegistryClient

__all__ = ["Referrer", "entry_of", "list_by_tag", "listed", "referrer", "subject_of"]

Entry = dict[str, Any]
"""A referrer as a list has it: its descriptor, with `artifactType` and `annotations`."""

_MAX_PAGES = 100
_UNKNOWN = {404, 405}  # a registry of before the specification 1.1
_ATTEMPTS = 10
_FAILURES = 4  # in a row
_SETTLED = 0.5  # seconds; others have written by then what they read before we wrote
_LONGEST = 4.0


@dataclass(frozen=True)
class Referrer:
    """Something that is attached to an image: a manifest by `digest`, `size` bytes long."""

    digest: str
    media_type: str
    artifact_type: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)


def subject_of(document: Document) -> str:
    """The digest of what a manifest or index is attached to; "" if it is attached to nothing."""
    subject = _fields(document).get("subject")
    digest = subject.get("digest") if isinstance(subject, dict) else None
    return str(digest) if is_digest(digest) else ""


def entry_of(document: Document) -> Entry:
    """How a list of referrers has a manifest: what it says of itself ("Listing referrers")."""
    fields = _fields(document)
    config = fields.get("config")
    entry: Entry = document.descriptor().to_json()
    artifact_type = fields.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else None)
    if artifact_type:
        entry["artifactType"] = artifact_type
    if annotations := fields.get("annotations"):
        entry["annotations"] = annotations
    return entry


def referrer(entry: Entry) -> Referrer:
    """A referrer out of a list."""
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


def listed(client: RegistryClient, digest: str, artifact_type: str | None = None) -> list[Entry]:
    """What the registry, or the tag, lists for a manifest; of other types too where it does not filter.

    Raises PackagerError.
    """
    query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
    url = f"{client.reference.api}/referrers/{digest}{query}"
    entries: list[Entry] = []
    for _ in range(_MAX_PAGES):
        response = client.do_request(url, headers={"Accept": INDEX})
        if response.status_code in _UNKNOWN:
            break
        client.expect(response, {200}, f"does not list what is attached to {digest}")
        entries += _entries(response.content, digest)[1]
        following = response.links.get("next", {}).get("url")
        if not following:
            return entries
        url = urljoin(str(response.url), following)
    else:
        raise PackagerError(f"{client.reference.registry} lists referrers of {digest} without an end")
    return _tagged(client, digest)[1]


def list_by_tag(client: RegistryClient, attached: Mapping[str, Iterable[Document]]) -> None:
    """Keep the lists that the registry does not keep, under the tags that the specification names for them: of what is
    `attached`, by subject.

    Who writes a list, writes what was read and what is new: of two at once, the later drops what the earlier wrote in
    between, and the specification has no way to forbid that. So it is read again after a pause, and written again
    until everything is in it; the pause is longer than it takes to write what was read, and another for everybody.
    Raises PackagerError where others write over it each time.
    """
    from packager.answers import BrokenError

    left = {subject: [entry_of(document) for document in documents] for subject, documents in attached.items()}
    failed = 0
    for attempt in range(_ATTEMPTS):
        try:
            left = {subject: ours for subject, ours in left.items() if _added(client, subject, ours)}
        except BrokenError as error:
            failed += 1
            if failed == _FAILURES:
                raise
            client.wait(failed, error.retry_after)
            continue
        failed = 0
        if not left:
            return
        client.pause(min(_SETTLED * 2**attempt, _LONGEST) * random.uniform(1.0, 2.0))  # noqa: S311 -- not a secret
    where = f"{client.reference.registry}/{client.reference.repository}"
    raise PackagerError(
        f"others write the tag {_tag(next(iter(left)))} of {where}, which lists what is attached, at the same time and "
        "over what was added; do this again when they are done"
    )


def _added(client: RegistryClient, subject: str, ours: list[Entry]) -> bool:
    """Write our entries into the list; False if it has them all. Raises BrokenError where it could not be written."""
    fields, entries = _tagged(client, subject)
    types = {entry["digest"]: entry.get("artifactType") for entry in entries}
    missing = [entry for entry in ours if types.get(entry["digest"], ...) != entry.get("artifactType")]
    if not missing:
        return False
    outdated = {entry["digest"] for entry in missing}
    body = fields | {"manifests": [entry for entry in entries if entry["digest"] not in outdated] + missing}
    listing = Document(INDEX, json.dumps(body, sort_keys=True, separators=(",", ":")).encode())
    # Once: what could not be written may be outdated by now, and is read anew first.
    client.put_manifest(listing, _tag(subject), attempts=1)
    return True


def _tag(digest: str) -> str:
    return digest.replace(":", "-")


def _tagged(client: RegistryClient, digest: str) -> tuple[dict[str, Any], list[Entry]]:
    """The index that the tag names, or an empty one, and what it lists."""
    from packager.answers import MissingError

    try:
        index = client.manifest(_tag(digest))[0]
    except MissingError:
        return {"schemaVersion": 2, "mediaType": INDEX}, []
    return _entries(index.body, digest)


def _entries(body: bytes, where: str) -> tuple[dict[str, Any], list[Entry]]:
    try:
        fields = json.loads(body)
        entries = fields["manifests"]
    except (ValueError, LookupError, TypeError, RecursionError):
        entries = None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and is_digest(entry.get("digest")) and isinstance(entry.get("size"), int)
        for entry in entries
    ):
        raise PackagerError(f"the list of what is attached to {where} is not an image index")
    return fields, entries


def _fields(document: Document) -> dict[str, Any]:
    try:
        fields = json.loads(document.body)
    except (ValueError, RecursionError):
        fields = None
    return fields if isinstance(fields, dict) else {}
