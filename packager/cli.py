"""The packager's commands, for `imgvol`.

Importing this costs next to nothing; what a command needs is imported when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from packager.commands import entering, looking, making, moving
from packager.commands.parsing import Subparsers

__all__ = ["COMMANDS", "add_parsers"]

_PARTS = (making, looking, moving, entering)

COMMANDS: Mapping[str, str] = {name: sentence for part in _PARTS for name, sentence in part.COMMANDS.items()}


def add_parsers(subparsers: Subparsers[Any]) -> None:
    """Add a parser for each command; its `handler` takes the parsed arguments and returns the exit status."""
    for part in _PARTS:
        part.add_parsers(subparsers)
