"""Which images a node has: names as the runtime keeps them, and what the CRI plugin makes of them.

Source: containerd internal/cri/store/image, internal/cri/server/images.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from emulator.node.containerd.content import ContentStore
from emulator.node.containerd.descriptor import Descriptor, Object, parse_document
from emulator.node.containerd.errors import CriError
from emulator.node.containerd.images import image_size, select_manifest
from emulator.node.containerd.platform import Matcher
from emulator.node.containerd.profile import Profile
from emulator.node.containerd.reference import ReferenceError_, digest_error, parse, sorted_references

__all__ = ["Catalog", "ImageStatus"]


@dataclass(frozen=True)
class ImageStatus:
    """An image that is present.

    `id` is the digest of its config, `target` that of the index or manifest its first name points at, `size` the bytes
    it takes as pulled, `config` the image config.
    """

    id: str
    target: str
    repo_tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    size: int
    config: dict[str, Any] = field(repr=False)


@dataclass
class _Image:
    names: list[str]
    size: int
    config: Object


class Catalog:
    """Names and images. An image is known by its config's digest, so artifacts with an empty config share one."""

    def __init__(self, content: ContentStore, profile: Profile, matcher: Matcher) -> None:
        self._content = content
        self._profile = profile
        self._matcher = matcher
        self._targets: dict[str, Descriptor] = {}
        self._ids: dict[str, str] = {}  # names of ready images only
        self._images: dict[str, _Image] = {}

    def point(self, name: str, target: Descriptor) -> None:
        """Let a name point at a target. What it stands for is found out by `refresh`."""
        self._targets[name] = target

    def refresh(self, name: str) -> None:
        """Take up what a name points at now; the image it pointed at before keeps its other names.

        Raises:
            CriError: the target is no image for this node; the name goes on standing for what it did.
        """
        target = self._targets[name]
        try:
            image_id, image = self._read(name, target)
        except CriError as error:
            raise error.wrapped("get image info from containerd") from error
        before = self._ids.get(name)
        if before == image_id:
            return
        if before is not None:
            self._drop(before, name)
        self._ids[name] = image_id
        known = self._images.setdefault(image_id, image)
        known.names = sorted_references([*{*known.names, name}])

    def _read(self, name: str, target: Descriptor) -> tuple[str, _Image]:
        try:
            manifest = select_manifest(self._content, self._profile, target, self._matcher)
            config = parse_document(self._content.read(manifest.config.digest))
        except CriError as error:
            raise error.wrapped("get image diffIDs") from error
        size = image_size(self._content, target, self._matcher)
        return manifest.config.digest, _Image([name], size, config)

    def _drop(self, image_id: str, name: str) -> None:
        image = self._images[image_id]
        image.names.remove(name)
        if not image.names:
            del self._images[image_id]

    def target(self, reference: str) -> Descriptor | None:
        """What a name or an image id points at."""
        return self._targets.get(reference) or self._targets.get(_as_pulled(reference))

    def status(self, reference: str) -> ImageStatus | None:
        """A ready image by any of its names or its id."""
        image_id = reference if digest_error(reference) is None else self._ids.get(_as_pulled(reference), "")
        image = self._images.get(image_id)
        if image is None:
            return None
        parsed = [parse(name) for name in image.names if digest_error(name) is not None]
        return ImageStatus(
            id=image_id,
            target=self._targets[image.names[0]].digest,
            repo_tags=tuple(str(reference) for reference in parsed if not reference.digest),
            repo_digests=tuple(str(reference) for reference in parsed if reference.digest),
            size=image.size,
            config=image.config,
        )

    def clear(self) -> None:
        """Forget every image."""
        for known in (self._targets, self._ids, self._images):
            known.clear()


def _as_pulled(reference: str) -> str:
    try:
        return str(parse(reference).as_pulled())
    except ReferenceError_:
        return ""
