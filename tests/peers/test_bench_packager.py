"""The packager's benchmark runs, on trees a five-hundredth of their size, and says of each goal whether it is met."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from peer_programs import find

from bench.packager import BASE, RIVALS, Measured, goals, table

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_program_packs_and_pushes_every_tree() -> None:
    for name in ("crane", "oras", "umoci"):
        find(name)
    command = [sys.executable, "-m", "bench.packager", "--rounds=1", "--scale=0.002", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [list(rivals) for rivals in said["results"].values()] == [list(RIVALS)] * 3
    for rivals in said["results"].values():
        for name, one in rivals.items():
            assert min(one.values()) > 0, name
        assert rivals["imgvol push"]["size"] < rivals["imgvol push, no compression"]["size"]
    assert len(said["goals"]) == 12


def test_goals_are_met_or_not() -> None:
    base = Measured(seconds=18, processor=18, memory=50, size=1000)
    found = {"tree": dict.fromkeys(RIVALS, base)}
    assert not any(goal.met for goal in goals(found) if "faster" in goal.goal)
    ours = {name: Measured(10, 20, 40, 1010) for name in RIVALS if name.startswith("imgvol")}
    ours["imgvol push, zstd"] = Measured(2.2, 4, 60, 1000)
    found["tree"] |= ours
    assert [goal.met for goal in goals(found)] == [True, True, True, False]
    found["tree"]["imgvol push, zstd"] = Measured(2.2, 4, 40, 1001)
    found["tree"]["imgvol push"] = Measured(10.1, 20, 40, 1000)
    assert [goal.met for goal in goals(found)] == [False, True, False, True]


def test_the_table_is_aligned() -> None:
    lines = table({"tree": {BASE: Measured(18, 18, 50, 1000), "imgvol push": Measured(9, 17, 40, 999)}})
    assert len({len(line) for line in lines}) == 1
    assert "2.00 x" in lines[-1]
