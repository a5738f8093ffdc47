"""What a node's runtime does with images: pull them, tell of them, mount them."""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from emulator.node.containerd.authorizer import Credential
from emulator.node.containerd.catalog import Catalog, ImageStatus
from emulator.node.containerd.content import ContentStore
from emulator.node.containerd.descriptor import Descriptor, parse_document
from emulator.node.containerd.errors import CriError, go_quote
from emulator.node.containerd.images import chain_ids, diff_ids, select_manifest
from emulator.node.containerd.locks import KeyedLocks
from emulator.node.containerd.owners import Identity
from emulator.node.containerd.platform import Matcher, Platform
from emulator.node.containerd.profile import Profile
from emulator.node.containerd.pull import Pull
from emulator.node.containerd.reference import Reference, ReferenceError_, parse
from emulator.node.containerd.remote import Remote
from emulator.node.containerd.snapshots import Snapshots
from emulator.node.containerd.subpath import SubpathError, resolve_subpath
from emulator.node.containerd.transport import Transport
from emulator.node.containerd.unpack import remove_tree

__all__ = ["ImageStore", "Mount"]

_IMAGE_VOLUMES = "/run/containerd/io.containerd.grpc.v1.cri/image-volumes"


@dataclass(frozen=True)
class Mount:
    """An image volume ready to be bound read-only.

    `source` is the directory to bind. `snapshot` and `subpath` say where it is: the directory with the whole image,
    and the path within it with links resolved ("" for all of it). `empty` says that the image has no layers: a real
    node then shows a plain bind of an empty snapshot directory instead of an overlay.
    """

    source: Path
    snapshot: Path
    subpath: str
    empty: bool


