"""Pushing over the OCI distribution API, byte for byte: what the forge built is what the registry gets."""

from __future__ import annotations

import requests

from conformance.registry_auth import RegistryAuth
from conformance.tampering import corrupt
from conformance.targets import RegistryEndpoint
from fixtures import Forged, Tampering
from packager import Credentials

__all__ = ["Repository"]

_TIMEOUT = 60


class Repository:
    """One repository of a registry, e.g. `lab/ok`, below the folder that the registry gives us, if it does."""

    def __init__(self, endpoint: RegistryEndpoint, name: str) -> None:
        self.endpoint = endpoint
        self.name = name
        self.path = f"{endpoint.prefix}/{name}" if endpoint.prefix else name
        self._http = requests.Session()
        self._http.trust_env = endpoint.url.startswith("https:")
        self._http.auth = RegistryAuth(self.path, endpoint.username, endpoint.password)

    @property
    def reference(self) -> str:
        """The repository as nodes name it."""
        return f"{self.endpoint.name}/{self.name}"

    @property
    def address(self) -> str:
        """The repository as the suite itself reaches it."""
        return f"{self.endpoint.host}/{self.path}"

    @property
    def credentials(self) -> Credentials | None:
        """Who the suite is to the registry."""
        return Credentials(self.endpoint.username, self.endpoint.password) if self.endpoint.username else None

    def push(self, image: Forged, tag: str) -> str:
        """Push an image, tag it, and do to the registry what its case asks for; the digest that the tag points at."""
        for digest, blob in image.blobs.items():
            self.push_blob(digest, blob)
        for manifest in image.manifests:
            self._put_manifest(manifest.digest, manifest.content, manifest.media_type)
        self.tag(image, tag)
        for tampering in image.tampering:
            self._tamper(tampering)
        return image.digest

    def tag(self, image: Forged, tag: str) -> None:
        """Point a tag at an image that is already pushed."""
        top = image.manifests[-1]
        self._put_manifest(tag, top.content, top.media_type)

    def has_blob(self, digest: str) -> bool:
        """Whether the repository has a blob."""
        return self._http.head(self._url("blobs", digest), timeout=_TIMEOUT).ok

    def push_blob(self, digest: str, blob: bytes) -> None:
        """Push a blob that is not there yet."""
        if self.has_blob(digest):
            return
        opened = self._http.post(self._url("blobs", "uploads/"), timeout=_TIMEOUT)
        opened.raise_for_status()
        location = requests.compat.urljoin(self.endpoint.url, opened.headers["Location"])
        self._http.put(location, params={"digest": digest}, data=blob, timeout=_TIMEOUT).raise_for_status()

    def delete_blob(self, digest: str) -> None:
        """Take a blob from the repository."""
        self._http.delete(self._url("blobs", digest), timeout=_TIMEOUT).raise_for_status()

    def _put_manifest(self, reference: str, content: bytes, media_type: str) -> None:
        self._http.put(
            self._url("manifests", reference),
            data=content,
            headers={"Content-Type": media_type},
            timeout=_TIMEOUT,
        ).raise_for_status()

    def _tamper(self, tampering: Tampering) -> None:
        if tampering.action == "delete":
            self.delete_blob(tampering.digest)
        else:
            corrupt(self.endpoint, self.path, tampering.digest)

    def _url(self, kind: str, what: str) -> str:
        return f"{self.endpoint.url}/v2/{self.path}/{kind}/{what}"
