"""The commands: imgvol pack, push, push-program, verify, inspect.

Importing this costs next to nothing; what a command needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from packager.compression import Compression
    from packager.console import Console
    from packager.credentials import Credentials

__all__ = ["COMMANDS", "add_parsers"]

COMMANDS: Mapping[str, str] = {
    "pack": "pack a directory into an OCI image layout",
    "push": "push a directory, or a layout, to a registry",
    "push-program": "push a program as an image that holds nothing else",
    "verify": "report every rule that an image breaks",
    "inspect": "show what an image is, by digests",
}

_EXAMPLES: Mapping[str, str] = {
    "pack": (
        "imgvol pack project-content --output build/project-content\n"
        "  imgvol pack project-content --output build/project-content --compression zstd"
    ),
    "push": "imgvol push project-content 127.0.0.1:5000/project-content:v1.0.0",
    "push-program": (
        "imgvol push-program 127.0.0.1:5000/engine:latest --port 8080 \\\n"
        "      --program linux/amd64=build/bin/engine-linux-amd64 --program linux/arm64=build/bin/engine-linux-arm64"
    ),
    "verify": "imgvol verify 127.0.0.1:5000/project-content:v1.0.0",
    "inspect": "imgvol inspect build/project-content --json",
}
_DEFAULT_PLATFORMS = "linux/amd64,linux/arm64"
_TERMINATED = 128 + signal.SIGTERM

Work = Callable[[argparse.Namespace, "Console"], int]


def add_parsers(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add a parser for each command; its `handler` takes the parsed arguments and returns the exit status."""
    pack = _parser(subparsers, "pack", _pack)
    pack.add_argument("directory", help="its content becomes the image's root")
    pack.add_argument("--output", required=True, metavar="LAYOUT_DIR", help="the OCI image layout to write")
    _packing(pack)

    push = _parser(subparsers, "push", _push)
    push.add_argument("source", metavar="DIR", help="a directory to pack, or a layout as it is")
    push.add_argument("reference", metavar="REFERENCE", help="REGISTRY/REPOSITORY[:TAG]")
    _packing(push)
    push.add_argument(
        "--upload-mode",
        choices=("auto", "chunked", "single"),
        default="auto",
        help="send each blob in chunks, in one request, or by its size and what the registry takes (%(default)s)",
    )
    push.add_argument(
        "--mount-from",
        action="append",
        default=[],
        metavar="REPOSITORY",
        help="a repository of the same registry that may have some of the blobs; they are linked, not sent; repeatable",
    )
    _signing_in(push)

    program = _parser(subparsers, "push-program", _push_program)
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
    program.add_argument("--port", action="append", default=[], type=int, metavar="N", help="a TCP port it serves")
    program.add_argument("--env", action="append", default=[], metavar="K=V", help="an environment variable")
    _signing_in(program)

    verify = _parser(subparsers, "verify", _verify)
    verify.add_argument("target", metavar="REFERENCE|LAYOUT_DIR", help="the image to verify")
    _signing_in(verify)

    inspect = _parser(subparsers, "inspect", _inspect)
    inspect.add_argument("target", metavar="REFERENCE|LAYOUT_DIR", help="the image to show")
    _signing_in(inspect)


def _parser(subparsers: argparse._SubParsersAction[Any], name: str, work: Work) -> argparse.ArgumentParser:
    sentence = COMMANDS[name]
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=sentence,
        description=f"{sentence[0].upper()}{sentence[1:]}.",
        epilog=f"example:\n  {_EXAMPLES[name]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    parser.set_defaults(handler=lambda arguments: _run(name, work, arguments))
    return parser


def _packing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--platform",
        action="append",
        metavar="LIST",
        help=f"platforms, separated by commas ({_DEFAULT_PLATFORMS}); a single one gives a plain manifest",
    )
    parser.add_argument("--compression", choices=("gzip", "zstd", "none"), help="how the layer is compressed (gzip)")
    parser.add_argument("--level", type=int, metavar="N", help="gzip: 1 to 9 (9); zstd: 1 to 19 (3)")
    parser.add_argument(
        "--fast", action="store_true", help="gzip by zlib-ng: much faster, but other hosts may get another digest"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="threads that compress (all cores); the bytes are the same"
    )


def _signing_in(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--username", metavar="NAME", help="user at the registry (else IMGVOL_USERNAME)")
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from stdin (else IMGVOL_PASSWORD)"
    )


def _run(name: str, work: Work, arguments: argparse.Namespace) -> int:
    """Run one command: whatever goes wrong becomes one sentence on stderr and an exit status."""
    from packager.console import Console
    from packager.errors import PackagerError, from_os_error

    def stop(*_: object) -> NoReturn:
        sys.exit(_TERMINATED)  # unwinds, so that temporary files go

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with Console(as_json=arguments.json) as console:
            return work(arguments, console)
    except PackagerError as error:
        print(f"imgvol {name}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        print(f"imgvol {name}: {from_os_error(error, f'use{where}' if where else 'go on')}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)


def _pack(arguments: argparse.Namespace, console: Console) -> int:
    from packager.compression import GZIP
    from packager.packing import pack

    packed = pack(
        arguments.directory,
        arguments.output,
        platforms=_platforms(arguments),
        compression=_compression(arguments) or GZIP,
        jobs=arguments.jobs,
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
        auth=_credentials(arguments),
        compression=_compression(arguments),
        jobs=arguments.jobs,
        upload_mode=arguments.upload_mode,
        mount_from=arguments.mount_from,
        progress=console.progress,
    )
    console.pushed(pushed)
    return 0


def _push_program(arguments: argparse.Namespace, console: Console) -> int:
    from packager.pushing import push_program

    pushed = push_program(
        _pairs(arguments.program, "--program", "linux/amd64=build/bin/engine-linux-amd64"),
        arguments.reference,
        entrypoint=arguments.entrypoint,
        user=arguments.user,
        env=_pairs(arguments.env, "--env", "CONTENT_PATH=/content"),
        ports=arguments.port,
        auth=_credentials(arguments),
        progress=console.progress,
    )
    console.pushed(pushed)
    return 0


def _verify(arguments: argparse.Namespace, console: Console) -> int:
    from packager.verifying import verify

    violations = verify(arguments.target, auth=_credentials(arguments), progress=console.progress)
    console.verified(arguments.target, violations)
    return 1 if violations else 0


def _inspect(arguments: argparse.Namespace, console: Console) -> int:
    from packager.inspecting import inspect

    console.inspected(inspect(arguments.target, auth=_credentials(arguments)))
    return 0


def _platforms(arguments: argparse.Namespace) -> list[str]:
    return arguments.platform or [_DEFAULT_PLATFORMS]


def _compression(arguments: argparse.Namespace) -> Compression | None:
    """What the options ask for; None if there are no such options."""
    from packager.compression import Compression

    if arguments.compression is None and arguments.level is None and not arguments.fast:
        return None
    return Compression(arguments.compression or "gzip", arguments.level, arguments.fast)


def _pairs(texts: list[str], option: str, example: str) -> dict[str, str]:
    from packager.errors import UsageError

    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{option} {text!r} is not of the form {example}")
        if key in pairs:
            raise UsageError(f"{option} is given twice for {key}; give it once")
        pairs[key] = value
    return pairs


def _credentials(arguments: argparse.Namespace) -> Credentials | None:
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
