"""What the runtime takes a media type for.

Source: containerd core/images/mediatypes.go, core/remotes/handlers.go (`MakeRefKey`).
"""

from __future__ import annotations

__all__ = [
    "MANIFEST_ACCEPT",
    "compression_is_detected",
    "is_config",
    "is_index",
    "is_layer",
    "is_manifest",
    "reference_key",
]

_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
_INDEXES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
_CONFIGS = (
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.config.v1+json",
)
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar"
_DOCKER_LAYERS = (
    _DOCKER_LAYER,
    f"{_DOCKER_LAYER}.gzip",
    f"{_DOCKER_LAYER}.zstd",
    _DOCKER_FOREIGN,
    f"{_DOCKER_FOREIGN}.gzip",
)
_OCI_LAYERS = ("application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar")

MANIFEST_ACCEPT = ", ".join([_MANIFESTS[0], _INDEXES[0], _MANIFESTS[1], _INDEXES[1], "*/*"])


def is_manifest(media_type: str) -> bool:
    """An image manifest, OCI or Docker schema 2."""
    return media_type in _MANIFESTS


def is_index(media_type: str) -> bool:
    """An image index or Docker manifest list."""
    return media_type in _INDEXES


def is_config(media_type: str) -> bool:
    """The config of a runnable image; an artifact's is not."""
    return media_type in _CONFIGS


def is_layer(media_type: str) -> bool:
    """A layer of a file system."""
    return media_type.startswith("application/vnd.oci.image.layer.") or media_type.partition("+")[0] in _DOCKER_LAYERS


def compression_is_detected(media_type: str) -> bool | None:
    """Whether a layer may be compressed, which its first bytes then tell; None when it cannot be applied.

    Layers without compression in their type are read as they are, but for Docker's, which lie at times.
    """
    base, _, suffixes = media_type.partition("+")
    extensions = sorted(suffixes.split("+")) if suffixes else []
    if base in _DOCKER_LAYERS:
        return not extensions
    if base in _OCI_LAYERS:
        return bool(extensions) and extensions[-1] in ("gzip", "zstd")
    return None


def reference_key(media_type: str, digest: str) -> str:
    """What the runtime calls a download: "layer-sha256:…"."""
    if is_manifest(media_type):
        kind = "manifest"
    elif is_index(media_type):
        kind = "index"
    elif is_layer(media_type):
        kind = "layer"
    elif is_config(media_type):
        kind = "config"
    elif media_type == "application/vnd.in-toto+json":
        kind = "attestation"
    else:
        kind = "unknown"
    return f"{kind}-{digest}"
