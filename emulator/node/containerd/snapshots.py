"""Layers unpacked, and the directories that show them.

A layer is kept as its tar and the tree it makes, by chain id; a snapshot is a directory on disk with the merged tree
of some layers, by chain id and, for an ordinary user, by the identity it is arranged for.

Source: containerd core/unpack, pkg/rootfs/apply.go, plugins/snapshots/overlay.
"""

from __future__ import annotations

import base64
import errno
import itertools
import mmap
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from emulator.node.containerd.content import ContentStore
from emulator.node.containerd.decompress import decompress
from emulator.node.containerd.descriptor import Descriptor
from emulator.node.containerd.errors import CriError, go_syscall_text
from emulator.node.containerd.layer import LayerError, apply_layer
from emulator.node.containerd.locks import KeyedLocks
from emulator.node.containerd.overlay import merge
from emulator.node.containerd.owners import Identity, Owner, RootOwner, UserOwner
from emulator.node.containerd.profile import Profile
from emulator.node.containerd.tar import Archive, TarError, read_entries
from emulator.node.containerd.tree import Node
from emulator.node.containerd.unpack import UnpackError, remove_tree, write_tree
from emulator.node.containerd.workers import Workers

__all__ = ["Snapshots"]

# Where a real node unpacks: errors name these places.
_TEMPORARY_MOUNT = "/var/lib/containerd/tmpmounts/containerd-mount"
_SNAPSHOTS = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"


@dataclass(frozen=True)
class _Layer:
    tree: Node
    tar: Path


