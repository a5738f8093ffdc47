"""Where the sample system goes: a registry that is pushed to, the name nodes pull by, and a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgvol.deployment import azure, local
from imgvol.deployment.errors import DeploymentError
from imgvol.deployment.settings import Settings

if TYPE_CHECKING:
    from conformance.kube import Kube
    from packager import Credentials

__all__ = ["Place", "place"]


@dataclass(frozen=True)
class Place:
    """One target. What costs a call to the cloud is asked for when it is wanted.

    registry: `HOST[:PORT]` that is pushed to and read from. pull_registry: what nodes call it.
    """

    name: str
    registry: str
    pull_registry: str
    kubeconfig: Callable[[], Path]
    credentials: Callable[[], Credentials | None]

    def kube(self) -> Kube:
        """A connection to the cluster. Raises DeploymentError where the kubeconfig leads nowhere."""
        from kubernetes import config
        from kubernetes.config import ConfigException

        from conformance.kube import Kube

        path = self.kubeconfig()
        try:
            return Kube(config.new_client_from_config(str(path)))  # type: ignore[no-untyped-call]
        except (ConfigException, OSError, ValueError) as error:
            raise DeploymentError(f"the kubeconfig {path} cannot be used: {error}") from None

    def readable(self, reference: str) -> str:
        """A reference as nodes know it, with the registry as it is reached from here. Raises DeploymentError."""
        registry, slash, rest = reference.partition("/")
        if not slash or registry != self.pull_registry:
            raise DeploymentError(f"{reference} is not in {self.pull_registry}, the registry of {self.name}")
        return f"{self.registry}/{rest}"


def place(settings: Settings) -> Place:
    """The target that the settings name. Raises DeploymentError if it is not there, or not said which it is."""
    if settings.target != "aks":
        state = local.running(settings)
        return Place(
            settings.target,
            state.registry,
            state.pull_registry,
            lambda: Path(state.kubeconfig),
            lambda: None,
        )
    names = azure.names(settings)
    server = azure.login_server(names)
    return Place(
        f"{names.aks} (resource group {names.group})",
        server,
        server,
        lambda: azure.kubeconfig(names, settings.directory / "aks" / "kubeconfig"),
        lambda: azure.credentials(names),
    )
