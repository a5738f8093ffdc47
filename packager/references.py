"""References to images in registries: `REGISTRY/REPOSITORY[:TAG][@DIGEST]` (distribution-spec, "Pulling
manifests")."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace

from packager.errors import UsageError

__all__ = ["EXAMPLE", "Reference", "names_a_registry"]

_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?"
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
EXAMPLE = "myregistry.azurecr.io/project-content:v1.0.0"
_MAX_REPOSITORY = 255


@dataclass(frozen=True)
class Reference:
    """One image in one registry. `registry` is `HOST[:PORT]`; `digest`, when there is one, wins over
    `tag`."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference. One that names neither tag nor digest means the tag `latest`, as everywhere."""
        if "://" in text:
            raise _malformed(text, "leave out the scheme")
        rest, at, digest = text.partition("@")
        if at and not _DIGEST.fullmatch(digest):
            raise _malformed(text, "a digest is sha256: and 64 lower-case hexadecimal digits")
        registry, slash, path = rest.partition("/")
        if not slash or not _is_a_registry(registry):
            raise _malformed(text, "it does not begin with a registry")
        host = _HOST.fullmatch(registry)
        if host is None or (host[1] and int(host[1]) > 65535):
            raise _malformed(text, f"{registry!r} is not a host and port")
        repository, colon, tag = path.partition(":")
        if repository != repository.lower():
            raise _malformed(text, "a repository is in lower case")
        if not _REPOSITORY.fullmatch(repository) or len(registry) + 1 + len(repository) > _MAX_REPOSITORY:
            raise _malformed(text, f"{repository!r} is not a repository")
        if colon and not _TAG.fullmatch(tag):
            raise _malformed(text, f"{tag!r} is not a tag")
        return cls(registry, repository, tag if tag or digest else "latest", digest)

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is this machine itself, which alone is spoken to over plain http."""
        host = self.registry
        host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def api(self) -> str:
        """Where the repository answers: `https://HOST/v2/REPOSITORY`."""
        host, repository = self.registry, self.repository
        if host in ("docker.io", "index.docker.io"):
            # Docker Hub's API has another name than its references, and a folder for names without one.
            host = "registry-1.docker.io"
            repository = repository if "/" in repository or not repository else f"library/{repository}"
        return f"{'http' if self.is_loopback else 'https'}://{host}/v2/{repository}"

    @property
    def version(self) -> str:
        """What to ask the registry for: the digest if there is one, else the tag."""
        return self.digest or self.tag

    def pinned(self, digest: str) -> Reference:
        """The same repository, by digest alone."""
        return replace(self, tag="", digest=digest)

    def __str__(self) -> str:
        return (
            f"{self.registry}/{self.repository}"
            + (f":{self.tag}" if self.tag else "")
            + (f"@{self.digest}" if self.digest else "")
        )


def names_a_registry(text: str) -> bool:
    """Whether a text begins as references do, with a registry, and not as paths do."""
    first, slash, _ = text.partition("/")
    return bool(slash) and not text.startswith(".") and _is_a_registry(first)


def _is_a_registry(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost"


def _malformed(text: str, why: str) -> UsageError:
    return UsageError(f"{text!r} is not an image reference: {why}; an example: {EXAMPLE}")
