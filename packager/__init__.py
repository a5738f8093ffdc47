"""Directories as OCI images that Kubernetes can mount: the same bytes every time, pushed, and verified."""

from packager.compression import Compression
from packager.credentials import Credentials
from packager.errors import PackagerError, UsageError
from packager.images import Variant
from packager.inspecting import Inspected, inspect
from packager.layers import Progress
from packager.listing import Listed, list_files
from packager.packing import Packed, pack, pack_program
from packager.pushing import Pushed, push, push_program
from packager.verifying import verify
from packager.violations import Violation

__all__ = [
    "Compression",
    "Credentials",
    "Inspected",
    "Listed",
    "PackagerError",
    "Packed",
    "Progress",
    "Pushed",
    "UsageError",
    "Variant",
    "Violation",
    "inspect",
    "list_files",
    "pack",
    "pack_program",
    "push",
    "push_program",
    "verify",
]
