"""`imgvol registry`: only the registry, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from emulator.lifetime import told_to_end
from emulator.signin import RegistryAuth, add_registry_options, listen

__all__ = ["add_parsers"]

_EXAMPLE = """example:
  imgvol registry --listen 172.17.0.1:5000 --faults drop-once
  {"registry": "172.17.0.1:5000", "control": "http://127.0.0.1:40001"}
  curl -X PUT http://127.0.0.1:40001/faults/unavailable
  curl -X DELETE http://127.0.0.1:40001/faults
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
    add_registry_options(parser)
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


def _run(arguments: argparse.Namespace) -> int:
    from emulator.faults import ScenarioError
    from emulator.registry import RegistryError

    try:
        asyncio.run(_serve(arguments))
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


async def _serve(arguments: argparse.Namespace) -> None:
    from emulator.faults import load
    from emulator.node.sandbox import StateDir
    from emulator.registry import Registry

    scenarios = [load(name) for name in arguments.faults]
    acr = RegistryAuth.of(arguments).acr()
    told = told_to_end(until_stdin_closes=arguments.until_stdin_closes)
    async with contextlib.AsyncExitStack() as stack:
        root = arguments.root
        if root is None:
            state = StateDir()
            stack.callback(state.close)
            root = state.path / "registry"
        registry = Registry(root)
        stack.push_async_callback(registry.close)
        for name, scenario in scenarios:
            registry.faults.put(name, scenario)
        host, port = arguments.listen
        address = await listen(registry, acr, host=host, port=port)
        control = f"http://{await registry.control()}"
        print(json.dumps({"registry": address, "control": control}), flush=True)
        await told.wait()
