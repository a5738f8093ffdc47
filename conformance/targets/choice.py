"""Which target the options of a run ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from conformance.targets.target import Description

__all__ = ["Options", "TargetUnavailableError", "start"]


class TargetUnavailableError(Exception):
    """The target cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Options:
    """What the command line says of the target; see `conftest.py` for each."""

    target: str = "emulator"
    aks: bool = False
    kubeconfig: str = ""
    registry: str = ""
    runtime: str = "containerd-2.3"
    speed: float = 10.0
    isolation: str = ""


@contextlib.contextmanager
def start(options: Options) -> Iterator[Description]:
    """Start the target, describe it, and stop it at the end.

    Raises TargetUnavailableError.
    """
    if options.aks:
        raise TargetUnavailableError("--aks is not built yet: run without it for the emulator")
    if options.kubeconfig or options.registry:
        raise TargetUnavailableError(
            "--kubeconfig and --registry (a running cluster) are not built yet: leave them out for the emulator"
        )
    if options.target != "emulator":
        raise TargetUnavailableError(f"--target={options.target} is not built yet: --target=emulator is")
    from conformance.targets.emulator import emulator

    with emulator(options) as description:
        yield description
