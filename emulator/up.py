"""`imgvol up`: a registry and a one-node cluster in one process, until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import math
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.kubeconfig import Kubeconfig, KubeconfigError
from emulator.lifetime import told_to_end
from emulator.pools import NodePlan, Pool, PoolError, node_plans, parse_pool
from emulator.registry_command import add_faults
from emulator.running import PASSWORD_VARIABLE
from emulator.signin import NodeSignIn, RegistryAuth, add_node_options, add_registry_options, listen

if TYPE_CHECKING:
    from emulator.node.kubelet import KubeletNode
    from emulator.node.kubelet.providers import CredentialProviders

__all__ = ["Options", "add_parsers", "serve"]

_EXAMPLE = """example:
  imgvol up --private-registry demo:secret --kubeconfig ./kubeconfig
  {"registry": "127.0.0.1:40001", "private_registry": "127.0.0.1:40002", "control": "http://127.0.0.1:40003",
   "kubeconfig": "/home/me/kubeconfig"}

  imgvol up --pool name=old,nodes=2,runtime=containerd-2.1,os-sku=AzureLinux \\
            --pool name=sys,mode=System,taint=CriticalAddonsOnly=true:NoSchedule
"""
_DEFAULT_RUNTIME = "containerd-2.3"


@dataclass(frozen=True)
class Options:
    """What to start; ports are 0 for any free one."""

    registry_port: int = 0
    api_port: int = 0
    private_registry: tuple[str, str] | None = None
    kubeconfig: Path | None = None
    runtime: str = _DEFAULT_RUNTIME
    speed: float = 1.0
    isolation: str | None = None
    faults: tuple[str, ...] = ()
    registry_auth: RegistryAuth = field(default_factory=RegistryAuth)
    node_sign_in: NodeSignIn = field(default_factory=NodeSignIn)
    nodes: int = 1
    pools: tuple[Pool, ...] = ()

    def __repr__(self) -> str:
        return f"Options(runtime={self.runtime!r}, speed={self.speed!r}, isolation={self.isolation!r})"


class _Refused(Exception):  # noqa: N818 - carried to the command line as one sentence
    """The emulator cannot start, or cannot go on; the text says why and how to mend it."""


class _Usage(_Refused):
    """What was asked for does not exist."""


def add_parsers(subparsers: Any) -> None:
    """Add the command to `imgvol`; its parser's `handler` runs it and returns the exit status."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "up",
        help="start a registry and a cluster",
        description="Start a registry and a Kubernetes cluster, of one node if nothing else is said, in one process. "
        "One line of JSON on standard output says where they are once they are ready. SIGINT or SIGTERM ends them, "
        "and nothing of them is left behind.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--registry-port", type=_port, default=0, metavar="N", help="the registry's port (default: any free one)"
    )
    parser.add_argument(
        "--api-port", type=_port, default=0, metavar="N", help="the API server's port (default: any free one)"
    )
    parser.add_argument(
        "--private-registry",
        type=_user_and_password,
        metavar="USER:PASSWORD",
        help=f"serve the registry also behind basic authentication; or set {PASSWORD_VARIABLE}, which keeps the "
        "password out of the list of processes",
    )
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="PATH", help="where to write the kubeconfig (default: a temporary file)"
    )
    parser.add_argument(
        "--runtime", default=_DEFAULT_RUNTIME, metavar="NAME", help="the runtime to play (default: %(default)s)"
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="FACTOR",
        help="how much faster than real time back-offs, probes and grace periods pass (default: 1)",
    )
    parser.add_argument(
        "--isolation",
        choices=("root", "user", "none"),
        help="how to isolate containers (default: the best this host allows)",
    )
    add_faults(parser)
    add_registry_options(parser)
    add_node_options(parser)
    parser.add_argument("--nodes", type=_count, metavar="N", help="how many nodes, all alike (default: 1)")
    parser.add_argument(
        "--pool",
        type=_pool,
        action="append",
        default=[],
        metavar="name=NAME,KEY=VALUE…",
        help="a pool of nodes dressed as AKS dresses them, in place of --nodes; may be given more than once. Keys: "
        "nodes (how many), runtime, os-sku, node-image, mode (System or User), vm-size, zone, label=KEY=VALUE and "
        "taint=KEY[=VALUE]:EFFECT, these two repeatedly",
    )
    parser.add_argument("--until-stdin-closes", action="store_true", help="end as well when standard input does")
    parser.add_argument("--verbose", action="store_true", help="log to standard error")
    parser.set_defaults(handler=_run)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of nodes: give one or more")
    return int(text)