class Snapshots:
    """The unpacked layers and snapshots of a node, below one directory."""

    def __init__(self, root: Path, content: ContentStore, profile: Profile, *, privileged: bool, devices: bool) -> None:
        self._devices = devices
        self._content = content
        self._profile = profile
        self._privileged = privileged
        self._tars = root / "layers"
        self._snapshots = root / "snapshots"
        self._layers: dict[str, _Layer] = {}
        self._ready: dict[tuple[str, Identity | None, str], Path] = {}
        self._locks = KeyedLocks()
        self._workers = Workers()
        self._numbers = itertools.count(1)
        self._tars.mkdir()
        self._snapshots.mkdir()

    def has_layer(self, chain_id: str) -> bool:
        """Whether a layer is unpacked on top of those below it."""
        return chain_id in self._layers

    async def unpack(self, chain: Sequence[str], layer: Descriptor, diff_id: str, *, on_mount: bool) -> None:
        """Unpack the last layer of a chain, whose lower layers are unpacked already.

        `on_mount` says that it is done for a container instead of at the pull, which has other texts.

        Raises:
            CriError: the layer cannot be read or applied, or has another diff_id.
        """
        chain_id = chain[-1]
        async with self._locks.hold(chain_id):
            if chain_id not in self._layers:
                below = [self._layers[lower].tree for lower in reversed(chain[:-1])]
                self._layers[chain_id] = await self._workers.run(
                    self._unpack, chain_id, below, layer, diff_id, on_mount=on_mount
                )

    def _unpack(
        self, chain_id: str, below: Sequence[Node], layer: Descriptor, diff_id: str, *, on_mount: bool
    ) -> _Layer:
        number = next(self._numbers)
        target = self._tars / str(number)
        blob = self._content.path(layer.digest)
        suffix = base64.urlsafe_b64encode(os.urandom(3)).decode()
        values = {
            "media_type": layer.media_type,
            "digest": layer.digest,
            "diff_id": diff_id,
            "key": f"extract-{time.time_ns() % 1_000_000_000}-{suffix} {chain_id}",
        }
        tar = None
        try:
            if not blob.exists():
                raise CriError.not_found(f"failed to get reader from content store: content digest {layer.digest}")
            unpacked = decompress(blob, layer.media_type, target)
            tree = self._apply(unpacked.tar, unpacked.cut_short_by, below, number)
            if unpacked.digest != diff_id:
                message = "wrong-diff-id-on-mount" if on_mount else "wrong-diff-id"
                raise _WrongDiffIdError(self._profile.say(message, found=unpacked.digest, **values))
            tar = unpacked.tar
            return _Layer(tree, tar)
        except _WrongDiffIdError as error:
            raise CriError.unknown(str(error)) from None
        except CriError as error:
            raise error.wrapped(self._extracting(values, on_mount=on_mount)) from error
        except (LayerError, OSError) as error:
            text = _told(error, target) if isinstance(error, OSError) else str(error)
            raise CriError.unknown(text).wrapped(self._extracting(values, on_mount=on_mount)) from error
        finally:
            if tar is None:
                target.unlink(missing_ok=True)

    def _extracting(self, values: dict[str, str], *, on_mount: bool) -> str:
        return self._profile.say("extract-on-mount" if on_mount else "extract", **values)

    def _apply(self, tar: Path, cut_short_by: str | None, below: Sequence[Node], number: int) -> Node:
        """The tree of a layer. The first is applied through a temporary mount, which its errors tell."""
        at = f"{_SNAPSHOTS}/{number}/fs" if below else f"{_TEMPORARY_MOUNT}{int.from_bytes(os.urandom(4), 'big')}"
        with ExitStack() as stack:
            entries = read_entries(_open(tar, stack), cut_short_by)
            try:
                tree = apply_layer(entries, below, at=at, archive=len(below))
            except (TarError, LayerError) as error:
                text = str(error)
                raise LayerError(text if below else f"{self._profile.say('callback', path=at)}: {text}") from error
        if cut_short_by:  # behind the archive's end, where the runtime reads on for the digest
            raise LayerError(cut_short_by)
        return tree

    def tree(self, chain: Sequence[str]) -> Node:
        """What unpacked layers show together."""
        return merge([self._layers[chain_id].tree for chain_id in chain])

    async def snapshot(self, chain: Sequence[str], identity: Identity, subtree: str = "") -> Path:
        """A directory with what layers show together, made once: as packed, or as an identity may see it.

        `subtree` is the path of a directory to show instead of the whole.

        Raises:
            CriError: it cannot be written.
        """
        key = (chain[-1] if chain else "", None if self._privileged else identity, subtree)
        async with self._locks.hold(key):
            if key not in self._ready:
                owner: Owner = RootOwner(devices=self._devices) if self._privileged else UserOwner(identity)
                self._ready[key] = await self._workers.run(self._write, chain, owner, subtree)
        return self._ready[key]

    def _write(self, chain: Sequence[str], owner: Owner, subtree: str) -> Path:
        number = next(self._numbers)
        unfinished, finished = self._snapshots / f"{number}.unfinished", self._snapshots / str(number)
        tree = self.tree(chain)
        if subtree:
            tree = tree.lookup(subtree) or tree
        try:
            unfinished.mkdir()
            with ExitStack() as stack:
                archives = [_open(self._layers[chain_id].tar, stack) for chain_id in chain]
                write_tree(tree, unfinished / "fs", archives, owner)
            unfinished.rename(finished)
        except (UnpackError, OSError) as error:
            remove_tree(unfinished)
            text = _told(error) if isinstance(error, OSError) else str(error)
            text = text.replace(str(unfinished), f"{_SNAPSHOTS}/{number}")
            raise CriError.unknown(text) from error
        return finished / "fs"

    async def finish(self) -> None:
        """Wait for what is being unpacked, also for those who wait no longer."""
        await self._workers.finish()

    async def remove_all(self) -> None:
        """Remove every snapshot and layer from disk and from memory."""
        await self.finish()
        self._layers.clear()
        self._ready.clear()
        for folder in (self._snapshots, self._tars):
            remove_tree(folder)
            folder.mkdir()


def _told(error: OSError, path: Path | str = "") -> str:
    return f"write {error.filename or path}: {go_syscall_text(error.errno or errno.EIO)}"


class _WrongDiffIdError(Exception):
    """Told without the words around an error of extraction."""


def _open(tar: Path, stack: ExitStack) -> Archive:
    with tar.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return b""
        return stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
