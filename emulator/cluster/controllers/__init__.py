"""The controllers of a cluster, each watching the API server and keeping one thing as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .controller import Controller
from .daemonsets import DaemonSets
from .deployments import Deployments
from .disruption import Disruptions
from .endpoints import Endpoints
from .garbage import GarbageCollector
from .namespaces import Namespaces
from .nodelifecycle import NodeLifecycle
from .podgc import PodGarbage
from .replicasets import ReplicaSets
from .scheduler import Scheduler
from .serviceaccounts import ServiceAccounts

if TYPE_CHECKING:
    from emulator.clock import Clock
    from emulator.cluster.api import Api

__all__ = [
    "Controller",
    "DaemonSets",
    "Deployments",
    "Disruptions",
    "Endpoints",
    "GarbageCollector",
    "Namespaces",
    "NodeLifecycle",
    "PodGarbage",
    "ReplicaSets",
    "Scheduler",
    "ServiceAccounts",
    "all_controllers",
]


def all_controllers(api: Api, clock: Clock) -> tuple[Controller, ...]:
    """Every controller a cluster runs; each does its work in `run()` until cancelled."""
    kinds: tuple[type[Controller], ...] = (
        ServiceAccounts,
        Namespaces,
        GarbageCollector,
        DaemonSets,
        Deployments,
        ReplicaSets,
        Scheduler,
        Endpoints,
        Disruptions,
        NodeLifecycle,
        PodGarbage,
    )
    return tuple(kind(api, clock) for kind in kinds)