def _pool(text: str) -> Pool:
    try:
        return parse_pool(text)
    except PoolError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed: give a number above zero")
    return speed


def _user_and_password(text: str) -> tuple[str, str]:
    user, separator, password = text.partition(":")
    if not (user and separator and password):  # what was given stays unsaid: it may be a password
        raise argparse.ArgumentTypeError("give a user name and a password, separated by a colon")
    return user, password


def _run(arguments: argparse.Namespace) -> int:
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.ERROR,
        format="%(relativeCreated)6.0f ms %(name)s: %(message)s",
    )
    private = arguments.private_registry
    try:
        if private is None and (given := os.environ.pop(PASSWORD_VARIABLE, "")):
            private = _user_and_password(given)
    except argparse.ArgumentTypeError as error:
        return _say(f"{PASSWORD_VARIABLE}: {error}", 2)
    if arguments.nodes is not None and arguments.pool:
        return _say("--nodes and --pool both say how many nodes there are: give one of them", 2)
    try:
        node_sign_in = NodeSignIn.of(arguments)
    except ValueError as error:
        return _say(str(error), 2)
    options = Options(
        registry_port=arguments.registry_port,
        api_port=arguments.api_port,
        private_registry=private,
        kubeconfig=arguments.kubeconfig,
        runtime=arguments.runtime,
        speed=arguments.speed,
        isolation=arguments.isolation,
        faults=tuple(arguments.faults),
        registry_auth=RegistryAuth.of(arguments),
        node_sign_in=node_sign_in,
        nodes=arguments.nodes or 1,
        pools=tuple(arguments.pool),
    )
    try:
        asyncio.run(_until_told(options, until_stdin_closes=arguments.until_stdin_closes))
    except _Usage as error:
        return _say(str(error), 2)
    except (_Refused, KubeconfigError) as error:
        return _say(str(error), 1)
    return 0


def _say(sentence: str, status: int) -> int:
    print(f"imgvol up: {sentence}", file=sys.stderr)
    return status


async def _until_told(options: Options, *, until_stdin_closes: bool) -> None:
    await serve(options, told_to_end(until_stdin_closes=until_stdin_closes))


