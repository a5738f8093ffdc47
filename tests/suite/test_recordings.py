"""The cases' expectations against what real clusters did: the suite must judge recordings as the facts say."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from conformance.judge import violations
from conformance.observation import normalised
from conformance.recordings import Recording, recordings
from fixtures import Case, image_cases, pod_cases

CASES = {case.name: case for case in (*image_cases(), *pod_cases())}
SUBPATH = {"sub-dir", "sub-file", "sub-missing", "subPathExpr"}
BY_VERSION = {each.containerd: each for each in recordings() if each.fingerprint.startswith("kubernetes-1.36.3_")}


RECORDED = [case for case in CASES.values() if case.name in BY_VERSION["2.3.7"].cases]


def failing(recording: Recording) -> set[str]:
    return {name for name, seen in recording.cases.items() if violations(CASES[name], seen)}


def mounts(case: Case) -> bool:
    """Whether a case gets as far as a mount: what it expects of it, or of what runs with it, does not matter."""
    return case.expect.outcome in {"mounted", "failed", "CreateContainerError"}


def test_every_recorded_case_is_in_the_fixtures() -> None:
    assert {name for recording in recordings() for name in recording.cases} <= set(CASES)


@pytest.mark.parametrize("version", ["2.2.9", "2.3.7", "2.4.2"])
def test_current_runtimes_keep_every_claim(version: str) -> None:
    assert failing(BY_VERSION[version]) == set()


def test_containerd_2_1_fails_exactly_the_subpath_claims() -> None:
    assert failing(BY_VERSION["2.1.9"]) == SUBPATH


def test_containerd_2_0_fails_exactly_what_mounts() -> None:
    recording = BY_VERSION["2.0.14"]
    assert failing(recording) == {name for name in recording.cases if mounts(CASES[name])}


def test_containerd_2_0_fails_exactly_the_claims_that_need_a_mount() -> None:
    """Of the claims that no case states: those that say themselves that they need a target that mounts."""
    collect = [sys.executable, "-m", "conformance.catalogue", "--json"]
    claims = json.loads(subprocess.run(collect, capture_output=True, text=True, check=True).stdout)
    recorded = BY_VERSION["2.0.14"].claims
    verdicts = {one["id"]: "fail" if "mounts" in one["needs"] else "pass" for one in claims if one["id"] in recorded}
    assert {claim: judged.verdict for claim, judged in recorded.items()} == verdicts
    assert len(recorded) > 50


def test_a_current_runtime_keeps_every_recorded_claim() -> None:
    recorded = BY_VERSION["2.2.9"].claims
    assert {claim: judged.verdict for claim, judged in recorded.items()} == dict.fromkeys(recorded, "pass")
    assert recorded.keys() == BY_VERSION["2.0.14"].claims.keys()


@pytest.mark.parametrize("name", sorted(BY_VERSION["2.3.7"].cases))
def test_no_case_accepts_what_another_outcome_shows(name: str) -> None:
    """Every case tells its own outcome from every other that was recorded."""
    case = CASES[name]
    others = [seen for seen in BY_VERSION["2.3.7"].cases.values() if seen.outcome != case.expect.outcome]
    assert len(others) > 10
    assert [seen for seen in others if not violations(case, seen)] == []


@pytest.mark.parametrize("case", [case for case in RECORDED if case.expect.files], ids=lambda case: case.name)
def test_no_case_accepts_missing_or_changed_content(case: Case) -> None:
    seen = BY_VERSION["2.3.7"].cases[case.name]
    for path in case.expect.files:
        for change in ({path: "nothing"}, {path: ""}):
            changed = {**seen.probe["files"], **change}
            assert violations(case, dataclasses.replace(seen, probe={**seen.probe, "files": changed}))
            if path != ".":
                assert violations(case, dataclasses.replace(seen, probe={**seen.probe, "files": changed}), owners=False)


@pytest.mark.parametrize("case", [case for case in RECORDED if case.expect.absent], ids=lambda case: case.name)
def test_no_case_accepts_content_that_must_not_be_there(case: Case) -> None:
    seen = BY_VERSION["2.3.7"].cases[case.name]
    for path in case.expect.absent:
        shown = {**seen.probe, "files": {**seen.probe["files"], path: "-rw-r--r-- 0:0 00000000 there"}}
        assert violations(case, dataclasses.replace(seen, probe=shown))


@pytest.mark.parametrize("case", [case for case in RECORDED if case.expect.writes], ids=lambda case: case.name)
def test_no_case_accepts_a_write_that_works(case: Case) -> None:
    seen = BY_VERSION["2.3.7"].cases[case.name]
    for attempt in case.expect.writes:
        writes = {**seen.probe["writes"], attempt: "ok"}
        assert violations(case, dataclasses.replace(seen, probe={**seen.probe, "writes": writes}))


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.fingerprint)
def test_normalising_a_recording_changes_nothing(recording: Recording) -> None:
    for seen in recording.cases.values():
        assert normalised(seen, {}) == seen
