"""Which credentials are tried for an image: those of the pod's pull secrets, or the node's.

Source: Kubernetes pkg/credentialprovider (keyring.go, config.go, secrets/secrets.go).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

__all__ = ["ImageCredential", "Keyring", "SecretKey", "matches"]

Object = dict[str, Any]
_DOCKER_HUB = "index.docker.io"
_SECRETS = {  # type of the secret → its key, and whether the registries are below "auths"
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson", True),
    "kubernetes.io/dockercfg": (".dockercfg", False),
}


@dataclass(frozen=True)
class SecretKey:
    """Which secret a credential came from."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class ImageCredential:
    """A user name and a password, and the secret that holds them; None for those that are the node's."""

    username: str
    password: str
    secret: SecretKey | None = None

    @property
    def fingerprint(self) -> str:
        """A digest by which two secrets with the same credential are told to be equal."""
        return hashlib.sha256(f"{self.username}\0{self.password}".encode()).hexdigest()

    def __repr__(self) -> str:
        return f"ImageCredential(username={self.username!r}, secret={self.secret!r})"


class Keyring:
    """Credentials found by image name."""

    def __init__(self, secrets: Iterable[Object]) -> None:
        """Read the secrets in order.

        Raises:
            ValueError: the content of one is no Docker configuration.
        """
        self._by_location: dict[str, list[ImageCredential]] = {}
        for secret in secrets:
            for location, credential in _read(secret):
                self.add(location, credential)

    def add(self, location: str, credential: ImageCredential) -> None:
        """Know a credential for a place, as Docker configurations name places."""
        found = self._by_location.setdefault(_location(location), [])
        if credential not in found:
            found.append(credential)

    def lookup(self, repository: str) -> tuple[ImageCredential, ...]:
        """The credentials to try for `host[:port]/path`, the longest matching location first."""
        found: list[ImageCredential] = []
        for location in sorted(self._by_location, reverse=True):
            if matches(location, repository):
                found += self._by_location[location]
        if not found and repository.split("/", 1)[0] == "docker.io":
            found = self._by_location.get(_DOCKER_HUB, [])
        return tuple(found)


def _read(secret: Object) -> list[tuple[str, ImageCredential]]:
    metadata = secret["metadata"]
    key, nested = _SECRETS.get(secret.get("type", ""), ("", False))
    encoded = (secret.get("data") or {}).get(key)
    if encoded is None:
        return []
    where = f"{metadata['namespace']}/{metadata['name']}"
    try:
        config = json.loads(base64.b64decode(encoded))
        registries = config["auths"] if nested else config
        entries = [(location, *_entry(entry)) for location, entry in registries.items()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"unable to load pull secret {where}: {error}") from None
    source = SecretKey(metadata["namespace"], metadata["name"], metadata["uid"])
    return [(location, ImageCredential(username, password, source)) for location, username, password in entries]


def _entry(entry: Object) -> tuple[str, str]:
    if not entry.get("auth"):
        return entry.get("username", ""), entry.get("password", "")
    try:
        decoded = base64.b64decode(entry["auth"] + "=" * (-len(entry["auth"]) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("auth is not base64") from None
    username, separator, password = decoded.partition(":")
    if not separator:
        raise ValueError("unable to parse auth field, must be formatted as base64(username:password)")
    return username, password


def _location(written: str) -> str:
    """`https://host/v2/` → `host`: what an entry's name means as a place."""
    parts = urlsplit(written if written.startswith(("http://", "https://")) else f"https://{written}")
    path = parts.path
    if path.startswith(("/v2/", "/v1/")):
        path = path[3:]
    return parts.netloc + (path if path not in ("", "/") else "")


def matches(location: str, repository: str) -> bool:
    """Host labels may be globs, the port must be equal, and the path is a prefix."""
    pattern, target = urlsplit(f"https://{location}"), urlsplit(f"https://{repository}")
    pattern_host, _, pattern_port = pattern.netloc.partition(":")
    target_host, _, target_port = target.netloc.partition(":")
    pattern_labels, target_labels = pattern_host.split("."), target_host.split(".")
    return (
        pattern_port == target_port
        and len(pattern_labels) == len(target_labels)
        and target.path.startswith(pattern.path)
        and all(fnmatchcase(label, glob) for glob, label in zip(pattern_labels, target_labels, strict=True))
    )
