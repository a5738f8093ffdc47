"""The suite says of the emulator what it said of the recorded clusters, claim by claim, verdict and evidence."""

from __future__ import annotations

import dataclasses

import pytest

from conformance.recordings import Judged, Recording, recordings
from conformance.truth import check_claims
from conformance.verdicts import differences, judged_on_emulator
from emulator.node.containerd import Profile

RECORDED = [recording for recording in recordings() if recording.claims]


def alike(recording: Recording) -> Profile:
    """The profile of a recording without its version: emulators that differ in nothing else say the same."""
    return dataclasses.replace(Profile.load(recording.runtime), name="", version="")


def groups() -> list[list[Recording]]:
    """The recordings, those together for which one run of the suite will do."""
    found: list[list[Recording]] = []
    for recording in RECORDED:
        same = next((group for group in found if alike(group[0]) == alike(recording)), None)
        if same is None:
            found.append([recording])
        else:
            same.append(recording)
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("group", groups(), ids=lambda group: "+".join(each.containerd for each in group))
def test_equals_the_recorded_verdicts_and_evidence(group: list[Recording]) -> None:
    judged = judged_on_emulator(group[0])
    for recording in group:
        found = check_claims(recording, judged)
        assert found.differing == {}, recording.fingerprint
        assert found.vanished == ()
        unsupported = {claim for claim in recording.claims if judged[claim].verdict == "unsupported"}
        assert set(found.matched) | set(found.known) | unsupported == set(recording.claims)


@pytest.mark.parametrize("recording", RECORDED, ids=lambda recording: recording.fingerprint)
def test_no_change_to_a_verdict_or_to_evidence_goes_unnoticed(recording: Recording) -> None:
    assert differences(recording.claims, recording.claims) == dict.fromkeys(recording.claims, ())
    for claim, judged in recording.claims.items():
        other = "pass" if judged.verdict == "fail" else "fail"
        for changed in (Judged(other, judged.evidence), Judged(judged.verdict, "something else")):
            assert differences({claim: judged}, {claim: changed})[claim]
        assert differences({claim: judged}, {})[claim]


def test_a_claim_with_a_reason_is_known_until_it_is_alike() -> None:
    recording = RECORDED[0]
    claim, judged = next(iter(recording.claims.items()))
    only = dataclasses.replace(recording, claims={claim: judged})
    other = {claim: Judged("error", "")}
    reasons = {claim: "a reason", "a-case": "another"}
    assert check_claims(only, other, reasons).known == {claim: "a reason"}
    assert check_claims(only, {claim: judged}, reasons).vanished == (claim,)
