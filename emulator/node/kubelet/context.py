"""What every pod worker of a node shares."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.clock import Clock
from emulator.cluster import Api, ApiError, EventRecorder
from emulator.node.containerd import ImageStore
from emulator.node.kubelet.backoff import Backoff
from emulator.node.kubelet.credentials import ImageCredential
from emulator.node.kubelet.environment import service_environment
from emulator.node.kubelet.images import ImageManager
from emulator.node.sandbox import Isolation

__all__ = ["Addresses", "NodeContext"]

Object = dict[str, Any]


class Addresses:
    """The addresses of a node's pods: unique among those in use, reused as late as can be."""

    def __init__(self, network: str) -> None:
        self._hosts = ipaddress.ip_network(network)
        self._next = 2  # .0 is the network, .1 the node's end
        self._used: set[str] = set()

    def take(self) -> str:
        """An address no other pod has.

        Raises:
            RuntimeError: all are taken.
        """
        size = self._hosts.num_addresses
        for _ in range(size):
            address = str(self._hosts[self._next])
            self._next = self._next + 1 if self._next + 2 < size else 2
            if address not in self._used:
                self._used.add(address)
                return address
        raise RuntimeError(f"no IP addresses available in range set: {self._hosts}")

    def give_back(self, address: str) -> None:
        """The pod that had the address is gone."""
        self._used.discard(address)


@dataclass
class NodeContext:
    """The parts of a node, as its pod workers use them."""

    api: Api
    clock: Clock
    images: ImageStore
    isolation: Isolation
    workdir: Path
    name: str
    recorder: EventRecorder
    host_ip: str = "127.0.0.1"
    kubernetes: tuple[str, int] = ("10.96.0.1", 443)
    credentials: Callable[[str], Awaitable[tuple[ImageCredential, ...]]] | None = None
    addresses: Addresses = field(default_factory=lambda: Addresses("10.244.0.0/16"))

    def __post_init__(self) -> None:
        self.image_manager = ImageManager(self.images, self.clock.now, self.credentials)
        self.restarts = Backoff(self.clock.now)

    @property
    def privileged(self) -> bool:
        """Whether files may be given to other users."""
        return self.isolation.mode == "root"

    def services(self, pod: Object) -> dict[str, str]:
        """The variables by which a pod finds services."""
        links = pod["spec"].get("enableServiceLinks", True)
        found = self.api.list("services", pod["metadata"]["namespace"]).items if links else []
        return service_environment(found, kubernetes=self.kubernetes, links=links)

    def pull_secrets(self, pod: Object) -> list[Object]:
        """The pod's pull secrets that exist; an event tells of the others."""
        found, missing = [], []
        for reference in pod["spec"].get("imagePullSecrets") or ():
            if not (name := reference.get("name")):
                continue
            try:
                found.append(self.api.get("secrets", name, pod["metadata"]["namespace"]))
            except ApiError as error:
                if error.code != 404:
                    raise
                missing.append(name)
        if missing:
            self.recorder.record(
                pod,
                "Warning",
                "FailedToRetrieveImagePullSecret",
                f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                "attempting to pull the image may not succeed.",
            )
        return found