class ImageStore:
    """The images of one node, below a directory of their own.

    `privileged` says that files can be given to any owner (root); otherwise every identity gets a snapshot of its own
    in which the files' modes say what that identity may do with them. `lacks` tells what of an image cannot be kept
    then, by capability, with the reason.
    """

    def __init__(self, root: Path, profile: Profile, platform: Platform, *, privileged: bool) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.profile = profile
        self.platform = platform
        self.lacks = _lacks(root, privileged=privileged)
        self._root = root
        self._transport = Transport()
        self._content = ContentStore(root, profile)
        self._matcher = Matcher.compatible(platform)
        devices = "devices" not in self.lacks
        self._snapshots = Snapshots(root, self._content, profile, privileged=privileged, devices=devices)
        self._catalog = Catalog(self._content, profile, self._matcher)
        self._locks = KeyedLocks()
        self._made_up_id = secrets.token_hex(32)

    async def pull(self, reference: str, credential: Credential | None = None) -> ImageStatus:
        """Pull an image and unpack it; what is present already is not fetched or unpacked again.

        Raises:
            CriError: with the runtime's code and text.
        """
        try:
            named = parse(reference).as_pulled()
        except ReferenceError_ as error:
            raise CriError.unknown(str(error)).wrapped(self._say("parse", reference=reference)) from error
        name = str(named)
        try:
            target = await self._pull(named, credential)
        except CriError as error:
            raise error.wrapped(self._say("pull", reference=name)) from error
        try:
            image_id = select_manifest(self._content, self.profile, target, self._matcher).config.digest
        except CriError as error:
            raise error.wrapped(self._say("config")) from error
        repo_digest = name if named.digest else f"{named.name}@{target.digest}"
        for known in dict.fromkeys([image_id, name, repo_digest]):
            self._catalog.point(known, target)
            try:
                self._catalog.refresh(known)
            except CriError as error:
                raise error.wrapped(f"failed to update image store {go_quote(known)}") from error
        status = self._catalog.status(image_id)
        assert status is not None
        return status

    async def _pull(self, named: Reference, credential: Credential | None) -> Descriptor:
        remote = Remote(self._transport, self.profile, named, credential)
        pull = Pull(remote, self._content, self._snapshots, self.profile, self.platform, self._locks)
        target = await pull.run()
        self._catalog.point(str(named), target)
        # The runtime tells the CRI plugin of every new name, whatever becomes of the pull; what is no image for this
        # node is passed over there.
        with suppress(CriError):
            self._catalog.refresh(str(named))
        if self.profile.pull_service == "client" and not pull.unpacked:
            try:
                await self._unpacked(str(named), target)
            except CriError as error:
                raise error.wrapped(self._say("unpack")) from error
        return target

    def status(self, reference: str) -> ImageStatus | None:
        """A present image by name and tag, name and digest, all three, or its id; None when it is not there."""
        return self._catalog.status(reference)

    async def mount(
        self, reference: str, subpath: str, identity: Identity, *, sandbox_id: str = "", container_id: str = ""
    ) -> Mount:
        """Make an image ready to be mounted as a volume.

        The kubelet passes the id of the image it pulled as `reference`. `sandbox_id` and `container_id` are the pod's
        and the container's, which errors tell; without them, they tell those of a made-up pod.

        Raises:
            CriError: "failed to mount image volume: …".
        """
        if not self.profile.image_volumes:
            # Every attempt to create a container is at one of its own.
            raise CriError.unknown(self._say("volumes-unsupported", container=container_id or secrets.token_hex(32)))
        try:
            return await self._mount(reference, subpath, identity, sandbox_id or self._made_up_id)
        except CriError as error:
            raise error.wrapped(self._say("volume")) from error

    async def _mount(self, reference: str, subpath: str, identity: Identity, sandbox_id: str) -> Mount:
        status = self._catalog.status(reference)
        target = self._catalog.target(reference)
        if status is None or target is None:
            raise CriError("NotFound", "not found").wrapped(self._say("volume-unresolved", reference=reference))
        try:
            chain = await self._unpacked(reference, target)
        except CriError as error:
            raise error.wrapped(self._say("volume-unpack")) from error
        place = f"{_IMAGE_VOLUMES}/{sandbox_id}/{status.target.partition(':')[2]}"
        names: list[str] = []
        if subpath and self.profile.subpath:
            try:
                names = self._subdirectory(chain, subpath, place)
            except SubpathError as error:
                context = self._say("volume-subpath", subpath=go_quote(subpath), target=place)
                raise CriError.unknown(str(error)).wrapped(context) from error
        snapshot = await self._snapshots.snapshot(chain, identity)
        source = snapshot.joinpath(*names)
        if names and not _reachable(source):
            # A real node's root binds it all the same; here it is unpacked by itself.
            source = await self._snapshots.snapshot(chain, identity, "/".join(names))
        return Mount(source, snapshot, "/".join(names), empty=not chain)

    def _subdirectory(self, chain: list[str], subpath: str, place: str) -> list[str]:
        names, node = resolve_subpath(self._snapshots.tree(chain), subpath)
        if not node.is_directory:
            raise SubpathError(self._say("volume-subpath-file", subpath=go_quote(subpath), target=place))
        return names

    async def rootfs(self, reference: str, identity: Identity) -> Path:
        """The directory of an image's root file system, to be laid under a container's own changes.

        Raises:
            CriError: the image is not there or cannot be unpacked.
        """
        target = self._catalog.target(reference)
        if target is None or self._catalog.status(reference) is None:
            raise CriError.not_found(f"failed to resolve image {go_quote(reference)}")
        try:
            chain = await self._unpacked(reference, target)
            return await self._snapshots.snapshot(chain, identity)
        except CriError as error:
            raise error.wrapped(self._say("rootfs")) from error

    async def _unpacked(self, name: str, target: Descriptor) -> list[str]:
        """The chain of an image's layers, unpacked now where the pull did not.

        The runtime counts the layers it knows how to apply against the config's diff_ids: an artifact with none of
        either is an empty image.
        """
        manifest = select_manifest(self._content, self.profile, target, self._matcher)
        try:
            diffs = diff_ids(parse_document(self._content.read(manifest.config.digest)))
        except CriError as error:
            raise error.wrapped("failed to resolve rootfs") from error
        layers = manifest.file_system_layers
        if len(layers) != len(diffs):
            raise CriError.unknown(self._say("mismatched-layers"))
        chain = chain_ids(diffs)
        for i, layer in enumerate(layers):
            try:
                await self._snapshots.unpack(chain[: i + 1], layer, diffs[i], on_mount=True)
            except CriError as error:
                raise error.wrapped(f"apply layer error for {go_quote(name)}") from error
        return chain

    def _say(self, message: str, **values: object) -> str:
        return self.profile.say(message, **values)

    async def remove_all(self) -> None:
        """Forget every image and remove what was unpacked and fetched."""
        self._catalog.clear()
        await self._snapshots.remove_all()
        self._content.remove_all()

    async def close(self) -> None:
        """Close connections and remove everything from disk."""
        await self._transport.close()
        self._catalog.clear()
        await self._snapshots.finish()
        await asyncio.to_thread(remove_tree, self._root)


def _reachable(directory: Path) -> bool:
    """Whether the user we are can walk to a directory."""
    try:
        return directory.is_dir()
    except PermissionError:
        return False


def _lacks(root: Path, *, privileged: bool) -> Mapping[str, str]:
    if not privileged:
        reason = "files are unpacked by an ordinary user"
        return {"owners": reason, "devices": f"{reason}, who may not make devices"}
    probe = root / "device-probe"
    try:
        os.mknod(probe, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        return {"devices": "this root may not make devices (no CAP_MKNOD)"}
    probe.unlink()
    return {}
