"""Packing and pushing a directory beside what people use for it, on the same trees, to the same registry.

The rivals take turns, round after round, so that all see the same machine; of the times the best counts, of the memory
the most. tar sorts names, as imgvol does, since the order alone can shrink a layer by a sixth. The size is that of the
layers in the manifest which the registry then has.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import emulator
from bench._measuring import measure
from bench._plot import bars
from bench._trees import TREES

_ROOT = Path(__file__).parents[1]
_PEERS = _ROOT / "build" / "peers"
_DOCUMENT = _ROOT / "docs" / "packaging.md"
_PLOT = _ROOT / "docs" / "packaging.svg"
_BEGIN, _END = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"

# $1 the directory, $2 a place for files, $3 the reference
_TAR = 'tar --sort=name --owner=0 --group=0 --numeric-owner -cf - -C "$1" .'
_IMGVOL = f'"{sys.executable}" -m imgvol push "$1" "$3" --json'
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_KINDS = ("oci.image.manifest.v1", "oci.image.index.v1", "docker.distribution.manifest.v2")
_MANIFESTS = ", ".join(f"application/vnd.{kind}+json" for kind in _KINDS)
BASE = "tar | gzip -9, oras push"
RIVALS = {
    BASE: f"""
        {_TAR} | gzip -9n >"$2/layer.tar.gz"
        cd "$2"; "{_PEERS}/oras" push --plain-http "$3" layer.tar.gz:{_LAYER}""",
    "tar, crane append": f'{_TAR} >"$2/layer.tar"; "{_PEERS}/crane" --insecure append -f "$2/layer.tar" -t "$3"',
    "umoci insert, oras copy": f"""
        u="{_PEERS}/umoci"; $u init --layout "$2/l"; $u new --image "$2/l:v1"
        $u insert --rootless --image "$2/l:v1" "$1" /
        "{_PEERS}/oras" copy --from-oci-layout "$2/l:v1" --to-plain-http "$3" """,
    "imgvol push": _IMGVOL,
    "imgvol push --fast": f"{_IMGVOL} --fast",
    "imgvol push, zstd": f"{_IMGVOL} --compression zstd",
    "imgvol push, no compression": f"{_IMGVOL} --compression none",
}
ALL = "all three"
_GZIP = ("imgvol push", "imgvol push --fast")
_ZSTD = "imgvol push, zstd"


@dataclass(frozen=True)
class Measured:
    """Wall and processor time in seconds (the best), peak memory in bytes (the most), and the layer's bytes."""

    seconds: float
    processor: float
    memory: int
    size: int


@dataclass(frozen=True)
class Goal:
    """What was promised, and whether it was kept."""

    goal: str
    found: str
    met: bool


Found = dict[str, dict[str, Measured]]
"""By tree and rival."""

_QUIET = 1.5  # processes ready to run for each processor: the rivals alone make so many
_BUSY = """
**The machine was busy**: what runs in threads had no second processor to itself, so the seconds are no comparison; the
processor time is."""


def measured(rounds: int, scale: float, rivals: Sequence[str]) -> Found:
    """Build each tree, and have every rival push it in each round."""
    found: Found = {}
    for tree, build in TREES.items():
        with tempfile.TemporaryDirectory(prefix="bench-packager-") as work, emulator.start_registry() as running:
            content = Path(work) / "content"
            content.mkdir()
            build(content, scale)
            found[tree] = {}
            for number in range(rounds):
                for name in rivals:
                    repository = f"bench/{list(RIVALS).index(name)}-{number}"  # a new one: nothing of it is there yet
                    with tempfile.TemporaryDirectory(dir=work) as place:
                        taken = measure(RIVALS[name], content, place, f"{running.registry}/{repository}:v1")
                    size = _layer_size(f"http://{running.registry}/v2/{repository}/manifests", "v1")
                    one = Measured(taken.seconds, taken.processor, taken.memory, size)
                    found[tree][name] = _better(one, found[tree].get(name, one))
                    if sys.stderr.isatty():
                        print(f"{tree}, round {number + 1} of {rounds}: {name}", file=sys.stderr)
    return found


def _better(one: Measured, other: Measured) -> Measured:
    seconds, processor = min(one.seconds, other.seconds), min(one.processor, other.processor)
    return Measured(seconds, processor, max(one.memory, other.memory), one.size)


def _layer_size(manifests: str, version: str) -> int:
    request = urllib.request.Request(f"{manifests}/{version}", headers={"Accept": _MANIFESTS})
    with urllib.request.urlopen(request) as answer:
        document = json.load(answer)
    if "manifests" in document:
        return _layer_size(manifests, document["manifests"][0]["digest"])
    return sum(int(layer["size"]) for layer in document["layers"])


def together(found: Found) -> Found:
    """With all trees as one more: seconds and sizes added up, and the most memory."""
    every = [found[tree] for tree in TREES]
    summed = {}
    for name in every[0]:
        ones = [rivals[name] for rivals in every]
        seconds, processor = sum(one.seconds for one in ones), sum(one.processor for one in ones)
        summed[name] = Measured(seconds, processor, max(one.memory for one in ones), sum(one.size for one in ones))
    return {**found, ALL: summed}


