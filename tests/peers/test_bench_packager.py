"""The packager's benchmark runs, on trees a five-hundredth of their size, and says of each goal whether it is met."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from peer_programs import find

from bench._trees import TREES
from bench.packager import ALL, BASE, RIVALS, Found, Measured, goals, table, together

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_program_packs_and_pushes_every_tree() -> None:
    for name in ("crane", "oras", "umoci"):
        find(name)
    command = [sys.executable, "-m", "bench.packager", "--rounds=1", "--scale=0.002", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [list(rivals) for rivals in said["results"].values()] == [list(RIVALS)] * 4
    for rivals in said["results"].values():
        for name, one in rivals.items():
            assert min(one.values()) > 0, name
        assert rivals["imgvol push"]["size"] < rivals["imgvol push, no compression"]["size"]
    assert len(said["goals"]) == 4


def all_alike(**others: Measured) -> Found:
    """Every tree with the same figures: `others`, or 18 s and 50 bytes of memory."""
    base = Measured(seconds=18, processor=18, memory=50, size=1000)
    return together({tree: {name: others.get(name, base) for name in RIVALS} for tree in TREES})


def test_goals_are_met_or_not() -> None:
    assert not any(goal.met for goal in goals(all_alike()) if "faster" in goal.goal)
    ours = {name: Measured(10, 20, 40, 1010) for name in RIVALS if name.startswith("imgvol")}
    ours["imgvol push, zstd"] = Measured(2.2, 4, 60, 1000)
    assert [goal.met for goal in goals(all_alike(**ours))] == [True, True, True, False]
    ours["imgvol push, zstd"] = Measured(2.2, 4, 40, 1001)
    ours["imgvol push"] = Measured(10.1, 20, 40, 1000)
    assert [goal.met for goal in goals(all_alike(**ours))] == [False, True, False, True]


def test_goals_are_of_all_trees_together_and_say_what_each_tree_gave() -> None:
    found = all_alike(**{"imgvol push": Measured(9, 18, 50, 1000)})
    found[next(iter(TREES))]["imgvol push"] = Measured(18, 18, 60, 1000)
    found = together({tree: found[tree] for tree in TREES})
    assert found[ALL]["imgvol push"] == Measured(36, 54, 60, 3000)
    goal = goals(found)[0]
    assert (goal.met, goal.found) == (False, "1.50 x faster, 1.000 of its size; by tree 1.0, 2.0, 2.0 x")


def test_the_table_is_aligned() -> None:
    lines = table({"tree": {BASE: Measured(18, 18, 50, 1000), "imgvol push": Measured(9, 17, 40, 999)}})
    assert len({len(line) for line in lines}) == 1
    assert "2.00 x" in lines[-1]
