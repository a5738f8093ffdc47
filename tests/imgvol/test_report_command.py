"""imgvol report: what it prints and writes, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.claims import Claim, Verdict
from conformance.report import Judgement, Provenance, Results, write
from conformance.targets import Fingerprint
from imgvol import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path):
    """Writes the results of a run with these verdicts by claim; the path of the file."""

    def make(name: str, **verdicts: str) -> str:
        judged = [
            Judgement(
                Claim(f"mount/{id_}", "Something holds.", "the project"), Verdict(verdict), 1.0, f"{name} saw {id_}"
            )
            for id_, verdict in verdicts.items()
        ]
        path = tmp_path / f"{name}.json"
        write(path, Results(Provenance(name, 1.0, "0.1.0"), Fingerprint("kind", "v1.36.3", "", ()), tuple(judged)))
        return str(path)

    return make


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [({"a": "pass"}, 0), ({"a": "unsupported"}, 0), ({"a": "pass", "b": "fail"}, 1), ({"a": "error"}, 1), ({}, 1)],
)
def test_the_exit_status_says_whether_a_claim_failed(run, capsys, verdicts: dict[str, str], status: int) -> None:
    assert cli.main(["report", run("now", **verdicts)]) == status
    assert f"{len(verdicts)} claims judged" in capsys.readouterr().out


def test_a_regression_is_a_failure_even_if_no_claim_fails(run, capsys) -> None:
    before, after = run("before", a="pass"), run("after", a="unsupported")
    assert cli.main(["report", after]) == 0
    assert cli.main(["report", after, "--baseline", before]) == 1
    out = capsys.readouterr().out
    assert "changed since the run of before: 1 regression" in out
    assert "before saw a" in out
    assert "\x1b" not in out


def test_json_is_for_scripts(run, capsys) -> None:
    assert cli.main(["report", run("after", a="fail"), "--baseline", run("before", a="pass"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "failed": True,
        "counts": {"fail": 1},
        "pools": [""],
        "changes": [
            {
                "kind": "regression",
                "id": "mount/a",
                "pool": "",
                "before": {"verdict": "pass", "evidence": "before saw a"},
                "after": {"verdict": "fail", "evidence": "after saw a"},
            }
        ],
        "differences": [],
        "pools_gone": [],
        "pools_new": [],
    }
    assert cli.main(["report", run("after", a="pass"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] is None


def test_files_are_written_and_markdown_may_go_to_the_output(run, tmp_path: Path, capsys) -> None:
    now = run("now", a="pass")
    page, told = tmp_path / "new" / "page.html", tmp_path / "told.md"
    assert cli.main(["report", now, "--html", str(page), "--markdown", str(told)]) == 0
    assert "<!DOCTYPE html>" in page.read_text()
    assert told.read_text().startswith("## ✅ Image volumes on kind: 1 pass")
    capsys.readouterr()
    assert cli.main(["report", now, "--markdown", "-"]) == 0
    assert capsys.readouterr().out == told.read_text()


@pytest.mark.parametrize("place", ["results", "baseline"])
def test_unreadable_input_is_one_sentence_and_status_2(run, tmp_path: Path, capsys, place: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    page = tmp_path / "page.html"
    arguments = [str(bad)] if place == "results" else [run("now", a="pass"), "--baseline", str(bad)]
    assert cli.main(["report", *arguments, "--html", str(page)]) == 2
    said = capsys.readouterr()
    assert said.err == f"imgvol report: {bad} is not JSON: give the results.json that a run of the suite wrote\n"
    assert said.out == ""
    assert not page.exists()


def test_a_file_that_cannot_be_written_is_one_sentence_and_status_1(run, tmp_path: Path, capsys) -> None:
    assert cli.main(["report", run("now", a="pass"), "--html", str(tmp_path / "now.json" / "page.html")]) == 1
    assert capsys.readouterr().err.startswith(f"imgvol report: cannot write {tmp_path / 'now.json'}")


def test_two_wishes_for_one_output_are_refused(run, capsys) -> None:
    assert cli.main(["report", run("now", a="pass"), "--json", "--markdown", "-"]) == 2
    assert "both want standard output" in capsys.readouterr().err


def test_a_run_with_a_baseline_that_cannot_be_read_ends_before_it_starts(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"schema": 0, "claims": []}')
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "conformance", "-n0", f"--baseline={bad}", f"--report={tmp_path / 'report'}"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"--baseline: {bad} holds results of schema 0, and this imgvol reads schema 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "report").exists()
