"""Selecting platforms of an image: what is copied in place of all of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packager.documents import Descriptor, Document
from packager.errors import UsageError
from packager.fetching import FetchedBlob
from packager.loading import descriptors
from packager.platforms import Platform, parse_platforms
from packager.sources import Source

__all__ = ["select"]

_ABOUT = "vnd.docker.reference.digest"  # an attestation by BuildKit: the manifest of the same index that it is about


def select(source: Source, root: Document, platforms: Sequence[str]) -> Document | Descriptor:
    """What the image at `root` is for these platforms: a manifest of its index, or the index without the others.

    A platform without a variant means all of its variants. Entries without a platform stay in an index, and so do
    attestations with the manifests they are about; an index that loses nothing stays as it is. Raises UsageError for
    a platform that the image is not for.
    """
    wanted = parse_platforms(platforms)
    fields = json.loads(root.body)
    if "manifests" not in fields:
        _chosen(source, wanted, [_of_config(source, fields)])
        return root
    found = descriptors(fields, "manifests", source)
    entries: list[dict[str, Any]] = fields["manifests"]
    chosen = _chosen(source, wanted, [None if _about(entry) else _platform(entry.get("platform")) for entry in entries])
    if len(chosen) == 1:
        return found[chosen.pop()]
    digests = {found[number].digest for number in chosen}
    others = {one.digest for number, one in enumerate(found) if "platform" in entries[number]} - digests
    kept = [
        entry
        for number, entry in enumerate(entries)
        if number in chosen
        or (_about(entry) in digests if _about(entry) else "platform" not in entry and entry["digest"] not in others)
    ]
    if len(kept) == len(entries):
        return root
    # What stays is written as it was, as far as that can be: `oras copy` makes the same index of one of ours.
    body = json.dumps(fields | {"manifests": kept}, separators=(",", ":"), ensure_ascii=root.body.isascii())
    return Document(root.media_type, body.encode())


def _chosen(source: Source, wanted: Sequence[Platform], known: Sequence[Platform | None]) -> set[int]:
    chosen = set()
    for one in wanted:
        found = {number for number, platform in enumerate(known) if platform is not None and _suits(one, platform)}
        if not found:
            names = ", ".join(dict.fromkeys(str(platform) for platform in known if platform)) or "no platform at all"
            raise UsageError(f"{source.name} has nothing for {one}; it is for {names}")
        chosen |= found
    return chosen


def _suits(wanted: Platform, platform: Platform) -> bool:
    same = (wanted.os, wanted.architecture) == (platform.os, platform.architecture)
    return same and wanted.variant in ("", platform.variant)


def _about(entry: dict[str, Any]) -> str:
    annotations = entry.get("annotations")
    return str(annotations.get(_ABOUT, "")) if isinstance(annotations, dict) else ""


def _platform(fields: Any) -> Platform | None:
    if not isinstance(fields, dict) or not fields.get("os") or not fields.get("architecture"):
        return None
    os, architecture, variant = (str(fields.get(key) or "") for key in ("os", "architecture", "variant"))
    return Platform(os, architecture, "" if (architecture, variant) == ("arm64", "v8") else variant)


def _of_config(source: Source, fields: dict[str, Any]) -> Platform | None:
    (config,) = descriptors({"config": [fields.get("config")]}, "config", source)
    with FetchedBlob(source, config, Path(tempfile.gettempdir())) as blob:
        try:
            return _platform(json.loads(blob.read(0, config.size)))
        except ValueError:
            return None
