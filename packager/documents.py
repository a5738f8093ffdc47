"""Image configs, manifests and indexes, as bytes that are the same every time (image-spec 1.1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from packager.platforms import Platform

__all__ = [
    "CONFIG",
    "INDEX",
    "LAYER_GZIP",
    "LAYER_PLAIN",
    "LAYER_ZSTD",
    "MANIFEST",
    "Descriptor",
    "Document",
    "created",
    "image_config",
    "image_index",
    "image_manifest",
]

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
LAYER_PLAIN = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Descriptor:
    """What one document says of another, or of a blob (image-spec descriptor.md)."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None

    def to_json(self) -> dict[str, Any]:
        """The descriptor as a document carries it."""
        fields: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return fields | {"platform": self.platform.to_json()} if self.platform else fields


@dataclass(frozen=True)
class Document:
    """A JSON document and the media type it goes by. Its digest is that of `body`, exactly as it is."""

    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        """`sha256:` and the hexadecimal hash of the body."""
        return "sha256:" + hashlib.sha256(self.body).hexdigest()

    def descriptor(self, platform: Platform | None = None) -> Descriptor:
        """How another document points to this one."""
        return Descriptor(self.media_type, self.digest, len(self.body), platform)


def created(epoch: int) -> str:
    """`epoch` seconds as RFC 3339, for an image config's `created`."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def image_config(platform: Platform, diff_id: str, epoch: int, run: Mapping[str, Any] | None = None) -> Document:
    """An image config with one layer. `run` is how to run the image, for one that holds a program."""
    fields: dict[str, Any] = {
        **platform.to_json(),
        "created": created(epoch),
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    return _document(CONFIG, fields | {"config": dict(run)} if run else fields)


def image_manifest(config: Document, layer: Descriptor, annotations: Mapping[str, str] | None = None) -> Document:
    """An image manifest with one layer."""
    layers = [layer.to_json()]
    fields: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor().to_json(),
        "layers": layers,
    }
    return _document(MANIFEST, fields | _annotated(annotations))


def image_index(
    manifests: Iterable[tuple[Platform, Document]], annotations: Mapping[str, str] | None = None
) -> Document:
    """An image index: one manifest a platform."""
    entries = [manifest.descriptor(platform).to_json() for platform, manifest in manifests]
    return _document(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries} | _annotated(annotations))


def _annotated(annotations: Mapping[str, str] | None) -> dict[str, Any]:
    return {"annotations": dict(annotations)} if annotations else {}


def _document(media_type: str, fields: Mapping[str, Any]) -> Document:
    return Document(media_type, json.dumps(fields, sort_keys=True, separators=(",", ":")).encode())
