"""Tagging: more names for an image that is in a registry already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from packager.credentials import Credentials, credentials_for
from packager.errors import UsageError
from packager.graphs import read_root
from packager.references import Reference
from packager.sources import open_source

__all__ = ["Tagged", "tag"]


@dataclass(frozen=True)
class Tagged:
    """`reference` is the image, pinned; `tags` are those it was given."""

    digest: str
    reference: str
    tags: tuple[str, ...]


def tag(reference: str, tags: Sequence[str], *, auth: Credentials | None = None) -> Tagged:
    """Give the image at `reference` more tags, its manifest or index byte for byte; nothing else is sent.

    A tag that was on another image moves. Raises PackagerError.
    """
    from packager.registries import RegistryClient

    image = Reference.parse(reference)
    if not tags:
        raise UsageError("no tag was given; name one, for example v1.0.1")
    for one in tags:
        named = Reference.parse(f"{image.registry}/{image.repository}:{one}")
        if named != replace(image, tag=one, digest=""):
            raise UsageError(f"{one!r} is not a tag")
    found = credentials_for(image, auth)
    with open_source(reference, found) as source:
        root = read_root(source)
    client = RegistryClient(image, found, push=True)
    with client.session:
        for one in tags:
            client.put_manifest(root, one)
    return Tagged(root.digest, str(image.pinned(root.digest)), tuple(tags))