async def serve(options: Options, told: asyncio.Event) -> None:
    """Start everything, print the line that says so, and run until `told` is set or a part fails."""
    began = time.perf_counter()
    from emulator.clock import Clock
    from emulator.cluster import Api, ApiServer
    from emulator.cluster.controllers import all_controllers
    from emulator.faults import ScenarioError, load
    from emulator.node.containerd import Profile, ProfileError
    from emulator.node.kubelet.providers import ProviderConfigError
    from emulator.node.sandbox import IsolationError, MissingProgramError, detect
    from emulator.registry import Registry, RegistryError

    log = logging.getLogger("imgvol.up")
    log.info("imported after %.0f ms", (time.perf_counter() - began) * 1000)
    began = time.perf_counter()
    try:
        scenarios = [load(name) for name in options.faults]
        acr = options.registry_auth.acr(options.node_sign_in.identity)
        plans = node_plans(options.nodes, options.pools, options.runtime)
        profiles = {name: Profile.load(name) for name in dict.fromkeys(plan.runtime for plan in plans)}
    except (PoolError, ProfileError, ScenarioError) as error:
        raise _Usage(str(error)) from None
    kubeconfig = Kubeconfig(options.kubeconfig) if options.kubeconfig else None

    async with contextlib.AsyncExitStack() as stack:
        try:
            isolation = detect(options.isolation)
        except (IsolationError, MissingProgramError) as error:
            raise _Refused(str(error)) from None
        state = _state_directory(stack)
        clock = Clock(options.speed)

        registry = Registry(state / "registry", clock=clock)
        stack.push_async_callback(registry.close)
        for name, scenario in scenarios:
            registry.faults.put(name, scenario)
        private: str | None = None
        try:
            public = await listen(registry, acr, port=options.registry_port)
            opened = await registry.listen() if acr else None
            if options.private_registry is not None:
                private = await registry.listen(basic_auth=options.private_registry)
            kubelets: dict[str, asyncio.Task[None]] = {}
            control = f"http://{await registry.control(ending=_ending(kubelets))}"
        except RegistryError as error:
            raise _Refused(str(error)) from None

        api = Api()
        server = ApiServer(api, port=options.api_port)
        try:
            await server.start()
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise _Refused(
                f"the API server cannot listen on 127.0.0.1:{options.api_port}: {reason}; "
                "choose another port, or 0 for any free one"
            ) from None
        stack.push_async_callback(server.stop)

        nodes = []
        for number, plan in enumerate(plans):
            place = state / f"node{number}"
            try:
                sign_in = options.node_sign_in.providers(
                    place / "credential-provider", public if acr else None, control, clock
                )
            except ProviderConfigError as error:
                raise _Usage(str(error)) from None
            nodes.append(_node(plan, profiles[plan.runtime], place, api, clock, isolation, stack, sign_in))
        parts = [asyncio.create_task(each.run(), name=type(each).__name__) for each in all_controllers(api, clock)]
        kubelets |= {node.name: asyncio.create_task(node.run(), name=f"kubelet of {node.name}") for node in nodes}
        parts += kubelets.values()
        stack.push_async_callback(_cancel, parts)

        ready = asyncio.create_task(_ready(api, nodes))
        waiting = asyncio.create_task(told.wait())
        stack.push_async_callback(_cancel, [ready, waiting])
        await asyncio.wait([ready, waiting, *parts], return_when=asyncio.FIRST_COMPLETED)
        _check(parts)
        if told.is_set():
            return

        kubeconfig = kubeconfig or Kubeconfig(state / "kubeconfig")
        kubeconfig.write(server.kubeconfig)
        stack.callback(kubeconfig.remove)
        log.info("ready after %.0f ms", (time.perf_counter() - began) * 1000)
        line = {
            "registry": public,
            "private_registry": private,
            **({"open_registry": opened} if opened else {}),
            "control": control,
            "kubeconfig": str(kubeconfig.path),
        }
        print(json.dumps(line), flush=True)
        while not waiting.done():
            there = [part for part in parts if not part.done()]
            await asyncio.wait([waiting, *there], return_when=asyncio.FIRST_COMPLETED)
            _check(parts)
        log.info("ending")


def _ending(kubelets: Mapping[str, asyncio.Task[None]]) -> Callable[[str], Awaitable[bool]]:
    """What takes a node's power away; it says whether there was such a node."""

    async def end(name: str) -> bool:
        task = kubelets.get(name)
        if task is None or task.done():
            return False
        await _cancel([task])
        return True

    return end


def _node(
    plan: NodePlan,
    profile: Any,
    place: Path,
    api: Any,
    clock: Any,
    isolation: Any,
    stack: contextlib.AsyncExitStack,
    providers: CredentialProviders | None,
) -> KubeletNode:
    """One node with images of its own, all that it keeps below `place`."""
    from emulator.node.containerd import ImageStore, Platform
    from emulator.node.kubelet import KubeletNode
    from emulator.node.kubelet.node_object import architecture

    images = ImageStore(place / "images", profile, Platform(architecture()), privileged=isolation.mode == "root")
    stack.push_async_callback(images.close)
    return KubeletNode(
        api,
        clock,
        images,
        isolation,
        profile,
        place,
        plan.name,
        version=_version(),
        labels=plan.labels,
        taints=plan.taints,
        address=plan.address,
        network=plan.network,
        providers=providers,
    )


async def _ready(api: Any, nodes: Sequence[KubeletNode]) -> None:
    """Until the nodes are registered and the default namespace has its service account."""
    for node in nodes:
        await node.ready.wait()
    watch = api.watch("serviceaccounts", "default", field_selector="metadata.name=default")
    try:
        async for _ in watch:
            return
    finally:
        watch.close()


def _check(parts: list[asyncio.Task[None]]) -> None:
    """Controllers and nodes run until they are cancelled: one that ended by itself has failed."""
    for part in parts:
        if part.done() and not part.cancelled():
            error = part.exception()
            raise _Refused(f"{part.get_name()} has failed: {error!r}") from error


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _state_directory(stack: contextlib.AsyncExitStack) -> Path:
    from emulator.node.sandbox import StateDir

    try:
        state = StateDir()
    except OSError as error:
        raise _Refused(
            f"no directory can be made below {tempfile.gettempdir()}: {error.strerror}; set TMPDIR to one with room"
        ) from None
    stack.callback(state.close)
    return state.path


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("imgvol")
    except PackageNotFoundError:
        return "unknown"
