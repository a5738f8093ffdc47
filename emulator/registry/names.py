"""The three kinds of names in a registry's paths: repositories, tags and digests.

Source: OCI distribution specification 1.1, "Pulling manifests"; OCI image specification 1.1, "Digests".
The texts about digests are those of opencontainers/go-digest, which clients see in error details.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from emulator.registry.errors import OciError

__all__ = ["Digest", "check_repository", "is_repository", "is_tag"]

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_REPOSITORY_LENGTH = 255
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_DIGEST = re.compile(r"([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")
_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[a-f0-9]+")


def is_repository(name: str) -> bool:
    """Whether `name` may name a repository."""
    return len(name) <= _REPOSITORY_LENGTH and _REPOSITORY.fullmatch(name) is not None


def check_repository(name: str) -> str:
    """`name`, or NAME_INVALID."""
    if not is_repository(name):
        raise OciError("NAME_INVALID", {"name": name})
    return name


def is_tag(name: str) -> bool:
    """Whether `name` may name a tag."""
    return _TAG.fullmatch(name) is not None


@dataclass(frozen=True, order=True)
class Digest:
    """A content digest: `algorithm` is sha256 or sha512, `hex` its lower-case hexadecimal value."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The digest `text` spells; ValueError says, in go-digest's words, what is wrong with it."""
        match = _DIGEST.fullmatch(text)
        if match is None:
            raise ValueError("invalid checksum digest format")
        algorithm, value = match.groups()
        if algorithm not in _HEX_LENGTHS:
            raise ValueError("unsupported digest algorithm")
        if len(value) != _HEX_LENGTHS[algorithm]:
            raise ValueError("invalid checksum digest length")
        if _HEX.fullmatch(value) is None:
            raise ValueError("invalid checksum digest format")
        return cls(algorithm, value)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Digest:
        """The digest of `content`."""
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    @classmethod
    def required(cls, text: str) -> Digest:
        """As `parse`, but a wrong digest is DIGEST_INVALID."""
        try:
            return cls.parse(text)
        except ValueError as error:
            raise OciError("DIGEST_INVALID", str(error)) from None
