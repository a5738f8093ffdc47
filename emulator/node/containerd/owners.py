"""How files on disk keep what their packer said of owners, modes and devices."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import ClassVar, Protocol

from emulator.node.containerd.tree import Node

__all__ = ["Identity", "Owner", "RootOwner", "UserOwner"]

_FORMATS = {
    "file": stat.S_IFREG,
    "fifo": stat.S_IFIFO,
    "character": stat.S_IFCHR,
    "block": stat.S_IFBLK,
}


@dataclass(frozen=True)
class Identity:
    """Whom a container's process runs as: a user id, its primary group and its supplementary groups."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


class Owner(Protocol):
    """What becomes of a node's owner, mode and device when it is written to disk.

    `real` says that files really get what was packed, so that failing to do so is an error.
    """

    real: ClassVar[bool]

    def mode(self, node: Node) -> int:
        """The twelve permission bits a file gets."""
        ...

    def own(self, path: str, node: Node) -> None:
        """Give a file its owner, before its mode is set. Never follows a link."""
        ...

    def make_device(self, path: str, node: Node) -> None:
        """Make a device file."""
        ...


@dataclass(frozen=True)
class RootOwner:
    """As packed: real owners, modes and devices. Needs CAP_CHOWN, CAP_FOWNER and, for devices, CAP_MKNOD.

    Without `devices`, empty files take their place.
    """

    devices: bool = True
    real: ClassVar[bool] = True

    def mode(self, node: Node) -> int:
        """The bits as packed."""
        return node.mode

    def own(self, path: str, node: Node) -> None:
        """Change the owner where it is not root already."""
        if node.uid or node.gid:
            os.chown(path, node.uid, node.gid, follow_symlinks=False)

    def make_device(self, path: str, node: Node) -> None:
        """Make the device itself."""
        if not self.devices:
            _make_placeholder(path)
            return
        os.mknod(path, _FORMATS[node.kind] | 0o600, os.makedev(*node.device))


@dataclass(frozen=True)
class UserOwner:
    """As one identity sees them, on files that all belong to the ordinary user who unpacks.

    The owner's permission bits, the only ones the kernel asks for when a container runs as that user, are set to
    what `identity` may do with the file on a real node: the owner's, the group's or the others' bits as packed;
    root may read and write everything and execute what anyone may. The bits of group and others stay as packed.
    Devices become empty files that hold their name and mode only.
    """

    identity: Identity
    real: ClassVar[bool] = False

    def mode(self, node: Node) -> int:
        """The bits as packed, with the owner's replaced."""
        return node.mode & 0o7077 | self._allowed(node) << 6

    def own(self, path: str, node: Node) -> None:
        """Nothing: an ordinary user cannot give files away."""

    def make_device(self, path: str, node: Node) -> None:
        """Leave an empty file in the device's place."""
        _make_placeholder(path)

    def _allowed(self, node: Node) -> int:
        if self.identity.uid == 0:
            executable = 1 if node.is_directory or node.mode & 0o111 else 0
            return 6 | executable
        if self.identity.uid == node.uid:
            return node.mode >> 6 & 7
        if node.gid == self.identity.gid or node.gid in self.identity.groups:
            return node.mode >> 3 & 7
        return node.mode & 7


def _make_placeholder(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
