"""Which target the options of a run ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from conformance.targets.pools import MadePool, PoolTextError, parse_pools
from conformance.targets.target import Description, Finding

__all__ = [
    "AKS_SIGN_IN",
    "NODE_IMAGE",
    "REGISTRY_IMAGE",
    "REGISTRY_PASSWORD",
    "Options",
    "TargetUnavailableError",
    "add_aks_options",
    "made_pools",
    "start",
]


# Kubernetes 1.36.1 with containerd 2.3.1, released with kind 0.32.
NODE_IMAGE = "kindest/node@sha256:3489c7674813ba5d8b1a9977baea8a6e553784dab7b84759d1014dbd78f7ebd5"
REGISTRY_IMAGE = "registry:3"
# What the Terraform of the sample system calls them unless told otherwise.
AKS_RESOURCE_GROUP, AKS_NAME = "rg-oci-artifact-demo", "aks-oci-demo"
AKS_SIGN_IN = ("auto", "az", "identity")
# The environment variable with the password of --registry-user, which a command line would show to everyone.
REGISTRY_PASSWORD = "IMGVOL_REGISTRY_PASSWORD"  # noqa: S105


class TargetUnavailableError(Exception):
    """The target cannot be had; the message says why and what to do, `findings` what was looked at."""

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


def add_aks_options(add: Callable[..., object]) -> None:
    """Add the options that name a live AKS cluster, to a parser's `add_argument` or pytest's `addoption`."""
    add("--aks", action="store_true", help="a live AKS cluster and its ACR")
    add(
        "--aks-resource-group",
        default=AKS_RESOURCE_GROUP,
        metavar="NAME",
        help="its resource group (default: %(default)s)",
    )
    add("--aks-name", default=AKS_NAME, metavar="NAME", help="its name (default: %(default)s)")
    add("--acr", default="", metavar="NAME", help="the name of its registry (default: $ACR_NAME)")
    add(
        "--aks-sign-in",
        default=AKS_SIGN_IN[0],
        choices=AKS_SIGN_IN,
        help="who the suite is to Azure. az: who is signed in there; identity: whom azure-identity finds (pip install "
        "'imgvol[azure]'), az or not; auto: az where it is on the PATH, else identity (default: %(default)s)",
    )


@dataclass(frozen=True)
class Options:
    """What the command line says of the target; see `conftest.py` for each."""

    target: str = "emulator"
    aks: bool = False
    aks_resource_group: str = AKS_RESOURCE_GROUP
    aks_name: str = AKS_NAME
    acr: str = ""
    aks_sign_in: str = AKS_SIGN_IN[0]
    kubeconfig: str = ""
    registry: str = ""
    pull_registry: str = ""
    registry_user: str = ""
    node_image: str = NODE_IMAGE
    registry_image: str = REGISTRY_IMAGE
    nodes: int = 1
    pool: Sequence[str] = ()
    keep: bool = False
    runtime: str = "containerd-2.3"
    speed: float = 10.0
    isolation: str = ""


def made_pools(options: Options) -> tuple[MadePool, ...]:
    """The pools that --pool asks for.

    Raises TargetUnavailableError for what is no pool.
    """
    if options.pool and options.nodes != 1:
        raise TargetUnavailableError("--nodes and --pool both say how many nodes there are: give one of them")
    try:
        return parse_pools(options.pool)
    except PoolTextError as error:
        raise TargetUnavailableError(f"--pool: {error}") from None


@contextlib.contextmanager
def start(options: Options) -> Iterator[Description]:
    """Start the target, describe it, and stop it at the end.

    Raises TargetUnavailableError.
    """
    with _chosen(options) as description:
        yield description


def _chosen(options: Options) -> contextlib.AbstractContextManager[Description]:
    # Imported when chosen: each brings what only it needs.
    if options.aks:
        from conformance.targets.aks import aks

        return aks(options)
    if options.kubeconfig or options.registry:
        from conformance.targets.running import running

        return running(options)
    if options.target == "kind":
        from conformance.targets.kind import kind

        return kind(options)
    from conformance.targets.emulator import emulator

    return emulator(options)
