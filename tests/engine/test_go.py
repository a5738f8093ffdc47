"""The Go programs' own tests, and the benchmark's two engines answering alike."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["engine", "fixtures/probe"])
def test_go_test(module: str) -> None:
    ended = subprocess.run(
        ["go", "test", "./..."],
        cwd=REPOSITORY / module,
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_the_benchmark_measures_two_engines_that_answer_alike() -> None:
    spec = importlib.util.spec_from_file_location("bench_engine", REPOSITORY / "bench" / "engine.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    measured = bench.measure(files=1000, rounds=2)
    assert set(measured) == {"naive", "engine"}
    assert all(value > 0 for figures in measured.values() for value in figures.values())
