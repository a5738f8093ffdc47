"""Which platform of an index a node takes.

Source: containerd/platforms (normalisation, `Only` and `Ordered` matchers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Matcher", "Platform"]

_ARCHITECTURES = {"i386": "386", "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
_ARM64_MINORS = {8: 9, 9: 7}  # the newest minor version containerd knows of each major one


@dataclass(frozen=True)
class Platform:
    """An architecture, operating system and variant, in Go's names ("amd64", "arm64")."""

    architecture: str
    os: str = "linux"
    variant: str = ""

    def normalized(self) -> Platform:
        """The one spelling containerd compares by: an empty system is the node's own, that is Linux."""
        architecture, variant = self.architecture.lower(), self.variant.lower()
        architecture = _ARCHITECTURES.get(architecture, architecture)
        if architecture == "386" and self.architecture.lower() == "i386":
            variant = ""
        elif architecture == "amd64":
            variant = "" if variant == "v1" else variant
        elif architecture == "arm64":
            variant = {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"}.get(variant, variant)
        elif architecture in ("armhf", "armel"):
            architecture, variant = "arm", "v7" if architecture == "armhf" else "v6"
        elif architecture == "arm":
            variant = {"": "v7", "7": "v7", "5": "v5", "6": "v6", "8": "v8"}.get(variant, variant)
        system = self.os.lower() or "linux"
        return Platform(architecture, "darwin" if system == "macos" else system, variant)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Platform:
        """The platform an index entry or an image config states; absent fields are empty."""
        values = (fields.get(key) for key in ("architecture", "os", "variant"))
        return cls(*(value if isinstance(value, str) else "" for value in values))


class Matcher:
    """The platforms a node accepts, the best first."""

    def __init__(self, accepted: Sequence[Platform]) -> None:
        self._ranks: dict[Platform, int] = {}
        for platform in accepted:
            self._ranks.setdefault(platform.normalized(), len(self._ranks))

    def rank(self, platform: Platform) -> int | None:
        """How good a platform is, 0 the best; None when it does not run here."""
        return self._ranks.get(platform.normalized())

    def matches(self, platform: Platform) -> bool:
        """Whether the platform runs here."""
        return self.rank(platform) is not None

    @classmethod
    def exactly(cls, platform: Platform) -> Matcher:
        """Only this platform, as the transfer service fetches and unpacks."""
        return cls([platform])

    @classmethod
    def compatible(cls, platform: Platform) -> Matcher:
        """This platform and the older ones it runs, as the client and the CRI plugin choose."""
        return cls(_compatible(platform.normalized()))


def _compatible(platform: Platform) -> list[Platform]:
    system = platform.os
    if platform.architecture == "amd64":
        newest = _version(platform.variant)
        older = [Platform("amd64", system, f"v{n}") for n in range(newest - 1, 0, -1)] if newest > 1 else []
        return [platform, *older, Platform("386", system)]
    if platform.architecture == "arm":
        newest = _version(platform.variant)
        return [platform, *(Platform("arm", system, f"v{n}") for n in range(newest - 1, 4, -1))]
    if platform.architecture == "arm64":
        accepted = [Platform("arm64", system, variant) for variant in _arm64_variants(platform.variant or "v8")]
        return [*accepted, *_compatible(Platform("arm", system, "v8"))] if accepted else []
    return [platform]


def _arm64_variants(variant: str) -> list[str]:
    major, _, minor = variant.removeprefix("v").partition(".")
    if not (major.isdecimal() and (minor or "0").isdecimal()) or int(minor or 0) > _ARM64_MINORS.get(int(major), -1):
        return []
    variants = []
    # arm64 v9.N runs all of v9 up to N and of v8 up to N + 5.
    for step, top in ((9, int(minor or 0)), (8, int(minor or 0) + (5 if major == "9" else 0))):
        if step <= int(major):
            variants += [f"v{step}.{n}" if n else f"v{step}" for n in range(min(top, _ARM64_MINORS[step]), -1, -1)]
    return variants


def _version(variant: str) -> int:
    number = variant.removeprefix("v")
    return int(number) if number.isdecimal() else 0
