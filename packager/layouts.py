"""OCI image layouts: an image as a directory (image-spec image-layout.md)."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from packager.errors import PackagerError, UsageError, from_os_error
from packager.images import Blob, Image

__all__ = ["LAYOUT_VERSION", "check_output", "is_layout", "write_layout"]

LAYOUT_VERSION = "1.0.0"
_CHUNK = 1 << 20
_NAME = "org.opencontainers.image.ref.name"


def is_layout(path: str | os.PathLike[str]) -> bool:
    """Whether a directory is an image layout: it has `oci-layout`, `index.json` and `blobs/`."""
    folder = Path(path)
    return (folder / "oci-layout").is_file() and (folder / "index.json").is_file() and (folder / "blobs").is_dir()


def check_output(output: str | os.PathLike[str], source: str | os.PathLike[str] | None = None) -> Path:
    """Say now, not after an hour's work, that a layout cannot be written to `output`; return its real path.

    An earlier layout there will be replaced. `source` is the directory being packed, which must not hold it.
    """
    path = Path(output)
    parent = path.parent.resolve()
    if path.name in ("", ".."):
        raise UsageError(f"{output} cannot be written as a layout; name a directory of its own")
    if not parent.is_dir():
        raise UsageError(f"there is no directory {path.parent} to write {path.name} in; make it first")
    real = parent / path.name
    if real.is_symlink():
        raise UsageError(f"{output} is a symbolic link; name the directory itself")
    if real.exists() and not real.is_dir():
        raise UsageError(f"{output} is a file; name a directory for the layout")
    if real.is_dir() and not is_layout(real) and any(real.iterdir()):
        raise UsageError(f"{output} holds something else than a layout; name a new or an empty directory")
    if source is not None and real.is_relative_to(Path(source).resolve()):
        raise UsageError(f"{output} is inside {source}, which is being packed; write the layout elsewhere")
    return real


def write_layout(image: Image, output: Path, *, name: str = "", attached: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write an image as a layout. It appears whole or not at all; what was there before stays until then.

    `output` is as `check_output` gave it. `name` is what other programs call the image there, a tag; `attached` are
    the descriptors of those among the image's manifests that are attached to it, which `index.json` lists, too.
    """
    draft = output.parent / f".{output.name}.{secrets.token_hex(4)}.draft"
    try:
        blobs = draft / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for blob in image.blobs:
            _store(blob, blobs / blob.digest.removeprefix("sha256:"))
        for document in (*image.manifests, image.root):
            (blobs / document.digest.removeprefix("sha256:")).write_bytes(document.body)
        (draft / "oci-layout").write_text(json.dumps({"imageLayoutVersion": LAYOUT_VERSION}))
        root = image.root.descriptor().to_json() | ({"annotations": {_NAME: name}} if name else {})
        index = {"schemaVersion": 2, "manifests": [root, *attached]}
        (draft / "index.json").write_text(json.dumps(index, sort_keys=True, separators=(",", ":")))
        _replace(draft, output)
    except OSError as error:
        raise from_os_error(error, f"write the layout {output}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _store(blob: Blob, path: Path) -> None:
    """Write a blob; one that lies in a nameless file of the same file system only gets a name."""
    descriptor = getattr(blob, "descriptor", None)
    if descriptor is not None:
        # /proc has the only name of such a file; without it, across file systems, or as another user, it is
        # copied.
        with suppress(OSError):
            _name(descriptor, path)
            return
    with path.open("wb") as file:
        offset = 0
        while chunk := blob.read(offset, _CHUNK):
            file.write(chunk)
            offset += len(chunk)
    if offset != blob.size:
        raise PackagerError(f"{blob.digest} was to be {blob.size} bytes long and is {offset}")


def _name(descriptor: int, path: Path) -> None:
    """Give a nameless file a name. Only with a directory's descriptor does Python follow the link in /proc."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(f"/proc/self/fd/{descriptor}", path.name, dst_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(directory)


def _replace(draft: Path, output: Path) -> None:
    """Put `draft` in the place of `output`: a new, an empty, or another layout's directory."""
    try:
        draft.rename(output)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        old = draft.with_suffix(".old")
        output.rename(old)
        try:
            draft.rename(output)
        except OSError:
            old.rename(output)
            raise
        shutil.rmtree(old)
