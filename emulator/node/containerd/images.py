"""Finding an image's manifest and config in the content store.

Source: containerd core/images/image.go (`Manifest`, `Config`), core/images/usage (`CalculateImageUsage`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from emulator.node.containerd import media_types
from emulator.node.containerd.content import ContentStore
from emulator.node.containerd.descriptor import Descriptor, Object, children, parse_document
from emulator.node.containerd.errors import CriError
from emulator.node.containerd.platform import Matcher, Platform
from emulator.node.containerd.profile import Profile

__all__ = ["Manifest", "chain_ids", "diff_ids", "image_size", "ordered", "select_manifest"]


@dataclass(frozen=True)
class Manifest:
    """An image manifest: its config, and what it calls layers, whatever their types."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def file_system_layers(self) -> list[Descriptor]:
        """The layers that are layers of a file system; an artifact's blobs are not."""
        return [layer for layer in self.layers if media_types.is_layer(layer.media_type)]


def select_manifest(content: ContentStore, profile: Profile, target: Descriptor, matcher: Matcher) -> Manifest:
    """The manifest a node takes of an image: the best of an index, or the target itself, whatever its platform.

    Raises:
        CriError: NotFound when nothing matches or a document is not there.
    """
    pending = [target]
    was_index = False
    while pending:
        descriptor = pending.pop(0)
        media_type = descriptor.media_type
        if media_types.is_manifest(media_type):
            config, *layers = children(descriptor, content.read(descriptor.digest))
            if descriptor.digest == target.digest or _runs_here(content, descriptor, config, matcher):
                return Manifest(config, tuple(layers))
        elif media_types.is_index(media_type):
            was_index = True
            entries = children(descriptor, content.read(descriptor.digest))
            accepted = [entry for entry in entries if entry.platform is None or matcher.matches(entry.platform)]
            pending[:0] = ordered(accepted, matcher)[:1]
        else:
            raise CriError.not_found(f"unexpected media type {media_type} for {descriptor.digest}")
    if was_index:
        raise CriError.not_found(profile.say("no-platform-in-index", digest=target.digest))
    raise CriError.not_found(f"manifest {target.digest}")


def _runs_here(content: ContentStore, descriptor: Descriptor, config: Descriptor, matcher: Matcher) -> bool:
    if descriptor.platform is not None:
        return matcher.matches(descriptor.platform)
    return matcher.matches(Platform.of(parse_document(content.read(config.digest))))


def ordered(descriptors: Sequence[Descriptor], matcher: Matcher) -> list[Descriptor]:
    """Entries of an index, the best platform first, those that state none last."""

    def rank(descriptor: Descriptor) -> tuple[bool, int]:
        found = None if descriptor.platform is None else matcher.rank(descriptor.platform)
        return descriptor.platform is None, 1 << 16 if found is None else found

    return sorted(descriptors, key=rank)


def image_size(content: ContentStore, target: Descriptor, matcher: Matcher) -> int:
    """The bytes an image takes as pulled: its documents and its layers, compressed, for one platform."""
    total, pending = 0, [target]
    while pending:
        descriptor = pending.pop()
        total += max(descriptor.size, 0)
        if media_types.is_index(descriptor.media_type):
            pending += ordered(children(descriptor, content.read(descriptor.digest)), matcher)[:1]
        elif media_types.is_manifest(descriptor.media_type):
            pending += children(descriptor, content.read(descriptor.digest))
    return total


def diff_ids(config: Object) -> list[str]:
    """The digests of an image's uncompressed layers, as its config lists them."""
    rootfs = config.get("rootfs")
    listed = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return [str(diff_id) for diff_id in listed] if isinstance(listed, list) else []


def chain_ids(diffs: Sequence[str]) -> list[str]:
    """What each layer is known by together with those below it (OCI image-spec, config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff in diffs:
        chain.append(f"sha256:{hashlib.sha256(f'{chain[-1]} {diff}'.encode()).hexdigest()}" if chain else diff)
    return chain
