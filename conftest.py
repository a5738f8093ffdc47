"""The options of a run: which target is judged. `pytest conformance` judges the embedded emulator."""

from __future__ import annotations

import argparse
import os

import pytest

from conformance.targets.choice import NODE_IMAGE, REGISTRY_IMAGE, REGISTRY_PASSWORD, add_aks_options

pytest_plugins = ["conformance.plugin"]

# Claims mostly wait for the target, so that a few more of them than processors run side by side.
_WORKERS_PER_PROCESSOR = 2


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the targets."""
    group = parser.getgroup("target", "where the claims are judged")
    group.addoption(
        "--target",
        default="emulator",
        choices=["emulator", "kind"],
        help="emulator: embedded, no Docker, no root (default); kind: a Kubernetes node in Docker",
    )
    add_aks_options(group.addoption)
    group.addoption(
        "--kubeconfig", default="", metavar="FILE", help="any cluster that already runs; goes with --registry"
    )
    group.addoption(
        "--registry",
        default="",
        metavar="HOST[/PREFIX]",
        help="the registry of --kubeconfig's cluster; the suite pushes there",
    )
    group.addoption(
        "--pull-registry",
        default="",
        metavar="HOST[/PREFIX]",
        help="how that cluster's nodes name the same registry, if not as --registry or ACR does",
    )
    group.addoption(
        "--registry-user",
        default="",
        metavar="NAME",
        help=f"who pushes there; the password is taken from ${REGISTRY_PASSWORD}",
    )
    group.addoption(
        "--every-node",
        action="store_true",
        help="judge the claims node/… too: on every node at once, with the times of cold and warm pulls",
    )
    group.addoption(
        "--claim",
        action="append",
        default=[],
        metavar="ID",
        help="judge only these claims, e.g. subpath/missing-directory-fails or 'image/*'; may be given more than once",
    )
    group.addoption(
        "--record",
        nargs="?",
        const="all",
        default="",
        choices=["all", "cases", "claims", "missing"],
        help="write what every case does on this real target, and every claim's verdict, into fixtures/observations; "
        "missing: of the cases only those that were not recorded yet",
    )
    group.addoption(
        "--verdicts",
        default="",
        metavar="DIR",
        help="write every claim's verdict and evidence there as recordings are, also of an emulator, to be compared",
    )
    group.addoption("--report", default="", metavar="DIR", help="where the reports go (default: build/report)")
    group.addoption(
        "--baseline",
        default="",
        metavar="FILE",
        help="results.json of an earlier run: the reports begin with what changed since",
    )
    kind = parser.getgroup("kind", "a cluster in Docker (--target=kind)")
    kind.addoption("--node-image", default=NODE_IMAGE, metavar="IMAGE", help="the nodes (default: %(default)s)")
    kind.addoption(
        "--registry-image", default=REGISTRY_IMAGE, metavar="IMAGE", help="the registry (default: %(default)s)"
    )
    kind.addoption("--nodes", default=1, type=_at_least_one, metavar="N", help="how many nodes (default: %(default)s)")
    group.addoption(
        "--pool",
        action="append",
        default=[],
        metavar="NAME=WHAT",
        help="a node pool, dressed as AKS dresses them, on which every claim is judged; WHAT is the image of its "
        "nodes, or on the emulator the runtime it plays; then perhaps ,nodes=N ,os-sku=SKU ,node-image=NAME; may be "
        "given more than once",
    )
    kind.addoption("--keep", action="store_true", help="leave it running, and say how to reach and how to remove it")
    emulator = parser.getgroup("emulator", "the embedded emulator")
    emulator.addoption(
        "--runtime",
        default="containerd-2.3",
        metavar="NAME",
        help="the runtime version it plays (default: %(default)s)",
    )
    emulator.addoption(
        "--speed",
        default=10.0,
        type=float,
        metavar="FACTOR",
        help="how fast its clock runs (default: %(default)s)",
    )
    emulator.addoption(
        "--isolation",
        default="",
        choices=["", "root", "user", "none"],
        help="how it isolates containers (default: best)",
    )


def _at_least_one(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"a cluster has one node or more, not {text!r}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many workers as keep the processors busy; `-n` says otherwise."""
    return _WORKERS_PER_PROCESSOR * (os.cpu_count() or 1)
