"""The options of a run: which target is judged. `pytest conformance` judges the embedded emulator."""

from __future__ import annotations

import os

import pytest

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
    group.addoption("--aks", action="store_true", help="a live AKS cluster and its ACR")
    group.addoption(
        "--kubeconfig", default="", metavar="FILE", help="any cluster that already runs; goes with --registry"
    )
    group.addoption("--registry", default="", metavar="HOST[/PREFIX]", help="the registry of --kubeconfig's cluster")
    group.addoption(
        "--claim",
        action="append",
        default=[],
        metavar="ID",
        help="judge only these claims, e.g. subpath/missing-directory-fails or 'image/*'; may be given more than once",
    )
    group.addoption(
        "--record",
        action="store_true",
        help="first write what every case does on this real target into fixtures/observations",
    )
    group.addoption("--report", default="", metavar="DIR", help="where the reports go (default: build/report)")
    emulator = parser.getgroup("emulator", "the embedded emulator")
    emulator.addoption(
        "--runtime",
        default="containerd-2.3",
        metavar="NAME|FILE",
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many workers as keep the processors busy; `-n` says otherwise."""
    return _WORKERS_PER_PROCESSOR * (os.cpu_count() or 1)
