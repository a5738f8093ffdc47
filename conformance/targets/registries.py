"""Two registries in Docker on one storage: open to all, and behind a password."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from conformance.targets.choice import TargetUnavailableError
from conformance.targets.containers import Place, publish, published, started
from conformance.targets.daemon import RUN
from conformance.targets.forwarding import on_loopback
from conformance.targets.target import RegistryEndpoint, Tamper

if TYPE_CHECKING:
    from docker import DockerClient
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.network import Network

__all__ = ["Registries", "registries"]

_PORT = 5000
_STORAGE = "/var/lib/registry"
_PASSWORDS = "/etc/registry/htpasswd"
_SECONDS = 30
# The registry takes passwords as bcrypt hashes only, which Python cannot make. So there is one password, with its hash.
# It keeps nobody out, and need not: the same storage is open to all next door.
_USER = "suite"
_PASSWORD = "of-the-conformance-suite"  # noqa: S105
_HASH = "$2b$05$imgvolimgvolimgvolimgeosqdJyXr3Mj6wNip51erEOwM2ASk88y"
_ENVIRONMENT = {
    "REGISTRY_STORAGE_DELETE_ENABLED": "true",
    # What the registry remembers of blobs would hide that one was deleted or damaged next door.
    "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "",
    "OTEL_TRACES_EXPORTER": "none",
}
_AUTHENTICATION = {
    "REGISTRY_AUTH": "htpasswd",
    "REGISTRY_AUTH_HTPASSWD_REALM": "suite",
    "REGISTRY_AUTH_HTPASSWD_PATH": _PASSWORDS,
}


@dataclass(frozen=True)
class Registries:
    """Both registries, the addresses of their names inside the network, and the place whose ports reach us."""

    registry: RegistryEndpoint
    private: RegistryEndpoint
    addresses: dict[str, str]
    place: Place


@contextlib.contextmanager
def registries(
    docker: DockerClient, image: str, network: Network, run: str, places: Sequence[Place]
) -> Iterator[Registries]:
    """Start both registries, publishing their ports at the first of the places that reaches us.

    Nothing is stopped at the end: who removes what carries the run's label does that. Raises TargetUnavailableError.
    """
    volume: str = docker.volumes.create(name=f"imgvol-{run}-registry", labels={RUN: run}).name
    with contextlib.ExitStack() as stack:
        endpoints, addresses = {}, {}
        for name, user in (("registry", ("", "")), ("private-registry", (_USER, _PASSWORD))):
            for place in places:
                container = _container(image, network, run, name, volume, place)
                if user[0]:
                    container.with_envs(**_AUTHENTICATION)
                    container.with_copy_into_container(f"{_USER}:{_HASH}\n".encode(), _PASSWORDS)
                wrapped = started(docker, container, f"the registry in {image}")
                port = published(wrapped, _PORT)
                if _answers(f"http://{place.host}:{port}/v2/", user):
                    places = [place]
                    break
                wrapped.remove(force=True)
            else:
                tried = " or ".join(place.host for place in places)
                raise TargetUnavailableError(
                    f"the port that Docker published for the registry is not reached at {tried}: "
                    "say in TESTCONTAINERS_HOST_OVERRIDE which host has Docker's ports"
                )
            address = stack.enter_context(on_loopback(place.host, port))
            addresses[name] = wrapped.attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"]
            endpoints[name] = RegistryEndpoint(
                f"http://{address}", f"{name}:{_PORT}", *user, tamper=Tamper("docker", str(wrapped.name))
            )
        yield Registries(endpoints["registry"], endpoints["private-registry"], addresses, places[0])


def _container(image: str, network: Network, run: str, name: str, volume: str, place: Place) -> DockerContainer:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    listening = LogMessageWaitStrategy("listening on").with_startup_timeout(_SECONDS).with_poll_interval(0.1)
    container = (
        DockerContainer(image, name=f"imgvol-{run}-{name}", network=network, network_aliases=[name])
        .with_kwargs(labels={RUN: run})
        .with_envs(**_ENVIRONMENT)
        .with_volume_mapping(volume, _STORAGE, "rw")
        .waiting_for(listening)
    )
    publish(container, _PORT, place)
    return container


def _answers(url: str, user: tuple[str, str]) -> bool:
    with requests.Session() as http:
        http.trust_env = False
        try:
            return http.get(url, auth=user if user[0] else None, timeout=_SECONDS).ok
        except requests.RequestException:
            return False
