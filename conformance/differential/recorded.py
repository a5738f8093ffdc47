"""What a real cluster made of many trees, kept to be compared with on every change.

`fixtures/observations/<fingerprint>/differential/` has `summary.json` (where it comes from, and what came of it) and
`trees.jsonl`: one tree a line, with what the cluster made of it.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.differential.survey import Seen
from conformance.differential.trees import Tree
from conformance.files import write_json

__all__ = ["RecordedTrees", "outcomes", "recorded_trees", "write_trees"]

_OBSERVATIONS = Path(__file__).parents[2] / "fixtures" / "observations"
_FOLDER = "differential"


@dataclass(frozen=True)
class RecordedTrees:
    """The trees of one recorded run and what the cluster named by the fingerprint made of each."""

    fingerprint: str
    trees: tuple[Tree, ...]
    seen: tuple[Seen, ...]

    @property
    def runtime(self) -> str:
        """The runtime's minor version as profiles name it, e.g. `containerd-2.3`."""
        return "containerd-" + self.fingerprint.rpartition("containerd-")[2].rpartition(".")[0]


def recorded_trees() -> tuple[RecordedTrees, ...]:
    """Every recorded run, by fingerprint."""
    found = []
    for path in sorted(_OBSERVATIONS.glob(f"*/{_FOLDER}/trees.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found.append(
            RecordedTrees(
                path.parents[1].name,
                tuple(line["layers"] for line in lines),
                tuple(Seen(line["outcome"], line.get("message", ""), line.get("files", {})) for line in lines),
            )
        )
    return tuple(found)


def write_trees(
    fingerprint: str,
    trees: Sequence[Tree],
    seen: Sequence[Seen],
    provenance: Mapping[str, Any],
    *,
    below: Path | None = None,
) -> Path:
    """Write a run, replacing an earlier one of the same fingerprint; the folder it is in."""
    folder = (below or _OBSERVATIONS) / fingerprint / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        whole = Path(unfinished) / "trees.jsonl"
        with whole.open("w") as file:
            for tree, one in zip(trees, seen, strict=True):
                told = {"outcome": one.outcome, "message": one.message, "files": one.files}
                line = {"layers": tree, **{key: value for key, value in told.items() if value}}
                file.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n")
        whole.replace(folder / whole.name)
    write_json(folder / "summary.json", {**provenance, "trees": len(trees), "outcomes": outcomes(seen)})
    return folder


def outcomes(seen: Sequence[Seen]) -> dict[str, int]:
    """How often each outcome was, refusals by the kind of error, the most frequent first."""
    return dict(Counter(_kind(one) for one in seen).most_common())


def _kind(seen: Seen) -> str:
    if not seen.message:
        return seen.outcome
    # What stands last in a Go error is its cause.
    return f"{seen.outcome}: … {seen.message.rpartition(': ')[2]}"
