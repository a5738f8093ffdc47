"""imgvol verify, inspect: what an image is."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from packager.commands.parsing import Subparsers, add_command, credentials, signing_in

if TYPE_CHECKING:
    from packager.console import Console

__all__ = ["COMMANDS", "add_parsers"]

COMMANDS = {
    "verify": "report every rule that an image breaks",
    "inspect": "show what an image is, by digests",
}


def add_parsers(subparsers: Subparsers[Any]) -> None:
    """Add the parsers."""
    example = "imgvol verify 127.0.0.1:5000/project-content:v1.0.0"
    verify = add_command(subparsers, "verify", COMMANDS["verify"], example, _verify)
    verify.add_argument("target", metavar="REFERENCE|LAYOUT_DIR", help="the image to verify")
    signing_in(verify)

    example = "imgvol inspect build/project-content --json"
    inspect = add_command(subparsers, "inspect", COMMANDS["inspect"], example, _inspect)
    inspect.add_argument("target", metavar="REFERENCE|LAYOUT_DIR", help="the image to show")
    signing_in(inspect)


def _verify(arguments: argparse.Namespace, console: Console) -> int:
    from packager.verifying import verify

    violations = verify(arguments.target, auth=credentials(arguments), progress=console.progress)
    console.verified(arguments.target, violations)
    return 1 if violations else 0


def _inspect(arguments: argparse.Namespace, console: Console) -> int:
    from packager.inspecting import inspect

    console.inspected(inspect(arguments.target, auth=credentials(arguments)))
    return 0
