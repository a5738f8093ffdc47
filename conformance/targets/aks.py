"""A live AKS cluster with its registry as a target: signed in to, looked over, judged once a node pool."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from conformance.targets.azure import NOBODY, Azure, Registry
from conformance.targets.checks import finding, of_azure
from conformance.targets.choice import Options, TargetUnavailableError
from conformance.targets.interrupting import ended_as_by_ctrl_c
from conformance.targets.kubelogin import without_kubelogin
from conformance.targets.lease import leased
from conformance.targets.preflight import Hints, preflight
from conformance.targets.progress import Progress
from conformance.targets.running import endpoint, existing
from conformance.targets.sign_in import AzureError, sign_in
from conformance.targets.sweeping import sweep
from conformance.targets.target import Description, Finding

__all__ = ["ACR_NAME", "aks", "entered"]

ACR_NAME = "ACR_NAME"
_PATIENCE = 180.0
_ABAC = "; this registry's roles are given by repository (ABAC), where AcrPull and AcrPush count for nothing: assign {}"
_RIGHTS = (
    "; assign it Azure Kubernetes Service RBAC Cluster Admin on the cluster, or, where Azure RBAC does not decide "
    "inside it, bind it to the ClusterRole cluster-admin"
)


@contextlib.contextmanager
def aks(options: Options) -> Iterator[Description]:
    """Sign in, look over the cluster and its registry, and describe them; what the run made goes when it ends.

    Raises TargetUnavailableError with what was found.
    """
    progress = Progress()
    with ended_as_by_ctrl_c(progress, "aks"), entered(options, progress) as (description, found, registry):
        abac = _ABAC.format("Container Registry Repository Reader and Writer") if registry.abac else ""
        try:
            with leased(description):
                yield preflight(description, progress, found, Hints(abac, _RIGHTS))
        finally:
            with progress.step(f"{description.name}: removing what the run made"):
                sweep(description, description.run, progress)


@contextlib.contextmanager
def entered(options: Options, progress: Progress) -> Iterator[tuple[Description, list[Finding], Registry]]:
    """The way into the cluster and its registry, nothing looked at yet; the kubeconfig goes with the block.

    Raises TargetUnavailableError.
    """
    acr = options.acr or os.environ.get(ACR_NAME, "")
    if not acr:
        raise TargetUnavailableError(f"--aks needs a registry: --acr NAME, or ${ACR_NAME}")
    group, name = options.aks_resource_group, options.aks_name
    try:
        with progress.step("aks: signing in"):
            who = sign_in(options.aks_sign_in)
            azure = Azure(who)
        with progress.step(f"aks: {name} in {group}"):
            cluster = azure.cluster(group, name)
        found = [finding("sign-in", who.says, holds=True), *of_azure(cluster)]
        stop = [one for one in found if one.check in {"power-state", "kubernetes"} and one.verdict == "fail"]
        if stop:
            raise TargetUnavailableError("; ".join(one.evidence for one in stop), found)
        with progress.step(f"aks: registry {acr}"):
            registry = azure.registry(acr)
        kubeconfig = without_kubelogin(azure.kubeconfig(group, name), who)
    except AzureError as error:
        raise TargetUnavailableError(str(error), [finding(error.check, str(error), holds=False)]) from None
    with tempfile.TemporaryDirectory(prefix="imgvol-aks-") as directory:
        path = Path(directory) / "kubeconfig"
        path.touch(mode=0o600)
        path.write_bytes(kubeconfig)
        description = existing(
            f"aks {name}",
            str(path),
            endpoint(registry.server, options.pull_registry, NOBODY, registry.token),
            _PATIENCE,
            {
                "private-registry": "nodes pull from it by an identity of their own, not by a pod's secrets",
                "faulty-registry": "this registry does not fail when it is told to",
            },
        )
        yield description, found, registry
