"""What containerd decides about images: pulling, unpacking, and mounting them as volumes."""

from emulator.node.containerd.authorizer import Credential
from emulator.node.containerd.catalog import ImageStatus
from emulator.node.containerd.errors import CriError
from emulator.node.containerd.owners import Identity, RootOwner, UserOwner
from emulator.node.containerd.platform import Platform
from emulator.node.containerd.profile import Profile, ProfileError
from emulator.node.containerd.reference import Reference, ReferenceError_, parse
from emulator.node.containerd.store import ImageStore, Mount
from emulator.node.containerd.unpack import remove_tree

__all__ = [
    "Credential",
    "CriError",
    "Identity",
    "ImageStatus",
    "ImageStore",
    "Mount",
    "Platform",
    "Profile",
    "ProfileError",
    "Reference",
    "ReferenceError_",
    "RootOwner",
    "UserOwner",
    "parse",
    "remove_tree",
]
