"""The embedded emulator as a target: started as a process of its own, reached over the wire like any other."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterator

import emulator as imgvol_emulator
from conformance.targets.choice import Options, TargetUnavailableError, made_pools
from conformance.targets.pools import MadePool
from conformance.targets.target import Description, RegistryEndpoint, Tamper, patience

__all__ = ["emulator"]

# Seconds that a claim waits for what should come; only one that fails waits this long.
_PATIENCE = 20.0


@contextlib.contextmanager
def emulator(options: Options) -> Iterator[Description]:
    """Start `imgvol up` and describe it; it ends with this process, whatever ends this process."""
    pools = made_pools(options)
    username, password = "suite", secrets.token_urlsafe(16)
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(
                imgvol_emulator.start(
                    private_registry=f"{username}:{password}",
                    runtime=options.runtime,
                    speed=options.speed,
                    isolation=options.isolation or None,
                    nodes=options.nodes if options.nodes > 1 and not pools else None,
                    pools=[_emulated(pool) for pool in pools],
                )
            )
        except imgvol_emulator.StartError as error:
            raise TargetUnavailableError(str(error)) from None
        closed = stack.enter_context(_closed_port())
        registry = _endpoint(running.registry, control=running.control)
        yield Description(
            name="emulator",
            kubeconfig=str(running.kubeconfig),
            registry=registry,
            private=_endpoint(running.private_registry or "", username, password),
            closed=closed,
            patience=patience(_PATIENCE),
            run=secrets.token_hex(3),
            pools=tuple(pool.name for pool in pools),
            faulty=registry,
        )


def _emulated(pool: MadePool) -> str:
    """A pool as `imgvol up --pool` takes it."""
    given = {
        "name": pool.name,
        "runtime": pool.made_of,
        "nodes": str(pool.nodes),
        "os-sku": pool.os_sku,
        "node-image": pool.node_image,
    }
    return ",".join(f"{key}={value}" for key, value in given.items() if value)


def _endpoint(address: str, username: str = "", password: str = "", control: str = "") -> RegistryEndpoint:
    url = f"http://{address}"
    tamper = Tamper("http", f"{url}/_emulator/corrupt")
    return RegistryEndpoint(url, address, username, password, tamper=tamper, control=control)


@contextlib.contextmanager
def _closed_port() -> Iterator[str]:
    """A loopback address that refuses connections for as long as it is held: bound, but nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"
