"""A recording is written whole, and read back as what was seen."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance import record as recording
from conformance.observation import Observation, normalised
from conformance.record import write_case
from conformance.targets import Target
from fixtures import Case

NAMES = {"127.0.0.1:5000": "<registry>"}
texts = st.text(max_size=40).map(lambda text: f"127.0.0.1:5000/{text}")
observations = st.builds(
    Observation,
    phase=st.sampled_from(["Pending", "Succeeded", "Failed"]),
    waiting=st.one_of(
        st.just({}),
        st.fixed_dictionaries({"reason": st.sampled_from(["ErrImagePull", "ImagePullBackOff"]), "message": texts}),
    ),
    events=st.lists(
        st.tuples(st.just("Normal"), st.just("Pulled"), texts, st.sampled_from(["pod", "container"])), max_size=4
    ).map(tuple),
    log=texts,
)


@given(seen=observations)
def test_normalising_twice_is_normalising_once(seen: Observation) -> None:
    once = normalised(seen, NAMES)
    assert normalised(once, NAMES) == once
    assert "127.0.0.1:5000" not in json.dumps(once.events) + once.log


def test_writers_at_the_same_time_leave_whole_files(tmp_path: Path) -> None:
    def write(number: int) -> None:
        write_case(tmp_path, "ok", Observation(phase="Succeeded", log="x" * number * 1000), {}, {"number": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(1, 40)))
    (path,) = tmp_path.iterdir()
    told = json.loads(path.read_text())
    assert len(told["raw"]["log"]) == told["provenance"]["number"] * 1000


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], threading.Event]]:
    """Recording, but for its target: the first case is done at once, the others wait until the test is over."""
    asked: list[str] = []
    begun, over = threading.Event(), threading.Event()

    def record_case(_: object, case: Case, place: Path) -> Path:
        asked.append(case.name)
        if case.name != "ok":
            begun.set()
            over.wait()
        return place / case.name

    monkeypatch.setattr(recording, "_record", record_case)
    monkeypatch.setattr(recording, "place_of", lambda _, folder: folder)
    monkeypatch.setattr(recording.Lab, "prepare", lambda *_: None)
    yield asked, begun
    over.set()


def test_who_ends_a_recording_does_not_wait_for_the_cases_under_way(
    waiting: tuple[list[str], threading.Event], tmp_path: Path
) -> None:
    """Their target is about to go, and some of them wait for minutes. If it did wait, this test would for ever."""
    asked, begun = waiting
    main = threading.get_ident()

    ended = threading.Event()

    def interrupt() -> None:
        begun.wait()
        signal.pthread_kill(main, signal.SIGINT)
        # One that comes just before a thread begins to wait does not wake it: Python sees it with the next.
        while not ended.wait(10):
            signal.pthread_kill(main, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        list(recording.record(cast("Target", None), tmp_path, workers=2))
    ended.set()
    interrupter.join()
    assert asked[0] == "ok"
    assert 2 <= len(asked) <= 3


def test_cases_to_skip_are_skipped_but_for_the_first(
    waiting: tuple[list[str], threading.Event], tmp_path: Path
) -> None:
    every = {case.name for stage in recording.stages() for case in stage}
    assert [path.name for path in recording.record(cast("Target", None), tmp_path, skip=every)] == ["ok"]
