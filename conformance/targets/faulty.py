"""A registry that fails when it is told to, for nodes in Docker: a process of this host, on the network's gateway."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import emulator as imgvol_emulator
from conformance.targets.target import RegistryEndpoint

if TYPE_CHECKING:
    from docker import DockerClient
    from testcontainers.core.network import Network

__all__ = ["NAME", "faulty_registry"]

NAME = "faulty-registry"


@contextlib.contextmanager
def faulty_registry(docker: DockerClient, network: Network) -> Iterator[tuple[RegistryEndpoint | None, str]]:
    """Start `imgvol registry` where the containers of a network reach it; ends with this process.

    The endpoint, whose name is to mean the host of its URL to nodes; or None, and why there is none.
    """
    gateway = _gateway(docker, network)
    if not gateway:
        yield None, "Docker's network has no gateway that a registry of this host could listen at"
        return
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(imgvol_emulator.start_registry(listen=f"{gateway}:0"))
        except imgvol_emulator.StartError as error:
            yield None, f"no registry of this host is reached by the nodes: {error}"
            return
        port = running.registry.rpartition(":")[2]
        yield RegistryEndpoint(f"http://{running.registry}", f"{NAME}:{port}", control=running.control), ""


def _gateway(docker: DockerClient, network: Network) -> str:
    """The address that this host has in a network of Docker, if Docker runs on this host."""
    configured = docker.networks.get(network.name or "").attrs["IPAM"]["Config"]
    return next((str(one["Gateway"]).partition("/")[0] for one in configured if ":" not in one.get("Gateway", ":")), "")
