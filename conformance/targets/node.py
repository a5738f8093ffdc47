"""A Kubernetes node in a container: how Docker is asked for it, and its way up to a running containerd.

The images are those of the kind project (kindest/node) or others that keep to the same contract.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.targets.capabilities import PREPARATION, PrivilegedRefusedError, is_refusal
from conformance.targets.choice import TargetUnavailableError
from conformance.targets.containers import CommandError, Place, command, publish, read_file, started, write_file
from conformance.targets.daemon import RUN, Host
from conformance.targets.kubeadm import API_PORT, POD_SUBNET, SERVICE_SUBNET

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from testcontainers.core.network import Network

__all__ = ["Node", "Recipe", "arguments", "proxies", "start_node"]

_UP = re.compile(r"Reached target .*Multi-User System")
_SECONDS = 120
# What no proxy may stand before: services and pods.
_OWN = (".svc", ".svc.cluster.local", SERVICE_SUBNET, POD_SUBNET)


@dataclass(frozen=True)
class Recipe:
    """What the nodes of a run are started from.

    names: of all the nodes; images: of those that have not the usual one, by name. hosts: addresses of other names
    that nodes resolve. registries: `HOST:PORT` of those that speak plain http. capabilities: those to ask for by
    name; None asks for all, by `--privileged`.
    """

    image: str
    run: str
    names: tuple[str, ...]
    hosts: Mapping[str, str]
    registries: tuple[str, ...]
    capabilities: frozenset[str] | None = None
    images: Mapping[str, str] = field(default_factory=dict)

    def image_of(self, name: str) -> str:
        """The image of a node."""
        return self.images.get(name, self.image)


@dataclass(frozen=True)
class Node:
    """A node that is up: its containerd runs, its kubelet waits for kubeadm."""

    name: str
    image: str
    container: Container
    docker: DockerClient
    privileged: bool

    @property
    def address(self) -> str:
        """Its address in the nodes' network."""
        (network,) = self.container.attrs["NetworkSettings"]["Networks"].values()
        address: str = network["IPAddress"]
        return address

    def run(self, *words: str, line: Callable[[str], None] = lambda _: None) -> None:
        """Run a command on the node to its end; CommandError if it fails."""
        command(self.docker, self.container, *words, privileged=self.privileged, line=line)

    def read(self, path: str) -> str:
        """The text of a file; KeyError if it is not there."""
        return read_file(self.container, path)

    def write(self, path: str, text: str) -> None:
        """Write a file, and the directories above it."""
        write_file(self.container, path, text)


def arguments(host: Host, capabilities: frozenset[str] | None) -> dict[str, Any]:
    """How Docker is asked for a node on a host, as docker-py names it (kind: providers/docker/provision.go).

    With `capabilities`, what `--privileged` would give is asked for one by one.
    """
    from docker.types import Mount

    asked: dict[str, Any] = {
        "tty": True,
        "init": False,
        "cgroupns": "private",
        "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
        # Not on Docker's overlay, which containerd's cannot be stacked on; what the image has there is copied into it.
        "mounts": [Mount("/var", None)],
    }
    if capabilities is None:
        asked["privileged"] = True
    else:
        asked["cap_drop"] = ["ALL"]
        asked["cap_add"] = sorted(capabilities)
        asked["device_cgroup_rules"] = ["a *:* rwm"]
    if host.remaps_users:
        asked["userns_mode"] = "host"
    if host.rootless:
        asked["devices"] = ["/dev/fuse"]
    if host.maps_devices:
        asked["mounts"].append(Mount("/dev/mapper", "/dev/mapper", type="bind"))
    if host.modules:
        asked["mounts"].append(Mount("/lib/modules", host.modules, type="bind", read_only=True))
    return asked


def proxies(environment: Mapping[str, str], own: Iterable[str]) -> dict[str, str]:
    """The proxy settings of an environment for a node, with what is `own` reached without them."""
    found = {name: environment.get(name) or environment.get(name.lower(), "") for name in ("HTTP_PROXY", "HTTPS_PROXY")}
    found = {name: value for name, value in found.items() if value}
    if found:
        known = environment.get("NO_PROXY") or environment.get("no_proxy", "")
        found["NO_PROXY"] = ",".join(filter(None, (known, *own)))
    return {**found, **{name.lower(): value for name, value in found.items()}}


def start_node(
    docker: DockerClient, host: Host, recipe: Recipe, network: Network, name: str, place: Place | None
) -> Node:
    """Start a node and wait until its containerd runs; the API's port is published at the place, if any.

    Raises PrivilegedRefusedError where Docker has not the capabilities, TargetUnavailableError for the rest.
    """
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    image = recipe.image_of(name)
    own = (*_OWN, *recipe.hosts, *recipe.names)
    container = (
        DockerContainer(image, name=name, network=network)
        .with_envs(KUBECONFIG="/etc/kubernetes/admin.conf", **proxies(os.environ, own))
        .with_tmpfs_mount("/tmp")  # noqa: S108
        .with_tmpfs_mount("/run")
        .waiting_for(LogMessageWaitStrategy(_UP).with_startup_timeout(_SECONDS).with_poll_interval(0.2))
    )
    asked = arguments(host, recipe.capabilities)
    if recipe.capabilities is not None:
        config = docker.images.get(image).attrs["Config"]
        asked["entrypoint"] = ["/bin/bash", "-c", PREPARATION, "node", *(config["Entrypoint"] or ())]
        container.with_command(config["Cmd"] or [])
    container.with_kwargs(hostname=name, labels={RUN: recipe.run}, extra_hosts=dict(recipe.hosts), **asked)
    if place:
        publish(container, API_PORT, place)
    try:
        wrapped = started(docker, container, f"the node in {image}")
    except TargetUnavailableError as error:
        if recipe.capabilities is None and is_refusal(str(error)):
            docker.containers.get(name).remove(force=True, v=True)
            raise PrivilegedRefusedError(str(error)) from None
        raise
    node = Node(name, image, wrapped, docker, privileged=recipe.capabilities is None)
    try:
        node.run("systemctl", "start", "containerd")
    except CommandError as error:
        raise TargetUnavailableError(f"containerd does not start on {name}: {error}") from None
    return node
