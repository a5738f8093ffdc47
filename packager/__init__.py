"""Directories as OCI images that Kubernetes can mount: the same bytes every time, pushed, and verified."""

from packager.compression import Compression
from packager.credentials import Credentials
from packager.errors import PackagerError, UsageError
from packager.images import Variant
from packager.inspecting import Inspected, inspect
from packager.layers import Progress
from packager.packing import Packed, pack, pack_program
from packager.pushing import Pushed, push, push_program
from packager.verifying import verify
from packager.violations import Violation

__all__ = [
    "Compression",
    "Credentials",
    "Inspected",
    "PackagerError",
    "Packed",
    "Progress",
    "Pushed",
    "UsageError",
    "Variant",
    "Violation",
    "inspect",
    "pack",
    "pack_program",
    "push",
    "push_program",
    "verify",
]
