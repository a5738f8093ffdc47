"""imgvol verify, inspect, diff: what an image is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from packager.commands.parsing import Subparsers, add_command, credentials, given, signing_in

if TYPE_CHECKING:
    from packager.console import Console

__all__ = ["COMMANDS", "add_parsers"]

COMMANDS = {
    "verify": "report every rule that an image breaks",
    "inspect": "show what an image is, by digests",
    "diff": "show which files differ between two images or directories",
}


def add_parsers(subparsers: Subparsers[Any]) -> None:
    """Add the parsers."""
    example = "imgvol verify 127.0.0.1:5000/project-content:v1.0.0\n  imgvol verify build/project-content"
    status = "0 it breaks no rule, 1 it does, or cannot be read, 2 wrong usage"
    verify = add_command(subparsers, "verify", COMMANDS["verify"], example, _verify, status=status)
    verify.add_argument("target", metavar="REFERENCE|LAYOUT_DIR", type=given, help="the image to verify")
    signing_in(verify)

    example = (
        "imgvol inspect build/project-content --json\n"
        "  imgvol inspect 127.0.0.1:5000/project-content:v1.0.0 --referrers"
    )
    inspect = add_command(subparsers, "inspect", COMMANDS["inspect"], example, _inspect)
    inspect.add_argument("target", metavar="REFERENCE|LAYOUT_DIR", type=given, help="the image to show")
    inspect.add_argument("--referrers", action="store_true", help="show what is attached to it, too")
    signing_in(inspect)

    example = (
        "imgvol diff myregistry.azurecr.io/project-content:v1.0.0 myregistry.azurecr.io/project-content:v1.1.0\n"
        "  imgvol diff myregistry.azurecr.io/project-content:v1.0.0 project-content"
    )
    notes = (
        "A DIR is taken as it would be packed: modes 0644 and 0755, no owners, no times. So it does not differ from\n"
        "the image it was pushed as, and what cannot be packed is trouble."
    )
    status = "0 nothing differs, 1 something differs, 2 trouble"
    diff = add_command(subparsers, "diff", COMMANDS["diff"], example, _diff, notes=notes, status=status, trouble=2)
    diff.add_argument("before", metavar="A", type=given, help="what there is: REFERENCE, LAYOUT_DIR or DIR")
    diff.add_argument("after", metavar="B", type=given, help="what is to come: REFERENCE, LAYOUT_DIR or DIR")
    diff.add_argument("--platform", metavar="PLATFORM", help="whose content to compare (the first that an image has)")
    signing_in(diff)


def _verify(arguments: argparse.Namespace, console: Console) -> int:
    from packager.verifying import verify

    violations = verify(arguments.target, auth=credentials(arguments), progress=console.progress)
    console.verified(arguments.target, violations)
    return 1 if violations else 0


def _inspect(arguments: argparse.Namespace, console: Console) -> int:
    from packager.inspecting import inspect

    console.inspected(inspect(arguments.target, referrers=arguments.referrers, auth=credentials(arguments)))
    return 0


def _diff(arguments: argparse.Namespace, console: Console) -> int:
    from packager.comparing import diff

    compared = diff(
        arguments.before,
        arguments.after,
        platform=arguments.platform,
        auth=credentials(arguments),
        progress=console.progress,
    )
    console.compared(compared)
    return 1 if compared.differences else 0
