"""imgvol pack, push, push-program: images out of directories and programs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from packager.commands.parsing import (
    Subparsers,
    add_command,
    annotated,
    annotating,
    credentials,
    given,
    mounting,
    pairs,
    signing_in,
    upload_mode,
)

if TYPE_CHECKING:
    from packager.compression import Compression
    from packager.console import Console

__all__ = ["COMMANDS", "add_parsers"]

COMMANDS = {
    "pack": "pack a directory into an OCI image layout",
    "push": "push a directory, or a layout, to a registry",
    "push-program": "push a program as an image that holds nothing else",
}

_DEFAULT_PLATFORMS = "linux/amd64,linux/arm64"
_ANNOTATED = "the index and of every manifest"


def add_parsers(subparsers: Subparsers[Any]) -> None:
    """Add the parsers."""
    example = (
        "imgvol pack project-content --output build/project-content\n"
        "  imgvol pack project-content --output build/project-content --compression zstd"
    )
    pack = add_command(subparsers, "pack", COMMANDS["pack"], example, _pack)
    pack.add_argument(
        "directory", metavar="DIR", type=given, help="the directory to pack; its content becomes the root"
    )
    pack.add_argument("--output", required=True, type=given, metavar="LAYOUT_DIR", help="the OCI image layout to write")
    _packing(pack)

    example = (
        "imgvol push project-content 127.0.0.1:5000/project-content:v1.0.0\n"
        "  imgvol push build/project-content myregistry.azurecr.io/project-content:v1.0.0 --mount-from base-content"
    )
    notes = "`imgvol diff REFERENCE DIR` says beforehand what a push would change of what is there."
    push = add_command(subparsers, "push", COMMANDS["push"], example, _push, notes=notes)
    push.add_argument("source", metavar="DIR|LAYOUT_DIR", type=given, help="a directory to pack, or a layout as it is")
    push.add_argument("reference", metavar="REFERENCE", help="REGISTRY/REPOSITORY[:TAG]")
    _packing(push)
    upload_mode(push)
    mounting(push)
    signing_in(push)

    example = (
        "imgvol push-program 127.0.0.1:5000/engine:latest --port 8080 \\\n"
        "      --program linux/amd64=build/bin/engine-linux-amd64 --program linux/arm64=build/bin/engine-linux-arm64"
    )
    program = add_command(subparsers, "push-program", COMMANDS["push-program"], example, _push_program)
    program.add_argument("reference", metavar="REFERENCE", help="REGISTRY/REPOSITORY[:TAG]")
    program.add_argument(
        "--program",
        action="append",
        required=True,
        metavar="PLATFORM=PATH",
        help="a statically linked program and what it runs on; once for each platform",
    )
    program.add_argument("--entrypoint", default="/engine", metavar="PATH", help="the program's place (%(default)s)")
    program.add_argument("--user", default="65532", metavar="UID[:GID]", help="who it runs as (%(default)s)")
    program.add_argument(
        "--port", action="append", default=[], type=int, metavar="N", help="a TCP port it serves; repeatable"
    )
    program.add_argument(
        "--env", action="append", default=[], metavar="KEY=VALUE", help="an environment variable; repeatable"
    )
    annotating(program, _ANNOTATED)
    upload_mode(program)
    mounting(program)
    signing_in(program)


def _packing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--platform",
        action="append",
        metavar="LIST",
        help=f"platforms, separated by commas; repeatable ({_DEFAULT_PLATFORMS}). A single one gives a plain manifest",
    )
    parser.add_argument("--compression", choices=("gzip", "zstd", "none"), help="how the layer is compressed (gzip)")
    parser.add_argument("--level", type=int, metavar="N", help="gzip: 1 to 9 (9); zstd: 1 to 19 (3)")
    parser.add_argument(
        "--fast", action="store_true", help="gzip by zlib-ng: much faster, but other hosts may get another digest"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="threads that compress (all cores); the bytes are the same"
    )
    annotating(parser, _ANNOTATED)


def _pack(arguments: argparse.Namespace, console: Console) -> int:
    from packager.compression import GZIP
    from packager.packing import pack

    packed = pack(
        arguments.directory,
        arguments.output,
        platforms=arguments.platform or [_DEFAULT_PLATFORMS],
        compression=_compression(arguments) or GZIP,
        jobs=arguments.jobs,
        annotations=annotated(arguments),
        progress=console.progress,
    )
    console.packed(packed)
    return 0


def _push(arguments: argparse.Namespace, console: Console) -> int:
    from packager.pushing import push

    pushed = push(
        arguments.source,
        arguments.reference,
        platforms=arguments.platform,
        auth=credentials(arguments),
        compression=_compression(arguments),
        jobs=arguments.jobs,
        annotations=annotated(arguments),
        upload_mode=arguments.upload_mode,
        mount_from=arguments.mount_from,
        progress=console.progress,
    )
    console.pushed(pushed)
    return 0


def _push_program(arguments: argparse.Namespace, console: Console) -> int:
    from packager.pushing import push_program

    pushed = push_program(
        pairs(arguments.program, "--program", "linux/amd64=build/bin/engine-linux-amd64"),
        arguments.reference,
        entrypoint=arguments.entrypoint,
        user=arguments.user,
        env=pairs(arguments.env, "--env", "CONTENT_PATH=/content"),
        ports=arguments.port,
        annotations=annotated(arguments),
        auth=credentials(arguments),
        upload_mode=arguments.upload_mode,
        mount_from=arguments.mount_from,
        progress=console.progress,
    )
    console.pushed(pushed)
    return 0


def _compression(arguments: argparse.Namespace) -> Compression | None:
    """What the options ask for; None if there are no such options."""
    from packager.compression import Compression

    if arguments.compression is None and arguments.level is None and not arguments.fast:
        return None
    return Compression(arguments.compression or "gzip", arguments.level, arguments.fast)
