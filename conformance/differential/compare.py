"""Where two targets make different things of one tree."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from conformance.differential.survey import Seen
from conformance.differential.trees import Tree

__all__ = ["Difference", "compare", "differences"]

# A whiteout in a directory that one layer alone has: overlayfs lists its name, and then says that it is not there. Only
# overlayfs itself can show this; the emulator, whose volume is a plain directory, leaves such names out.
_LISTED_WHITEOUT = re.compile(r"ERR l?stat: no such file or directory|ERR lstat .*: no such file or directory")
# What a line says of devices without the right to make them, and of a file whose owner and mode are not kept.
_DEVICE = re.compile(r"Dc?[rwxst-]* ")


@dataclass(frozen=True)
class Difference:
    """A tree, what each side made of it, and where that differs, a line a thing."""

    tree: Tree
    expected: Seen
    seen: Seen
    lines: tuple[str, ...]


def compare(
    trees: Iterable[Tree], expected: Iterable[Seen], seen: Iterable[Seen], lacks: Collection[str] = ()
) -> Iterator[Difference]:
    """The trees of which two targets make different things.

    `lacks` are the capabilities that either declares missing: without `owners`, what a file is, holds and is called
    remains; without `devices`, devices are left out.
    """
    for tree, wanted, got in zip(trees, expected, seen, strict=True):
        if lines := differences(wanted, got, lacks):
            yield Difference(tree, wanted, got, tuple(lines))


def differences(expected: Seen, seen: Seen, lacks: Collection[str] = ()) -> list[str]:
    """Where two views of one tree differ."""
    if (expected.outcome, expected.message) != (seen.outcome, seen.message):
        return [f"expected {_told(expected)}, saw {_told(seen)}"]
    wanted, got = dict(_lines(expected, lacks)), dict(_lines(seen, lacks))
    if "devices" in lacks:
        devices = {name for files in (wanted, got) for name, line in files.items() if _DEVICE.match(line)}
        wanted, got = _without(wanted, devices), _without(got, devices)
    return [
        f"{name}: expected {wanted.get(name, 'nothing')!r}, saw {got.get(name, 'nothing')!r}"
        for name in sorted(wanted.keys() | got.keys())
        if wanted.get(name) != got.get(name)
    ]


def _lines(seen: Seen, lacks: Collection[str]) -> Iterator[tuple[str, str]]:
    for name, line in seen.files.items():
        if _LISTED_WHITEOUT.fullmatch(line):
            continue
        if "owners" in lacks and not line.startswith("ERR"):
            mode, _, rest = line.split(" ", 2)
            kind = mode.rstrip("rwxst-").rstrip("ugt") or "-"
            # Attributes of the system's own are for root to set.
            line = f"{kind} {rest.partition(' security.')[0]}"
        yield name, line


def _without(files: dict[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: line for name, line in files.items() if name not in names}


def _told(seen: Seen) -> str:
    return f"{seen.outcome}: {seen.message or _count(list(seen.files))}"


def _count(names: Sequence[str]) -> str:
    return f"{len(names) - 1} entries"
