"""Pulling: from a reference to content on disk and layers unpacked, in the order the runtime goes about it.

Two ways, by the profile: the transfer service (containerd 2.1 and later), which fetches every manifest of the node's
platform and unpacks only images of that platform; and the client (2.0), which takes the best manifest and unpacks
whatever it is.

Source: containerd core/transfer/local/pull.go, client/pull.go, core/unpack/unpacker.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from emulator.node.containerd import media_types
from emulator.node.containerd.content import ContentStore
from emulator.node.containerd.descriptor import Descriptor, children, parse_document
from emulator.node.containerd.errors import CriError
from emulator.node.containerd.images import chain_ids, diff_ids, ordered
from emulator.node.containerd.locks import KeyedLocks
from emulator.node.containerd.platform import Matcher, Platform
from emulator.node.containerd.profile import Profile
from emulator.node.containerd.remote import Remote
from emulator.node.containerd.snapshots import Snapshots

__all__ = ["Pull"]

_PARALLEL_DOWNLOADS = 3


class Pull:
    """One pull of one reference."""

    def __init__(
        self,
        remote: Remote,
        content: ContentStore,
        snapshots: Snapshots,
        profile: Profile,
        platform: Platform,
        locks: KeyedLocks,
    ) -> None:
        self._remote = remote
        self._content = content
        self._snapshots = snapshots
        self._profile = profile
        self._by_client = profile.pull_service == "client"
        self._matcher = Matcher.compatible(platform) if self._by_client else Matcher.exactly(platform)
        self._locks = locks
        self._downloads = asyncio.Semaphore(_PARALLEL_DOWNLOADS)
        self._unpackable: dict[str, list[Descriptor]] = {}  # by config: the layers to unpack
        self.unpacked = 0

    async def run(self) -> Descriptor:
        """Resolve, fetch and unpack; returns what the reference points at. `unpacked` then counts images unpacked.

        Raises:
            CriError: without the words around a failed pull.
        """
        try:
            target = await self._remote.resolve()
        except CriError as error:
            raise error.wrapped(self._profile.say("resolve", reference=self._remote.reference)) from error
        await self._walk(target)
        for config, layers in self._unpackable.items():
            await self._unpack(config, layers)
        return target

    async def _walk(self, descriptor: Descriptor) -> None:
        """Fetch a descriptor and what it points at, but for the layers that unpacking fetches."""
        await self._fetch(descriptor)
        if media_types.is_index(descriptor.media_type):
            entries = children(descriptor, self._content.read(descriptor.digest))
            accepted = [entry for entry in entries if entry.platform is None or self._matcher.matches(entry.platform)]
            if self._by_client:
                accepted = ordered(accepted, self._matcher)[:1]
                if not accepted:
                    raise CriError.not_found(self._profile.say("no-platform-at-fetch"))
            await _all([self._walk(entry) for entry in accepted])
        elif media_types.is_manifest(descriptor.media_type):
            entries = children(descriptor, self._content.read(descriptor.digest))
            layers = [entry for entry in entries if media_types.is_layer(entry.media_type)]
            others = [entry for entry in entries if not media_types.is_layer(entry.media_type)]
            await _all([self._walk(entry) for entry in others])
            for other in others if layers else []:
                if not media_types.is_config(other.media_type):
                    continue
                if other.digest in self._unpackable:
                    await self._fetch_all(layers)
                else:
                    self._unpackable[other.digest] = layers

    async def _fetch(self, descriptor: Descriptor) -> None:
        """Have a blob in the content store; one that is there is not asked for."""
        digest = descriptor.digest
        async with self._locks.hold(digest):
            if self._content.has(digest):
                return
            if descriptor.size <= 0:
                what = "content size of zero" if not descriptor.size else f"negative content size ({descriptor.size})"
                raise CriError.invalid_argument(f"unable to fetch descriptor ({digest}) which reports {what}")
            key = media_types.reference_key(descriptor.media_type, digest)
            async with self._downloads:
                await self._content.write(key, digest, descriptor.size, self._remote.pieces(descriptor))

    async def _fetch_all(self, layers: Sequence[Descriptor]) -> None:
        await _all([self._fetch(layer) for layer in layers])

    async def _unpack(self, config_digest: str, layers: list[Descriptor]) -> None:
        try:
            config = parse_document(self._content.read(config_digest))
        except CriError as error:
            raise error.wrapped("unmarshal image config") from error
        diffs = diff_ids(config)
        if len(layers) != len(diffs):
            text = self._profile.say("layer-count", layers=len(layers), diff_ids=len(diffs))
            raise CriError.unknown(text)
        rootfs = config.get("rootfs")
        kind = rootfs.get("type") if isinstance(rootfs, dict) else None
        fits = self._by_client or self._matcher.matches(Platform.of(config))
        if not fits or kind not in (None, "", "layers"):
            await self._fetch_all(layers)
            return
        self.unpacked += 1
        chain = chain_ids(diffs)
        # Layers below the first missing one need not be fetched; all above are, as the runtime does it.
        missing = next((i for i, chain_id in enumerate(chain) if not self._snapshots.has_layer(chain_id)), len(chain))
        await self._fetch_all(layers[missing:])
        for i in range(missing, len(chain)):
            await self._snapshots.unpack(chain[: i + 1], layers[i], diffs[i], on_mount=False)


async def _all(tasks: list[Coroutine[Any, Any, None]]) -> None:
    """Do all of them at once; the first that fails, in their order, is what is told."""
    if len(tasks) == 1:
        await tasks[0]
        return
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
