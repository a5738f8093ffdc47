"""Images made by hand, of shapes that the packager itself does not make."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def random_layout(path: Path, sizes: list[int]) -> tuple[str, dict[str, int]]:
    """A layout of one image with a layer of noise for each size; its digest, and each blob's size by its digest."""
    noise = random.Random(str(path))
    return layer_layout(path, [noise.randbytes(size) for size in sizes])


def layer_layout(path: Path, contents: list[bytes]) -> tuple[str, dict[str, int]]:
    """A layout of one image with these layers, uncompressed; its digest, and each blob's size by its digest."""
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)

    def store(body: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(body).hexdigest()
        (blobs / digest).write_bytes(body)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(body)}

    layers = [store(content, "application/vnd.oci.image.layer.v1.tar") for content in contents]
    rootfs = {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]}
    config = store(
        json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs}).encode(),
        "application/vnd.oci.image.config.v1+json",
    )
    body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    root = store(json.dumps(body).encode(), MANIFEST)
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [root]}))
    return str(root["digest"]), {blob["digest"]: blob["size"] for blob in (config, *layers)}
