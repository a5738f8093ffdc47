"""A run compared with an earlier one, from end to end: two runtimes, one of which ignores subPath."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLAIMS = ("subpath/missing-directory-fails", "api/empty-reference-rejected")


def judge(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "conformance", "-n0", "-q", "-p", "no:cacheprovider", f"--report={folder}"]
        + [f"--claim={claim}" for claim in CLAIMS]
        + [*options],
        cwd=ROOT,
        env={**os.environ, "IMGVOL_PATIENCE": "4", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_begins_with_what_changed_since_an_earlier_one(tmp_path: Path) -> None:
    before, after, step = tmp_path / "before", tmp_path / "after", tmp_path / "step.md"
    first = judge(before)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "changed" not in first.stdout

    baseline = f"--baseline={before / 'results.json'}"
    second = judge(after, baseline, "--runtime=containerd-2.1", GITHUB_STEP_SUMMARY=str(step))
    assert second.returncode == 1, second.stdout + second.stderr
    told = second.stdout[second.stdout.index("claims on emulator") :]
    assert "1 regression\n" in told
    assert "containerd://2.3.7 → containerd://2.1.9" in told
    assert told.index("regression: subpath/missing-directory-fails") < told.index("2 claims judged: 1 pass, 1 FAIL")

    results = json.loads((after / "results.json").read_text())
    assert results["schema"] == 1
    assert results["run"]["options"] == {"runtime": "containerd-2.1", "claim": " ".join(CLAIMS)}
    assert results["run"]["seconds"] > 0
    assert [one["verdict"] for one in results["claims"]] == ["pass", "fail"]
    assert 'id="changed"' in (after / "report.html").read_text()
    assert step.read_text() == (after / "summary.md").read_text()
    assert "### Changed since" in step.read_text()

    again = [sys.executable, "-m", "imgvol", "report", str(after / "results.json"), baseline, "--markdown", "-"]
    done = subprocess.run(again, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, step.read_text())
