"""Packing: a directory, or a program for each platform, into an image, and that into an OCI layout."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.compression import GZIP, Compression
from packager.elf import check_program
from packager.errors import UsageError, from_os_error
from packager.images import Image, Variant, assemble
from packager.layers import Layer, LayerWriter, Progress, source_date_epoch, tree_layer
from packager.layouts import check_output, write_layout
from packager.platforms import DEFAULT_PLATFORMS, Platform, parse_platforms

__all__ = ["Packed", "build_image", "build_program_image", "pack", "pack_program"]

_USER = re.compile(r"\d{1,10}(:\d{1,10})?")
_CHUNK = 1 << 20
_MAX_PORT = 65535


@dataclass(frozen=True)
class Packed:
    """What was packed: digests as `sha256:…`, sizes in bytes.

    `digest` is the index's, or for a single platform the manifest's. `diff_id` is the hash of the
    uncompressed layer, the content's identity whatever compressed it; empty if the platforms' layers
    differ, as a program's do. `codec` is what compressed it.
    """

    digest: str
    media_type: str
    diff_id: str
    layer_size: int
    unpacked_size: int
    entries: int
    variants: tuple[Variant, ...]
    codec: str
    warnings: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Built:
    """An image in hand and what is known of how it came to be."""

    image: Image
    layers: tuple[Layer, ...]
    codec: str

    def packed(self, output: str) -> Packed:
        """The report on it."""
        return Packed(
            digest=self.image.root.digest,
            media_type=self.image.root.media_type,
            diff_id=self.image.diff_id,
            layer_size=self.image.layer_size,
            unpacked_size=sum(layer.unpacked_size for layer in self.layers),
            entries=sum(layer.entries for layer in self.layers),
            variants=self.image.variants,
            codec=self.codec,
            warnings=tuple(warning for layer in self.layers for warning in layer.warnings),
            output=output,
        )


def pack(
    directory: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    platforms: Sequence[str] = DEFAULT_PLATFORMS,
    compression: Compression = GZIP,
    jobs: int | None = None,
    annotations: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Packed:
    """Pack a directory as an image whose root is the directory's content, into the OCI layout `output`.

    The same content gives the same bytes whatever its owners, times, umask, order or path and however many
    `jobs` compress it. `annotations` go into the index and every manifest. Raises PackagerError,
    and then leaves nothing behind.
    """
    target = check_output(output, directory)
    with build_image(
        directory,
        target.parent,
        platforms=platforms,
        compression=compression,
        jobs=jobs,
        annotations=annotations,
        progress=progress,
    ) as built:
        write_layout(built.image, target)
        return built.packed(str(output))


def pack_program(
    programs: Mapping[str, str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    entrypoint: str = "/engine",
    user: str = "65532",
    env: Mapping[str, str] | None = None,
    ports: Iterable[int] = (),
    annotations: Mapping[str, str] | None = None,
) -> Packed:
    """Pack one statically linked program for each platform as an image that holds nothing else, into a
    layout.

    `programs` is, by platform, the program's path; it becomes the image's `entrypoint`. `user` is UID or
    UID:GID in numbers, so that Kubernetes can check runAsNonRoot. `annotations` are as in `pack`.
    """
    target = check_output(output)
    with build_program_image(
        programs, target.parent, entrypoint=entrypoint, user=user, env=env, ports=ports, annotations=annotations
    ) as built:
        write_layout(built.image, target)
        return built.packed(str(output))


@contextlib.contextmanager
def build_image(
    directory: str | os.PathLike[str],
    place: Path,
    *,
    platforms: Sequence[str] = DEFAULT_PLATFORMS,
    compression: Compression = GZIP,
    jobs: int | None = None,
    annotations: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Iterator[Built]:
    """A directory's image in hand, its layer in a nameless file at `place`, until the context ends."""
    wanted = parse_platforms(platforms)
    layer = tree_layer(directory, place, compression=compression, jobs=jobs, progress=progress)
    with assemble(dict.fromkeys(wanted, layer), source_date_epoch(), annotations=annotations) as image:
        yield Built(image, (layer,), compression.codec)


@contextlib.contextmanager
def build_program_image(
    programs: Mapping[str, str | os.PathLike[str]],
    place: Path,
    *,
    entrypoint: str = "/engine",
    user: str = "65532",
    env: Mapping[str, str] | None = None,
    ports: Iterable[int] = (),
    annotations: Mapping[str, str] | None = None,
) -> Iterator[Built]:
    """A program's image in hand, until the context ends."""
    files = {Platform.parse(platform): Path(path) for platform, path in programs.items()}
    if not files:
        raise UsageError("no program was given; name one, for example linux/amd64=build/bin/engine")
    run = _run_config(entrypoint, user, env or {}, ports)
    for platform, path in files.items():
        check_program(path, platform)
    with contextlib.ExitStack() as stack:
        layers: dict[Platform, Layer] = {}
        for platform in sorted(files):
            layers[platform] = _program_layer(files[platform], entrypoint, place)
            stack.callback(layers[platform].close)
        with assemble(layers, source_date_epoch(), run, annotations) as image:
            stack.pop_all()
            yield Built(image, tuple(layers.values()), GZIP.codec)


def _program_layer(program: Path, entrypoint: str, place: Path) -> Layer:
    path = entrypoint.removeprefix("/").encode()
    with LayerWriter(place, source_date_epoch()) as writer:
        parts = path.split(b"/")
        for depth in range(1, len(parts)):
            writer.directory(b"/".join(parts[:depth]))
        try:
            with program.open("rb") as file:
                chunks = iter(lambda: file.read(_CHUNK), b"")
                writer.file(path, chunks, os.fstat(file.fileno()).st_size, executable=True)
        except OSError as error:
            raise from_os_error(error, f"read the program {program}") from error
        return writer.finish()


def _run_config(entrypoint: str, user: str, env: Mapping[str, str], ports: Iterable[int]) -> dict[str, Any]:
    parts = entrypoint.removeprefix("/").split("/")
    if not entrypoint.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"the entrypoint {entrypoint!r} is not an absolute path, for example /engine")
    if not _USER.fullmatch(user):
        raise UsageError(f"the user {user!r} is not a UID or UID:GID in numbers, for example 65532")
    for key in env:
        if not key or "=" in key:
            raise UsageError(f"{key!r} is not the name of an environment variable")
    numbers = sorted(set(ports))
    for port in numbers:
        if not 0 < port <= _MAX_PORT:
            raise UsageError(f"{port} is not a port; ports are 1 to {_MAX_PORT}")
    run: dict[str, Any] = {"Entrypoint": [entrypoint], "User": user, "WorkingDir": "/"}
    if env:
        run["Env"] = [f"{key}={value}" for key, value in sorted(env.items())]
    if numbers:
        run["ExposedPorts"] = {f"{port}/tcp": {} for port in numbers}
    return run
