"""The `imgvol` program: finds the part that a command belongs to, and lets it do the work.

Only the chosen command's part is imported, so that `imgvol up` does not wait for what it does not need.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

__all__ = ["COMMANDS", "main"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "pack": ("packager.cli", "pack a directory into an OCI image layout"),
    "push": ("packager.cli", "push a directory, or a layout, to a registry"),
    "push-program": ("packager.cli", "push a program as an image that holds nothing else"),
    "verify": ("packager.cli", "report every rule that an image breaks"),
    "inspect": ("packager.cli", "show what an image is, by digests"),
    "diff": ("packager.cli", "show which files differ between two images or directories"),
    "copy": ("packager.cli", "copy an image as it is, with all its platforms or some"),
    "tag": ("packager.cli", "give an image in a registry more tags"),
    "attach": ("packager.cli", "attach a file, such as an SBOM, to an image in a registry"),
    "login": ("packager.cli", "check a user name and password at a registry, and store them for later"),
    "logout": ("packager.cli", "remove what is stored for a registry"),
    "report": ("imgvol.report", "tell what a run of the suite found, and what changed since an earlier one"),
    "registry": ("emulator.registry_command", "start only a registry, for nodes elsewhere"),
    "clean": ("conformance.cleaning", "remove what lost runs of the suite left in a cluster and its registry"),
    "up": ("emulator.up", "start a registry and a cluster"),
}
"""By command: the module whose `add_parsers` adds its parser, and what it does."""

_USAGE = 2
_INTERRUPTED = 130
_BROKEN_PIPE = 141


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; the result is its exit status: 0, 1 for a failure, 2 for wrong usage, 130 when interrupted."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = _run(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return _BROKEN_PIPE
    finally:
        unwritten = _flush()
    if isinstance(unwritten, BrokenPipeError):
        return _BROKEN_PIPE
    if unwritten is not None and status == 0:
        print(f"imgvol: cannot write the output: {(unwritten.strerror or '').lower()}", file=sys.stderr)
        return 1
    return status


def _run(arguments: Sequence[str]) -> int:
    # Left over arguments are for us to refuse: argparse would not say which command does not know them.
    parsed, unknown = _parser(arguments).parse_known_args(arguments)
    if unknown:
        command = f"imgvol {parsed.command}"
        print(f"{command}: unrecognized arguments: {' '.join(unknown)}; see {command} --help", file=sys.stderr)
        return _USAGE
    status: int = parsed.handler(parsed)
    return status


def _flush() -> OSError | None:
    """Write out what was printed; if that fails, see to it that Python does not complain once more at exit."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="imgvol",
        description="Package content as OCI images for Kubernetes image volumes, and run them on a local emulator.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    chosen = COMMANDS.get(command, ("", ""))[0]
    if chosen:
        importlib.import_module(chosen).add_parsers(subparsers)
    for name, (module, sentence) in COMMANDS.items():
        if module != chosen:
            subparsers.add_parser(name, help=sentence)
    return parser


class _Version(argparse.Action):
    """Prints the installed version."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        from importlib.metadata import version

        print(f"imgvol {version('imgvol')}")
        parser.exit()
