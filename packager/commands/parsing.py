"""What the commands share: how one is added and run, and the options that several have."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from packager.console import Console
    from packager.credentials import Credentials

__all__ = [
    "Subparsers",
    "Work",
    "add_command",
    "annotated",
    "annotating",
    "credentials",
    "given",
    "mounting",
    "pairs",
    "signing_in",
    "upload_mode",
]

Subparsers = argparse._SubParsersAction
Work = Callable[[argparse.Namespace, "Console"], int]

_TERMINATED = 128 + signal.SIGTERM


def add_command(
    subparsers: Subparsers[Any],
    name: str,
    sentence: str,
    example: str,
    work: Work,
    *,
    notes: str = "",
    status: str = "0 done, 1 failed, 2 wrong usage",
    trouble: int = 1,
) -> argparse.ArgumentParser:
    """Add a command whose `work` returns the exit status; a failure ends in `trouble`, wrong usage in 2. Its help ends
    with the `example`, `notes` and what a `status` means."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=sentence,
        description=f"{sentence[0].upper()}{sentence[1:]}.",
        epilog="\n\n".join(part for part in (f"example:\n  {example}", notes, f"exit status: {status}") if part),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.set_defaults(handler=lambda arguments: _run(name, work, arguments, trouble))
    return parser


def given(text: str) -> str:
    """The `type` of arguments that must not be empty: a path that is would mean the current directory."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; is a variable not set?")
    return text


def signing_in(parser: argparse.ArgumentParser) -> None:
    """Add --username and --password-stdin."""
    parser.add_argument("--username", metavar="NAME", help="user at the registry (else IMGVOL_USERNAME)")
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from stdin (else IMGVOL_PASSWORD)"
    )


def upload_mode(parser: argparse.ArgumentParser) -> None:
    """Add --upload-mode."""
    parser.add_argument(
        "--upload-mode",
        choices=("auto", "chunked", "single"),
        default="auto",
        help="send each blob in chunks, in one request, or by its size and what the registry takes (%(default)s)",
    )


def mounting(parser: argparse.ArgumentParser) -> None:
    """Add --mount-from."""
    parser.add_argument(
        "--mount-from",
        action="append",
        default=[],
        metavar="REPOSITORY",
        help="a repository of the same registry that may have some of the blobs; they are linked, not sent; repeatable",
    )


def annotating(parser: argparse.ArgumentParser, what: str) -> None:
    """Add --annotation; `what` is annotated."""
    parser.add_argument(
        "--annotation",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"an annotation of {what}; repeatable. It is part of the digest",
    )


def annotated(arguments: argparse.Namespace) -> dict[str, str]:
    """What --annotation says. Raises UsageError."""
    return pairs(arguments.annotation, "--annotation", "org.opencontainers.image.version=v1.0.0")


def credentials(arguments: argparse.Namespace) -> Credentials | None:
    """What the options say, with the environment for what they leave out; None if there are no such options."""
    from packager.credentials import Credentials
    from packager.errors import UsageError

    if arguments.username is None and not arguments.password_stdin:
        return None
    username = arguments.username or os.environ.get("IMGVOL_USERNAME", "")
    if not username:
        raise UsageError("--password-stdin needs --username, too")
    if arguments.password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise UsageError("--password-stdin was given, and there is no password on stdin")
    else:
        password = os.environ.get("IMGVOL_PASSWORD", "")
        if not password:
            raise UsageError("--username needs a password: give --password-stdin or set IMGVOL_PASSWORD")
    return Credentials(username, password)


def pairs(texts: list[str], option: str, example: str) -> dict[str, str]:
    """KEY=VALUE options as a dictionary."""
    from packager.errors import UsageError

    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{option} {text!r} is not of the form {example}")
        if key in found:
            raise UsageError(f"{option} is given twice for {key}; give it once")
        found[key] = value
    return found


def _run(name: str, work: Work, arguments: argparse.Namespace, trouble: int) -> int:
    """Run one command: whatever goes wrong becomes one sentence on stderr and an exit status."""
    from packager.console import Console
    from packager.errors import PackagerError, UsageError, from_os_error

    def stop(*_: object) -> NoReturn:
        sys.exit(_TERMINATED)  # unwinds, so that temporary files go

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with Console(as_json=arguments.json) as console:
            return work(arguments, console)
    except PackagerError as error:
        print(f"imgvol {name}: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, UsageError) else trouble
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        print(f"imgvol {name}: {from_os_error(error, f'use{where}' if where else 'go on')}", file=sys.stderr)
        return trouble
    finally:
        signal.signal(signal.SIGTERM, before)
