"""Damaging what a registry stores, behind its back: no API of a registry does that."""

from __future__ import annotations

import io
import tarfile

import requests

from conformance.targets import RegistryEndpoint

__all__ = ["TamperingUnavailableError", "corrupt", "flipped"]

_TIMEOUT = 60
# Where Docker Distribution keeps a blob below its root (registry/storage/paths.go).
_BLOBS = "/var/lib/registry/docker/registry/v2/blobs"


class TamperingUnavailableError(AssertionError):
    """The registry offers no way to damage what it stores."""


def corrupt(endpoint: RegistryEndpoint, repository: str, digest: str) -> None:
    """Change one byte of a stored blob, so that it no longer has its digest; its size stays."""
    tamper = endpoint.tamper
    if tamper is None:
        raise TamperingUnavailableError(f"no way to corrupt a blob in the registry {endpoint.name}")
    if tamper.kind == "http":
        asked = {"repository": repository, "digest": digest}
        requests.post(tamper.where, params=asked, timeout=_TIMEOUT).raise_for_status()
    else:
        _corrupt_in_container(tamper.where, digest)


def flipped(content: bytes) -> bytes:
    """The content with one bit in its middle flipped."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _corrupt_in_container(name: str, digest: str) -> None:
    from conformance.targets.daemon import connect

    algorithm, _, hexadecimal = digest.partition(":")
    directory = f"{_BLOBS}/{algorithm}/{hexadecimal[:2]}/{hexadecimal}"
    with connect() as docker:
        container = docker.containers.get(name)
        chunks, _ = container.get_archive(f"{directory}/data")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            (entry,) = archive.getmembers()
            stored = archive.extractfile(entry)
            assert stored is not None, f"{directory}/data is no file"
            content = flipped(stored.read())
        damaged = io.BytesIO()
        with tarfile.open(fileobj=damaged, mode="w") as archive:
            archive.addfile(entry, io.BytesIO(content))
        container.put_archive(directory, damaged.getvalue())
