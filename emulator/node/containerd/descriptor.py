"""What points at content: descriptors, and the documents made of them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.node.containerd import media_types
from emulator.node.containerd.errors import CriError, json_error
from emulator.node.containerd.platform import Platform

__all__ = ["Descriptor", "Object", "children", "parse_document"]

Object = dict[str, Any]


@dataclass(frozen=True)
class Descriptor:
    """A media type, digest and size in bytes; the platform an index states; the content itself where inlined."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    data: bytes | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Descriptor:
        """Read an entry of a manifest or an index; what is absent is empty."""
        platform = fields.get("platform")
        size = fields.get("size")
        inlined = fields.get("data")
        data = None
        if isinstance(inlined, str):
            try:
                data = base64.b64decode(inlined, validate=True)
            except binascii.Error:
                data = None
        return cls(
            media_type=str(fields.get("mediaType") or ""),
            digest=str(fields.get("digest") or ""),
            size=size if isinstance(size, int) else 0,
            platform=Platform.of(platform) if isinstance(platform, dict) else None,
            data=data if data is not None and len(data) == size else None,
        )


def parse_document(raw: bytes) -> Object:
    """A JSON object; null counts as an empty one.

    Raises:
        CriError: it is not JSON, or no object; the text is encoding/json's.
    """
    try:
        document = json.loads(raw)
    except json.JSONDecodeError as error:
        raise CriError.unknown(json_error(error)) from error
    except UnicodeDecodeError as error:
        raise CriError.unknown("invalid character '\\ufffd' looking for beginning of value") from error
    except RecursionError as error:
        raise CriError.unknown("exceeded max depth") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        kinds = {str: "string", list: "array", bool: "bool"}
        kind = kinds.get(type(document), "number")
        raise CriError.unknown(f"json: cannot unmarshal {kind} into Go value of type v1.Manifest")
    return document


def children(descriptor: Descriptor, raw: bytes) -> list[Descriptor]:
    """What a manifest or an index points at: the config and the layers, or the manifests.

    Raises:
        CriError: it is not what its media type says.
    """
    media_type = descriptor.media_type
    try:
        document = parse_document(raw)
        _check_kind(document, media_type)
    except CriError as error:
        raise error.wrapped(f"children: invalid desc {descriptor.digest}") from error
    if media_types.is_index(media_type):
        return [Descriptor.of(entry) for entry in document.get("manifests") or [] if isinstance(entry, dict)]
    config = document.get("config")
    entries = [config if isinstance(config, dict) else {}, *(document.get("layers") or [])]
    return [Descriptor.of(entry) for entry in entries if isinstance(entry, dict)]


def _check_kind(document: Object, media_type: str) -> None:
    own = str(document.get("mediaType") or "")
    if document.get("fsLayers"):
        raise CriError.unknown("media-type: schema 1 not supported")
    if media_types.is_manifest(media_type) and ("manifests" in document or media_types.is_index(own)):
        raise CriError.unknown(f"media-type: expected manifest but found index ({media_type})")
    is_manifest = "config" in document or "layers" in document or media_types.is_manifest(own)
    if media_types.is_index(media_type) and is_manifest:
        raise CriError.unknown(f"media-type: expected index but found manifest ({media_type})")
