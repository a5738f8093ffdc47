"""`imgvol registry`: only the registry, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import socket
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any

from emulator.lifetime import told_to_end
from emulator.signin import (
    BasicSignIn,
    RegistryAuth,
    add_basic_options,
    add_registry_options,
    listen,
)

__all__ = ["add_parsers"]

_AUTHORITY = "ca.crt"  # as Docker, containerd, podman and skopeo name it in a registry's directory of certificates

_EXAMPLE = """example:
  imgvol registry --listen 172.17.0.1:5000 --faults drop-once
  {"registry": "172.17.0.1:5000", "control": "http://127.0.0.1:40001"}
  curl -X PUT http://127.0.0.1:40001/faults/unavailable
  curl -X DELETE http://127.0.0.1:40001/faults

  imgvol registry --listen 127.0.0.1:5000 --auth basic --username ci --tls
  {"registry": "127.0.0.1:5000", "control": "http://127.0.0.1:40001", "username": "ci",
   "password_file": "/tmp/imgvol-x/access/password", "ca": "/tmp/imgvol-x/access/ca.crt"}
  skopeo login --cert-dir /tmp/imgvol-x/access -u ci --password-stdin 127.0.0.1:5000 < /tmp/imgvol-x/access/password
"""


def add_parsers(subparsers: Any) -> None:
    """Add the command to `imgvol`; its parser's `handler` runs it and returns the exit status."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "registry",
        help="start only a registry, for nodes elsewhere",
        description="Start an OCI registry, with faults if they are asked for. One line of JSON on standard output "
        "says where it is, and where its faults are switched while it runs. SIGINT or SIGTERM ends it.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--listen",
        type=_address,
        default=("127.0.0.1", 0),
        metavar="HOST:PORT",
        help="where to listen; port 0 is any free one (default: 127.0.0.1:0). Whoever reaches it may push",
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="where to keep content (default: only while it runs)")
    add_registry_options(parser, basic=True)
    add_basic_options(parser)
    parser.add_argument(
        "--tls",
        action="store_true",
        help="serve https, by a certificate made at start for that host, this machine's name and loopback; the line on "
        "standard output names the file of the authority that clients are to trust",
    )
    parser.add_argument(
        "--tls-name",
        type=_host,
        action="append",
        default=[],
        metavar="NAME",
        help="another name or address that clients use; implies --tls; repeatable",
    )
    add_faults(parser)
    parser.add_argument("--until-stdin-closes", action="store_true", help="end as well when standard input does")
    parser.set_defaults(handler=_run)


def add_faults(parser: argparse.ArgumentParser) -> None:
    """Add the option `--faults`, which may be given several times."""
    parser.add_argument(
        "--faults",
        action="append",
        default=[],
        metavar="NAME|FILE",
        help="a scenario of registry faults to begin with, by its name or a YAML file (docs/registry.md); repeatable",
    )


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (separator and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no address: give HOST:PORT, with a port from 0 to 65535")
    return host, int(port)


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a name nor an address of a host")
    return text


def _run(arguments: argparse.Namespace) -> int:
    from emulator.faults import ScenarioError
    from emulator.registry import RegistryError

    try:
        basic = BasicSignIn.of(arguments)
    except ValueError as error:
        return _say(str(error), 2)
    try:
        asyncio.run(_serve(arguments, basic))
    except ScenarioError as error:
        return _say(str(error), 2)
    except RegistryError as error:
        return _say(str(error), 1)
    except OSError as error:
        return _say(f"no directory can be made below {tempfile.gettempdir()}: {error.strerror}; set TMPDIR", 1)
    return 0


def _say(sentence: str, status: int) -> int:
    print(f"imgvol registry: {sentence}", file=sys.stderr)
    return status


async def _serve(arguments: argparse.Namespace, basic: BasicSignIn | None) -> None:
    from emulator.faults import load
    from emulator.node.sandbox import StateDir
    from emulator.registry import Registry

    scenarios = [load(name) for name in arguments.faults]
    acr = RegistryAuth.of(arguments).acr()
    told = told_to_end(until_stdin_closes=arguments.until_stdin_closes)
    async with contextlib.AsyncExitStack() as stack:
        state = StateDir()
        stack.callback(state.close)
        access = state.path / "access"
        access.mkdir(mode=0o700)
        tls = _tls(arguments, access)
        registry = Registry(arguments.root or state.path / "registry")
        stack.push_async_callback(registry.close)
        for name, scenario in scenarios:
            registry.faults.put(name, scenario)
        host, port = arguments.listen
        address = await listen(registry, acr, host=host, port=port, basic=basic, tls=tls)
        control = f"http://{await registry.control()}"
        ready = {"registry": address, "control": control}
        if basic:
            ready["username"] = basic.username
        if basic and basic.made_up:
            basic.keep(access / "password")
            ready["password_file"] = str(access / "password")
        if tls:
            ready["ca"] = str(access / _AUTHORITY)
        print(json.dumps(ready), flush=True)
        await told.wait()


def _tls(arguments: argparse.Namespace, place: Path) -> ssl.SSLContext | None:
    """What to serve https with, if that is asked for; the authority's certificate is then in `place`."""
    if not (arguments.tls or arguments.tls_name):
        return None
    from emulator.certificates import issue

    context, authority = issue("imgvol registry", (arguments.listen[0], socket.gethostname(), *arguments.tls_name))
    (place / _AUTHORITY).write_bytes(authority)
    return context
