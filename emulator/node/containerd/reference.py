"""Image references: their grammar, their one spelling, and what is said of wrong ones.

Source: distribution/reference v0.6 (which the kubelet and containerd both use) and opencontainers/go-digest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

__all__ = ["Reference", "ReferenceError_", "digest_error", "parse", "sorted_references"]

_DEFAULT_DOMAIN = "docker.io"
_LONGEST_PATH = 255

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[\w][\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_NAME_PARTS = re.compile(rf"(?:({_HOST})/)?({_PATH})", re.ASCII)
_REFERENCE = re.compile(rf"((?:{_HOST}/)?{_PATH})(?::({_TAG}))?(?:@({_DIGEST}))?", re.ASCII)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_ANY_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


class ReferenceError_(ValueError):  # noqa: N801, N818 - ReferenceError is Python's own
    """A string is not an image reference; the text is distribution/reference's."""


@dataclass(frozen=True)
class Reference:
    """A normalised image reference: every part spelled out, but for a tag or digest that was not given."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The registry and the repository."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"

    def as_pulled(self) -> Reference:
        """What the runtime asks for: a digest without the tag beside it, the tag `latest` when neither is given."""
        if self.digest:
            return replace(self, tag="")
        return self if self.tag else replace(self, tag="latest")


def parse(reference: str) -> Reference:
    """Parse and normalise, as the kubelet and the runtime do.

    Raises:
        ReferenceError_: with distribution/reference's text.
    """
    if _IDENTIFIER.fullmatch(reference):
        raise ReferenceError_(f"invalid repository name ({reference}), cannot specify 64-byte hexadecimal strings")
    domain, remainder = _split_domain(reference)
    remote = remainder.partition(":")[0]
    if remote.lower() != remote:
        raise ReferenceError_(f"invalid reference format: repository name ({remote}) must be lowercase")
    whole = f"{domain}/{remainder}"
    match = _REFERENCE.fullmatch(whole)
    if match is None:
        if _REFERENCE.fullmatch(whole.lower()):
            raise ReferenceError_("repository name must be lowercase")
        raise ReferenceError_("invalid reference format")
    parts = _NAME_PARTS.fullmatch(match[1])
    name_domain, path = (parts[1] or "", parts[2]) if parts else ("", match[1])
    if len(path) > _LONGEST_PATH:
        raise ReferenceError_(f"repository name must not be more than {_LONGEST_PATH} characters")
    digest = match[3] or ""
    if digest and (error := digest_error(digest)):
        raise ReferenceError_(error)
    return Reference(name_domain, path, match[2] or "", digest)


def digest_error(digest: str) -> str | None:
    """What go-digest says of a digest; None of a good one."""
    algorithm, colon, encoded = digest.partition(":")
    if not (algorithm and colon and encoded):
        return "invalid checksum digest format"
    length = _HEX_LENGTHS.get(algorithm)
    if length is None:
        return "unsupported digest algorithm" if _ANY_DIGEST.fullmatch(digest) else "invalid checksum digest format"
    if len(encoded) != length:
        return "invalid checksum digest length"
    return None if re.fullmatch(r"[a-f0-9]+", encoded) else "invalid checksum digest format"


def sorted_references(references: list[str]) -> list[str]:
    """References with those that say more first: tag and digest, tag, digest, then bare image ids."""

    def rank(reference: str) -> tuple[int, str]:
        if digest_error(reference) is None:
            return 4, reference
        try:
            parsed = parse(reference)
        except ReferenceError_:
            return 5, reference
        return (0 if parsed.tag and parsed.digest else 1 if parsed.tag else 2 if parsed.digest else 3), reference

    return sorted(references, key=rank)


def _split_domain(reference: str) -> tuple[str, str]:
    first, slash, rest = reference.partition("/")
    if not slash:
        return _DEFAULT_DOMAIN, f"library/{reference}"
    if first == "index.docker.io":
        domain, path = _DEFAULT_DOMAIN, rest
    elif first == "localhost" or "." in first or ":" in first or first.lower() != first:
        domain, path = first, rest
    else:
        domain, path = _DEFAULT_DOMAIN, reference
    if domain == _DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    return domain, path
