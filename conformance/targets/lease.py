"""A run's Lease in the cluster: while it is renewed the run is under way, and what it has made is not to be taken."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import urllib3

from conformance.cluster import RUN_LABEL
from conformance.kube import Kube, RefusedError, path_of
from conformance.targets.target import Description, Target

__all__ = ["leased", "under_way"]

_NAME = "run"
# In seconds. A run that is killed is lost once the latter have passed; clocks may differ by what is between them.
_RENEWED = 20.0
_LASTS = 120
_MERGE = "application/merge-patch+json"


@contextlib.contextmanager
def leased(description: Description) -> Iterator[None]:
    """Hold a Lease, in a namespace called after the run, for as long as the block lasts.

    Where the cluster does not let us have one there is none: the preflight says why. The namespace is left to whoever
    removes the run's others.
    """
    target, ended = Target(description), threading.Event()
    thread = threading.Thread(target=_renew, args=(target, ended), daemon=True)
    if held := _take(target):
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if held:
            thread.join()


def _take(target: Target) -> bool:
    run = target.description.run
    labels = {RUN_LABEL: run}
    spec = {"holderIdentity": run, "leaseDurationSeconds": _LASTS, "renewTime": _now()}
    try:
        kube = Kube(target.kube)
        kube.create(path_of("namespaces"), {"metadata": {"name": run, "labels": labels}})
        kube.create(path_of("leases", run), {"metadata": {"name": _NAME, "labels": labels}, "spec": spec})
    except Exception:
        # A kubeconfig that leads nowhere has many ways to fail; the look at the cluster tells of each.
        return False
    return True


def under_way(kube: Kube) -> dict[str, str]:
    """By run that is under way, when it last said so. Raises RefusedError."""
    found = {}
    for lease in kube.get(path_of("leases"), {"labelSelector": RUN_LABEL})["items"]:
        spec = lease["spec"]
        renewed = datetime.fromisoformat(spec["renewTime"])
        if renewed + timedelta(seconds=spec["leaseDurationSeconds"]) > datetime.now(UTC):
            found[str(lease["metadata"]["labels"][RUN_LABEL])] = str(spec["renewTime"])
    return found


def _renew(target: Target, ended: threading.Event) -> None:
    run = target.description.run
    while not ended.wait(_RENEWED):
        with contextlib.suppress(RefusedError, OSError, urllib3.exceptions.HTTPError):
            Kube(target.kube).patch(path_of("leases", run, _NAME), {"spec": {"renewTime": _now()}}, _MERGE)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
