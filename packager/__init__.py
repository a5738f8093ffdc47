"""Directories as OCI images that Kubernetes can mount: the same bytes every time, pushed, and verified.

A name's module is imported when the name is first used: who packs does not wait for what compares, signs in or
verifies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "Attached": "attaching",
    "Compression": "compression",
    "Content": "comparing",
    "Copied": "copying",
    "Credentials": "credentials",
    "Difference": "comparing",
    "Differences": "comparing",
    "Inspected": "inspecting",
    "Listed": "listing",
    "PackagerError": "errors",
    "Packed": "packing",
    "Progress": "layers",
    "Pushed": "pushing",
    "Referrer": "referring",
    "SignedIn": "signing_in",
    "Tagged": "tagging",
    "UsageError": "errors",
    "Variant": "images",
    "Violation": "violations",
    "attach": "attaching",
    "azure_credentials": "entra",
    "copy": "copying",
    "diff": "comparing",
    "inspect": "inspecting",
    "list_files": "listing",
    "login": "signing_in",
    "logout": "signing_in",
    "pack": "packing",
    "pack_program": "packing",
    "push": "pushing",
    "push_program": "pushing",
    "referrers": "attaching",
    "tag": "tagging",
    "verify": "verifying",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return __all__
