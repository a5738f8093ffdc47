"""The emulator answers as the recorded clusters did, for every case and every runtime that was recorded."""

from __future__ import annotations

import dataclasses

import pytest

from conformance.fidelity import differences
from conformance.recordings import Recording, recordings
from conformance.truth import check
from fixtures import image_cases, pod_cases

CASES = {case.name: case for case in (*image_cases(), *pod_cases())}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.fingerprint)
def test_equals_the_recording(recording: Recording) -> None:
    found = check(recording)
    assert found.differing == {}
    assert found.vanished == ()
    assert set(found.matched) | set(found.known) == set(recording.cases)


def test_a_reason_for_what_does_not_differ_is_told() -> None:
    recording = recordings()[0]
    only = dataclasses.replace(recording, cases={"ok": recording.cases["ok"]})
    assert check(only, {"ok": "no reason at all"}).vanished == ("ok",)


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.fingerprint)
def test_no_change_to_a_recording_goes_unnoticed(recording: Recording) -> None:
    for name, seen in recording.cases.items():
        case = CASES[name]
        assert differences(case, seen, seen, {}) == ()
        changes = [dataclasses.replace(seen, phase="Unknown"), dataclasses.replace(seen, rejected=seen.rejected + "!")]
        changes += [
            dataclasses.replace(seen, events=seen.events[:at] + seen.events[at + 1 :]) for at in range(len(seen.events))
        ]
        if seen.waiting:
            changes.append(dataclasses.replace(seen, waiting={**seen.waiting, "message": "another"}))
        for key in seen.probe:
            changes.append(
                dataclasses.replace(seen, probe={**seen.probe, key: {} if key in {"files", "writes"} else "changed"})
            )
        # The file that makes an image one of its own is not compared: older recordings left it out.
        for path in set(seen.probe.get("files", {})) - {"~nonce"}:
            files = {**seen.probe["files"], path: "?rwxrwxrwx 1:1 00000000"}
            changes.append(dataclasses.replace(seen, probe={**seen.probe, "files": files}))
        assert [changed for changed in changes if not differences(case, seen, changed, {})] == []
