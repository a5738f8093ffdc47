"""The kubelet: what a node decides about pods, and the state of what it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.node.kubelet.node import KubeletNode

__all__ = ["KubeletNode"]


def __getattr__(name: str) -> Any:
    """Import the node only when it is asked for: its parts are usable, and testable, without it."""
    if name != "KubeletNode":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from emulator.node.kubelet.node import KubeletNode

    return KubeletNode
