"""Node pools that the suite makes itself, on the emulator or in Docker, dressed as AKS dresses its nodes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["MadePool", "PoolTextError", "parse_pools"]

_NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
_KEYS = ("nodes", "os-sku", "node-image")


class PoolTextError(ValueError):
    """A pool is not said as it must be; the text is a sentence for the user."""


@dataclass(frozen=True)
class MadePool:
    """A pool to be made. made_of: a runtime of the emulator, or the image of nodes in Docker."""

    name: str
    made_of: str
    nodes: int = 1
    os_sku: str = ""
    node_image: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What AKS labels such nodes with."""
        found = {
            "agentpool": self.name,
            "kubernetes.azure.com/agentpool": self.name,
            "kubernetes.azure.com/os-sku": self.os_sku,
            "kubernetes.azure.com/node-image-version": self.node_image,
        }
        return {key: value for key, value in found.items() if value}


def parse_pools(texts: Iterable[str]) -> tuple[MadePool, ...]:
    """Pools from texts such as `old=containerd-2.1,nodes=2,os-sku=AzureLinux,node-image=AKSAzureLinux-202605.05.1`.

    Raises:
        PoolTextError: one is no such text, or two have one name.
    """
    pools = tuple(_pool(text) for text in texts)
    names = [pool.name for pool in pools]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PoolTextError(f"two pools are called {', '.join(twice)}")
    return pools


def _pool(text: str) -> MadePool:
    first, *rest = text.split(",")
    name, _, made_of = first.partition("=")
    if not (_NAME.fullmatch(name) and made_of):
        raise PoolTextError(
            f"{text!r} is no pool: give NAME=WHAT, the name of up to 12 small letters and digits, a letter first"
        )
    given = dict(part.partition("=")[::2] for part in rest)
    for key, value in given.items():
        if key not in _KEYS or not value:
            raise PoolTextError(
                f"{key!r} says nothing of a pool in {text!r}: give KEY=VALUE, one of {', '.join(_KEYS)}"
            )
    count = given.get("nodes", "1")
    if not (count.isascii() and count.isdigit() and int(count) > 0):
        raise PoolTextError(f"{count!r} is no number of nodes in {text!r}: give one or more")
    return MadePool(name, made_of, int(count), given.get("os-sku", ""), given.get("node-image", ""))
