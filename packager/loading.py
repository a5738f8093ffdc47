"""An image as its own documents tell it, each held to the digest it goes by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from packager.documents import INDEX, MANIFEST, Descriptor, Document
from packager.errors import PackagerError
from packager.images import Variant
from packager.sources import Source, is_digest

__all__ = ["Loaded", "descriptors", "load"]

_MAX_CONFIG = 8 << 20


@dataclass(frozen=True)
class Loaded:
    """An image's documents, what blobs it needs, and what it is for each platform, by digests."""

    root: Document
    manifests: tuple[Document, ...]
    blobs: tuple[Descriptor, ...]
    variants: tuple[Variant, ...]
    configs: tuple[dict[str, Any], ...]


def load(source: Source) -> Loaded:
    """Read an image's documents. PackagerError if one is missing, is not what its digest says, or makes no
    sense."""
    root = source.root()
    document = _checked(source, root.document, root.digest or "", "its root")
    fields = _fields(document, source)
    children = [document]
    if _media_type(document, fields) == INDEX:
        children = []
        for entry in descriptors(fields, "manifests", source):
            child = source.document(entry.digest, entry.media_type)
            children.append(_checked(source, child, entry.digest, "a manifest"))
    blobs: dict[str, Descriptor] = {}
    variants: list[Variant] = []
    configs: list[dict[str, Any]] = []
    for child in children:
        manifest = _fields(child, source)
        if _media_type(child, manifest) != MANIFEST:
            raise _nonsense(source, f"{child.digest} is neither an OCI image manifest nor an index")
        (config,) = descriptors({"config": [manifest.get("config")]}, "config", source)
        layers = descriptors(manifest, "layers", source)
        blobs |= {blob.digest: blob for blob in (config, *layers)}
        body = _checked(source, _read(source, config), config.digest, "its config")
        settings = _fields(body, source)
        configs.append(settings)
        variants.append(_variant(child, config, layers, settings))
    manifests = () if children == [document] else tuple(children)
    return Loaded(document, manifests, tuple(blobs.values()), tuple(variants), tuple(configs))


def _variant(manifest: Document, config: Descriptor, layers: list[Descriptor], fields: dict[str, Any]) -> Variant:
    rootfs = fields.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    platform = "/".join(str(fields[key]) for key in ("os", "architecture", "variant") if fields.get(key))
    return Variant(
        platform=platform,
        digest=manifest.digest,
        config_digest=config.digest,
        layer_digests=tuple(layer.digest for layer in layers),
        layer_sizes=tuple(layer.size for layer in layers),
        diff_ids=tuple(str(diff_id) for diff_id in diff_ids) if isinstance(diff_ids, list) else (),
    )


def _read(source: Source, descriptor: Descriptor) -> Document | None:
    chunks = source.blob(descriptor.digest)
    if chunks is None:
        return None
    return Document(descriptor.media_type, b"".join(_limited(chunks, descriptor.digest, source)))


def _limited(chunks: Iterator[bytes], digest: str, source: Source) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > _MAX_CONFIG:
            raise _nonsense(source, f"{digest} is longer than a config may be")
        yield chunk


def _checked(source: Source, document: Document | None, digest: str, what: str) -> Document:
    if document is None:
        raise _nonsense(source, f"{what} is missing, {digest}")
    found = f"sha256:{hashlib.sha256(document.body).hexdigest()}"
    if digest and found != digest:
        raise _nonsense(source, f"{what} is {found}, not {digest}")
    return document


def _fields(document: Document, source: Source) -> dict[str, Any]:
    try:
        fields = json.loads(document.body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise _nonsense(source, f"{document.digest} is not a JSON object")
    return fields


def _media_type(document: Document, fields: dict[str, Any]) -> str:
    return str(fields.get("mediaType") or document.media_type)


def descriptors(fields: dict[str, Any], key: str, source: Source) -> list[Descriptor]:
    """What a document points to under a key. PackagerError if that is no list of descriptors."""
    entries = fields.get(key)
    found: list[Descriptor] = []
    for entry in entries if isinstance(entries, list) else [None]:
        digest, size = (entry.get("digest"), entry.get("size")) if isinstance(entry, dict) else (None, None)
        if not isinstance(entry, dict) or not is_digest(digest) or not isinstance(size, int) or size < 0:
            raise _nonsense(source, f"its {key} are not descriptors with a sha256 digest and a size")
        found.append(Descriptor(str(entry.get("mediaType", "")), str(digest), size))
    return found


def _nonsense(source: Source, what: str) -> PackagerError:
    return PackagerError(f"{source.name} is a broken image: {what}; see `imgvol verify`")
