"""The handlers of `/v2/<name>/manifests/<reference>`.

Source: OCI distribution specification 1.1, "Pulling manifests", "Pushing Manifests", "Deleting tags",
"Deleting Manifests"; negotiation and texts as in Docker Distribution 3.1
(`registry/handlers/manifests.go`).
"""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from emulator.registry.errors import OciError
from emulator.registry.manifest import DOCKER_LIST, DOCKER_MANIFEST, LIMIT, OCI_MANIFEST, Manifest
from emulator.registry.names import Digest, is_tag
from emulator.registry.routes import Handler, Target
from emulator.registry.storage import ManifestRecord, Storage

__all__ = ["Manifests"]


class Manifests:
    """Fetch, push and delete manifests and tags."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def handlers(self) -> dict[str, Handler]:
        """By method."""
        return {"GET": self.get, "HEAD": self.get, "PUT": self.put, "DELETE": self.delete}

    async def get(self, request: web.Request, target: Target) -> web.StreamResponse:
        """200 with the bytes that were pushed and their media type.

        As in Docker Distribution, an OCI manifest is given only to a client whose Accept names its type
        (`*/*` does not), an index to any; a client that asks for a Docker list by tag and does not accept
        one gets its linux/amd64 entry.
        """
        repository = target.repository
        digest = self._resolve(repository, target.argument)
        record = self._record(repository, digest)
        accepted = _accepted(request)
        if _matches(request, digest):
            return web.Response(status=304)
        if record.media_type == OCI_MANIFEST and OCI_MANIFEST not in accepted:
            raise OciError(
                "MANIFEST_UNKNOWN",
                message="OCI manifest found, but accept header does not support OCI manifests",
            )
        content = self._storage.content(digest).read_bytes()
        if record.media_type == DOCKER_LIST and DOCKER_LIST not in accepted and is_tag(target.argument):
            entry = Manifest(DOCKER_LIST, content, json.loads(content)).linux_amd64()
            if entry is None:
                raise OciError("MANIFEST_UNKNOWN")
            digest, record = entry, self._record(repository, entry)
            if record.media_type == DOCKER_MANIFEST and DOCKER_MANIFEST not in accepted:
                raise OciError("MANIFEST_INVALID", message="Schema 2 manifest not supported by client")
            content = self._storage.content(digest).read_bytes()
        return web.Response(
            body=content,
            headers={
                "Content-Type": record.media_type,
                "Docker-Content-Digest": str(digest),
                "ETag": f'"{digest}"',
            },
        )

    def _resolve(self, repository: str, reference: str) -> Digest:
        if ":" in reference:
            return Digest.required(reference)
        digest = self._storage.tag(repository, reference) if is_tag(reference) else None
        if digest is None:
            raise OciError("MANIFEST_UNKNOWN", f"unknown tag={reference}")
        return digest

    def _record(self, repository: str, digest: Digest) -> ManifestRecord:
        record = self._storage.manifest(repository, digest)
        if record is None:
            raise OciError("MANIFEST_UNKNOWN", f"unknown manifest name={repository} revision={digest}")
        return record

    async def put(self, request: web.Request, target: Target) -> web.StreamResponse:
        """201. Its blobs must be in the repository, else MANIFEST_BLOB_UNKNOWN; see `Manifest` for the
        other rules.
        """
        repository, reference = target.repository, target.argument
        by_digest = ":" in reference
        if by_digest:
            expected = Digest.required(reference)
        elif not is_tag(reference):
            raise OciError("TAG_INVALID", f"{reference} is not a tag")
        content = await _read(request)
        manifest = Manifest.parse(request.headers.get("Content-Type", ""), content)
        digest = Digest.of(content, expected.algorithm if by_digest else "sha256")
        if by_digest and digest != expected:
            raise OciError("DIGEST_INVALID")
        staged = await asyncio.to_thread(self._storage.stage, content)
        try:
            self._check_blobs(repository, manifest)
            self._storage.keep(staged, digest)
        finally:
            staged.unlink(missing_ok=True)
        subject = manifest.subject
        record = ManifestRecord(manifest.media_type, str(subject) if subject else None)
        self._storage.put_manifest(repository, digest, record, manifest.descriptor(digest))
        if not by_digest:
            self._storage.set_tag(repository, reference, digest)
        headers = {
            "Docker-Content-Digest": str(digest),
            "Location": f"/v2/{repository}/manifests/{digest}",
        }
        if subject:
            headers["OCI-Subject"] = str(subject)
        return web.Response(status=201, headers=headers)

    def _check_blobs(self, repository: str, manifest: Manifest) -> None:
        missing = [str(blob) for blob in manifest.blobs() if not self._storage.has_blob(repository, blob)]
        if missing:
            others = tuple(("MANIFEST_BLOB_UNKNOWN", blob) for blob in missing[1:])
            raise OciError("MANIFEST_BLOB_UNKNOWN", missing[0], others=others)

    async def delete(self, request: web.Request, target: Target) -> web.StreamResponse:
        """202; by tag only the tag goes, by digest the manifest and every tag that points to it."""
        repository, reference = target.repository, target.argument
        digest = self._resolve(repository, reference)
        if ":" in reference:
            if not self._storage.delete_manifest(repository, digest):
                raise OciError("MANIFEST_UNKNOWN")
        else:
            self._storage.delete_tag(repository, reference)
        return web.Response(status=202)


async def _read(request: web.Request) -> bytes:
    content = bytearray()
    while data := await request.content.readany():
        content += data
        if len(content) > LIMIT:
            raise OciError("MANIFEST_INVALID", f"the manifest is larger than {LIMIT} bytes", status=413)
    return bytes(content)


def _accepted(request: web.Request) -> set[str]:
    # Like Docker Distribution: no wildcards, no weights.
    values = ",".join(request.headers.getall("Accept", []))
    return {value.partition(";")[0].strip().lower() for value in values.split(",")}


def _matches(request: web.Request, digest: Digest) -> bool:
    known = request.headers.getall("If-None-Match", [])
    return str(digest) in known or f'"{digest}"' in known
