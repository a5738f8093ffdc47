"""Directories as OCI images that Kubernetes can mount: the same bytes every time, pushed, and verified."""

from packager.attaching import Attached, attach, referrers
from packager.comparing import Content, Difference, Differences, diff
from packager.compression import Compression
from packager.copying import Copied, copy
from packager.credentials import Credentials
from packager.entra import azure_credentials
from packager.errors import PackagerError, UsageError
from packager.images import Variant
from packager.inspecting import Inspected, inspect
from packager.layers import Progress
from packager.listing import Listed, list_files
from packager.packing import Packed, pack, pack_program
from packager.pushing import Pushed, push, push_program
from packager.referring import Referrer
from packager.signing_in import SignedIn, login, logout
from packager.tagging import Tagged, tag
from packager.verifying import verify
from packager.violations import Violation

__all__ = [
    "Attached",
    "Compression",
    "Content",
    "Copied",
    "Credentials",
    "Difference",
    "Differences",
    "Inspected",
    "Listed",
    "PackagerError",
    "Packed",
    "Progress",
    "Pushed",
    "Referrer",
    "SignedIn",
    "Tagged",
    "UsageError",
    "Variant",
    "Violation",
    "attach",
    "azure_credentials",
    "copy",
    "diff",
    "inspect",
    "list_files",
    "login",
    "logout",
    "pack",
    "pack_program",
    "push",
    "push_program",
    "referrers",
    "tag",
    "verify",
]
