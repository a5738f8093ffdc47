"""Directories as OCI images that Kubernetes can mount, byte for byte the same every time; pushed and verified."""

from packager.errors import InvalidArgument, PackagerError
from packager.images import Variant
from packager.packing import Packed, pack, pack_program

__all__ = ["InvalidArgument", "Packed", "PackagerError", "Variant", "pack", "pack_program"]
