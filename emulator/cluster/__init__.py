"""A Kubernetes API server in process and over HTTPS: store, watch, admission, defaulting and validation.

The `Api` speaks objects in wire form; `ApiServer` is a thin HTTPS layer over it. The imports are lazy, because
the HTTPS part costs more to import than the rest together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.cluster.api import Api
    from emulator.cluster.errors import ApiError
    from emulator.cluster.events import EventRecorder
    from emulator.cluster.kubelets import Kubelet, LogOptions
    from emulator.cluster.objects import Object
    from emulator.cluster.server import ApiServer
    from emulator.cluster.watch import Watch, WatchEvent

__all__ = [
    "Api",
    "ApiError",
    "ApiServer",
    "EventRecorder",
    "Kubelet",
    "LogOptions",
    "Object",
    "Watch",
    "WatchEvent",
]

_HOMES = {
    "Api": "api",
    "ApiError": "errors",
    "ApiServer": "server",
    "EventRecorder": "events",
    "Kubelet": "kubelets",
    "LogOptions": "kubelets",
    "Object": "objects",
    "Watch": "watch",
    "WatchEvent": "watch",
}


def __getattr__(name: str) -> Any:
    """Import a public name's module when it is first asked for."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
