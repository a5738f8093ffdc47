"""Everything that an image or artifact is made of, whatever it holds: what must be there before its root is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from packager.documents import Descriptor, Document
from packager.errors import PackagerError
from packager.loading import descriptors
from packager.sources import Source

__all__ = ["Graph", "read_graph", "read_root"]

_MAX_DOCUMENTS = 1000


@dataclass(frozen=True)
class Graph:
    """`root` is an index or a manifest; `documents` are what lies below it, children first; `blobs` each once."""

    root: Document
    documents: tuple[Document, ...]
    blobs: tuple[Descriptor, ...]


def read_root(source: Source) -> Document:
    """An image's root, held to its digest; its media type as it says itself. Raises PackagerError."""
    root = source.root()
    if root.document is None:
        raise PackagerError(f"{source.name} has no {root.digest}")
    return _checked(source, root.document, root.digest or root.document.digest)


def read_graph(source: Source) -> Graph:
    """Read every document below an image's root, each held to its digest. Raises PackagerError."""
    root = read_root(source)
    documents: dict[str, Document] = {}
    blobs: dict[str, Descriptor] = {}
    _descend(source, root, documents, blobs)
    del documents[root.digest]
    return Graph(root, tuple(documents.values()), tuple(blobs.values()))


def _media_type(document: Document) -> str:
    return str(_fields(document).get("mediaType") or document.media_type)


def _descend(source: Source, document: Document, documents: dict[str, Document], blobs: dict[str, Descriptor]) -> None:
    if len(documents) > _MAX_DOCUMENTS:
        raise PackagerError(f"{source.name} is an image of more than {_MAX_DOCUMENTS} documents")
    fields = _fields(document)
    for entry in _below(source, fields, "manifests"):
        if entry.digest in documents:
            continue
        child = source.document(entry.digest, entry.media_type)
        if child is None:
            raise PackagerError(f"{source.name} is a broken image: {entry.digest} is missing; see `imgvol verify`")
        _descend(source, _checked(source, child, entry.digest), documents, blobs)
    if "config" in fields:
        fields = fields | {"config": [fields["config"]]}
    for entry in (*_below(source, fields, "config"), *_below(source, fields, "layers")):
        blobs[entry.digest] = entry
    documents[document.digest] = document


def _checked(source: Source, document: Document, digest: str) -> Document:
    if document.digest != digest:
        raise PackagerError(f"{source.name} gave {document.digest} for {digest}")
    return Document(_media_type(document), document.body)


def _fields(document: Document) -> dict[str, Any]:
    try:
        fields = json.loads(document.body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise PackagerError(f"{document.digest} is not a JSON object, and no image")
    return fields


def _below(source: Source, fields: dict[str, Any], key: str) -> list[Descriptor]:
    return descriptors(fields, key, source) if key in fields else []
