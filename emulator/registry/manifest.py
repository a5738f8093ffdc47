"""What a registry checks of a manifest before it keeps it.

Source: OCI image specification 1.1 (manifest.md, image-index.md), OCI distribution specification 1.1
("Pushing Manifests", "Listing Referrers"), and Docker Distribution 3.1
(`registry/storage/*manifesthandler.go`).

Deliberately no more than that: an index may name manifests that are not there, layers may be of any media
type or none at all, sizes are not compared. What a node makes of such images is for the node to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from emulator.registry.errors import OciError
from emulator.registry.names import Digest

__all__ = ["DOCKER_LIST", "DOCKER_MANIFEST", "LIMIT", "OCI_INDEX", "OCI_MANIFEST", "Manifest"]

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
LIMIT = 4 * 1024 * 1024  # bytes

_IMAGES = (OCI_MANIFEST, DOCKER_MANIFEST)
_INDEXES = (OCI_INDEX, DOCKER_LIST)
_NOUNS = {OCI_INDEX: "image index", DOCKER_LIST: "manifest list"}
_FOREIGN_LAYERS = (
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
)


def _invalid(detail: str) -> OciError:
    return OciError("MANIFEST_INVALID", detail)


@dataclass(frozen=True)
class Manifest:
    """A manifest as pushed. `document` is its JSON object; a media type that is neither an image manifest
    nor an index is kept as it is, provided that it is a JSON type (`application/…+json`).
    """

    media_type: str
    content: bytes
    document: dict[str, Any]

    @classmethod
    def parse(cls, content_type: str, content: bytes) -> Manifest:
        """Check a pushed manifest; MANIFEST_INVALID says what is wrong with it."""
        media_type = content_type.partition(";")[0].strip()
        if not (media_type.startswith("application/") and media_type.endswith("+json")):
            raise _invalid(f"unsupported manifest media type and no default available: {media_type}")
        try:
            document = json.loads(content)
        except ValueError as error:
            raise _invalid(f"the manifest is not JSON: {error}") from None
        except RecursionError:
            raise _invalid("the manifest is nested too deeply") from None
        if not isinstance(document, dict):
            raise _invalid("the manifest is not a JSON object")
        manifest = cls(media_type, content, document)
        manifest._check()
        return manifest

    def _check(self) -> None:
        stated = self.document.get("mediaType", "")
        docker = self.media_type in (DOCKER_MANIFEST, DOCKER_LIST)
        if stated != self.media_type and (stated or docker):
            noun = _NOUNS.get(self.media_type, "manifest")
            condition = "" if docker else "if present, "
            raise _invalid(f"{condition}mediaType in {noun} should be '{self.media_type}' not '{stated}'")
        if self.media_type in _IMAGES:
            self._check_version()
            if "manifests" in self.document:
                raise _invalid("ocimanifest: expected manifest but found index")
            self._descriptors("layers")
            if not isinstance(self.document.get("config"), dict):
                raise _invalid("config is not a descriptor")
        elif self.media_type in _INDEXES:
            self._check_version()
            if "config" in self.document or "layers" in self.document:
                raise _invalid("index: expected index but found manifest")
            for entry in self._descriptors("manifests"):
                _digest(entry, "manifests")
        self.subject  # noqa: B018 - reading it checks it
        annotations = self.document.get("annotations")
        if annotations is not None and not isinstance(annotations, dict):
            raise _invalid("annotations is not an object")

    def _check_version(self) -> None:
        version = self.document.get("schemaVersion")
        if version != 2:
            raise _invalid(f"unrecognized manifest schema version {version}")

    def _descriptors(self, field: str) -> list[dict[str, Any]]:
        value = self.document.get(field)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise _invalid(f"{field} is not a list of descriptors")
        return value

    @property
    def subject(self) -> Digest | None:
        """The digest this manifest refers to, if any."""
        subject = self.document.get("subject")
        if subject is None:
            return None
        if not isinstance(subject, dict):
            raise _invalid("subject is not a descriptor")
        return _digest(subject, "subject")

    def blobs(self) -> Iterator[Digest]:
        """The blobs a repository must have before it takes this manifest: config and layers, but for
        layers that may not be distributed and say where else they are.
        """
        if self.media_type not in _IMAGES:
            return
        yield _digest(self.document["config"], "config")
        for layer in self._descriptors("layers"):
            digest = _digest(layer, "layers")
            if not (layer.get("urls") and layer.get("mediaType") in _FOREIGN_LAYERS):
                yield digest

    def descriptor(self, digest: Digest) -> dict[str, Any]:
        """How the referrers of this manifest's subject list it (specification, "Listing Referrers")."""
        descriptor: dict[str, Any] = {
            "mediaType": self.media_type,
            "size": len(self.content),
            "digest": str(digest),
        }
        artifact_type = self.document.get("artifactType")
        if not artifact_type and self.media_type in _IMAGES:
            artifact_type = self.document["config"].get("mediaType")
        if artifact_type:
            descriptor["artifactType"] = artifact_type
        if annotations := self.document.get("annotations"):
            descriptor["annotations"] = annotations
        return descriptor

    def linux_amd64(self) -> Digest | None:
        """Of an index: the entry Docker Distribution gives to clients that know no indexes."""
        for entry in self._descriptors("manifests"):
            platform = entry.get("platform") or {}
            if platform.get("architecture") == "amd64" and platform.get("os") == "linux":
                return _digest(entry, "manifests")
        return None


def _digest(descriptor: dict[str, Any], field: str) -> Digest:
    try:
        return Digest.parse(str(descriptor.get("digest", "")))
    except ValueError as error:
        raise OciError("DIGEST_INVALID", f"{field}: {error}") from None
