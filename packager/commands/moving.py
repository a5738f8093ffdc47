"""imgvol copy, tag, attach: what is done with images that are there already."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from packager.commands.parsing import (
    Subparsers,
    add_command,
    annotated,
    annotating,
    credentials,
    given,
    signing_in,
    upload_mode,
)

if TYPE_CHECKING:
    from packager.console import Console

__all__ = ["COMMANDS", "add_parsers"]

COMMANDS = {
    "copy": "copy an image as it is, with all its platforms or some",
    "tag": "give an image in a registry more tags",
    "attach": "attach a file, such as an SBOM, to an image in a registry",
}


def add_parsers(subparsers: Subparsers[Any]) -> None:
    """Add the parsers."""
    example = (
        "imgvol copy 127.0.0.1:5000/project-content:v1.0.0 myregistry.azurecr.io/project-content:v1.0.0\n"
        "  imgvol copy myregistry.azurecr.io/project-content:v1.0.0 build/project-content --referrers\n"
        "  imgvol copy build/project-content 127.0.0.1:5000/project-content:v1.0.0-amd64 --platform linux/amd64"
    )
    copy = add_command(subparsers, "copy", COMMANDS["copy"], example, _copy)
    copy.add_argument("source", metavar="SOURCE", type=given, help="REFERENCE or LAYOUT_DIR")
    copy.add_argument("target", metavar="TARGET", type=given, help="REFERENCE or LAYOUT_DIR")
    copy.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="LIST",
        help="only these platforms, separated by commas; repeatable. Of one, its manifest becomes the image; of "
        "several, an index without the others, which has a digest of its own (all, with the digest they have)",
    )
    copy.add_argument(
        "--referrers",
        action="store_true",
        help="also what is attached, such as SBOMs and signatures: to the image, to its platforms' manifests, and to "
        "what is attached; to an index only if it is copied as it is",
    )
    upload_mode(copy)
    signing_in(copy)

    example = "imgvol tag myregistry.azurecr.io/project-content:v1.0.0 v1.0 v1 stable"
    tag = add_command(subparsers, "tag", COMMANDS["tag"], example, _tag)
    tag.add_argument("reference", metavar="REFERENCE", help="REGISTRY/REPOSITORY[:TAG][@DIGEST]")
    tag.add_argument("tags", metavar="TAG", nargs="+", help="a tag to set; one that was elsewhere moves")
    signing_in(tag)

    example = (
        "imgvol attach myregistry.azurecr.io/project-content:v1.0.0 content.spdx.json \\\n"
        "      --artifact-type application/spdx+json --media-type application/spdx+json"
    )
    notes = (
        "The image keeps its digest. `imgvol inspect --referrers` lists what is attached, and\n"
        "`imgvol copy --referrers` takes it along."
    )
    attach = add_command(subparsers, "attach", COMMANDS["attach"], example, _attach, notes=notes)
    attach.add_argument("reference", metavar="REFERENCE", help="the image: REGISTRY/REPOSITORY[:TAG][@DIGEST]")
    attach.add_argument("file", metavar="FILE", help="the file to attach")
    attach.add_argument("--artifact-type", required=True, metavar="TYPE", help="what it is, as a media type")
    attach.add_argument(
        "--media-type", default="application/octet-stream", metavar="TYPE", help="how the file is written (%(default)s)"
    )
    annotating(attach, "the artifact")
    signing_in(attach)


def _copy(arguments: argparse.Namespace, console: Console) -> int:
    from packager.console import size
    from packager.copying import copy

    copied = copy(
        arguments.source,
        arguments.target,
        platforms=arguments.platform,
        referrers=arguments.referrers,
        auth=credentials(arguments),
        upload_mode=arguments.upload_mode,
        progress=console.progress,
    )
    lines = [
        ("digest", copied.digest),
        ("blobs", size(copied.size)),
        ("uploaded", size(copied.uploaded) if copied.uploaded else ""),
        ("mounted", size(copied.mounted) if copied.mounted else ""),
        ("referrers", "" if copied.referrers is None else str(len(copied.referrers))),
        ("target", copied.target),
    ]
    console.show(asdict(copied), lines)
    return 0


def _tag(arguments: argparse.Namespace, console: Console) -> int:
    from packager.tagging import tag

    tagged = tag(arguments.reference, arguments.tags, auth=credentials(arguments))
    console.show(asdict(tagged), [("reference", tagged.reference), ("tags", ", ".join(tagged.tags))])
    return 0


def _attach(arguments: argparse.Namespace, console: Console) -> int:
    from packager.attaching import attach
    from packager.console import size

    attached = attach(
        arguments.reference,
        arguments.file,
        artifact_type=arguments.artifact_type,
        media_type=arguments.media_type,
        annotations=annotated(arguments),
        auth=credentials(arguments),
        progress=console.progress,
    )
    lines = [
        ("digest", attached.digest),
        ("subject", attached.subject),
        ("type", attached.artifact_type),
        ("size", size(attached.size)),
        ("listed by", attached.listed_by),
        ("reference", attached.reference),
    ]
    console.show(asdict(attached), lines)
    return 0
