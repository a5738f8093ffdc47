"""What is recorded can be read again, and the emulator makes of every recorded tree what the real cluster made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.differential import RecordedTrees, Seen, recorded_trees, write_trees
from conformance.differential.__main__ import _main
from conformance.differential.recorded import outcomes
from conformance.differential.replay import replay

RECORDED = recorded_trees()


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.fingerprint)
def test_the_emulator_equals_every_recorded_tree(recorded: RecordedTrees) -> None:
    assert [(difference.tree, difference.lines) for difference in replay(recorded)] == []


def test_a_run_is_written_a_tree_a_line(tmp_path: Path) -> None:
    trees = [[[{"path": "caf\u00e9"}]], [[]]]
    seen = [Seen("ErrImagePull", "why: invalid"), Seen("mounted", files={".": "drwxr-xr-x 0:0 now"})]
    folder = write_trees("kubernetes-1.36.3_containerd-2.3.7", trees, seen, {"seed": 4}, below=tmp_path)
    lines = [json.loads(line) for line in (folder / "trees.jsonl").read_text().splitlines()]
    assert lines[0] == {"layers": trees[0], "outcome": "ErrImagePull", "message": "why: invalid"}
    assert lines[1] == {"layers": [[]], "outcome": "mounted", "files": {".": "drwxr-xr-x 0:0 now"}}
    summary = json.loads((folder / "summary.json").read_text())
    assert summary == {"seed": 4, "trees": 2, "outcomes": {"ErrImagePull: … invalid": 1, "mounted": 1}}
    assert sorted(path.name for path in folder.iterdir()) == ["summary.json", "trees.jsonl"]


def test_outcomes_are_told_by_their_cause() -> None:
    seen = [Seen("ErrImagePull", "a: x"), Seen("ErrImagePull", "b: x"), Seen("mounted")]
    assert outcomes(seen) == {"ErrImagePull: … x": 2, "mounted": 1}


def test_nothing_is_recorded_from_an_emulator(capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["--record", "--trees", "1"]) == 1
    assert "from real clusters only" in capsys.readouterr().err


def test_the_emulator_equals_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(["--trees", "8", "--seed", "2"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("8 trees")
    assert said.endswith("8 alike, 0 differ\n")
