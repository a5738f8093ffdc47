"""Looking at an image: what it is for each platform, by digests, without reading its layers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packager.credentials import Credentials
from packager.images import Variant
from packager.loading import load
from packager.sources import open_source

if TYPE_CHECKING:
    from packager.referring import Referrer

__all__ = ["Inspected", "inspect"]


@dataclass(frozen=True)
class Inspected:
    """An image: digests as `sha256:…`, sizes in bytes. `created` is empty if the configs say nothing or
    disagree; `referrers` is what is attached to it, None if that was not asked."""

    name: str
    digest: str
    media_type: str
    created: str
    size: int
    variants: tuple[Variant, ...]
    referrers: tuple[Referrer, ...] | None = None


def inspect(target: str | os.PathLike[str], *, referrers: bool = False, auth: Credentials | None = None) -> Inspected:
    """Read the documents of the image in a layout or a registry, each held to its digest. Raises
    PackagerError.

    `size` is what a node with nothing of it downloads for all platforms together. With `referrers`, what is attached
    to the image is listed, too.
    """
    attached: tuple[Referrer, ...] | None = None
    with open_source(target, auth) as source:
        loaded = load(source)
        if referrers:
            from packager.referring import referrer

            attached = tuple(referrer(entry) for entry in source.referrers(loaded.root.digest))
    created = {str(config.get("created", "")) for config in loaded.configs}
    documents = sum(len(document.body) for document in {loaded.root, *loaded.manifests})
    return Inspected(
        name=str(target),
        digest=loaded.root.digest,
        media_type=loaded.root.media_type,
        created=created.pop() if len(created) == 1 else "",
        size=documents + sum(blob.size for blob in loaded.blobs),
        variants=loaded.variants,
        referrers=attached,
    )
