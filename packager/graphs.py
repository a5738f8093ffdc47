"""Everything that an image or artifact is made of, whatever it holds: what must be there before its root is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from packager.documents import Descriptor, Document
from packager.errors import PackagerError
from packager.loading import descriptors
from packager.referring import subject_of
from packager.selecting import select
from packager.sources import Source

__all__ = ["Graph", "read_graph", "read_root"]

_MAX_DOCUMENTS = 1000


@dataclass(frozen=True)
class Graph:
    """`root` is an index or a manifest, called `name` where it comes from; `documents` are what lies below it, children
    first; `attached` what refers to any of these, or to one before it, after what lies below it. `blobs` each once."""

    root: Document
    name: str
    documents: tuple[Document, ...]
    attached: tuple[Document, ...]
    blobs: tuple[Descriptor, ...]


def read_root(source: Source) -> Document:
    """An image's root, held to its digest; its media type as it says itself. Raises PackagerError."""
    return _named_root(source)[0]


def read_graph(source: Source, platforms: Sequence[str] = (), *, referrers: bool = False) -> Graph:
    """Read every document below an image's root, each held to its digest; of `platforms` only, if any are given.

    With `referrers` also what is attached to these documents, and to what is attached. Raises PackagerError.
    """
    root, name = _named_root(source)
    if platforms:
        selected = select(source, root, platforms)
        root = selected if isinstance(selected, Document) else _fetched(source, selected)
    documents: dict[str, Document] = {}
    blobs: dict[str, Descriptor] = {}
    _descend(source, root, documents, blobs)
    below = len(documents) - 1
    if referrers:
        _attach(source, documents, blobs)
    found = tuple(documents.values())
    return Graph(root, name, found[:below], found[below + 1 :], tuple(blobs.values()))


def _named_root(source: Source) -> tuple[Document, str]:
    root = source.root()
    if root.document is None:
        raise PackagerError(f"{source.name} has no {root.digest}")
    return _checked(source, root.document, root.digest or root.document.digest), root.name


def _media_type(document: Document) -> str:
    return str(_fields(document).get("mediaType") or document.media_type)


def _descend(source: Source, document: Document, documents: dict[str, Document], blobs: dict[str, Descriptor]) -> None:
    if len(documents) > _MAX_DOCUMENTS:
        raise PackagerError(f"{source.name} is an image of more than {_MAX_DOCUMENTS} documents")
    fields = _fields(document)
    for entry in _below(source, fields, "manifests"):
        if entry.digest not in documents:
            _descend(source, _fetched(source, entry), documents, blobs)
    if "config" in fields:
        fields = fields | {"config": [fields["config"]]}
    for entry in (*_below(source, fields, "config"), *_below(source, fields, "layers")):
        blobs[entry.digest] = entry
    documents[document.digest] = document


def _attach(source: Source, documents: dict[str, Document], blobs: dict[str, Descriptor]) -> None:
    """Add what refers to `documents`, and to what is added."""
    asked: set[str] = set()
    while subjects := [digest for digest in documents if digest not in asked]:
        for subject in subjects:
            asked.add(subject)
            for entry in source.referrers(subject):
                digest = str(entry["digest"])
                if digest in documents:
                    continue
                document = source.document(digest, str(entry.get("mediaType", "")))
                if document is None or subject_of(document) != subject:
                    what = "does not have it" if document is None else "it is not"
                    raise PackagerError(f"{source.name} lists {digest} as attached to {subject}, and {what}")
                _descend(source, _checked(source, document, digest), documents, blobs)


def _fetched(source: Source, entry: Descriptor) -> Document:
    document = source.document(entry.digest, entry.media_type)
    if document is None:
        raise PackagerError(f"{source.name} is a broken image: {entry.digest} is missing; see `imgvol verify`")
    return _checked(source, document, entry.digest)


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
