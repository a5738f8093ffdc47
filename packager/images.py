"""An image in hand: its documents in memory, its layers in files, ready to be written or pushed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from packager.documents import Document, image_config, image_index, image_manifest
from packager.errors import from_os_error
from packager.layers import Layer
from packager.platforms import Platform

__all__ = ["Blob", "DocumentBlob", "FileBlob", "Image", "Variant", "assemble"]


class Blob(Protocol):
    """Bytes known by their digest, which can be read from anywhere within, and again."""

    @property
    def digest(self) -> str:
        """`sha256:` and the hash."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; none at the end."""


@dataclass(frozen=True)
class DocumentBlob:
    """A blob in memory: an image config."""

    document: Document

    @property
    def digest(self) -> str:
        """`sha256:` and the hash."""
        return self.document.digest

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.document.body)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""
        return self.document.body[offset : offset + length]


@dataclass(frozen=True)
class FileBlob:
    """A blob in an open file, named `path` in messages."""

    digest: str
    size: int
    descriptor: int
    path: Path

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""
        try:
            return os.pread(self.descriptor, length, offset)
        except OSError as error:
            raise from_os_error(error, f"read {self.path}") from error


@dataclass(frozen=True)
class Variant:
    """One platform's image: what it is, by digests. `platform` is empty if a foreign image does not say."""

    platform: str
    digest: str
    config_digest: str
    layer_digests: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    diff_ids: tuple[str, ...]


@dataclass
class Image:
    """A whole image; a context manager, which lets go of the files behind it.

    `root` is the index, or the manifest of an image for one platform; `manifests` are an index's children.
    Whoever stores it stores `blobs` first, then `manifests`, then `root`: so that what can be found is
    complete.
    """

    root: Document
    manifests: tuple[Document, ...]
    blobs: tuple[Blob, ...]
    variants: tuple[Variant, ...]
    resources: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def diff_id(self) -> str:
        """The uncompressed layer's digest, if all platforms have one and the same layer; else empty."""
        diff_ids = {diff_id for variant in self.variants for diff_id in variant.diff_ids}
        return diff_ids.pop() if len(diff_ids) == 1 else ""

    @property
    def layer_size(self) -> int:
        """Bytes of all layers, each counted once."""
        sizes: dict[str, int] = {}
        for variant in self.variants:
            sizes |= zip(variant.layer_digests, variant.layer_sizes, strict=True)
        return sum(sizes.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resources.close()


def assemble(
    layers: Mapping[Platform, Layer],
    epoch: int,
    run: Mapping[str, Any] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """An image of one layer a platform, which may be the same layer for all: one manifest, or an index of
    them. `annotations` are for every manifest and the index."""
    manifests: list[tuple[Platform, Document]] = []
    blobs: dict[str, Blob] = {}
    variants: list[Variant] = []
    resources = contextlib.ExitStack()
    for platform, layer in layers.items():
        config = image_config(platform, layer.diff_id, epoch, run)
        manifest = image_manifest(config, layer.descriptor, annotations)
        manifests.append((platform, manifest))
        if layer.descriptor.digest not in blobs:
            resources.callback(layer.close)
        blobs[layer.descriptor.digest] = FileBlob(
            layer.descriptor.digest, layer.descriptor.size, layer.fileno, layer.place
        )
        blobs[config.digest] = DocumentBlob(config)
        variants.append(
            Variant(
                str(platform),
                manifest.digest,
                config.digest,
                (layer.descriptor.digest,),
                (layer.descriptor.size,),
                (layer.diff_id,),
            )
        )
    if len(manifests) == 1:
        return Image(manifests[0][1], (), tuple(blobs.values()), tuple(variants), resources)
    documents: Sequence[Document] = [manifest for _, manifest in manifests]
    root = image_index(manifests, annotations)
    return Image(root, tuple(documents), tuple(blobs.values()), tuple(variants), resources)
