"""From a tree that differs to the smallest one that still does.

Hypothesis shrinks by one run after another, and a run on a real node takes seconds. Here every simpler tree of a round
goes into the same few pods, and all counter-examples are shrunk side by side.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from conformance.differential.trees import Tree, size_of

__all__ = ["shrink", "simpler"]

_PLAIN = {"text": "", "link": "a"}


def shrink(
    trees: Sequence[Tree], differ: Callable[[list[Tree]], list[bool]], *, rounds: int = 30, width: int = 60
) -> list[Tree]:
    """Each tree made as simple as it can be and still differ.

    `differ` says of many trees at once whether the targets differ on them. It is asked at most `rounds` times, for
    up to `width` candidates of each tree.
    """
    smallest = list(trees)
    pending = set(range(len(smallest)))
    known: dict[str, bool] = {}
    for _ in range(rounds):
        candidates = {number: _candidates(smallest[number], known, width) for number in pending}
        asked = {json.dumps(tree): tree for found in candidates.values() for tree in found}
        if asked:
            known |= dict(zip(asked, differ(list(asked.values())), strict=True))
        for number, found in candidates.items():
            better = [tree for tree in found if known[json.dumps(tree)]]
            if better:
                smallest[number] = min(better, key=size_of)
            elif len(found) < width:
                pending.discard(number)
        if not pending:
            break
    return smallest


def _candidates(tree: Tree, known: dict[str, bool], width: int) -> list[Tree]:
    found = {json.dumps(simple): simple for simple in simpler(tree)}
    return [simple for text, simple in found.items() if text not in known][:width]


def simpler(tree: Tree) -> Iterator[Tree]:
    """Trees that are a little simpler, the boldest steps first."""
    layers = [list(layer) for layer in tree]
    for at, layer in enumerate(layers):
        if len(layers) > 1:
            yield [*layers[:at], *layers[at + 1 :]]
        if len(layer) > 3:
            for half in (layer[: len(layer) // 2], layer[len(layer) // 2 :]):
                yield [*layers[:at], half, *layers[at + 1 :]]
    for at, layer in enumerate(layers):
        if at:
            yield [*layers[: at - 1], [*layers[at - 1], *layer], *layers[at + 1 :]]
        for position, entry in enumerate(layer):
            around = layer[:position], layer[position + 1 :]
            yield [*layers[:at], [*around[0], *around[1]], *layers[at + 1 :]]
            for plainer in _plainer(entry):
                yield [*layers[:at], [*around[0], plainer, *around[1]], *layers[at + 1 :]]


def _plainer(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key in entry:
        if key not in {"path", "type", "link", "device"}:
            yield {other: value for other, value in entry.items() if other != key}
    first, slash, rest = entry["path"].partition("/")
    if slash and rest:
        yield {**entry, "path": rest}
    if first and rest and "/" in rest:
        yield {**entry, "path": f"{first}/{rest.rpartition('/')[2]}"}
    for key, plain in _PLAIN.items():
        if entry.get(key, plain) != plain and len(entry[key]) > len(plain):
            yield {**entry, key: plain}
