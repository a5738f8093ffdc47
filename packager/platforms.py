"""Platforms, as an image index and an image config name them (image-spec: image-index.md, config.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packager.errors import UsageError

__all__ = ["DEFAULT_PLATFORMS", "Platform", "parse_platforms"]

DEFAULT_PLATFORMS = ("linux/amd64", "linux/arm64")

# GOOS/GOARCH pairs on which a kubelet runs: a name outside this list is a typing mistake.
_ARCHITECTURES = {
    "linux": ("386", "amd64", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"),
    "windows": ("amd64", "arm64"),
}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
_VARIANT = re.compile(r"v\d+(\.\d+)?")


@dataclass(frozen=True, order=True)
class Platform:
    """An operating system, an architecture and, seldom, a variant of it."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Read `linux/amd64` or `linux/arm/v7`. `linux/arm64/v8` is `linux/arm64`, as containerd normalises
        it."""
        os, _, rest = text.strip().partition("/")
        architecture, _, variant = rest.partition("/")
        known = _ARCHITECTURES.get(os)
        if known is None or architecture not in known or (variant and not _VARIANT.fullmatch(variant)):
            hint = _ALIASES.get(architecture or os)
            mend = f"did you mean linux/{hint}?" if hint else "write OS/ARCHITECTURE, for example linux/amd64"
            raise UsageError(f"{text!r} is not a platform: {mend}")
        if (architecture, variant) == ("arm64", "v8"):
            variant = ""
        return cls(os, architecture, variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def to_json(self) -> dict[str, str]:
        """The fields of a descriptor's `platform`, which an image config carries too."""
        fields = {"architecture": self.architecture, "os": self.os}
        return fields | {"variant": self.variant} if self.variant else fields


def parse_platforms(texts: Iterable[str]) -> tuple[Platform, ...]:
    """Each platform once, sorted, so that the order they were asked for in does not reach the digest."""
    platforms = sorted({Platform.parse(part) for text in texts for part in text.split(",")})
    if not platforms:
        raise UsageError("no platform was given: an image needs at least one, for example linux/amd64")
    return tuple(platforms)
