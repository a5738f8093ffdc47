"""Pushing: an image into a registry, in the order that never leaves a tag on something that cannot be
pulled."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packager.compression import GZIP, Compression
from packager.credentials import Credentials, credentials_for
from packager.errors import PackagerError, UsageError, from_os_error
from packager.images import FileBlob, Image, Variant
from packager.layers import Progress
from packager.layouts import is_layout
from packager.packing import build_image, build_program_image
from packager.platforms import DEFAULT_PLATFORMS
from packager.references import Reference

if TYPE_CHECKING:
    from packager.uploads import Mode

__all__ = ["Pushed", "push", "push_program"]

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Pushed:
    """What was pushed: digests as `sha256:…`, sizes in bytes.

    `reference` is the image pinned by `digest`, which never changes; `tag` is what was asked for, and may
    move. `diff_id` is empty if the platforms' layers differ, as a program's do. `uploaded` counts the
    blobs' bytes sent; those that the registry had already, or linked from another repository (`mounted`), were
    not. `codec` is what compressed the layer; empty if it came from a layout.
    """

    digest: str
    media_type: str
    diff_id: str
    reference: str
    tag: str
    layer_size: int
    uploaded: int
    mounted: int
    variants: tuple[Variant, ...]
    codec: str
    warnings: tuple[str, ...]


def push(
    source: str | os.PathLike[str],
    reference: str,
    *,
    platforms: Sequence[str] | None = None,
    auth: Credentials | None = None,
    compression: Compression | None = None,
    jobs: int | None = None,
    annotations: Mapping[str, str] | None = None,
    upload_mode: Mode = "auto",
    mount_from: Sequence[str] = (),
    progress: Progress | None = None,
) -> Pushed:
    """Push a directory, packed on the way, or the image in a layout, to `reference`.

    Blobs go first, then manifests by their digests, and the tag last. `platforms` (both defaults if None),
    `compression` (gzip -9 if None) and `annotations` are only for a directory: a layout has its own.
    `upload_mode`: "single" sends each blob in one request, "chunked" in several, "auto" by its size. `mount_from`
    are repositories of the same registry from which it may link blobs. Without `auth`, what the user has set up is
    used. Raises PackagerError.
    """
    target = Reference.parse(reference)
    _check_mounts(target, mount_from)
    if is_layout(source):
        if platforms is not None:
            raise UsageError(f"{source} is a layout, which has its platforms already; leave out the platforms")
        if compression is not None:
            raise UsageError(f"{source} is a layout, whose layers are compressed already; leave out the compression")
        if annotations:
            raise UsageError(f"{source} is a layout, whose digest annotations would change; annotate what you pack")
        with _layout_image(source) as image:
            return _push(image, target, auth, progress, (), "", upload_mode, mount_from)
    chosen = DEFAULT_PLATFORMS if platforms is None else platforms
    how = GZIP if compression is None else compression
    with build_image(
        source,
        _spool(),
        platforms=chosen,
        compression=how,
        jobs=jobs,
        annotations=annotations,
        progress=progress,
    ) as built:
        warnings = built.packed("").warnings
        return _push(built.image, target, auth, progress, warnings, built.codec, upload_mode, mount_from)


def push_program(
    programs: Mapping[str, str | os.PathLike[str]],
    reference: str,
    *,
    entrypoint: str = "/engine",
    user: str = "65532",
    env: Mapping[str, str] | None = None,
    ports: Iterable[int] = (),
    annotations: Mapping[str, str] | None = None,
    auth: Credentials | None = None,
    upload_mode: Mode = "auto",
    mount_from: Sequence[str] = (),
    progress: Progress | None = None,
) -> Pushed:
    """Push one statically linked program for each platform as an image that holds nothing else (see
    `pack_program`; `upload_mode` and `mount_from` as in `push`)."""
    target = Reference.parse(reference)
    _check_mounts(target, mount_from)
    with build_program_image(
        programs, _spool(), entrypoint=entrypoint, user=user, env=env, ports=ports, annotations=annotations
    ) as built:
        return _push(built.image, target, auth, progress, (), built.codec, upload_mode, mount_from)


def _check_mounts(target: Reference, repositories: Sequence[str]) -> None:
    for repository in repositories:
        other = Reference.parse(f"{target.registry}/{repository}")
        if str(other) != f"{target.registry}/{repository}:latest":
            raise UsageError(f"{repository!r} is not a repository of {target.registry}, for example team/content")


def _push(
    image: Image,
    target: Reference,
    auth: Credentials | None,
    progress: Progress | None,
    warnings: tuple[str, ...],
    codec: str,
    mode: Mode,
    mounts: Sequence[str],
) -> Pushed:
    from packager.registries import RegistryClient
    from packager.uploads import send_blob

    digest = image.root.digest
    if target.digest and target.digest != digest:
        raise PackagerError(f"the image is {digest}, not {target.digest}; nothing was pushed")
    client = RegistryClient(target, credentials_for(target, auth), push=True)
    total = sum(blob.size for blob in image.blobs)
    done = uploaded = mounted = 0
    with client.session:
        for blob in image.blobs:
            on_bytes = (lambda sent, before=done: progress("push", before + sent, total)) if progress else None
            outcome = send_blob(client, blob, mode=mode, mounts=mounts, on_bytes=on_bytes)
            uploaded += blob.size if outcome == "sent" else 0
            mounted += blob.size if outcome == "mounted" else 0
            done += blob.size
            if progress:
                progress("push", done, total)
        for manifest in image.manifests:
            client.put_manifest(manifest, manifest.digest)
        client.put_manifest(image.root, target.tag or digest)
    return Pushed(
        digest=digest,
        media_type=image.root.media_type,
        diff_id=image.diff_id,
        reference=str(target.pinned(digest)),
        tag=target.tag,
        layer_size=image.layer_size,
        uploaded=uploaded,
        mounted=mounted,
        variants=image.variants,
        codec=codec,
        warnings=warnings,
    )


@contextlib.contextmanager
def _layout_image(path: str | os.PathLike[str]) -> Iterator[Image]:
    """The image in a layout, every byte of it held to its digest before any is sent."""
    from packager.loading import load
    from packager.sources import LayoutSource

    source = LayoutSource(path)
    loaded = load(source)
    with contextlib.ExitStack() as stack:
        blobs: list[FileBlob] = []
        for blob in loaded.blobs:
            file = source.blob_path(blob.digest)
            try:
                descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise from_os_error(error, f"read {file}") from error
            stack.callback(os.close, descriptor)
            blobs.append(FileBlob(blob.digest, blob.size, descriptor, file))
            _check(blobs[-1])
        yield Image(loaded.root, loaded.manifests, tuple(blobs), loaded.variants)


def _check(blob: FileBlob) -> None:
    found = hashlib.sha256()
    offset = 0
    while chunk := blob.read(offset, _CHUNK):
        found.update(chunk)
        offset += len(chunk)
    if offset != blob.size or f"sha256:{found.hexdigest()}" != blob.digest:
        raise PackagerError(f"{blob.path} is not what its name says; nothing was pushed; pack again")


def _spool() -> Path:
    return Path(tempfile.gettempdir())