def goals(found: Found) -> list[Goal]:
    """What imgvol is to keep of the trees together, compared with the others."""
    rivals = found[ALL]
    base = rivals[BASE]

    def judge(name: str, times: float, larger: float) -> Goal:
        one = rivals[name]
        faster, size = base.seconds / one.seconds, one.size / base.size
        limit = f"at most {larger:.0%} larger" if larger else "no larger"
        by_tree = ", ".join(f"{found[tree][BASE].seconds / found[tree][name].seconds:.1f}" for tree in TREES)
        wanted = f"{name}: {times} x faster than {BASE}, {limit}"
        said = f"{faster:.2f} x faster, {size:.3f} of its size; by tree {by_tree} x"
        return Goal(wanted, said, faster >= times and size <= 1 + larger)

    ours = {name: one.memory for name, one in rivals.items() if name.startswith("imgvol")}
    theirs = {name: one.memory for name, one in rivals.items() if not name.startswith("imgvol")}
    least, most = min(theirs, key=lambda name: theirs[name]), max(ours, key=lambda name: ours[name])
    said = f"{most} {ours[most] / 1e6:.0f} MB, {least} {theirs[least] / 1e6:.0f} MB"
    memory = Goal("imgvol in any form: the least memory of all", said, ours[most] <= theirs[least])
    return [*(judge(name, 1.8, 0.01) for name in _GZIP), judge(_ZSTD, 8, 0), memory]


def table(found: Found) -> list[str]:
    """Aligned columns; also Markdown."""
    rows = [
        ["tree", "by", "seconds", "faster", "of processors", "memory, MB", "of its memory", "layer, MB", "of its size"]
    ]
    for tree, rivals in found.items():
        base = rivals[BASE]
        for name, one in rivals.items():
            rows.append(
                [
                    tree,
                    name.replace("|", "\\|"),
                    f"{one.seconds:.2f}",
                    f"{base.seconds / one.seconds:.2f} x",
                    f"{one.processor:.2f}",
                    f"{one.memory / 1e6:.0f}",
                    f"{one.memory / base.memory:.2f}",
                    f"{one.size / 1e6:.1f}",
                    f"{one.size / base.size:.3f}",
                ]
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows.insert(1, ["-" * (width - 1) + (":" if column > 1 else "-") for column, width in enumerate(widths)])
    return ["| " + " | ".join(map(_padded, row, widths, range(len(row)))) + " |" for row in rows]


def _padded(text: str, width: int, column: int) -> str:
    return text.rjust(width) if column > 1 else text.ljust(width)


def conditions(rounds: int, scale: float) -> str:
    """Where and how it was measured, in a sentence."""
    busy = os.getloadavg()[0]
    processors = len(os.sched_getaffinity(0))
    how = f"best of {rounds} interleaved rounds" + ("" if scale == 1 else f", trees at {scale:g} of their size")
    said = f"{processors} processors ({platform.machine()}), {busy:.1f} processes ready to run at the end; {how}."
    return said if busy <= _QUIET * processors else f"{said}\n{_BUSY}"


def written(found: Found, judged: Sequence[Goal], said: str) -> None:
    """Put the table and the plot into the documentation."""
    text = _DOCUMENT.read_text()
    before, rest = text.split(_BEGIN)
    after = rest.split(_END)[1]
    kept = [f"- {goal.goal}: {'met' if goal.met else '**not met**'} ({goal.found})" for goal in judged]
    _DOCUMENT.write_text("\n".join([before + _BEGIN + said, "", *table(found), "", *kept, _END + after]))
    seconds = {tree: {name: one.seconds for name, one in found[tree].items()} for tree in TREES}
    _PLOT.write_text(bars("Packing and pushing: seconds, less is better", seconds, "s", "imgvol"))


def run(arguments: Sequence[str] = ()) -> None:
    """Measure, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.packager", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="how often (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=1, metavar="X", help="trees of this size (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", action="store_true", help=f"also write {_DOCUMENT.relative_to(_ROOT)} and its plot")
    asked = parser.parse_args(arguments)
    if missing := [name for name in ("crane", "oras", "umoci") if not (_PEERS / name).exists()]:
        sys.exit(f"bench: there is no {', '.join(missing)} to compare with; run `make peers`")
    found = together(measured(asked.rounds, asked.scale, list(RIVALS)))
    judged, said = goals(found), conditions(asked.rounds, asked.scale)
    if asked.json:
        print(json.dumps(_document(found, judged, said), indent=1))
    else:
        lines = [line.replace("\\|", "|") for line in table(found)]
        print("\n".join([said, *lines]))
        for goal in judged:
            print(f"{'met    ' if goal.met else 'NOT MET'} {goal.goal}: {goal.found}")
    if asked.write:
        written(found, judged, said)


def _document(found: Found, judged: Sequence[Goal], said: str) -> Mapping[str, Any]:
    results = {tree: {name: asdict(one) for name, one in rivals.items()} for tree, rivals in found.items()}
    return {"conditions": said, "results": results, "goals": [asdict(goal) for goal in judged]}


if __name__ == "__main__":
    run(sys.argv[1:])
