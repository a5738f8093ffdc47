"""The emulator answers as the recorded clusters did, for every case and every runtime that was recorded."""

from __future__ import annotations

import pytest

from conformance.fidelity import replay
from conformance.recordings import Recording, recordings
from conformance.targets import Options, Target, start


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.fingerprint)
def test_equals_the_recording(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGVOL_PATIENCE", "10")
    with start(Options(runtime=recording.runtime, speed=20)) as description:
        compared = list(replay(Target(description), recording))
    assert {one.case for one in compared} == set(recording.cases)
    differing = {one.case: one.differences for one in compared if one.differences}
    assert differing == {}
